"""Training: ``fit``, ``fit_stacked`` and ``evaluate`` return numbers and tables, and print nothing.

One step of ``fit`` is: loss → gradient → clipping → L1 penalty → optimiser, which adds
``weight_decay`` itself → schedule → ``on_step``. Given the model's state, the data and the
arguments, all of it is determined (on one machine and version of PyTorch), and the caller's random
stream is neither read nor moved.
"""

import copy
import itertools
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from cnnbook import repro
from cnnbook._arguments import (
    as_device,
    as_int,
    as_real,
    check_callable,
    check_float_tensor,
    check_same_dtype,
)
from cnnbook._checkpoint import CheckpointError as CheckpointError
from cnnbook._checkpoint import Store, digest
from cnnbook.data import Split

Data: TypeAlias = Split | tuple[Tensor, Tensor] | Iterable[tuple[Tensor, Tensor]]
Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
_Batches: TypeAlias = Iterable[tuple[Tensor, Tensor]]

METRICS = ("accuracy", "macro_f1", "roc_auc")
_FLOATS = ("losses", "lrs", "norms")


class _Pair(NamedTuple):
    """Data in memory, unlike a tuple of batches."""

    x: Tensor
    y: Tensor


_Source: TypeAlias = _Pair | _Batches


@dataclass(frozen=True, eq=False)
class History:
    """What happened during ``fit``.

    Attributes:
        epochs: One row per epoch, the last one perhaps incomplete:

            - ``epoch``, from 1, and ``step``: the batches seen since the start of the run;
            - ``lr``: learning rate of the epoch's last step (first parameter group);
            - ``train_loss`` and ``train_<metric>``: over the epoch's batches as the network saw
              them, in training mode and while it changed. The loss is their mean, an example
              counting once; it holds no penalty. A metric is taken over all of their logits;
            - ``val_loss`` and ``val_<metric>``: ``evaluate`` at the end of the epoch, if there is
              validation data;
            - ``seconds``: wall clock, with validation, checkpoints and ``on_step``.
        steps: One row per step: ``step``, from 1; ``loss`` of its batch before the update; ``lr``
            of the update; ``gradient_norm``, the Euclidean norm over all parameters before
            clipping and penalties, NaN unless ``clip_norm`` or ``record_norm`` asks for it.
        reason: Why the run diverged; None if it did not.
    """

    epochs: pd.DataFrame
    steps: pd.DataFrame
    reason: str | None = None

    @property
    def diverged(self) -> bool:
        """Whether NaN or infinity ended the run."""
        return self.reason is not None

    @property
    def stopped_at(self) -> int | None:
        """The step at which the run diverged; None if it did not."""
        return int(self.steps["step"].iloc[-1]) if self.diverged else None

    @property
    def final(self) -> pd.Series:
        """The last row of ``epochs``."""
        return self.epochs.iloc[-1]


def fit(
    model: nn.Module,
    train: Data,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int = 64,
    optimizer: str | Callable[[list[nn.Parameter]], Optimizer] = "adam",
    lr: float | None = None,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    l1: float = 0.0,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    schedule: Callable[[Optimizer], LRScheduler] | None = None,
    loss: Loss = F.cross_entropy,
    metrics: Sequence[str] = ("accuracy",),
    validation: float | Data | None = None,
    seed: int = 0,
    on_step: Callable[[int], object] | None = None,
    record_norm: bool = False,
    progress: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    device: str | torch.device | None = None,
) -> History:
    """Train a network in place.

    The run ends early, and ``History.reason`` says so, when a batch's loss is NaN or infinite (that
    step makes no update), when ``clip_norm`` meets a gradient norm that is (likewise), or when a
    parameter is at the end of an epoch.

    Args:
        model: Network from x to logits (N, classes). Trained in training mode; each module gets
            back the mode it had. Its gradients are None afterwards.
        train: A ``Split``, a pair (x, y) of tensors, or an iterable of such pairs, a batch each,
            that can be iterated again (a ``DataLoader``). x is floating point (N, …), y is int64
            (N,), the classes from 0. Where ``metrics`` is empty and ``loss`` another function than
            ``F.cross_entropy``, y may be any tensor (N, …).
        epochs: Passes over the data. Either this or ``steps``.
        steps: Updates. Either this or ``epochs``.
        batch_size: Examples per step; the last batch of an epoch may be smaller, and none is
            dropped. Without meaning for an iterable of batches.
        optimizer: "sgd", "adam", or a function from the list of trainable parameters to an
            optimiser, which then has its own ``lr``, ``momentum`` and ``weight_decay``.
        lr: Learning rate at the start; required by "sgd" and "adam".
        momentum: Momentum of "sgd", in [0, 1).
        weight_decay: λ. PyTorch's coupled meaning: the optimiser adds λ·p to the gradient of every
            parameter p, biases and scales included. It comes after clipping.
        l1: Adds l1·sign(p) to the gradient of every parameter, after clipping as well.
        clip_norm: Scale the gradient down to this norm where it is longer.
        clip_value: Clamp each entry of the gradient to ± this. Not with ``clip_norm``.
        schedule: Function from the optimiser to a scheduler, stepped after every *step*, not every
            epoch; ``LinearLR`` or ``LambdaLR`` make a warm-up.
        loss: Function from logits and y to the mean loss of the batch, a scalar.
        metrics: Any of ``METRICS``; see ``evaluate``.
        validation: Data to evaluate at the end of each epoch, or the fraction of ``train`` in
            (0, 1) to hold out for it, drawn by ``seed``.
        seed: Determines the held-out examples, the order of the batches, and dropout.
        on_step: Called with the number of updates, from 1, after each. It may look at the network
            and its gradients (clipped, with ``l1``), or change it; the numbers it draws from
            PyTorch's global generator and the mode it leaves do not affect the run.
        record_norm: Record the gradient norm without clipping; never stops a run.
        progress: Show a bar if standard error is a terminal.
        checkpoint: File to resume from if it is there, and to save to, at the start, at the end of
            each epoch and at the end. The run that resumes ends bit for bit as one that was never
            interrupted; it needs the same arguments and ``model`` as it was at the start. Functions
            are told apart by name only. ``on_step`` is not called again for steps in the
            checkpoint. Not for an iterable of batches.
        checkpoint_every: Save after every so many steps also.
        device: Where to train, such as "cuda". The network and the data go there, and the network
            comes back at the end, whatever happens. By default what ``repro.use_device`` set, or
            where the network is. Batches are the same on every device; masks of dropout are not.

    Returns:
        The history of the whole run, with what happened before it was resumed.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If an argument is out of range or does not fit another, labels do not fit the
            model's outputs, or data are empty. The network has not been trained then, unless
            the data came as an iterable.
        CheckpointError: If ``checkpoint`` cannot be read, written, or belongs to other settings.
    """
    home = _check_model(model)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise ValueError("model must have a parameter to train, got none")
    place = _as_device(device, home)
    metrics = _as_metrics(metrics)
    check_callable("loss", loss)
    classify = bool(metrics) or loss is F.cross_entropy
    last_epoch, last_step = _as_length(epochs, steps)
    batch_size = as_int("batch_size", batch_size, 1)
    order = repro.generator(seed)
    if on_step is not None:
        check_callable("on_step", on_step)
    if checkpoint_every is not None:
        checkpoint_every = as_int("checkpoint_every", checkpoint_every, 1)
        if checkpoint is None:
            raise ValueError(f"checkpoint_every={checkpoint_every} needs a checkpoint")
    if clip_norm is not None and clip_value is not None:
        raise ValueError(f"give clip_norm or clip_value, got both: {clip_norm} and {clip_value}")
    with _moved([model], home, place):
        trainer = _as_optimizer(optimizer, parameters, lr, momentum, weight_decay)
        groups = trainer.param_groups
        start = [{k: v for k, v in group.items() if k != "params"} for group in groups]
        update = _Update(
            parameters,
            trainer,
            _as_scheduler(schedule, trainer),
            None if clip_norm is None else as_real("clip_norm", clip_norm, above=0),
            None if clip_value is None else as_real("clip_value", clip_value, above=0),
            as_real("l1", l1, least=0),
            bool(record_norm),
        )
        dropout_seed = int(torch.randint(2**62, (), generator=order))
        source = _as_data("train", train, model, classify, again=True)
        held_out: _Source | None = None
        if isinstance(validation, int | float):
            source, held_out = _hold_out(source, validation, order)
        elif validation is not None:
            held_out = _as_data("validation", validation, model, classify, again=True)

        store = None
        if checkpoint is not None:
            if not isinstance(source, _Pair):
                raise ValueError("checkpoint needs train in memory, got an iterable of batches")
            settings = {
                "PyTorch": torch.__version__,
                "model at the start": digest(repr(model), *model.state_dict().values()),
                "train": digest(*source),
                "validation": digest(*held_out) if isinstance(held_out, _Pair) else _name(held_out),
                "epochs": epochs,
                "steps": steps,
                "batch_size": batch_size,
                "optimizer": f"{_name(type(trainer))} {start}",
                "schedule": f"{_name(schedule)} {update.schedule and update.schedule.state_dict()}",
                "clip_norm": update.clip_norm,
                "clip_value": update.clip_value,
                "l1": update.l1,
                "record_norm": update.record_norm,
                "loss": _name(loss),
                "metrics": metrics,
                "seed": seed,
                "device": place.type,
            }
            parts = {"model": model, "optimizer": trainer, "schedule": update.schedule}
            parts = {name: part for name, part in parts.items() if part is not None}
            store = Store(checkpoint, settings, parts, place)

        with (
            _forked(place),
            _mode(model, training=True),
            _bar(progress, source, batch_size, epochs, steps) as bar,
        ):
            # A stream of its own: the seed itself may have drawn the weights.
            _seed(place, dropout_seed)
            run = _Run(order.get_state())
            if store is not None:
                if (state := store.resume()) is not None:
                    run = _Run.of(state)
                bar.update(run.step)
                run.clock = time.perf_counter()
                if not run.step:
                    store.save(run.state(), first=True)
            while not run.reason and run.epoch < last_epoch and (run.batch or run.step < last_step):
                for x, y in run.rest(source, batch_size, order, model, classify):
                    if run.step >= last_step:
                        break
                    z = model(x)
                    if classify and not isinstance(source, _Pair):
                        _check_labels("train", y, z)
                    value = loss(z, y)
                    run.see(value.item(), trainer.param_groups[0]["lr"], z, y, bool(metrics))
                    if run.reason:
                        break
                    run.norms[-1] = norm = update(value)
                    if clip_norm is not None and not math.isfinite(norm):
                        run.reason = f"gradient norm {norm} at step {run.step}"
                        break
                    if on_step is not None:
                        with _forked(place):
                            on_step(run.step)
                        model.train()
                    bar.update()
                    if checkpoint_every and run.step % checkpoint_every == 0:
                        store.save(run.state())
                if not run.batch:
                    raise ValueError(f"train must have a batch, got none in epoch {run.epoch + 1}")
                if not (run.reason or _is_finite(model)):
                    run.reason = f"parameter not finite after step {run.step}"
                found = {}
                if held_out is not None:
                    found = _evaluate("validation", model, held_out, loss, metrics, classify)
                run.close(metrics, found, order.get_state())
                if store is not None:
                    store.save(run.state())
        for parameter in parameters:
            parameter.grad = None
    return run.history()


def fit_stacked(
    models: Sequence[nn.Module],
    train: Split | tuple[Tensor, Tensor],
    *,
    seeds: Sequence[int],
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int = 64,
    optimizer: str = "adam",
    lr: float | None = None,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    loss: Loss = F.cross_entropy,
    metrics: Sequence[str] = ("accuracy",),
    validation: Data | None = None,
    device: str | torch.device | None = None,
) -> list[History]:
    """Train several networks of one architecture at once, in place.

    Each is trained as ``fit`` would train it with its seed: the same batches, the same numbers but
    for rounding (and for dropout, whose masks are others). Their parameters are stacked along a new
    first axis, and one step of all networks is one forward pass, one backward pass and one update
    of the stacks, by ``torch.func``. A network of a few thousand parameters keeps a GPU waiting for
    instructions; a stack of a hundred takes about as many instructions as one.

    A network whose run diverges keeps the parameters that ``fit`` would leave it, and the others go
    on. Each forward pass has all networks' activations in memory.

    Args:
        models: Networks from x to logits (N, classes): of one class and one architecture, each with
            parameters of its own.
        train: A ``Split`` or a pair (x, y) of tensors, as for ``fit``.
        seeds: One for each network, as for ``fit``.
        epochs: As for ``fit``.
        steps: As for ``fit``.
        batch_size: Examples per step and network, as for ``fit``.
        optimizer: "sgd" or "adam", which treat every parameter by itself.
        lr: As for ``fit``.
        momentum: As for ``fit``.
        weight_decay: As for ``fit``.
        loss: As for ``fit``; a function that ``torch.func.vmap`` can map.
        metrics: As for ``fit``.
        validation: Data to evaluate at the end of each epoch.
        device: As for ``fit``.

    Returns:
        The history of each run, without gradient norms. ``seconds`` are those of all runs.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If an argument is out of range or does not fit another, the networks differ in
            more than numbers, or labels do not fit their outputs. They have not been trained then.

    Source: the docs of ``torch.func`` (stack_module_state, functional_call, vmap).
    """
    home = _check_stack(models)
    first, place = models[0], _as_device(device, home)
    orders = [repro.generator(seed) for seed in seeds]
    if len(orders) != len(models):
        raise ValueError(f"seeds must be as many as models, {len(models)}, got {len(orders)}")
    if optimizer not in ("sgd", "adam"):
        raise ValueError(f'optimizer must be "sgd" or "adam", got {optimizer!r}')
    metrics, (last_epoch, last_step) = _as_metrics(metrics), _as_length(epochs, steps)
    check_callable("loss", loss)
    classify = bool(metrics) or loss is F.cross_entropy
    batch_size = as_int("batch_size", batch_size, 1)
    for order in orders:
        torch.randint(2**62, (), generator=order)  # where fit draws a seed for dropout
    with _moved(models, home, place):
        source = _as_data("train", train, first, classify, again=True)
        if not isinstance(source, _Pair):
            raise ValueError("train must be in memory, got an iterable of batches")
        held_out = None
        if validation is not None:
            held_out = _as_data("validation", validation, first, classify, again=True)
        with _forked(place), ExitStack() as modes:
            for model in models:
                modes.enter_context(_mode(model, training=True))
            _seed(place, 0)
            stack = _Stack(models, optimizer, lr, momentum, weight_decay)
            runs = [_Run(order.get_state()) for order in orders]
            for epoch in itertools.count(1):
                batches = zip(
                    *(
                        run.rest(source, batch_size, order, first, classify)
                        for run, order in zip(runs, orders, strict=True)
                    ),
                    strict=True,
                )
                for batch in batches:
                    going = [run.reason is None for run in runs]
                    if not any(going) or len(runs[going.index(True)].losses) >= last_step:
                        break
                    pairs = [torch.stack(tensors) for tensors in zip(*batch, strict=True)]
                    stack.step(runs, *pairs, loss, bool(metrics))
                stack.write_back(models)
                for index, run in enumerate(runs):
                    if not run.batch:
                        continue  # it diverged in an epoch before
                    if run.reason is None and not _is_finite(models[index]):
                        run.reason = f"parameter not finite after step {run.step}"
                        stack.freeze(index)
                    found = {}
                    if held_out is not None:
                        found = _evaluate(
                            "validation", models[index], held_out, loss, metrics, classify
                        )
                    run.close(metrics, found, orders[index].get_state())
                going = [run for run in runs if run.reason is None]
                if epoch >= last_epoch or not going or going[0].step >= last_step:
                    break
    return [run.history() for run in runs]


class _Stack:
    """Parameters and buffers of several networks, along a new first axis, and their optimiser."""

    def __init__(
        self,
        models: Sequence[nn.Module],
        optimizer: str,
        lr: float | None,
        momentum: float,
        weight_decay: float,
    ) -> None:
        self.parameters, self.buffers = torch.func.stack_module_state(list(models))
        self.all = {**self.parameters, **self.buffers}
        trainable = [p for p in self.parameters.values() if p.requires_grad]
        self.optimizer = _as_optimizer(optimizer, trainable, lr, momentum, weight_decay)
        self.bare = copy.deepcopy(models[0]).to("meta")
        self.frozen: dict[int, dict[str, Tensor]] = {}

    def step(self, runs: Sequence["_Run"], x: Tensor, y: Tensor, loss: Loss, keep: bool) -> None:
        """Make a step of all networks, on x and y (networks, N, …), and record it."""

        def one(
            parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor, y: Tensor
        ) -> tuple[Tensor, Tensor]:
            z = torch.func.functional_call(self.bare, (parameters, buffers), (x,))
            return loss(z, y), z

        mapped = torch.func.vmap(one, randomness="different")
        values, z = mapped(self.parameters, self.buffers, x, y)
        lr = self.optimizer.param_groups[0]["lr"]
        for index, (run, value) in enumerate(zip(runs, values.tolist(), strict=True)):
            if run.reason is None:
                run.see(value, lr, z[index], y[index], keep)
                if run.reason:
                    self.freeze(index)
        self.optimizer.zero_grad()
        values.sum().backward()  # the gradient of each is that of its own loss
        self.optimizer.step()

    def freeze(self, index: int) -> None:
        """Keep the numbers of a network as they are now; its place in the stack is not used."""
        self.frozen[index] = {name: t[index].detach().clone() for name, t in self.all.items()}

    @torch.no_grad()
    def write_back(self, models: Sequence[nn.Module]) -> None:
        """Copy the numbers into the networks."""
        for index, model in enumerate(models):
            numbers = self.frozen.get(index)
            for name, tensor in _state(model):
                tensor.copy_(self.all[name][index] if numbers is None else numbers[name])


def _check_stack(models: object) -> torch.device:
    """Check that the networks can be stacked; return the device that they are on."""
    if not isinstance(models, Sequence) or isinstance(models, nn.Module) or not len(models):
        raise TypeError(f"models must be a sequence of networks, got {type(models).__name__}")
    homes = [_check_model(model) for model in models]
    kinds = [
        (type(m), repr(m), [(n, p.shape, p.dtype, p.requires_grad) for n, p in _state(m)])
        for m in models
    ]
    for index, kind in enumerate(kinds):
        if kind != kinds[0] or homes[index] != homes[0]:
            raise ValueError(
                f"models must have one architecture and one device; model {index} differs from "
                "model 0"
            )
    if not any(parameter.requires_grad for parameter in models[0].parameters()):
        raise ValueError("models must have a parameter to train, got none")
    owned = {id(tensor) for model in models for _, tensor in _state(model)}
    if len(owned) < len(models) * len(kinds[0][2]):
        raise ValueError("models must each have parameters of their own, got one twice")
    return homes[0]


def _state(model: nn.Module) -> list[tuple[str, Tensor]]:
    return [*model.named_parameters(), *model.named_buffers()]


def evaluate(
    model: nn.Module,
    data: Data,
    *,
    batch_size: int = 1000,
    loss: Loss = F.cross_entropy,
    metrics: Sequence[str] = ("accuracy",),
) -> dict[str, float]:
    """Measure a network in evaluation mode, without gradients.

    The network and the random stream are left as they were, the mode of each module included.

    ============  =============================================================================
    metric        what
    ============  =============================================================================
    ``accuracy``  share of examples whose largest logit is that of their class (first, if tied)
    ``macro_f1``  mean over classes of F1 = 2TP / (2TP + FP + FN)
    ``roc_auc``   mean over classes of the area under the one-against-rest ROC curve
    ============  =============================================================================

    Metrics are NaN if any logit is NaN or infinite; ``macro_f1`` and ``roc_auc`` also if a class of
    the model does not occur in the data, because they are not defined then.

    Args:
        model: Network from x to logits (N, classes).
        data: As ``train`` of ``fit``; iterated once.
        batch_size: Examples per forward pass. Without meaning for an iterable of batches.
        loss: Function from logits and y to a scalar; called once, with all examples.
        metrics: Any of ``METRICS``.

    Returns:
        "loss" and each metric.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If an argument is out of range, labels do not fit the model's outputs, or data
            are empty.
    """
    _check_model(model)
    metrics = _as_metrics(metrics)
    check_callable("loss", loss)
    batch_size = as_int("batch_size", batch_size, 1)
    classify = bool(metrics) or loss is F.cross_entropy
    source = _as_data("data", data, model, classify, again=False)
    return _evaluate("data", model, source, loss, metrics, classify, batch_size)


def _evaluate(
    name: str,
    model: nn.Module,
    source: _Source,
    loss: Loss,
    metrics: tuple[str, ...],
    classify: bool,
    batch_size: int = 1000,
) -> dict[str, float]:
    with _quiet(model):
        if isinstance(source, _Pair):
            batches = zip(*(tensor.split(batch_size) for tensor in source), strict=True)
        else:
            batches = _loaded(name, source, model, classify)
        pairs = [(model(x), y) for x, y in batches]
        if not pairs:
            raise ValueError(f"{name} must have a batch, got none")
        z, y = (torch.cat(tensors) for tensors in zip(*pairs, strict=True))
        if classify:
            _check_labels(name, y, z)
        return {"loss": loss(z, y).item(), **_scores(metrics, z, y)}


# --- metrics --------------------------------------------------------------------------------------


def _scores(metrics: tuple[str, ...], z: Tensor, y: Tensor) -> dict[str, float]:
    if metrics and not bool(z.isfinite().all()):
        return dict.fromkeys(metrics, math.nan)
    z, y = z.cpu(), y.cpu()
    return {name: _METRICS[name](z, y) for name in metrics}


def _accuracy(z: Tensor, y: Tensor) -> float:
    return (z.argmax(dim=1) == y).sum().item() / len(y)


def _macro_f1(z: Tensor, y: Tensor) -> float:
    from sklearn.metrics import f1_score  # slow to import

    if len(y.unique()) < z.shape[1]:
        return math.nan
    return float(f1_score(y.numpy(), z.argmax(dim=1).numpy(), average="macro"))


def _roc_auc(z: Tensor, y: Tensor) -> float:
    from sklearn.metrics import roc_auc_score

    if len(y.unique()) < z.shape[1]:
        return math.nan
    areas = []
    for k in range(z.shape[1]):
        # Log-odds: the order of the probabilities, without rounding to 0 or 1.
        others = torch.cat([z[:, :k], z[:, k + 1 :]], dim=1)
        odds = z[:, k].double() - others.double().logsumexp(dim=1)
        areas.append(roc_auc_score((y == k).numpy(), odds.numpy()))
    return float(sum(areas) / len(areas))


_METRICS = {"accuracy": _accuracy, "macro_f1": _macro_f1, "roc_auc": _roc_auc}


# --- one run --------------------------------------------------------------------------------------


@dataclass
class _Run:
    """Where a run stands; a checkpoint holds this, the parts and the global random state."""

    order_state: Tensor  # of the generator, at the start of the open epoch
    step: int = 0
    epoch: int = 0  # closed ones
    batch: int = 0  # of the open epoch, as are the next five
    examples: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    z: list[Tensor] = field(default_factory=list)
    y: list[Tensor] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    lrs: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    rows: list[dict[str, float]] = field(default_factory=list)
    reason: str | None = None
    clock: float = field(default_factory=time.perf_counter)

    def rest(
        self,
        source: _Source,
        batch_size: int,
        order: torch.Generator,
        model: nn.Module,
        classify: bool,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of the open epoch that have not been seen."""
        if not isinstance(source, _Pair):
            yield from _loaded("train", source, model, classify)
            return
        x, y = source
        order.set_state(self.order_state)
        rows_of_all = torch.randperm(len(y), generator=order).to(x.device)
        for rows in rows_of_all.split(batch_size)[self.batch :]:
            yield x.index_select(0, rows), y.index_select(0, rows)

    def see(self, loss: float, lr: float | Tensor, z: Tensor, y: Tensor, keep: bool) -> None:
        """Record a batch before its update."""
        self.step += 1
        self.batch += 1
        self.examples += len(y)
        self.loss_sum += loss * len(y)
        self.losses.append(loss)
        self.lrs.append(float(lr))
        self.norms.append(math.nan)
        if keep:
            self.z.append(z.detach().cpu())
            self.y.append(y.cpu())
        if not math.isfinite(loss):
            self.reason = f"loss {loss} at step {self.step}"

    def close(
        self, metrics: tuple[str, ...], validation: dict[str, float], order_state: Tensor
    ) -> None:
        """Write the row of the open epoch, and open the next one."""
        scores = _scores(metrics, torch.cat(self.z), torch.cat(self.y)) if metrics else {}
        self.tick()
        self.rows.append(
            {
                "epoch": self.epoch + 1,
                "step": self.step,
                "lr": self.lrs[-1],
                "train_loss": self.loss_sum / self.examples,
                **{f"train_{name}": number for name, number in scores.items()},
                **{f"val_{name}": number for name, number in validation.items()},
                "seconds": self.seconds,
            }
        )
        self.order_state = order_state
        self.epoch += 1
        self.batch = self.examples = 0
        self.loss_sum = self.seconds = 0.0
        self.z, self.y = [], []

    def state(self) -> dict[str, Any]:
        """Return all this for a checkpoint: long lists as one tensor are quick to store."""
        self.tick()
        return {
            **vars(self),
            **{name: torch.tensor(getattr(self, name), dtype=torch.float64) for name in _FLOATS},
            "z": [torch.cat(self.z)] if self.z else [],
            "y": [torch.cat(self.y)] if self.y else [],
        }

    @classmethod
    def of(cls, state: dict[str, Any]) -> "_Run":
        """Return what had this state."""
        return cls(**state | {name: state[name].tolist() for name in _FLOATS})

    def tick(self) -> None:
        now = time.perf_counter()
        self.seconds, self.clock = self.seconds + now - self.clock, now

    def history(self) -> History:
        steps = {"loss": self.losses, "lr": self.lrs, "gradient_norm": self.norms}
        table = pd.DataFrame({"step": range(1, self.step + 1), **steps})
        return History(pd.DataFrame(self.rows), table, self.reason)


@dataclass
class _Update:
    """From a loss to new parameters."""

    parameters: list[nn.Parameter]
    optimizer: Optimizer
    schedule: LRScheduler | None
    clip_norm: float | None
    clip_value: float | None
    l1: float
    record_norm: bool

    def __call__(self, loss: Tensor) -> float:
        """Return the norm of the gradient; without an update if ``clip_norm`` cannot use it."""
        for parameter in self.parameters:
            parameter.grad = None
        loss.backward()
        norm = math.nan
        if self.clip_norm is not None:
            norm = nn.utils.clip_grad_norm_(self.parameters, self.clip_norm).item()
            if not math.isfinite(norm):
                return norm
        elif self.record_norm:
            gradients = [p.grad for p in self.parameters if p.grad is not None]
            norm = torch.stack([torch.linalg.vector_norm(g) for g in gradients]).norm().item()
        if self.clip_value is not None:
            nn.utils.clip_grad_value_(self.parameters, self.clip_value)
        if self.l1:
            with torch.no_grad():
                for parameter in self.parameters:
                    if parameter.grad is not None:
                        parameter.grad.add_(parameter.sign(), alpha=self.l1)
        self.optimizer.step()
        if self.schedule is not None:
            self.schedule.step()
        return norm


@contextmanager
def _mode(model: nn.Module, *, training: bool) -> Iterator[None]:
    before = [(module, module.training) for module in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, mode in before:
            module.training = mode


@contextmanager
def _quiet(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, no gradients, and a random stream that stays where it is."""
    with _forked(_device_of(model)), _mode(model, training=False), torch.no_grad():
        yield


@contextmanager
def _moved(models: Sequence[nn.Module], home: torch.device, place: torch.device) -> Iterator[None]:
    """Have networks on another device for a while; their parameters stay the same objects."""
    try:
        for model in models:
            model.to(place)
        yield
    finally:
        for model in models:
            model.to(home)


def _forked(place: torch.device) -> AbstractContextManager[None]:
    """Put the global generators of the CPU and of ``place`` back at the end."""
    return torch.random.fork_rng(devices=[place] if place.type == "cuda" else [])


def _seed(place: torch.device, seed: int) -> None:
    torch.default_generator.manual_seed(seed)
    if place.type == "cuda":
        with torch.cuda.device(place):
            torch.cuda.manual_seed(seed)


def _bar(
    progress: bool, source: _Source, batch_size: int, epochs: int | None, steps: int | None
) -> Any:
    from tqdm import tqdm

    if epochs is not None and isinstance(source, _Pair):
        steps = epochs * math.ceil(len(source[1]) / batch_size)
    # None: only if standard error is a terminal.
    return tqdm(total=steps, leave=False, disable=None if progress else True)


# --- arguments ------------------------------------------------------------------------------------


def _check_model(model: object) -> torch.device:
    """Return the device that the network is on."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be an nn.Module, got {type(model).__name__}")
    parameters = list(model.parameters())
    if any(nn.parameter.is_lazy(parameter) for parameter in parameters):
        raise ValueError("model must know its shapes, got lazy modules: call it once on a batch")
    devices = {str(tensor.device) for tensor in (*parameters, *model.buffers())}
    if len(devices) > 1 or "meta" in devices:
        found = ", ".join(sorted(devices))
        raise ValueError(f"model must be on one device that holds numbers, got {found}")
    return _device_of(model)


def _device_of(model: nn.Module) -> torch.device:
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


def _as_device(device: object, home: torch.device) -> torch.device:
    """Return where to train a network that is at ``home``."""
    chosen = repro.device() if device is None else as_device("device", device)
    return chosen or home


def _as_length(epochs: int | None, steps: int | None) -> tuple[float, float]:
    """Return the last epoch and the last step, infinity where there is none."""
    if (epochs is None) == (steps is None):
        raise ValueError(f"give either epochs or steps, got epochs={epochs} and steps={steps}")
    return (
        math.inf if epochs is None else as_int("epochs", epochs, 1),
        math.inf if steps is None else as_int("steps", steps, 1),
    )


def _is_finite(model: nn.Module) -> bool:
    return all(bool(p.isfinite().all()) for p in model.parameters() if p.requires_grad)


def _name(thing: object) -> str:
    return getattr(thing, "__qualname__", repr(thing))


def _as_metrics(metrics: object) -> tuple[str, ...]:
    if isinstance(metrics, str) or not isinstance(metrics, Sequence):
        raise TypeError(f"metrics must be a sequence of names, got {metrics!r}")
    for name in metrics:
        if name not in METRICS:
            raise ValueError(f"metrics must be among {', '.join(METRICS)}, got {name!r}")
    return tuple(metrics)


def _as_optimizer(
    optimizer: object,
    parameters: list[nn.Parameter],
    lr: float | None,
    momentum: float,
    weight_decay: float,
) -> Optimizer:
    momentum = as_real("momentum", momentum, least=0)
    weight_decay = as_real("weight_decay", weight_decay, least=0)
    if momentum >= 1:
        raise ValueError(f"momentum must be below 1, got {momentum}")
    if isinstance(optimizer, str):
        if optimizer not in ("sgd", "adam"):
            raise ValueError(f'optimizer must be "sgd", "adam" or a function, got {optimizer!r}')
        if lr is None:
            raise ValueError(f'lr must be given with optimizer "{optimizer}"')
        lr = as_real("lr", lr, least=0)
        if optimizer == "sgd":
            return torch.optim.SGD(parameters, lr, momentum, weight_decay=weight_decay)
        if momentum:
            raise ValueError(f'momentum is for optimizer "sgd" only, got {momentum}')
        return torch.optim.Adam(parameters, lr, weight_decay=weight_decay)
    check_callable("optimizer", optimizer)
    if lr is not None or momentum or weight_decay:
        raise ValueError(
            "lr, momentum and weight_decay belong inside an optimizer that is a function, "
            f"got lr={lr}, momentum={momentum}, weight_decay={weight_decay}"
        )
    found = optimizer(parameters)
    if not isinstance(found, Optimizer):
        raise TypeError(f"optimizer must return a torch.optim.Optimizer, got {found!r}")
    return found


def _as_scheduler(schedule: object, optimizer: Optimizer) -> LRScheduler | None:
    if schedule is None:
        return None
    check_callable("schedule", schedule)
    found = schedule(optimizer)
    if not isinstance(found, LRScheduler) or isinstance(found, ReduceLROnPlateau):
        raise TypeError(f"schedule must return an LRScheduler that needs no metric, got {found!r}")
    if found.optimizer is not optimizer:
        raise ValueError("schedule must return a scheduler of the optimizer it is given")
    return found


def _is_pair(value: object) -> bool:
    return (
        isinstance(value, tuple | list)
        and len(value) == 2
        and all(isinstance(entry, Tensor) for entry in value)
    )


def _as_data(name: str, data: object, model: nn.Module, classify: bool, *, again: bool) -> _Source:
    """Return (x, y), checked, or the iterable of batches.

    Args:
        name: Name of the argument.
        data: What the caller gave.
        model: Network the data are for.
        classify: Whether y must be classes.
        again: Whether this is for ``fit``: the iterable must serve again, x be finite, and the
            labels fit the model before it is trained.
    """
    if isinstance(data, Split):
        data = (data.x, data.y)
    if not _is_pair(data):
        if not isinstance(data, Iterable):
            raise TypeError(
                f"{name} must be a Split, a pair (x, y) of tensors or an iterable of such pairs, "
                f"got {type(data).__name__}"
            )
        if again and isinstance(data, Iterator):  # iter() of a DataLoader would draw a number
            raise TypeError(
                f"{name} must be iterable more than once, got {type(data).__name__}: "
                "give a list of its batches, or a DataLoader"
            )
        if isinstance(data, Sequence):
            for _ in _loaded(name, data, model, classify):
                pass
        return data
    x, y = _checked_pair(name, *data, model, classify)
    if again:
        if not bool(x.isfinite().all()):
            raise ValueError(f"x of {name} must be finite")
        if classify:
            with _quiet(model):
                _check_labels(name, y, model(x[:1]))
    return _Pair(x, y)


def _loaded(
    name: str, batches: _Batches, model: nn.Module, classify: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    for batch in batches:
        if not _is_pair(batch):
            raise TypeError(
                f"{name} must be a Split, a pair (x, y) of tensors or an iterable of such pairs, "
                f"got an iterable of {type(batch).__name__}"
            )
        yield _checked_pair(name, *batch, model, classify)


def _checked_pair(name: str, x: Tensor, y: Tensor, model: nn.Module, classify: bool) -> _Pair:
    """Return x and y where the network is."""
    check_float_tensor(f"x of {name}", x)
    for parameter in model.parameters():
        check_same_dtype(f"x of {name}", x, "model", parameter)
        break
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        raise ValueError(
            f"x and y of {name} must have one entry for each example, "
            f"got shapes {tuple(x.shape)} and {tuple(y.shape)}"
        )
    if x.numel() == 0:
        raise ValueError(f"{name} must not be empty, got x of shape {tuple(x.shape)}")
    if classify and (y.dtype != torch.int64 or y.ndim != 1):
        raise TypeError(
            f"y of {name} must be the classes, int64 ({len(y)},), "
            f"got {str(y.dtype).removeprefix('torch.')} {tuple(y.shape)}"
        )
    place = _device_of(model)
    return _Pair(x.to(place), y.to(place))


def _check_labels(name: str, y: Tensor, z: Tensor) -> None:
    if z.ndim != 2 or z.shape[1] < 2:
        raise ValueError(
            f"model must give logits (N, classes) of two classes or more, got {tuple(z.shape)}"
        )
    low, high = int(y.min()), int(y.max())
    if low < 0 or high >= z.shape[1]:
        raise ValueError(
            f"y of {name} must be classes from 0 to {z.shape[1] - 1}, as many as the model has "
            f"outputs, got {low} to {high}"
        )


def _hold_out(source: _Source, fraction: float, order: torch.Generator) -> tuple[_Pair, _Pair]:
    if not isinstance(source, _Pair):
        raise ValueError("validation as a fraction needs train in memory, got an iterable")
    fraction = as_real("validation", fraction, least=0)
    x, y = source
    count = round(fraction * len(y)) if fraction < 1 else 0
    if not 0 < count < len(y):
        raise ValueError(
            "validation must be a fraction in (0, 1) that leaves an example on either side, "
            f"got {fraction} of {len(y)} examples"
        )
    held, rest = torch.randperm(len(y), generator=order).split([count, len(y) - count])
    return _Pair(x[rest], y[rest]), _Pair(x[held], y[held])
