"""``train``: bit for bit the loop written by hand, honest when it diverges, whole after a kill."""

import copy
import inspect
import math
import os
import re
import signal
import subprocess
import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, roc_auc_score
from torch import nn
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    CosineAnnealingLR,
    CyclicLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm

from cnnbook import data, repro, train
from cnnbook.train import CheckpointError, evaluate, fit, fit_stacked
from terminals import stderr_as_terminal

N, INPUTS, CLASSES = 50, 6, 3


def _pair(seed=0, n=N):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, INPUTS, generator=generator)
    teacher = torch.randn(INPUTS, CLASSES, generator=generator)
    return x, (x @ teacher).argmax(dim=1)


X, Y = _pair()
BATCHES = [(X, Y)]


def _net(dropout=0.0, norm=False):
    torch.manual_seed(5)
    parts = [nn.Linear(INPUTS, 8), nn.ReLU()]
    parts += [nn.BatchNorm1d(8)] if norm else []
    parts += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*parts, nn.Linear(8, CLASSES))


def _same(first, second):
    """Whether two models have the same state, bit for bit."""
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def _cosine(optimizer):
    return CosineAnnealingLR(optimizer, T_max=30)


def _warm_up(optimizer):
    return LinearLR(optimizer, start_factor=0.1, total_iters=10)


# --- against a loop written by hand ---------------------------------------------------------------


def _by_hand(model, pair, make, *, epochs, batch_size, seed=0, change=None, schedule=None):
    """Train with plain PyTorch; ``change`` works on the gradients before the update."""
    x, y = pair
    order = torch.Generator().manual_seed(seed)
    dropout_seed = int(torch.randint(2**62, (), generator=order))
    outer = torch.get_rng_state()
    torch.manual_seed(dropout_seed)
    optimizer = make(model.parameters())
    scheduler = schedule(optimizer) if schedule else None
    losses, lrs, norms, right = [], [], [], []
    model.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(y), generator=order).split(batch_size):
            z = model(x[rows])
            loss = F.cross_entropy(z, y[rows])
            optimizer.zero_grad()
            loss.backward()
            norms.append(torch.stack([p.grad.norm() for p in model.parameters()]).norm().item())
            lrs.append(optimizer.param_groups[0]["lr"])
            losses.append(loss.item())
            right.append((z.argmax(1) == y[rows]).sum().item())
            if change:
                change(model)
            optimizer.step()
            if scheduler:
                scheduler.step()
    torch.set_rng_state(outer)
    return losses, lrs, norms, right


def _clip_norm(model):
    nn.utils.clip_grad_norm_(model.parameters(), 0.1)


def _clip_value(model):
    for p in model.parameters():
        p.grad.clamp_(-0.01, 0.01)


def _l1(model):
    for p in model.parameters():
        p.grad += 0.02 * p.detach().sign()


def _clip_then_l1(model):
    _clip_norm(model)
    _l1(model)


def _sgd(**options):
    return lambda parameters: torch.optim.SGD(parameters, lr=0.1, **options)


def _adam(**options):
    return lambda parameters: torch.optim.Adam(parameters, lr=0.01, **options)


SGD, ADAM = {"optimizer": "sgd", "lr": 0.1}, {"optimizer": "adam", "lr": 0.01}
BY_HAND = {
    "sgd": (SGD, _sgd(), {}),
    "momentum": ({**SGD, "momentum": 0.9}, _sgd(momentum=0.9), {}),
    "adam": (ADAM, _adam(), {}),
    "adam by default": ({"lr": 0.01}, _adam(), {}),
    "function": (
        {"optimizer": _sgd(nesterov=True, momentum=0.8)},
        _sgd(nesterov=True, momentum=0.8),
        {},
    ),
    "sgd decay": ({**SGD, "weight_decay": 0.1}, _sgd(weight_decay=0.1), {}),
    "adam decay": ({**ADAM, "weight_decay": 0.1}, _adam(weight_decay=0.1), {}),
    "clip norm": ({**SGD, "clip_norm": 0.1}, _sgd(), {"change": _clip_norm}),
    "clip norm, decay": (
        {**SGD, "clip_norm": 0.1, "weight_decay": 0.1, "record_norm": True},
        _sgd(weight_decay=0.1),
        {"change": _clip_norm},
    ),
    "clip value": ({**ADAM, "clip_value": 0.01}, _adam(), {"change": _clip_value}),
    "record norm": ({**ADAM, "record_norm": True}, _adam(), {}),
    "l1": ({**SGD, "l1": 0.02}, _sgd(), {"change": _l1}),
    "l1 after clipping": ({**SGD, "l1": 0.02, "clip_norm": 0.1}, _sgd(), {"change": _clip_then_l1}),
    "schedule": ({**SGD, "schedule": _cosine}, _sgd(), {"schedule": _cosine}),
    "warm-up": ({**ADAM, "schedule": _warm_up}, _adam(), {"schedule": _warm_up}),
    "one batch": ({**SGD, "batch_size": 1000}, _sgd(), {}),
    "another seed": ({**SGD, "seed": 7}, _sgd(), {"seed": 7}),
}


@pytest.mark.parametrize("case", BY_HAND)
def test_fit_is_the_loop_written_by_hand(case):
    options, make, by_hand = BY_HAND[case]
    options = {"batch_size": 16, "epochs": 3, **options}
    mine, reference, pair = _net(dropout=0.3, norm=True), _net(dropout=0.3, norm=True), _pair()
    history = fit(mine, pair, **options)
    losses, lrs, norms, right = _by_hand(
        reference, pair, make, epochs=3, batch_size=options["batch_size"], **by_hand
    )
    assert _same(mine, reference)
    assert history.steps["loss"].tolist() == losses
    assert history.steps["lr"].tolist() == lrs
    assert history.steps["step"].tolist() == list(range(1, len(losses) + 1))
    if "clip_norm" in options or "record_norm" in options:
        assert history.steps["gradient_norm"].tolist() == pytest.approx(norms, rel=1e-5)
    else:
        assert history.steps["gradient_norm"].isna().all()

    per_epoch, last = len(losses) // 3, min(options["batch_size"], N)
    sizes = np.array([last] * (per_epoch - 1) + [N - last * (per_epoch - 1)])
    means = (np.array(losses).reshape(3, -1) * sizes).sum(1) / N
    assert history.epochs["train_loss"].to_numpy() == pytest.approx(means, rel=1e-12)
    assert (
        history.epochs["train_accuracy"].tolist()
        == (np.reshape(right, (3, -1)).sum(1) / N).tolist()
    )
    assert history.epochs["epoch"].tolist() == [1, 2, 3]
    assert history.epochs["step"].tolist() == [per_epoch, 2 * per_epoch, 3 * per_epoch]
    assert history.epochs["lr"].tolist() == lrs[per_epoch - 1 :: per_epoch]
    assert (history.epochs["seconds"] > 0).all()
    assert not history.diverged and history.reason is None and history.stopped_at is None


def test_fit_learns():
    x, y = _pair(n=400)
    history = fit(_net(), (x, y), epochs=30, lr=0.01, validation=0.25)
    assert history.final["val_accuracy"] > 0.9
    assert history.epochs["train_loss"].is_monotonic_decreasing


def test_l1_by_its_formula():
    model = nn.Linear(INPUTS, CLASSES)
    before = [p.detach().clone() for p in model.parameters()]

    def no_data(z, y):
        return (z * 0).sum()

    fit(model, _pair(), steps=1, optimizer="sgd", lr=0.5, l1=0.01, loss=no_data)
    for p, start in zip(model.parameters(), before, strict=True):
        assert torch.equal(p, start - 0.5 * (0.01 * start.sign()))


def test_l1_leaves_out_what_has_no_gradient():
    model = _net()
    model.unused = nn.Parameter(torch.ones(2))
    model.forward = lambda x: nn.Sequential.forward(model[:3], x)
    model[0].weight.requires_grad_(False)
    frozen = model[0].weight.clone()
    fit(model, _pair(), steps=2, optimizer="sgd", lr=0.1, l1=0.1, weight_decay=0.1)
    assert torch.equal(model.unused, torch.ones(2)) and torch.equal(model[0].weight, frozen)


# --- epochs, steps, sources -----------------------------------------------------------------------


def test_steps_may_end_within_an_epoch():
    model, reference = _net(), _net()
    history = fit(model, _pair(), steps=6, batch_size=16, **SGD, validation=_pair(1))
    longer = fit(reference, _pair(), epochs=2, batch_size=16, **SGD)
    assert history.epochs["step"].tolist() == [4, 6]
    assert history.steps["loss"].tolist() == longer.steps["loss"].tolist()[:6]
    assert history.final["train_loss"] == pytest.approx(history.steps["loss"][4:].mean())
    assert history.final["val_loss"] == evaluate(model, _pair(1))["loss"]
    exact = fit(_net(), _pair(), steps=8, batch_size=16, **SGD)
    assert exact.epochs["step"].tolist() == [4, 8]


def test_a_split_is_its_x_and_y():
    images = torch.arange(20 * 4, dtype=torch.uint8).reshape(20, 1, 2, 2)
    split = data.Split(images, torch.arange(20) % 2)

    def net():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(4, 2))

    first, second = net(), net()
    fit(first, split, epochs=2, validation=split, **SGD)
    fit(second, (images / 255, split.y), epochs=2, **SGD)
    assert _same(first, second)
    assert evaluate(first, split) == evaluate(first, (split.x, split.y))


def test_an_iterable_of_batches():
    x, y = _pair()
    batches = list(zip(x.split(16), y.split(16), strict=True))
    model, reference = _net(), _net()
    history = fit(model, batches, epochs=2, **SGD, validation=batches)
    optimizer = torch.optim.SGD(reference.parameters(), 0.1)
    for _ in range(2):
        for images, labels in batches:
            optimizer.zero_grad()
            F.cross_entropy(reference(images), labels).backward()
            optimizer.step()
    assert _same(model, reference)
    assert history.epochs["step"].tolist() == [4, 8]
    assert history.final["val_accuracy"] == evaluate(model, (x, y))["accuracy"]
    assert evaluate(model, iter(batches)) == evaluate(model, (x, y), batch_size=16)
    assert fit(_net(), batches, steps=5, **SGD).epochs["step"].tolist() == [4, 5]
    whole = tuple(batches[:2]), [list(batch) for batch in batches[:2]], Batches(batches[:2])
    assert len({fit(_net(), two, epochs=2, **SGD).final["train_loss"] for two in whole}) == 1


def test_a_loader_shuffles_by_the_seed_and_leaves_the_stream_alone():
    loader = DataLoader(TensorDataset(*_pair()), batch_size=16, shuffle=True)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    runs = []
    for seed in (0, 0, 1):
        model = _net()
        torch.set_rng_state(before)
        runs.append(fit(model, loader, epochs=1, seed=seed, **SGD).steps["loss"].tolist())
        evaluate(model, loader)
        assert torch.equal(torch.get_rng_state(), before)
    assert runs[0] == runs[1] != runs[2]


def test_a_fraction_is_held_out():
    x, y = _pair()
    seen = []

    class Spy(nn.Linear):
        def forward(self, x):
            seen.append((self.training, x))
            return super().forward(x)

    model = Spy(INPUTS, CLASSES)
    fit(model, (x, y), epochs=2, batch_size=16, validation=0.3, **SGD)
    probe, *rest = seen
    assert probe[0] is False
    kept = torch.cat([x for training, x in rest if training])
    held = torch.cat([x for training, x in rest if not training])
    assert len(kept) == 2 * 35 and len(held) == 2 * 15
    first = torch.cat([kept[:35], held[:15]])
    assert torch.equal(first.sort(dim=0).values, x.sort(dim=0).values)
    assert torch.equal(held[:15], held[15:]) and not torch.equal(kept[:35], kept[35:])
    assert not torch.equal(held[:15], x[:15]) and not torch.equal(held[:15], x[-15:])


def test_any_target_with_a_loss_of_ones_own():
    x, _ = _pair()
    target = x @ torch.randn(INPUTS, 2)
    model = nn.Linear(INPUTS, 2)
    history = fit(
        model, (x, target), epochs=60, lr=0.05, loss=F.mse_loss, metrics=(), validation=0.2
    )
    assert history.final["val_loss"] < 0.1
    expected = F.mse_loss(model(x), target).item()
    assert evaluate(model, (x, target), loss=F.mse_loss, metrics=()) == {"loss": expected}
    columns = ["epoch", "step", "lr", "train_loss", "val_loss", "seconds"]
    assert list(history.epochs.columns) == columns


# --- what fit must leave alone --------------------------------------------------------------------


def test_fit_is_a_function_of_its_arguments():
    runs = []
    for stream in (1, 2):
        model = _net(dropout=0.5)
        torch.manual_seed(stream)
        before = torch.get_rng_state()
        fit(model, _pair(), epochs=2, **ADAM, validation=0.2)
        assert torch.equal(torch.get_rng_state(), before)
        runs.append(model)
    assert _same(*runs)
    other = _net(dropout=0.5)
    fit(other, _pair(), epochs=2, **ADAM, validation=0.2, seed=1)
    assert not _same(runs[0], other)


def test_the_seed_reaches_dropout():
    losses = {
        seed: fit(_net(dropout=0.5), _pair(), steps=1, batch_size=N, **SGD, seed=seed)
        for seed in (0, 1)
    }  # one batch: its order does not matter
    first, second = (history.steps["loss"][0] for history in losses.values())
    assert abs(first - second) > 1e-3


def test_modes_and_gradients_are_restored():
    model = _net(norm=True)
    model[2].eval()
    before = [module.training for module in model.modules()]
    modes = []
    model[2].register_forward_hook(lambda module, *_: modes.append(module.training))
    fit(model, _pair(), epochs=1, **SGD, validation=_pair(1))
    assert modes == [False, False, True, False]  # label probes, one batch, validation
    assert [module.training for module in model.modules()] == before
    assert all(p.grad is None for p in model.parameters())
    evaluate(model, _pair())
    assert modes[-1] is False
    assert [module.training for module in model.modules()] == before

    def fail(step):
        raise KeyError("probe")

    with pytest.raises(KeyError, match="probe"):
        fit(model, _pair(), epochs=1, **SGD, on_step=fail)
    assert [module.training for module in model.modules()] == before


def test_a_probe_changes_nothing():
    def probe(step):
        seen.append(step)
        torch.rand(3)
        probed.eval()
        assert probed[0].weight.grad is not None

    seen, probed, plain = [], _net(dropout=0.5), _net(dropout=0.5)
    first = fit(probed, _pair(), epochs=2, batch_size=16, **ADAM, on_step=probe)
    second = fit(plain, _pair(), epochs=2, batch_size=16, **ADAM)
    assert seen == list(range(1, 9))
    assert _same(probed, plain)
    pd.testing.assert_frame_equal(first.steps, second.steps)


def test_nothing_is_printed(capfd):
    fit(_net(), _pair(), epochs=2, **SGD, validation=0.2, progress=True)  # no terminal here
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("options", "total"), [({"epochs": 3, "batch_size": 16}, "12/12"), ({"steps": 5}, "5/5")]
)
def test_progress_shows_a_bar_on_a_terminal(monkeypatch, options, total):
    terminal = stderr_as_terminal(monkeypatch)
    monkeypatch.setattr("tqdm.tqdm", partial(tqdm, mininterval=0, miniters=1))
    fit(_net(), _pair(), **options, **SGD, progress=True)
    assert total in terminal.text
    shown = terminal.text
    fit(_net(), _pair(), **options, **SGD)
    assert terminal.text == shown


# --- evaluate -------------------------------------------------------------------------------------


def test_evaluate_agrees_with_scikit_learn():
    x, y = _pair(2)
    model = _net(dropout=0.5, norm=True).eval()
    with torch.no_grad():
        z = model(x)
    found = evaluate(model, (x, y), batch_size=7, metrics=train.METRICS)
    model.train()
    assert evaluate(model, (x, y), batch_size=7, metrics=train.METRICS) == found
    assert list(found) == ["loss", "accuracy", "macro_f1", "roc_auc"]
    probability = z.double().softmax(1).numpy()
    assert found["loss"] == pytest.approx(F.cross_entropy(z, y).item(), rel=1e-6)
    assert found["accuracy"] == (z.argmax(1) == y).double().mean().item()
    assert found["macro_f1"] == pytest.approx(f1_score(y, z.argmax(1), average="macro"))
    assert found["roc_auc"] == pytest.approx(
        roc_auc_score(y, probability, multi_class="ovr", average="macro")
    )


@given(st.integers(0, 2**32), st.integers(2, 4), st.integers(1, 30))
def test_macro_f1_and_roc_auc_by_counting(seed, classes, n):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n, classes, generator=generator, dtype=torch.float64)
    y = torch.randint(classes, (n,), generator=generator)
    found = evaluate(_Identity(), (z, y), metrics=train.METRICS)
    if len(set(y.tolist())) < classes:
        assert math.isnan(found["macro_f1"]) and math.isnan(found["roc_auc"])
        return
    f1, auc = [], []
    p = z.softmax(1)
    for k in range(classes):
        said, true = z.argmax(1) == k, y == k
        f1.append(2 * (said & true).sum() / (said.sum() + true.sum()))
        gap = p[true, k][:, None] - p[~true, k][None, :]
        auc.append((gap > 0).double().mean())
    assert found["macro_f1"] == pytest.approx(np.mean(f1))
    assert found["roc_auc"] == pytest.approx(np.mean(auc))


class _Identity(nn.Module):
    def forward(self, x):
        return x


def test_a_tie_counts_half():
    x, y = torch.ones(4, 2), torch.tensor([0, 1, 1, 0])
    assert evaluate(_Identity(), (x, y), metrics=["roc_auc"])["roc_auc"] == 0.5


def test_roc_auc_tells_probabilities_apart_that_round_to_zero_or_one():
    z = torch.tensor([[0.0, 2000.0], [0.0, 1900.0], [0.0, 1950.0], [0.0, 1800.0]])
    y = torch.tensor([1, 0, 1, 0])
    assert evaluate(_Identity(), (z, y), metrics=["roc_auc"])["roc_auc"] == 1.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_evaluate_is_not_pretty_without_numbers(bad):
    x, y = _pair()
    model = _net()
    with torch.no_grad():
        model[2].bias[1] = bad
    found = evaluate(model, (x, y), metrics=train.METRICS)
    assert all(math.isnan(value) for value in found.values()), found
    assert math.isnan(evaluate(model, (x, y), loss=lambda z, y: z.sum())["accuracy"])


def test_metrics_of_fit():
    history = fit(_net(), _pair(), epochs=2, **SGD, metrics=train.METRICS, validation=_pair(1))
    names = ["loss", *train.METRICS]
    expected = [f"train_{n}" for n in names] + [f"val_{n}" for n in names]
    assert list(history.epochs.columns) == ["epoch", "step", "lr", *expected, "seconds"]
    assert history.epochs.notna().all(axis=None)
    assert history.final["train_roc_auc"] != history.final["val_roc_auc"]


# --- divergence -----------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_ends_the_run():
    model = _net()
    history = fit(
        model, _pair(), epochs=50, optimizer="sgd", lr=1e30, batch_size=16, validation=0.2
    )
    assert history.diverged
    assert 1 < history.stopped_at < 10
    assert history.stopped_at == len(history.steps) == history.final["step"]
    assert re.fullmatch(rf"loss (nan|inf) at step {history.stopped_at}", history.reason)
    assert np.isfinite(history.steps["loss"][:-1]).all()
    assert not math.isfinite(history.steps["loss"].iloc[-1])
    assert not math.isfinite(history.final["train_loss"])
    assert math.isnan(history.final["val_accuracy"]) and math.isnan(history.final["train_accuracy"])


def test_a_loss_that_is_no_number_makes_no_update():
    updates, before = [], None

    def loss(z, y):
        nonlocal before
        if len(updates) == 3:
            before = [p.detach().clone() for p in model.parameters()]
            return z.sum() * math.inf
        return F.cross_entropy(z, y)

    model = _net()
    history = fit(model, _pair(), steps=9, batch_size=16, **SGD, loss=loss, on_step=updates.append)
    assert history.stopped_at == 4 and updates == [1, 2, 3]
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))


class _Steep(torch.autograd.Function):
    """The identity, with a gradient that is not."""

    @staticmethod
    def forward(ctx, z, value):
        ctx.value = value
        return z.clone()

    @staticmethod
    def backward(ctx, grad):
        return torch.full_like(grad, ctx.value), None


def _steep(value):
    return lambda z, y: F.cross_entropy(_Steep.apply(z, value), y)


@pytest.mark.parametrize("value", [math.inf, math.nan, 1e30])
def test_a_norm_that_cannot_be_clipped_ends_the_run(value):
    model, before = _net(), _net()
    history = fit(model, _pair(), steps=5, **SGD, clip_norm=1.0, loss=_steep(value))
    assert re.fullmatch("gradient norm (nan|inf) at step 1", history.reason)
    assert not math.isfinite(history.steps["gradient_norm"][0])
    assert history.stopped_at == 1 and _same(model, before)


@pytest.mark.parametrize("record_norm", [False, True])
def test_a_last_update_to_no_number_is_seen(record_norm):
    history = fit(_net(), _pair(), steps=1, **SGD, loss=_steep(math.nan), record_norm=record_norm)
    assert history.reason == "parameter not finite after step 1"
    assert history.diverged and history.stopped_at == 1
    history = fit(
        _net(), _pair(), epochs=3, batch_size=N, **SGD, loss=lambda z, y: _steep(math.nan)(z * 0, y)
    )
    assert history.stopped_at == 1  # not merely at the end of the run


def test_recording_the_norm_never_stops_a_run():
    runs = [
        fit(_net(), _pair(), steps=3, optimizer="sgd", lr=1e-32, loss=_steep(1e30), record_norm=on)
        for on in (False, True)
    ]
    assert not runs[0].diverged and not runs[1].diverged
    assert runs[1].steps["gradient_norm"].tolist() == [math.inf] * 3
    assert runs[0].steps["loss"].tolist() == runs[1].steps["loss"].tolist()


# --- checkpoints ----------------------------------------------------------------------------------


def _options(name):
    if name == "sgd":
        return {"optimizer": "sgd", "lr": 0.1, "momentum": 0.9, "schedule": _cosine, "epochs": 5}
    return {"lr": 0.01, "schedule": _warm_up, "steps": 17, "clip_norm": 1.0, "validation": 0.2}


def _job(options, checkpoint=None, every=None, kill=None, on_save=False):
    """Train; send kill -9 to this process after step ``kill``, or while that is being saved."""
    draws = []

    def on_step(step):
        draws.append(torch.rand(1).item())
        if step == kill:
            if not on_save:
                os.kill(os.getpid(), signal.SIGKILL)
            os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)

    saving = {"checkpoint": checkpoint, "checkpoint_every": every}
    model = _net(dropout=0.5, norm=True)
    history = fit(model, _pair(), batch_size=8, **options, **saving, on_step=on_step)
    return model, history, draws


def _killed(name, *args):
    """Run ``_job`` in a process of its own, without the imports of this file: they are slow."""
    functions = (_pair, _net, _cosine, _warm_up, _options, _job)
    code = f"""
import os, signal, torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR
from cnnbook.train import fit
N, INPUTS, CLASSES = {N}, {INPUTS}, {CLASSES}
{"".join(inspect.getsource(function) for function in functions)}
_job(_options({name!r}), *{args!r})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def _assert_same_run(found, expected):
    (model, history, draws), (reference, whole, all_draws) = found, expected
    assert _same(model, reference)
    pd.testing.assert_frame_equal(history.steps, whole.steps, check_exact=True)
    pd.testing.assert_frame_equal(
        history.epochs.drop(columns="seconds"),
        whole.epochs.drop(columns="seconds"),
        check_exact=True,
    )
    assert history.reason == whole.reason
    assert draws == all_draws[len(all_draws) - len(draws) :]


@pytest.mark.parametrize(
    ("name", "every", "kill", "on_save", "resumed"),
    [
        ("sgd", 3, 11, False, 9),  # within an epoch
        ("adam", None, 14, False, 10),  # back to the end of the last epoch
        ("adam", 4, 8, True, 5),  # while the second checkpoint is being written
    ],
)
def test_a_killed_run_resumes_bit_for_bit(tmp_path, name, every, kill, on_save, resumed):
    path = tmp_path / "run.pt"
    _killed(name, str(path), every, kill, on_save)
    assert path.with_name("run.pt.part").exists() == on_save
    found = _job(_options(name), path, every)
    whole = _job(_options(name))
    assert len(found[2]) == len(whole[2]) - resumed
    _assert_same_run(found, whole)
    assert [p.name for p in tmp_path.iterdir()] == ["run.pt"]


def test_seconds_add_up_over_interruptions(tmp_path, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])

    def on_step(step):
        clock[0] += 1.0
        if step == stop:
            raise _Stop

    options = {**_options("sgd"), "checkpoint": tmp_path / "run.pt", "checkpoint_every": 1}
    stop = 10
    with pytest.raises(_Stop):
        fit(_net(), _pair(), batch_size=8, **options, on_step=on_step)
    clock[0], stop = 5.0, None
    history = fit(_net(), _pair(), batch_size=8, **options, on_step=on_step)
    assert history.epochs["seconds"].tolist() == [7.0] * 5


class _Stop(Exception):
    pass


@pytest.mark.parametrize("every", [None, 1])
@pytest.mark.parametrize("stop", [1, 5, 6, 12, 16, 17])
def test_a_run_resumes_from_any_step(tmp_path, stop, every):
    path = tmp_path / "run.pt"

    def interrupt(step):
        if step == stop:
            raise _Stop

    options = {"batch_size": 8, "checkpoint": path, "checkpoint_every": every}
    model = _net(dropout=0.5, norm=True)
    with pytest.raises(_Stop):
        fit(model, _pair(), **_options("adam"), **options, on_step=interrupt)
    found, whole = _job(_options("adam"), path, every), _job(_options("adam"))
    assert len(found[2]) == 17 - (stop - 1) // (every or 5) * (every or 5)
    _assert_same_run(found, whole)


def test_the_file_is_plain_and_the_end_is_in_it(tmp_path):
    path = tmp_path / "run.pt"
    whole = _job(_options("sgd"), path)
    content = torch.load(path, weights_only=True)
    assert torch.equal(content["model"]["0.weight"], whole[0][0].weight)
    again = _job(_options("sgd"), str(path))
    assert again[2] == []  # nothing left to do
    _assert_same_run(again, whole)
    pd.testing.assert_frame_equal(again[1].epochs, whole[1].epochs)  # the seconds as well


def test_a_diverged_run_stays_so(tmp_path):
    options = {"epochs": 9, "optimizer": "sgd", "lr": 1e30, "checkpoint": tmp_path / "run.pt"}
    first, again = (fit(_net(), _pair(), **options) for _ in range(2))
    assert first.reason == again.reason is not None
    pd.testing.assert_frame_equal(first.steps, again.steps)


SCHEDULES = {
    "chained": lambda o: ChainedScheduler([StepLR(o, 5), LinearLR(o)], optimizer=o),
    "cyclic": lambda o: CyclicLR(o, 0.01, 0.1, step_size_up=4),
    "lambda": lambda o: LambdaLR(o, lambda step: 1 / (1 + step)),
    "milestones": lambda o: MultiStepLR(o, [3, 7]),
    "one cycle": lambda o: OneCycleLR(o, 0.1, total_steps=12),
    "sequence": lambda o: SequentialLR(o, [_warm_up(o), _cosine(o)], milestones=[6]),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_resumes(tmp_path, name):
    def interrupt(step):
        if step == 8:
            raise _Stop

    options = {"steps": 12, "batch_size": 16, "schedule": SCHEDULES[name], **SGD, "momentum": 0.5}
    path = tmp_path / "run.pt"
    with pytest.raises(_Stop):
        fit(_net(), _pair(), **options, checkpoint=path, checkpoint_every=3, on_step=interrupt)
    found, whole = _net(), _net()
    resumed = fit(found, _pair(), **options, checkpoint=path, checkpoint_every=3)
    assert resumed.steps["lr"].tolist() == fit(whole, _pair(), **options).steps["lr"].tolist()
    assert _same(found, whole)


OTHER = {
    "epochs": {"epochs": 3},
    "steps": {"epochs": None, "steps": 5},
    "batch_size": {"batch_size": 8},
    "optimizer": {"lr": 0.2},
    "schedule": {"schedule": lambda o: CosineAnnealingLR(o, T_max=31)},
    "clip_norm": {"clip_norm": 2.0},
    "clip_value": {"clip_norm": None, "clip_value": 1.0},
    "l1": {"l1": 0.1},
    "record_norm": {"record_norm": True},
    "loss": {"loss": lambda z, y: F.cross_entropy(z, y)},
    "metrics": {"metrics": ()},
    "seed": {"seed": 1},
    "train": {"train": _pair(3)},
    "validation": {"validation": _pair(3)},
    "model at the start": {"model": _net(dropout=0.4)},
}


@pytest.mark.parametrize("name", OTHER)
def test_other_settings_are_refused(tmp_path, name):
    path = tmp_path / "run.pt"
    base = {"train": _pair(), "epochs": 2, "clip_norm": 1.0, "schedule": _cosine, **SGD}
    fit(_net(dropout=0.5), **base, checkpoint=path)
    kept = path.read_bytes()
    other = {"model": _net(dropout=0.5), **base, "checkpoint": path, **OTHER[name]}
    with pytest.raises(CheckpointError, match=rf"run\.pt is of a run .*\W{name} was .*delete it"):
        fit(**other)
    assert path.read_bytes() == kept


def test_a_trained_model_is_another_model(tmp_path):
    model, options = _net(), {"epochs": 1, **SGD, "checkpoint": tmp_path / "run.pt"}
    fit(model, _pair(), **options)
    with pytest.raises(CheckpointError, match="model as it was at the start"):
        fit(model, _pair(), **options)


@pytest.mark.parametrize(
    "damage",
    [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"x" * 99, lambda b: b[:-1]],
    ids=["half", "empty", "noise", "short"],
)
def test_a_damaged_checkpoint_is_named(tmp_path, damage):
    path = tmp_path / "run.pt"
    fit(_net(), _pair(), epochs=1, **SGD, checkpoint=path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointError, match=r"run\.pt is damaged .*; delete it to start again"):
        fit(_net(), _pair(), epochs=1, **SGD, checkpoint=path)


def test_one_flipped_bit_is_found(tmp_path):
    path = tmp_path / "run.pt"
    model = _net()
    fit(model, _pair(), epochs=1, **SGD, checkpoint=path)
    content = bytearray(path.read_bytes())
    content[content.index(model[0].weight.detach().numpy().tobytes()) + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"run\.pt is damaged \(wrong checksum"):
        fit(_net(), _pair(), epochs=1, **SGD, checkpoint=path)


def test_a_foreign_file_is_not_a_checkpoint(tmp_path):
    path = tmp_path / "weights.pt"
    for content in (_net().state_dict(), [1]):
        torch.save(content, path)
        with pytest.raises(CheckpointError, match=r"weights\.pt is no checkpoint.*delete it"):
            fit(_net(), _pair(), epochs=1, **SGD, checkpoint=path)


def test_a_state_that_could_not_be_resumed_is_refused_at_once(tmp_path):
    def schedule(optimizer):
        return LambdaLR(optimizer, lambda step: np.float64(0.5) ** step)

    model, path = _net(), tmp_path / "run.pt"
    with pytest.raises(CheckpointError, match=r"run\.pt cannot hold this run"):
        fit(model, _pair(), epochs=1, **SGD, schedule=schedule, checkpoint=path)
    assert _same(model, _net()) and not any(tmp_path.iterdir())


def test_a_checkpoint_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match=r"run\.pt cannot be written: .*No space left"):
        fit(_net(), _pair(), epochs=1, **SGD, checkpoint=tmp_path / "run.pt")
    assert not any(tmp_path.iterdir())


# --- devices and stacks ---------------------------------------------------------------------------


class Traveller(nn.Linear):
    """A layer that notes where it is sent."""

    def __init__(self):
        super().__init__(INPUTS, CLASSES)
        self.sent = []

    def to(self, place):
        self.sent.append(str(place))
        return self


def test_a_network_goes_to_the_device_and_comes_back_whatever_happens(monkeypatch):
    monkeypatch.setattr(train, "as_device", lambda name, value: torch.device("cpu", 3))
    model = Traveller()
    fit(model, (X, Y), epochs=1, **SGD, device="cuda")
    assert model.sent == ["cpu:3", "cpu"]
    model = Traveller()
    with pytest.raises(ZeroDivisionError):
        fit(model, (X, Y), epochs=1, **SGD, device="cuda", on_step=lambda step: 1 / 0)
    assert model.sent == ["cpu:3", "cpu"]
    model = Traveller()
    monkeypatch.setattr(repro, "_device", torch.device("cpu", 2))
    fit(model, (X, Y), epochs=1, **SGD)
    assert model.sent == ["cpu:2", "cpu"]


def test_networks_on_two_devices_are_refused():
    model = nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 3, device="meta"))
    with pytest.raises(ValueError, match="one device that holds numbers, got cpu, meta"):
        fit(model, (X, Y), epochs=1, **SGD)


def _stack(count=3, norm=False):
    models = []
    for seed in range(count):
        torch.manual_seed(seed)
        parts = [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)]
        if norm:
            parts.insert(1, nn.BatchNorm2d(4))
        models.append(nn.Sequential(*parts).double())
    return models


def _images(n=50):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, 1, 8, 8, generator=generator, dtype=torch.float64)
    return x, (x.mean((1, 2, 3)) * 20).long().clamp(-1, 1) + 1


def _agree(alone, stacked, histories, others):
    for one, other in zip(alone, stacked, strict=True):
        state = other.state_dict()
        for name, tensor in one.state_dict().items():
            torch.testing.assert_close(tensor, state[name], rtol=1e-9, atol=1e-9, equal_nan=True)
    for one, other in zip(histories, others, strict=True):
        assert one.reason == other.reason
        pd.testing.assert_frame_equal(one.steps, other.steps, rtol=1e-9)
        columns = [name for name in one.epochs if name != "seconds"]
        pd.testing.assert_frame_equal(one.epochs[columns], other.epochs[columns], rtol=1e-9)


@pytest.mark.parametrize(
    ("options", "how"),
    [
        ({}, {"epochs": 3, "optimizer": "adam", "lr": 1e-2}),
        ({"norm": True}, {"epochs": 2, "optimizer": "sgd", "lr": 0.1, "momentum": 0.9}),
        ({}, {"steps": 5, "optimizer": "sgd", "lr": 0.1, "weight_decay": 0.1, "metrics": ()}),
        ({}, {"steps": 4, "optimizer": "adam", "lr": 1e-2, "validation": _images(20)}),
        (
            {},
            {
                "epochs": 1,
                "optimizer": "adam",
                "lr": 1e-2,
                "loss": nn.CrossEntropyLoss(label_smoothing=0.1),
            },
        ),
    ],
)
def test_stacked_networks_learn_as_they_would_alone(options, how):
    alone, stacked = _stack(**options), _stack(**options)
    for model in stacked:
        model.eval()
    histories = [
        fit(model, _images(), seed=seed, batch_size=16, **how)
        for seed, model in zip((5, 6, 7), alone, strict=True)
    ]
    others = fit_stacked(stacked, _images(), seeds=(5, 6, 7), batch_size=16, **how)
    _agree(alone, stacked, histories, others)
    assert all(p.grad is None for model in stacked for p in model.parameters())
    assert not any(module.training for model in stacked for module in model.modules())


@pytest.mark.parametrize("factor", [1e200, 1e154])
def test_a_network_that_diverges_does_not_hold_up_the_stack(factor):
    alone, stacked = _stack(), _stack()
    for models in (alone, stacked):
        with torch.no_grad():
            for parameter in models[1].parameters():
                parameter.mul_(factor)
    how = {"epochs": 2, "optimizer": "sgd", "lr": 0.1, "batch_size": 16}
    histories = [fit(model, _images(), seed=n, **how) for n, model in enumerate(alone)]
    others = fit_stacked(stacked, _images(), seeds=range(3), **how)
    assert [history.diverged for history in others] == [False, True, False]
    _agree(alone, stacked, histories, others)


def test_a_network_whose_parameters_overflow_is_left_with_them():
    alone, stacked = _stack(), _stack()
    how = {"epochs": 3, "optimizer": "sgd", "lr": 1e300, "batch_size": 50, "weight_decay": 1}
    for models in (alone, stacked):
        with torch.no_grad():
            models[1][4].weight.fill_(1e9)  # the step takes 1e309 from it, and that is infinite
    histories = [fit(model, _images(), seed=n, **how) for n, model in enumerate(alone)]
    others = fit_stacked(stacked, _images(), seeds=range(3), **how)
    assert others[1].reason == "parameter not finite after step 1"
    _agree(alone, stacked, histories, others)


def test_a_stack_leaves_the_random_stream_alone_and_dropout_differs_between_networks():
    models = [_net(dropout=0.5) for _ in range(2)]
    again = copy.deepcopy(models)
    before = torch.get_rng_state()
    how = {"seeds": (1, 1), "steps": 3, "optimizer": "sgd", "lr": 0.1}
    one, other = fit_stacked(models, (X, Y), **how)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    fit_stacked(again, (X, Y), **how)
    assert all(_same(*pair) for pair in zip(models, again, strict=True))
    assert one.steps["loss"][0] != other.steps["loss"][0]
    assert all(module.training for model in models for module in model.modules())


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"models": nn.Linear(3, 2)}, TypeError, "models must be a sequence of networks"),
        ({"models": []}, TypeError, "models must be a sequence of networks"),
        ({"models": [_net(), 3]}, TypeError, "model must be an nn.Module, got int"),
        ({"models": [_net(), _net(norm=True)]}, ValueError, "model 1 differs from model 0"),
        ({"models": [_net()] * 2}, ValueError, "parameters of their own, got one twice"),
        ({"models": [nn.ReLU(), nn.ReLU()]}, ValueError, "must have a parameter to train"),
        ({"seeds": [1]}, ValueError, "seeds must be as many as models, 2, got 1"),
        ({"optimizer": torch.optim.SGD}, ValueError, 'optimizer must be "sgd" or "adam"'),
        ({"train": BATCHES}, ValueError, "train must be in memory"),
        ({"steps": None}, ValueError, "either epochs or steps"),
        ({"lr": None}, ValueError, "lr must be given"),
        ({"train": (X, Y + 9)}, ValueError, "y of train must be classes from 0 to 2"),
        ({"device": "gpu"}, ValueError, "device must be a device of this machine"),
    ],
)
def test_bad_arguments_of_a_stack_are_named(changed, error, message):
    given = {"models": [_net(), _net()], "train": (X, Y), "seeds": (0, 1), "steps": 2, **SGD}
    given |= changed
    with pytest.raises(error, match=message):
        fit_stacked(given.pop("models"), given.pop("train"), **given)


# --- arguments ------------------------------------------------------------------------------------


class Batches:
    """Iterable, but no sequence: what it holds is seen when it comes."""

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


BAD = [
    ({"model": 3}, TypeError, "model must be an nn.Module, got int"),
    ({"model": nn.ReLU()}, ValueError, "model must have a parameter to train"),
    ({"model": nn.LazyLinear(3)}, ValueError, "lazy modules: call it once"),
    (
        {"model": nn.Linear(6, 3, device="meta")},
        ValueError,
        "one device that holds numbers, got meta",
    ),
    ({"model": nn.Linear(6, 1)}, ValueError, r"logits .* two classes or more, got \(1, 1\)"),
    ({"model": nn.Unflatten(1, (2, 3))}, ValueError, "model must have a parameter"),
    ({"epochs": None}, ValueError, "either epochs or steps, got epochs=None and steps=None"),
    ({"steps": 3}, ValueError, "either epochs or steps, got epochs=1 and steps=3"),
    ({"epochs": 0}, ValueError, "epochs must be at least 1"),
    ({"epochs": None, "steps": 1.5}, TypeError, "steps must be an integer"),
    ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
    ({"optimizer": "lion"}, ValueError, 'optimizer must be "sgd", "adam" or a function'),
    ({"optimizer": 3}, TypeError, "optimizer must be callable, got 3"),
    ({"optimizer": lambda p: None, "lr": None}, TypeError, "must return a torch.optim.Optimizer"),
    ({"optimizer": _sgd()}, ValueError, "lr, momentum and weight_decay belong inside"),
    ({"optimizer": _sgd(), "lr": None, "momentum": 0.1}, ValueError, "belong inside"),
    ({"optimizer": _sgd(), "lr": None, "weight_decay": 0.1}, ValueError, "belong inside"),
    ({"optimizer": "adam", "momentum": 0.9}, ValueError, 'for optimizer "sgd" only, got 0.9'),
    ({"lr": None}, ValueError, 'lr must be given with optimizer "sgd"'),
    ({"lr": -1}, ValueError, "lr must be finite and ≥ 0, got -1"),
    ({"lr": math.nan}, ValueError, "lr must be finite"),
    ({"lr": True}, TypeError, "lr must be a number, got True"),
    ({"lr": "0.1"}, TypeError, "lr must be a number"),
    ({"momentum": 1}, ValueError, "momentum must be below 1"),
    ({"momentum": -0.1}, ValueError, "momentum must be finite and ≥ 0"),
    ({"weight_decay": -1}, ValueError, "weight_decay must be finite and ≥ 0"),
    ({"l1": math.inf}, ValueError, "l1 must be finite"),
    ({"clip_norm": 0}, ValueError, "clip_norm must be finite and > 0"),
    ({"clip_value": -1}, ValueError, "clip_value must be finite and > 0"),
    ({"clip_norm": 1, "clip_value": 1}, ValueError, "clip_norm or clip_value, got both"),
    ({"schedule": "cosine"}, TypeError, "schedule must be callable"),
    ({"schedule": lambda o: None}, TypeError, "schedule must return an LRScheduler"),
    ({"schedule": ReduceLROnPlateau}, TypeError, "that needs no metric"),
    (
        {"schedule": lambda o: StepLR(torch.optim.SGD([nn.Parameter(X)], 1.0), 1)},
        ValueError,
        "scheduler of the optimizer it is given",
    ),
    ({"loss": None}, TypeError, "loss must be callable"),
    ({"metrics": "accuracy"}, TypeError, "metrics must be a sequence of names, got 'accuracy'"),
    ({"metrics": None}, TypeError, "metrics must be a sequence"),
    ({"metrics": ["f1"]}, ValueError, "among accuracy, macro_f1, roc_auc, got 'f1'"),
    ({"seed": -1}, ValueError, "seed must be at least 0"),
    ({"device": 0}, TypeError, "device must be a device such as 'cuda', got 0"),
    ({"device": "gpu"}, ValueError, "device must be a device of this machine, got 'gpu'"),
    ({"device": "cuda:99"}, ValueError, "device must be a device of this machine, got 'cuda:99'"),
    ({"device": "meta"}, ValueError, "device must hold numbers, got 'meta'"),
    ({"on_step": 1}, TypeError, "on_step must be callable"),
    ({"checkpoint_every": 2}, ValueError, "checkpoint_every=2 needs a checkpoint"),
    ({"checkpoint_every": 0, "checkpoint": "a"}, ValueError, "checkpoint_every must be at least"),
    ({"checkpoint": 1}, TypeError, "checkpoint must be a path or None, got 1"),
    ({"checkpoint": "no/such/file"}, ValueError, "a file in a folder that exists, got no/such/f"),
    ({"checkpoint": "."}, ValueError, "checkpoint must be a file"),
    ({"checkpoint": "a", "train": BATCHES}, ValueError, "checkpoint needs train in memory"),
    ({"validation": 0.0}, ValueError, r"fraction in \(0, 1\) .* got 0.0 of 50"),
    ({"validation": 1}, ValueError, r"fraction in \(0, 1\)"),
    ({"validation": 1.5}, ValueError, r"fraction in \(0, 1\)"),
    ({"validation": -0.5}, ValueError, "validation must be finite and ≥ 0"),
    ({"validation": True}, TypeError, "validation must be a number, got True"),
    ({"validation": 0.001}, ValueError, "leaves an example on either side"),
    ({"validation": 0.999}, ValueError, "leaves an example on either side"),
    ({"validation": 0.5, "train": BATCHES}, ValueError, "validation as a fraction needs train in"),
    ({"validation": (X, Y + 3)}, ValueError, "y of validation must be classes from 0 to 2"),
    ({"validation": "test"}, TypeError, "validation must be a Split, .* an iterable of str"),
    ({"train": 3}, TypeError, "train must be a Split, a pair .* got int"),
    ({"train": iter(BATCHES)}, TypeError, "train must be iterable more than once, got list_iter"),
    ({"train": []}, ValueError, "train must have a batch, got none in epoch 1"),
    ({"train": [X]}, TypeError, "train must be a Split, .* got an iterable of Tensor"),
    ({"train": (X.numpy(), Y.numpy())}, TypeError, "train must be .* got an iterable of ndarray"),
    ({"train": [*BATCHES, (X, Y[1:])]}, ValueError, "train must have one entry for each example"),
    ({"train": Batches([(X, Y), (X, Y.float())])}, TypeError, "y of train must be the classes"),
    ({"train": (X[:-1], Y)}, ValueError, "one entry for each example"),
    ({"train": (X, Y.sum())}, ValueError, "one entry for each example"),
    ({"train": (X[:0], Y[:0])}, ValueError, r"train must not be empty, got x of shape \(0, 6\)"),
    ({"train": (X.long(), Y)}, TypeError, "x of train must have a floating-point dtype"),
    ({"train": (X.double(), Y)}, TypeError, "x of train must have the dtype of model"),
    ({"train": (X / 0, Y)}, ValueError, "x of train must be finite"),
    ({"train": (X, Y.float())}, TypeError, r"must be the classes, int64 \(50,\), got float32 \(50"),
    ({"train": (X, F.one_hot(Y))}, TypeError, r"int64 \(50,\), got int64 \(50, 3\)"),
    ({"train": (X, Y.float()), "metrics": ()}, TypeError, "must be the classes"),
    ({"train": (X, Y.float()), "loss": F.mse_loss}, TypeError, "must be the classes"),
    ({"train": (X, Y + 1)}, ValueError, "train must be classes from 0 to 2, .* got 1 to 3"),
    ({"train": (X, Y - 1)}, ValueError, "got -1 to 1"),
    ({"train": [(X, Y + 1)]}, ValueError, "got 1 to 3"),
    ({"train": [(X, Y.float())]}, TypeError, "must be the classes"),
]


@pytest.mark.parametrize(("options", "error", "message"), BAD)
def test_bad_arguments_are_named(options, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, stream = _net(norm=True), torch.get_rng_state()
    with pytest.raises(error, match=message):
        fit(**{"model": model, "train": (X, Y), "epochs": 1, **SGD, **options})
    assert _same(model, _net(norm=True)) or not isinstance(options.get("train", ()), tuple)
    assert torch.equal(torch.get_rng_state(), stream)
    assert not any(tmp_path.iterdir())


BAD_EVALUATIONS = [
    ({"model": None}, TypeError, "model must be an nn.Module"),
    ({"data": None}, TypeError, "data must be a Split"),
    ({"data": []}, ValueError, "data must have a batch, got none"),
    ({"data": (X, Y + 1)}, ValueError, "y of data must be classes from 0 to 2"),
    ({"data": (X, Y.float())}, TypeError, "y of data must be the classes"),
    ({"model": nn.Linear(6, 1)}, ValueError, r"two classes or more, got \(50, 1\)"),
    ({"model": nn.Unflatten(1, (2, 3))}, ValueError, "model must give logits"),
    ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
    ({"loss": 1}, TypeError, "loss must be callable"),
    ({"metrics": ("auc",)}, ValueError, "metrics must be among"),
]


@pytest.mark.parametrize(("options", "error", "message"), BAD_EVALUATIONS)
def test_bad_arguments_of_evaluate_are_named(options, error, message):
    with pytest.raises(error, match=message):
        evaluate(**{"model": _net(), "data": (X, Y), **options})
