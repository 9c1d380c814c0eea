"""``clinic``: from a network that does not train to its cause."""

import copy
import math
import random
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cnnbook import clinic, init, models, repro
from cnnbook import data as mini
from cnnbook.clinic import CAUSES, examine


def stack(seed=0, **how):
    return models.dense_stack(12, 24, 4, generator=torch.Generator().manual_seed(seed), **how)


def data(count=4, size=16, features=12):
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(count * size, features, generator=draw)
    y = (x @ torch.randn(features, 10, generator=draw)).argmax(1)
    return list(zip(x.split(size), y.split(size), strict=True))


def names(report):
    return [finding.cause for finding in report.findings]


# --- what it finds --------------------------------------------------------------------------------


def constant(net):
    for parameter in net.parameters():
        nn.init.constant_(parameter, 0.01)
    return net


def scaled(net, factor):
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(factor)
    return net


def with_bias(net, value):
    for module in net.modules():
        if isinstance(module, nn.Linear):
            nn.init.constant_(module.bias, value)
    return net


def frozen(net):
    layers = [module for module in net if isinstance(module, nn.Linear)]
    layers[1].requires_grad_(False)
    return net


def one_sided(net):
    layers = [module for module in net if isinstance(module, nn.Linear)]
    with torch.no_grad():
        layers[2].weight.copy_(-layers[2].weight.abs())
    return net


SGD = partial(torch.optim.SGD, momentum=0.9)
SICK = {
    "born-dead": (lambda: one_sided(stack()), {}, {}),
    "dead-by-bias": (lambda: with_bias(stack(), -20.0), {}, {}),
    "dead-by-input-shift": (lambda: stack(1), {"shift": 30.0}, {}),
    "vanishing-by-saturation": (lambda: with_bias(stack(activation="tanh"), 6.0), {}, {}),
    "vanishing-by-initialisation": (lambda: scaled(stack(), 0.02), {}, {}),
    "exploding-by-initialisation": (lambda: scaled(stack(), 30.0), {}, {}),
    "exploding-by-learning-rate": (
        lambda: stack(activation="leaky_relu"),
        {},
        {"optimizer": partial(SGD, lr=100.0)},
    ),
    "no-gradient": (lambda: frozen(stack()), {}, {}),
    "unbroken-symmetry": (lambda: constant(stack()), {}, {}),
    "softmax-before-loss": (lambda: nn.Sequential(stack(), nn.Softmax(1)), {}, {}),
    "relu-on-logits": (lambda: nn.Sequential(stack(), nn.ReLU()), {}, {}),
    "inputs-not-normalised": (stack, {"scale": 100.0}, {}),
    "labels-out-of-range": (stack, {"labels": 3}, {}),
    "learning-rate-too-small": (stack, {}, {"optimizer": partial(SGD, lr=1e-8)}),
}


@pytest.mark.parametrize("cause", SICK)
def test_a_cause_is_the_first_finding(cause):
    build, change, how = SICK[cause]
    batches = [
        (x * change.get("scale", 1) + change.get("shift", 0), y + change.get("labels", 0))
        for x, y in data()
    ]
    report = examine(build(), batches, **how)
    assert names(report)[0] == cause, report
    first = report.findings[0]
    assert cause in str(report) and first.remedy in str(report)
    row = report.to_frame().iloc[0]
    assert (row["cause"], row["symptom"], row["section"]) == (cause, first.symptom, first.section)
    assert "{" not in first.symptom


@pytest.mark.parametrize("normalization", [None, "batch", "layer"])
def test_a_healthy_network_has_no_findings(normalization):
    report = examine(stack(normalization=normalization), data())
    assert report.findings == ()
    assert str(report) == "No findings."
    assert report.to_frame().empty
    assert len(report.losses) == 20
    assert report.layers["grad_norm"].notna().sum() == 4


def test_every_cause_of_the_issue_has_an_entry_and_its_page():
    assert len(CAUSES) == 16
    for name, cause in CAUSES.items():
        text = cause.symptom.format(value=1.0, threshold=2.0, layer="conv1")
        assert text and cause.why and cause.remedy, name


def test_every_section_that_a_cause_names_is_a_page_of_the_book(request):
    chapters = request.config.rootpath / "chapters"
    for cause in CAUSES.values():
        assert (chapters / f"{cause.section}.ipynb").is_file(), cause.section


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        ("exploding-by-initialisation", "grow to infinity through the network (conv1)"),
        ("exploding-by-learning-rate", "the trial makes the loss infinite, and not at"),
    ],
)
def test_an_infinite_number_is_said_in_words(cause, said):
    symptom = clinic.Finding(cause, "conv1", math.inf, 1.0).symptom
    assert said in symptom and "inf " not in symptom.replace("infin", "")


def test_findings_come_in_the_order_of_severity():
    net = nn.Sequential(frozen(stack()), nn.Softmax(1))
    batches = [(x * 100, y) for x, y in data()]
    found = names(examine(net, batches))
    assert found[:3] == ["softmax-before-loss", "no-gradient", "inputs-not-normalised"]
    assert found == sorted(found, key=list(CAUSES).index)


def hidden_tanh(seed):
    """Positive weights: most positions of a tanh are flat, and no unit at nearly all positions."""
    torch.manual_seed(seed)
    first = nn.Conv2d(1, 16, 3, stride=2)
    net = nn.Sequential(first, nn.ReLU(), models.conv_stack(16, 16, 4, activation="tanh"))
    for name, parameter in net.named_parameters():
        if "weight" in name and "4" not in name:
            nn.init.uniform_(parameter)
    return net


def pictures():
    images = mini.load().train
    x, y = mini.standardize(images.x)[:256], images.y[:256]
    return list(zip(x.split(32), y.split(32), strict=True))


@pytest.mark.parametrize("seed", range(3))
def test_saturation_is_counted_by_position_and_settled_by_a_trial(seed):
    report = examine(hidden_tanh(seed), pictures())
    assert names(report)[0] == "vanishing-by-saturation"
    flat = report.layers.loc[report.layers["activation"] == "tanh", "flat"]
    assert report.findings[0].value == pytest.approx(flat.mean())
    assert report.layers["saturated"].max() < 0.5


def test_saturation_that_does_no_harm_is_not_named():
    """Large biases in a tanh network that learns faster than one from Xavier's start."""
    x = torch.randn(64, 12, generator=torch.Generator().manual_seed(2)).sign() * 3
    y = (x[:, 0] > 0).long()
    net = nn.Sequential(nn.Linear(12, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh())
    net.append(nn.Linear(24, 2))
    with torch.no_grad():  # the first inputs' sign, handed on: solved already
        for layer in (net[0], net[2]):
            layer.weight.zero_()
            layer.weight[:, 0] = torch.tensor([1.0, -1.0]).repeat(12) * 3
            layer.bias.uniform_(-0.1, 0.1, generator=torch.Generator().manual_seed(3))
        net[4].weight.copy_(torch.stack([-net[2].weight[:, 0], net[2].weight[:, 0]]))
    report = examine(net, list(zip(x.split(16), y.split(16), strict=True)))
    assert report.layers["flat"].mean() > clinic.FLAT
    assert "vanishing-by-saturation" not in names(report)


def test_what_a_remedy_cures_is_named_once():
    """Inputs a hundred times too large make a rate diverge that is fine with standardised ones."""
    batches = [(x * 100, y) for x, y in data()]
    how = {"optimizer": partial(SGD, lr=0.02)}
    assert names(examine(stack(), batches, **how)) == ["inputs-not-normalised"]
    assert names(examine(scaled(stack(), 30.0), batches)) == [
        "inputs-not-normalised",
        "exploding-by-initialisation",
    ]


def test_a_gradient_that_vanishes_whatever_the_biases_is_named_instead_of_them():
    torch.manual_seed(0)
    net = models.dense_stack(12, 64, 16, init="pytorch")
    found = names(examine(net, data(), steps=0))
    assert found == ["vanishing-by-initialisation"]


def test_a_gradient_that_vanishes_by_biases_alone_is_their_consequence():
    torch.manual_seed(0)
    net = models.dense_stack(12, 64, 16)
    for layer in init.weight_layers(net)[:-1]:
        nn.init.constant_(layer.bias[:48], -20.0)
    report = examine(net, data(), steps=0)
    rows = report.layers[report.layers["op"] != ""]
    assert rows["grad_norm"].iloc[0] < 10**-clinic.VANISHED * rows["grad_norm"].iloc[-1]
    assert names(report) == ["dead-by-bias"]


@pytest.mark.parametrize("value", [0.0, 0.01, 0.1])
@pytest.mark.parametrize("last", [nn.Identity, nn.ReLU])
def test_units_that_are_all_alike_hide_behind_nothing(value, last):
    net = nn.Sequential(stack(), last())
    for parameter in net.parameters():
        nn.init.constant_(parameter, value if parameter.ndim > 1 else 0.0)
    assert names(examine(net, data())) == ["unbroken-symmetry"]


def test_a_loss_that_does_what_cross_entropy_does_is_one():
    def wrapped(z, y):
        return F.cross_entropy(z, y)

    def focal(z, y):
        picked = z.log_softmax(1).gather(1, y[:, None])
        return -((1 - picked.exp()) ** 2 * picked).mean()

    double = nn.Sequential(stack(), nn.Softmax(1))
    assert names(examine(double, data(), loss=wrapped)) == ["softmax-before-loss"]
    assert examine(double, data(), loss=focal).findings == ()
    late = [(x, y + 3) for x, y in data()]
    assert names(examine(stack(), late, loss=wrapped)) == ["labels-out-of-range"]


def test_a_wrapper_may_convert_labels_and_ignore_some():
    def converts(z, y):
        return F.cross_entropy(z, y.long(), ignore_index=255)

    batches = [(x, y.int()) for x, y in data()]
    assert examine(stack(), batches, loss=converts).findings == ()
    batches = [(x, y.clone()) for x, y in data()]
    batches[1][1][:3] = 255
    for loss in (converts, nn.CrossEntropyLoss(ignore_index=255)):
        assert examine(stack(), batches, loss=loss).findings == ()
    assert names(examine(stack(), batches)) == ["labels-out-of-range"]


@pytest.mark.parametrize("rate", [1e-5, 1e-6])
def test_a_small_rate_is_found_whatever_its_power_of_ten(rate):
    """The window of rates at which B-net learns within the trial is narrow."""
    repro.seed_all(1)
    optimizer = partial(torch.optim.SGD, lr=rate)
    report = examine(models.b_net(), pictures(), optimizer=optimizer)
    assert names(report) == ["learning-rate-too-small"]


def test_weights_without_a_gradient_do_not_stand_for_those_with_one():
    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.extra = stack(), nn.ModuleList(nn.Linear(3, 3) for _ in range(9))

        def forward(self, x):
            return self.net(x)

    assert set(names(examine(Idle(), data()))) == {"no-gradient"}


def test_nothing_else_is_said_where_labels_do_not_fit():
    batches = [(x, y + 3) for x, y in data()]
    report = examine(stack(), batches)
    assert names(report) == ["labels-out-of-range"]
    assert report.findings[0].value > report.findings[0].threshold == 9
    assert report.layers.empty and report.losses == ()


def test_a_label_that_the_loss_ignores_is_none():
    batches = [(x, y.clone()) for x, y in data()]
    batches[0][1][0] = -100
    assert examine(stack(), batches).findings == ()
    batches[0][1][0] = -1
    assert names(examine(stack(), batches)) == ["labels-out-of-range"]


@pytest.mark.parametrize("seed", range(3))
def test_two_causes_of_death_are_found_where_neither_remedy_alone_revives(seed):
    """Biases that half the shifted signal overcomes: each treatment alone leaves the other."""
    torch.manual_seed(seed)
    net = with_bias(models.dense_stack(12, 64, 4), -3.0)
    found = names(examine(net, [(x + 8, y) for x, y in data()], steps=0))
    assert found[:2] == ["dead-by-bias", "dead-by-input-shift"]


def test_dead_units_that_nothing_revives_are_never_passed_over():
    """Half of each layer held down by one-sided weights, while the rest lets gradients through."""
    torch.manual_seed(0)
    net = models.dense_stack(12, 64, 4)
    with torch.no_grad():
        for layer in init.weight_layers(net)[1:-1]:
            layer.weight[:40] = -layer.weight[:40].abs()
        init.weight_layers(net)[0].weight[:40] = 0
        init.weight_layers(net)[0].bias[:40] = 0
    report = examine(net, data())
    assert report.layers["dead"].max() <= clinic.LAYER_DEAD
    assert names(report) == ["born-dead"]


def test_numbers_of_words_are_not_standardised():
    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head = nn.Embedding(1000, 12), stack()

        def forward(self, x):
            return self.head(self.embed(x).mean(1))

    draw = torch.Generator().manual_seed(0)
    x = torch.randint(1000, (64, 7), generator=draw)
    batches = list(zip(x.split(16), (x[:, 0] % 10).split(16), strict=True))
    assert examine(Words(), batches).findings == ()


def test_a_frozen_body_is_one_finding():
    body = models.dense_stack(12, 24, 9, outputs=16).requires_grad_(False)
    (finding,) = examine(nn.Sequential(body, nn.Linear(16, 10)), data(), steps=0).findings
    assert finding.cause == "no-gradient"
    assert finding.layer == "0.dense1 and 8 other layers"
    assert finding.value == sum(p.numel() for p in body.parameters())


def test_layers_are_shown_where_units_are_all_alike():
    report = examine(constant(stack()), data())
    assert names(report) == ["unbroken-symmetry"] and len(report.layers) == 4


def test_all_layers_frozen():
    net = stack().requires_grad_(False)
    assert set(names(examine(net, data()))) == {"no-gradient"}


def test_a_layer_that_is_not_used_is_named():
    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.extra = stack(), nn.Linear(3, 3)

        def forward(self, x):
            return self.net(x)

    (finding,) = examine(Unused(), data()).findings
    assert (finding.cause, finding.layer, finding.value) == ("no-gradient", "extra", 12)


def test_what_the_probe_does_not_see_is_said():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.weight = stack(), nn.Parameter(torch.eye(12))

        def forward(self, x):
            return self.net(x @ self.weight)

    report = examine(Odd(), data())
    assert "parameter weight" in report.unseen
    assert "Not seen: parameter weight" in str(report)
    assert "Not seen" in report._repr_html_()


def test_the_notebook_form_has_a_bar_for_each_layer():
    text = examine(scaled(stack(), 0.02), data())._repr_html_()
    assert text.count("currentColor") == 4
    assert "<strong>vanishing-by-initialisation</strong>" in text
    assert "<svg" not in text and "<script" not in text


def test_another_loss_and_other_targets():
    batches = [(x, x[:, :10]) for x, _ in data()]
    assert examine(stack(), batches, loss=F.mse_loss).findings == ()


def test_probabilities_are_labels_too():
    batches = [(x, F.one_hot(y, 10).float()) for x, y in data()]
    assert examine(stack(), batches).findings == ()


def test_inputs_far_from_zero_are_named_even_if_no_unit_dies_of_it():
    net = stack(activation="leaky_relu")
    (finding,) = examine(net, [(x + 6, y) for x, y in data()], steps=0).findings
    assert (finding.cause, finding.threshold) == ("inputs-not-normalised", 5.0)
    assert examine(net, [(x + 4, y) for x, y in data()], steps=0).findings == ()


def test_no_trial_is_made_with_no_steps():
    report = examine(stack(), data(), optimizer=partial(SGD, lr=1e9), steps=0)
    assert report.findings == () and report.losses == ()


# --- what it leaves alone -------------------------------------------------------------------------


def states(net, optimizer):
    return copy.deepcopy(
        (
            {k: v.clone() for k, v in net.state_dict().items()},
            [None if p.grad is None else p.grad.clone() for p in net.parameters()],
            [module.training for module in net.modules()],
            optimizer.state_dict(),
            torch.random.get_rng_state(),
            random.getstate(),
            np.random.get_state(),  # noqa: NPY002 - it must not move
        )
    )


def equal(first, second):
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, np.ndarray):
        return np.array_equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(equal(first[k], second[k]) for k in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(equal, first, second))
    return first == second


def test_model_optimiser_and_random_streams_are_left_as_they_were():
    net = stack(normalization="batch", dropout=0.1)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    x, y = data()[0]
    F.cross_entropy(net(x), y).backward()
    optimizer.step()
    net[1].eval()
    before = states(net, optimizer)
    examine(net, data(), optimizer=optimizer)
    assert equal(before, states(net, optimizer))


def test_a_shuffling_loader_goes_on_as_if_it_had_not_been_read():
    pairs = [(x, y) for xs, ys in data() for x, y in zip(xs, ys, strict=True)]
    loaders = [
        torch.utils.data.DataLoader(
            pairs, batch_size=16, shuffle=True, generator=torch.Generator().manual_seed(3)
        )
        for _ in range(2)
    ]
    examine(stack(), loaders[0])
    first, second = (next(iter(loader))[0] for loader in loaders)
    assert torch.equal(first, second)


def test_the_same_examination_twice_gives_the_same_report():
    first, second = (examine(stack(dropout=0.5), data(), seed=4) for _ in range(2))
    assert first.losses == second.losses
    assert first.losses != examine(stack(dropout=0.5), data(), seed=5).losses


def test_the_trial_goes_on_from_the_state_of_the_given_optimiser():
    """A velocity that is already there moves the first step."""
    net = stack()
    fresh, rolling = (torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9) for _ in range(2))
    x, y = data()[0]
    F.cross_entropy(net(x), y).backward()
    rolling.param_groups[0]["lr"] = 0.0
    rolling.step()
    rolling.param_groups[0]["lr"] = 0.01
    net.zero_grad()
    losses = [examine(net, data(), optimizer=o).losses for o in (fresh, rolling)]
    assert losses[0][0] == losses[1][0]
    assert losses[0][2] != losses[1][2]


# --- what it refuses ------------------------------------------------------------------------------


class Broken(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 5)

    def forward(self, x):
        return self.layer(x)


REFUSED = [
    (
        lambda: examine(Broken(), data()),
        RuntimeError,
        "forward pass on batch 1, of shape (16, 12)",
    ),
    (lambda: examine(stack(), data(1)), ValueError, "two batches or more, got 1"),
    (lambda: examine(stack(), []), ValueError, "two batches or more, got 0"),
    (
        lambda: examine(stack(), [(x, y.float()) for x, y in data()]),
        TypeError,
        "labels must be int64 class numbers for cross entropy, got torch.float32 in batch 1",
    ),
    (
        lambda: examine(stack(), [(x, y.int()) for x, y in data()]),
        TypeError,
        "got torch.int32 in batch 1",
    ),
    (lambda: examine(stack(), [x for x, _ in data()]), TypeError, "batch 1 of loader must be"),
    (
        lambda: examine(stack().to("meta"), data()),
        ValueError,
        'x of batch 1 is on cpu, the model on meta; move one of them, such as by model.to("cpu")',
    ),
    (lambda: examine("net", data()), TypeError, "model must be a torch.nn.Module"),
    (lambda: examine(nn.ReLU(), data()), ValueError, "model must have parameters"),
    (lambda: examine(stack(), data(), loss=3), TypeError, "loss"),
    (lambda: examine(stack(), data(), steps=-1), ValueError, "steps"),
    (lambda: examine(stack(), data(), optimizer=3), TypeError, "optimizer"),
    (
        lambda: examine(stack(), data(), optimizer=lambda p: 3),
        TypeError,
        "optimizer must return a torch.optim.Optimizer, got 3",
    ),
    (
        lambda: examine(stack(), data(), optimizer=torch.optim.Adam(nn.Linear(2, 2).parameters())),
        ValueError,
        "optimizer holds parameters that are not the model's",
    ),
    (
        lambda: examine(stack(), data(), loss=lambda z, y: z.missing),
        (RuntimeError, AttributeError),
        "missing",
    ),
    (
        lambda: examine(stack(), [(x[:0], y[:0]) for x, y in data()]),
        ValueError,
        "batch 1 of loader is empty",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)


# --- from the shell -------------------------------------------------------------------------------

MODULE = """
from torch import nn


def fine():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10))


def sick():
    return nn.Sequential(fine(), nn.Softmax(1))


def broken():
    return nn.Linear(3, 3)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "clinic_patients.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield tmp_path
    sys.modules.pop("clinic_patients", None)


@pytest.mark.parametrize(
    ("name", "status", "text"),
    [("fine", 0, "No findings."), ("sick", 1, "1. softmax-before-loss:")],
)
def test_the_command_prints_the_report(folder, capsys, name, status, text):
    assert clinic.main([f"clinic_patients:{name}", "--data", "fashion-mini"]) == status
    assert capsys.readouterr().out.startswith(text)


def test_the_command_takes_an_optimiser(folder, capsys):
    rate = ["--optimizer", "sgd", "--lr", "1e-9"]
    assert clinic.main(["clinic_patients:fine", *rate]) == 1
    assert "learning-rate-too-small" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["clinic_patients"], "build must be package.module:function"),
        (["clinic_patients:missing"], "names missing, which clinic_patients does not define"),
        (["no_such_module_anywhere:f"], "no_such_module_anywhere"),
        (["clinic_patients:fine", "--data", "none"], "none"),
        (["clinic_patients:fine", "--lr", "-1"], "--lr"),
        (["clinic_patients:broken"], "forward pass on batch 1"),
    ],
)
def test_the_command_says_what_is_wrong_with_its_arguments(folder, capsys, arguments, message):
    assert clinic.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_the_command_runs_as_a_module(folder):
    command = [sys.executable, "-m", "cnnbook.clinic", "clinic_patients:sick"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert (done.returncode, done.stdout[:23]) == (1, "1. softmax-before-loss:"), done.stderr


# --- the recorded trial ---------------------------------------------------------------------------


def test_the_record_meets_what_the_clinic_promises(request):
    """Nine in ten sick networks named, one healthy in twenty alarmed, on the test's patients."""
    from cnnbook import recorded

    table = recorded.load(request.config.rootpath / "experiments" / "clinic.csv")
    table = table[table["group"] == "test"]
    sick, well = table[table["cause"] != "healthy"], table[table["cause"] == "healthy"]
    assert len(sick) >= 60 and set(sick["cause"]) == set(CAUSES) and len(well) >= 40
    assert (sick["found"] == sick["cause"]).mean() >= 0.9
    assert (well["findings"] > 0).mean() <= 0.05
    assert not math.isnan(table["seconds"].max())
