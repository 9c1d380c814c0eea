"""The clinic: from a network that does not train to its cause.

``examine`` looks at any ``nn.Module`` with a few batches: at the data, the outputs, each layer at
the start, and a short trial of training steps on a copy. A suspicion is settled by trying its
remedy on another copy (biases set to zero, inputs standardised, another learning rate) and seeing
whether the symptom goes. The model, its optimiser, its gradients and all random streams are left as
they were.

From the shell::

    python -m cnnbook.clinic package.module:build --data fashion-mini --optimizer sgd --lr 0.1

Thresholds were set on generated networks, and tried on others: the recipe ``clinic`` of the book.
"""

import argparse
import copy
import dataclasses
import html
import importlib
import itertools
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from cnnbook import data, probes
from cnnbook._arguments import as_int, as_real, check_callable

Loss = Callable[[Any, Any], Tensor]
Batch = tuple[Tensor, Any]

# Where a symptom begins. Set on the tuning set of the recipe ``clinic``.
DEAD = 0.35  # share of units dead at the start, over all layers
LAYER_DEAD = 0.95  # share of one layer
KILLED = 0.25  # share of units that a trial kills
SHIFT = 1.0  # |mean| of the inputs over their standard deviation, where units are dead
FAR = 5.0  # the same, where none is
LARGE, SMALL = 10.0, 0.02  # standard deviation of the inputs
FLAT = 0.5  # share of pre-activations where a bounded activation is flat
FLAT_FALL = 1.0  # decades lost, where so many are flat
VANISHED = 3.5  # decades lost from the last layer to the first
EXPLODED = 2.0  # decades from the last layer to the first
NORMED_EXPLODED = 2.4  # the same, with batch norm in between
GROWN = 1e3  # of the logits, over the inputs
ZEROS = 0.05  # share of outputs that are exactly zero, among rows whose outputs differ
WORSE = 1.5  # loss after the trial over that before
LESS = 0.02  # share of the first loss by which one trial has to beat another
USUAL = 1e-2  # update ratio at which a larger rate is looked for first
STILL = 1e-4  # update ratio of the median layer

_MOST_BATCHES, _MOST_IMAGES, _MOST_OWNERS = 8, 32, 4
_BOUNDED = ("sigmoid", "tanh", "hardtanh", "softsign")


class Cause(NamedTuple):
    """What is known of a cause.

    Attributes:
        symptom: What is seen, with ``{value}``, ``{threshold}`` and ``{layer}`` to fill in.
        why: The cause in words.
        remedy: What to try first.
        section: The section of the book that explains it, by its page.
    """

    symptom: str
    why: str
    remedy: str
    section: str


# In order of severity: what stands first explains, or hides, what follows.
CAUSES = {
    "labels-out-of-range": Cause(
        "a label is {value:g}; the classes end at {threshold:g}",
        "the labels do not fit the number of outputs",
        "count classes from 0, and give the network one output for each",
        "networks/training",
    ),
    "softmax-before-loss": Cause(
        "each output row adds up to one, to {value:.1g}",
        "the network ends in a softmax, and the loss applies another",
        "return logits: drop the last softmax",
        "networks/articles",
    ),
    "relu-on-logits": Cause(
        "no output is negative, and a share of {value:.2f} is exactly zero",
        "a ReLU follows the last layer: no class can be ruled out, and where all are zero the "
        "gradient is, too",
        "drop the activation behind the last layer",
        "networks/articles",
    ),
    "no-gradient": Cause(
        "{value:g} parameters of {layer} get no gradient",
        "the layer is frozen, detached or not used by the loss",
        "unless it is meant: look for requires_grad=False, detach(), no_grad() and layers that "
        "forward never calls",
        "networks/training",
    ),
    "unbroken-symmetry": Cause(
        "all units of {layer} have the same weights and the same gradient",
        "units that start alike stay alike: the layer is one unit wide",
        "draw the weights at random",
        "remedies/initialization",
    ),
    "inputs-not-normalised": Cause(
        "inputs are far from mean 0 and standard deviation 1: {value:.3g}, limit {threshold:g}",
        "all signals, gradients and the largest stable rate scale with the inputs",
        "subtract the mean and divide by the standard deviation of the training set (of each "
        "feature, where they differ in kind)",
        "dead_relu/killed",
    ),
    "vanishing-by-saturation": Cause(
        "the activation is flat at a share of {value:.2f} of the pre-activations, worst in {layer}",
        "weights or biases are so large that units saturate: little gradient passes",
        "Xavier's weights and biases of zero, or another activation",
        "vanishing/depth",
    ),
    "dead-by-bias": Cause(
        "a share of {value:.2f} of the units is dead at the start, and not with biases of zero",
        "negative biases hold the units below their thresholds",
        "start with biases of zero",
        "dead_relu/born",
    ),
    "dead-by-input-shift": Cause(
        "a share of {value:.2f} of the units is dead, or dies in the trial, and not with "
        "standardised inputs",
        "the inputs' mean is far from zero: it moves whole layers below their thresholds",
        "subtract the mean of the training images",
        "dead_relu/killed",
    ),
    "born-dead": Cause(
        "a share of {value:.2f} of the units is dead at the start, worst in {layer}",
        "the network is too narrow for its depth, or its weights are drawn one-sided",
        "more units a layer, a leaky activation, or symmetric weights",
        "dead_relu/born",
    ),
    "vanishing-by-initialisation": Cause(
        "∂L/∂z falls by {value:.1f} decades to {layer}",
        "each layer multiplies the gradient by a factor below one",
        "start at the activation's critical variance (He's for ReLU; for others "
        "theory.critical_sigma_w2), or add normalisation or skips",
        "vanishing/depth",
    ),
    "batch-norm-explosion": Cause(
        "∂L/∂z grows by {value:.1f} decades to {layer}, with batch norm in between",
        "batch norm holds the signal and multiplies the gradient by more than one a layer",
        "add skips, or take normalisation out of a part of the layers",
        "exploding/batch-norm",
    ),
    "exploding-by-initialisation": Cause(
        "gradients or signals grow by {value:.1f} decades through the network ({layer})",
        "each layer multiplies signals and gradients by a factor above one",
        "start at the activation's critical variance, or add normalisation",
        "exploding/phases",
    ),
    "killed-by-learning-rate": Cause(
        "the trial kills a share of {value:.2f} of the units, and not at a far smaller rate",
        "a step throws units below their thresholds for every image",
        "divide the learning rate by ten, or warm up",
        "dead_relu/killed",
    ),
    "exploding-by-learning-rate": Cause(
        "the trial multiplies the loss by {value:.3g}, and not at a far smaller rate",
        "steps are longer than the curvature allows",
        "divide the learning rate by ten until it holds; clip gradients",
        "exploding/phases",
    ),
    "learning-rate-too-small": Cause(
        "a step moves the median layer by {value:.1g} of its weights; a larger rate learns",
        "the steps are too short to get anywhere",
        "multiply the learning rate by ten until the loss falls",
        "remedies/optimizers",
    ),
}


_BEYOND = {  # what is said of an infinite number
    "grow by inf decades": "grow to infinity",
    "multiplies the loss by inf": "makes the loss infinite",
}


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        cause: One of ``CAUSES``.
        layer: Name of the layer, or "" for the whole network.
        value: The number measured.
        threshold: The threshold that it crossed.
    """

    cause: str
    layer: str
    value: float
    threshold: float

    @property
    def symptom(self) -> str:
        """What is seen, in words."""
        where = self.layer or "the network"
        symptom = CAUSES[self.cause].symptom
        words = symptom.format(value=self.value, threshold=self.threshold, layer=where)
        for measured, said in _BEYOND.items():
            words = words.replace(measured, said)
        return words

    @property
    def why(self) -> str:
        """The probable cause, in words."""
        return CAUSES[self.cause].why

    @property
    def remedy(self) -> str:
        """The remedy to try first."""
        return CAUSES[self.cause].remedy

    @property
    def section(self) -> str:
        """The page of the book that explains it."""
        return f"chapters/{CAUSES[self.cause].section}.html"


@dataclasses.dataclass(frozen=True)
class Report:
    """What ``examine`` found.

    Attributes:
        findings: The findings, the most severe first; empty for a network that looks healthy.
        layers: One row a layer at the start, as ``probes.measure`` returns them in training mode,
            and ``grad_norm``, the norm of ∂L/∂z of one image, up to a factor common to all layers;
            empty where a finding made measuring impossible.
        losses: The loss of each step of the trial; empty where a finding made it needless.
        unseen: What the probe knows that it did not see.
    """

    findings: tuple[Finding, ...]
    layers: pd.DataFrame
    losses: tuple[float, ...] = ()
    unseen: tuple[str, ...] = dataclasses.field(default=())

    def to_frame(self) -> pd.DataFrame:
        """Return one row a finding: cause, symptom, layer, value, threshold, why, remedy, section.

        A network without findings gives a table without rows.
        """
        names = ("cause", "symptom", "layer", "value", "threshold", "why", "remedy", "section")
        rows = [[getattr(finding, name) for name in names] for finding in self.findings]
        return pd.DataFrame(rows, columns=list(names))

    def __str__(self) -> str:
        lines = [] if self.findings else ["No findings."]
        for number, found in enumerate(self.findings, 1):
            lines.append(f"{number}. {found.cause}: {found.symptom}")
            lines.append(f"   why:    {found.why}")
            lines.append(f"   try:    {found.remedy}")
            lines.append(f"   read:   {found.section}")
        if self.unseen:
            lines.append("Not seen: " + ", ".join(self.unseen))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        items = "".join(
            f"<li><strong>{found.cause}</strong>: {html.escape(found.symptom)}. Probably "
            f"{html.escape(found.why)}. <em>Try:</em> {html.escape(found.remedy)}.</li>"
            for found in self.findings
        )
        head = f"<ol>{items}</ol>" if items else "<p>No findings.</p>"
        unseen = f"<p>Not seen: {html.escape(', '.join(self.unseen))}</p>" if self.unseen else ""
        return head + _picture(self.layers) + unseen


def examine(
    model: nn.Module,
    loader: Iterable[Any],
    *,
    loss: Loss = F.cross_entropy,
    optimizer: Optimizer | Callable[[list[nn.Parameter]], Optimizer] | None = None,
    steps: int = 20,
    seed: int = 0,
) -> Report:
    """Examine a network with a few batches and say what is wrong with it.

    The first eight batches are read, at most 32 examples of each. Everything is measured on copies,
    in training mode, on the device of the model; it takes seconds.

    Args:
        model: Any module that can be copied.
        loader: Batches (x, y), two or more.
        loss: From (output, y) to a scalar.
        optimizer: That of the training to come: one that holds the model's parameters, whose kind,
            settings and state the copy gets, or a function that makes one from a list of them. By
            default Adam at 0.001.
        steps: Steps of the trial; 0 for none.
        seed: Determines dropout and other draws.

    Raises:
        TypeError: If an argument has the wrong type, a batch is not (x, y) with a tensor x, or
            ``loss`` is cross entropy and labels are neither int64 nor probabilities.
        ValueError: If ``loader`` gives fewer than two batches, a batch is on another device than
            the model, the model has no parameters, or ``optimizer`` holds parameters that are not
            the model's.
        RuntimeError: If ``model`` cannot be copied, or its forward pass or ``loss`` raises; the
            message says at which batch.
    """
    probes._check_model(model)
    check_callable("loss", loss)
    steps, seed = as_int("steps", steps, 0), as_int("seed", seed, 0)
    if not any(True for _ in model.parameters()):
        raise ValueError("model must have parameters, and has none")
    make = _as_factory(optimizer, model)
    with probes._undisturbed(model, loader), torch.inference_mode(False), torch.enable_grad():
        torch.manual_seed(seed)
        batches = _read(loader, model)
        try:
            patient = copy.deepcopy(model)
        except Exception as error:
            raise RuntimeError(f"model cannot be copied ({error})") from error
        patient.zero_grad()
        case = _Case(patient.train(), batches, loss, make, steps, seed)
        found = sorted(_findings(case), key=lambda finding: list(CAUSES).index(finding.cause))
        layers = case.__dict__.get("layers", pd.DataFrame(columns=[*probes.COLUMNS, "grad_norm"]))
        trial = case.__dict__.get("trial")
        losses = tuple(trial.losses) if trial else ()
        return Report(tuple(found), layers, losses, layers.attrs.get("unseen", ()))


# --- what is measured -----------------------------------------------------------------------------


class _Trial(NamedTuple):
    """What a few training steps did to a copy."""

    losses: list[float]
    after: float  # mean loss over the batches; NaN if it diverged
    dead: pd.Series  # share of each layer afterwards, empty if it diverged
    moved: float  # update ratio of the median layer


@dataclasses.dataclass
class _Case:
    """A patient, and what is known of it, each measured when it is first asked for."""

    model: nn.Module  # a copy, in training mode
    batches: list[Batch]
    loss: Loss
    make: Callable[[nn.Module], Optimizer]
    steps: int
    seed: int

    @cached_property
    def outputs(self) -> list[Any]:
        """The output for each batch."""
        with torch.no_grad():
            return [_called(_twin(self.model), x, number) for number, (x, _) in _numbered(self)]

    @cached_property
    def layers(self) -> pd.DataFrame:
        """One row a layer, with ``grad_norm``."""
        table = probes.measure(self.model, self.batches, loss=self.loss, training=True)
        each = table["positions"] / table["images"].clip(lower=1)
        table["grad_norm"] = table["grad_z"] * np.sqrt(table["units"] * each)
        return table

    @property
    def measurable(self) -> bool:
        """Whether inputs are quantities, and not numbers of words."""
        return self.batches[0][0].is_floating_point()

    @cached_property
    def x(self) -> Tensor:
        """All inputs, as one float tensor."""
        return torch.cat([x.detach().float().flatten() for x, _ in self.batches])

    @cached_property
    def gradients(self) -> dict[str, Tensor | None]:
        """The gradient of each parameter on the first batch."""
        twin, (x, y) = _twin(self.model), self.batches[0]
        try:
            value = probes._apply(self.loss, twin(x), y)
        except ValueError as error:
            if "requires a gradient" not in str(error):
                raise
            return dict.fromkeys(name for name, _ in twin.named_parameters())
        except Exception as error:
            shape = tuple(x.shape)
            raise RuntimeError(f"loss raised on batch 1, of shape {shape}: {error}") from error
        value.backward()
        return {name: p.grad for name, p in twin.named_parameters()}

    @cached_property
    def trial(self) -> _Trial:
        """The trial, as the user would train."""
        return self.train(1.0)

    def standardised(self) -> "_Case":
        """Return the case with inputs of mean 0 and standard deviation 1."""
        mean, std = self.x.mean(), self.x.std()
        batches = [((x - mean) / std, y) for x, y in self.batches]
        return dataclasses.replace(self, batches=batches)

    def redrawn(self) -> "_Case":
        """Return the case with Xavier's weights, and no biases, before each bounded activation."""
        twin = _twin(self.model)
        torch.manual_seed(self.seed)
        for name in _bounded(self.layers)["layer"]:
            layer = twin.get_submodule(name.partition("#")[0])
            for part, fill in (("weight", nn.init.xavier_normal_), ("bias", nn.init.zeros_)):
                if isinstance(getattr(layer, part, None), Tensor):
                    fill(getattr(layer, part))
        return dataclasses.replace(self, model=twin)

    def unbiased(self) -> "_Case":
        """Return the case with every bias of a weight layer zero."""
        twin = _twin(self.model)
        with torch.no_grad():
            for module in twin.modules():
                weight, bias = (getattr(module, name, None) for name in ("weight", "bias"))
                if isinstance(weight, Tensor) and weight.ndim > 1 and isinstance(bias, Tensor):
                    bias.zero_()
        return dataclasses.replace(self, model=twin)

    @cached_property
    def dead(self) -> pd.Series:
        """The share of dead units by layer, for those with an activation."""
        if "layers" in self.__dict__:
            return _dead(self.layers)
        return _dead(probes.measure(self.model, [x for x, _ in self.batches], training=True))

    @cached_property
    def guess(self) -> float:
        """The loss of an even guess among the classes, or 0 where there are none."""
        z = self.outputs[0]
        return math.log(z.shape[1]) if self.classifies else 0.0

    @cached_property
    def classifies(self) -> bool:
        """Whether the loss is cross entropy, or a function that does the same."""
        z = self.outputs[0]
        if not isinstance(z, Tensor) or z.ndim < 2:
            return False
        if _is_cross_entropy(self.loss):
            return True
        tried, known = self._example
        try:
            value = self.loss(tried, known)
            return bool(torch.allclose(value, F.cross_entropy(tried, known)))
        except Exception:  # whatever it raises, it is another loss
            return False

    @property
    def _example(self) -> tuple[Tensor, Tensor]:
        """Outputs and labels of the right shape, drawn at random."""
        shape = self.outputs[0].shape
        return torch.randn(shape), torch.randint(shape[1], (shape[0], *shape[2:]))

    def takes(self, label: int) -> bool:
        """Say whether a loss that does what cross entropy does takes a label, such as to ignore."""
        if isinstance(self.loss, nn.CrossEntropyLoss):
            return label == self.loss.ignore_index
        tried, known = self._example
        known.view(-1)[0] = label
        try:
            self.loss(tried, known)
        except Exception:  # PyTorch raises an IndexError; a wrapper may raise anything
            return False
        return True

    @cached_property
    def before(self) -> float:
        """The mean loss over the batches at the start."""
        pairs = zip(self.outputs, self.batches, strict=True)
        return float(np.mean([self.loss(z, y).item() for z, (_, y) in pairs]))

    def train(self, factor: float) -> _Trial:
        """Train a copy for a few steps at ``factor`` times the learning rate."""
        twin, losses, moves = _twin(self.model), [], []
        torch.manual_seed(self.seed)
        optimizer = self.make(twin)
        for group in optimizer.param_groups:
            group["lr"] = group["lr"] * factor
        for step, (x, y) in zip(range(self.steps), itertools.cycle(self.batches), strict=False):
            optimizer.zero_grad()
            value = self.loss(twin(x), y)
            losses.append(value.item())
            if not math.isfinite(losses[-1]):
                break
            value.backward()
            weights = [p for p in twin.parameters() if p.ndim > 1 and p.grad is not None]
            old = [w.detach().clone() for w in weights] if step in (0, self.steps - 1) else []
            optimizer.step()
            pairs = [(w.detach(), o) for w, o in zip(weights, old, strict=False) if o.any()]
            moves += [((w - o).norm() / o.norm()).item() for w, o in pairs]
        after = _mean_loss(self, twin) if math.isfinite(losses[-1]) else math.nan
        alive = math.isfinite(after)
        table = probes.measure(twin, [x for x, _ in self.batches], training=True) if alive else None
        dead = pd.Series(dtype=float) if table is None else _dead(table)
        return _Trial(losses, after, dead, float(np.median(moves)) if moves else 0.0)


def _twin(model: nn.Module) -> nn.Module:
    twin = copy.deepcopy(model)
    twin.zero_grad()
    return twin


def _numbered(case: _Case) -> Iterator[tuple[int, Batch]]:
    return enumerate(case.batches, 1)


def _called(model: nn.Module, x: Tensor, number: int) -> Any:
    try:
        return model(x)
    except Exception as error:
        raise RuntimeError(
            f"model raised in its forward pass on batch {number}, of shape {tuple(x.shape)}: "
            f"{type(error).__name__}: {error}"
        ) from error


def _mean_loss(case: _Case, model: nn.Module) -> float:
    torch.manual_seed(case.seed)
    twin = copy.deepcopy(model)  # batch norm counts what it sees
    with torch.no_grad():
        return float(np.mean([case.loss(twin(x), y).item() for x, y in case.batches]))


def _dead(table: pd.DataFrame) -> pd.Series:
    table = table[table["dead"].notna()]
    dead = pd.Series(table["dead"].to_numpy(dtype=float), index=table["layer"].to_numpy())
    dead.attrs["units"] = table["units"].to_numpy(dtype=float)
    return dead


def _share(dead: pd.Series) -> float:
    """Return the share of dead units over all layers."""
    units = dead.attrs.get("units", np.ones(len(dead)))
    return float(np.average(dead, weights=units)) if len(dead) else 0.0


# --- what it means --------------------------------------------------------------------------------


def _findings(case: _Case) -> Iterator[Finding]:
    """Yield findings; those that make others meaningless end the examination.

    Where a remedy can be tried on a copy, what comes later is judged after it: what it cures is no
    finding of its own.
    """
    labels = list(_of_labels(case))
    yield from labels
    outputs = [] if labels else list(_of_outputs(case))
    yield from outputs
    size = list(_of_inputs(case))
    yield from size
    if labels:
        return
    yield from _of_paths(case)
    if all(gradient is None for gradient in case.gradients.values()):
        return
    symmetric = list(_of_symmetry(case))
    yield from symmetric
    if symmetric:
        case.layers  # noqa: B018 - to be shown, not judged
        return
    if size:
        case = case.standardised()
    found = list(_of_the_start(case))
    if case.steps and not (outputs or found):
        found = list(_of_the_trial(case))
    yield from found
    if _shift(case) > FAR and all(finding.cause != "dead-by-input-shift" for finding in found):
        yield Finding("inputs-not-normalised", "", _shift(case), FAR)


def _is_cross_entropy(loss: object) -> bool:
    return loss is F.cross_entropy or isinstance(loss, nn.CrossEntropyLoss)


def _of_labels(case: _Case) -> Iterator[Finding]:
    outputs = case.outputs
    if not case.classifies:
        return
    for (number, (_, y)), z in zip(_numbered(case), outputs, strict=True):
        if not isinstance(y, Tensor) or (y.dtype != torch.int64 and y.shape != z.shape):
            if not _is_cross_entropy(case.loss):  # it may convert them
                return
            kind = y.dtype if isinstance(y, Tensor) else type(y).__name__
            raise TypeError(
                f"labels must be int64 class numbers for cross entropy, got {kind} in batch "
                f"{number}"
            )
    if any(y.dtype != torch.int64 for _, y in case.batches):  # probabilities
        return
    classes = outputs[0].shape[1]
    values = torch.cat([y.flatten() for _, y in case.batches]).unique().cpu()
    outside = values[(values < 0) | (values >= classes)].tolist()
    wrong = [value for value in outside if not case.takes(value)]
    if wrong:
        worst = max(wrong) if max(wrong) >= classes else min(wrong)
        yield Finding("labels-out-of-range", "", float(worst), classes - 1.0)


def _of_outputs(case: _Case) -> Iterator[Finding]:
    if not case.classifies:
        return
    z = torch.cat([part.float() for part in case.outputs])
    if not z.isfinite().all() or (z < 0).any():
        return
    off = (z.sum(1) - 1).abs().max().item()
    differ = z.amax(1, keepdim=True) > z.amin(1, keepdim=True)  # not where all weights are alike
    zeros = ((z == 0) & differ).float().mean().item()
    if off < 1e-3:
        yield Finding("softmax-before-loss", "", off, 1e-3)
    elif zeros > ZEROS:
        yield Finding("relu-on-logits", "", zeros, ZEROS)


def _of_inputs(case: _Case) -> Iterator[Finding]:
    if not case.measurable:
        return
    size = case.x.std().item()
    if size > LARGE or size < SMALL:
        yield Finding("inputs-not-normalised", "", size, LARGE if size > LARGE else SMALL)


def _of_paths(case: _Case) -> Iterator[Finding]:
    owners: dict[str, int] = {}
    for name, gradient in case.gradients.items():
        if gradient is None:
            owner = name.rpartition(".")[0]
            owners[owner] = owners.get(owner, 0) + case.model.get_parameter(name).numel()
    if len(owners) > _MOST_OWNERS:  # a frozen body is one fault, not forty
        first = next(iter(owners))
        owners = {f"{first} and {len(owners) - 1} other layers": sum(owners.values())}
    for owner, count in owners.items():
        yield Finding("no-gradient", owner, count, 0.0)


def _of_symmetry(case: _Case) -> Iterator[Finding]:
    for name, gradient in case.gradients.items():
        weight = case.model.get_parameter(name).detach()
        if gradient is None or weight.ndim < 2 or len(weight) < 2:
            continue
        if _alike(weight, 1e-6) and _alike(gradient, 1e-3):
            yield Finding("unbroken-symmetry", name.rpartition(".")[0], 0.0, 0.0)
            return


def _alike(rows: Tensor, tolerance: float) -> bool:
    """Say whether all rows are the same, to a tolerance relative to the largest entry."""
    return bool((rows - rows[0]).abs().max() <= tolerance * rows.abs().max())


def _of_the_start(case: _Case) -> Iterator[Finding]:
    """Yield what is wrong before training.

    If a treatment revives the dead, gradients are judged after it. If they are sick all the same,
    that is the finding, and the dead are taken for a consequence.
    """
    dead, share = case.dead, _share(case.dead)
    flat = _bounded(case.layers).set_index("layer")["flat"]
    if flat.mean() > FLAT and _saturation_harms(case):
        yield Finding("vanishing-by-saturation", str(flat.idxmax()), float(flat.mean()), FLAT)
        return
    if len(dead) and (share > DEAD or dead.max() > LAYER_DEAD):
        worst = str(dead.idxmax())
        threshold = DEAD if share > DEAD else LAYER_DEAD
        value = share if share > DEAD else float(dead.max())
        unbiased = case.unbiased()
        treated = {("dead-by-bias",): unbiased}
        if _shift(case) > SHIFT:
            treated["dead-by-input-shift",] = case.standardised()
            treated["dead-by-bias", "dead-by-input-shift"] = unbiased.standardised()
        for causes, after in treated.items():
            if _cured(dead, after.dead):
                found = list(_of_the_flow(after))
                yield from found or (Finding(cause, worst, value, threshold) for cause in causes)
                return
        if not _fall(case.layers) >= VANISHED:
            yield Finding("born-dead", worst, value, threshold)
            return
    yield from _of_the_flow(case)


def _bounded(layers: pd.DataFrame) -> pd.DataFrame:
    """Return the weight layers whose activation is bounded on both sides."""
    return layers[(layers["op"] != "") & layers["activation"].isin(_BOUNDED)]


def _saturation_harms(case: _Case) -> bool:
    """Say whether the gradient falls, or whether other weights learn more in the same steps.

    Neither counts if the network is already better than the other one becomes: saturated units
    are what much training ends in.
    """
    falls = not _fall(case.layers) <= FLAT_FALL
    if not case.steps:
        return falls
    redrawn = case.redrawn()
    if case.before < min(redrawn.before, redrawn.trial.after):
        return False
    if falls:
        return True
    cured = _bounded(redrawn.layers)["flat"].mean() < FLAT
    return cured and not case.trial.after <= redrawn.trial.after + LESS * case.before


def _cured(before: pd.Series, after: pd.Series) -> bool:
    return _share(after) < _share(before) / 2 and after.max() <= LAYER_DEAD


def _shift(case: _Case) -> float:
    return (case.x.mean().abs() / case.x.std()).item() if case.measurable else 0.0


def _fall(layers: pd.DataFrame) -> float:
    """Return by how many decades ∂L/∂z falls from the last layer to the first; NaN if unknown."""
    rows = layers[(layers["op"] != "") & layers["grad_norm"].gt(0)]
    logs = np.log10(rows["grad_norm"].to_numpy(dtype=float))
    if len(rows) < 3 or not np.isfinite(logs).all():
        return math.nan
    slope = np.polyfit(np.arange(len(logs)), logs, 1)[0]
    return float(slope * (len(logs) - 1))


def _of_the_flow(case: _Case) -> Iterator[Finding]:
    layers = case.layers
    rows = layers[layers["op"] != ""]
    if rows.empty:
        return
    first, fall = str(rows["layer"].iloc[0]), _fall(layers)
    if fall > VANISHED:
        yield Finding("vanishing-by-initialisation", first, fall, VANISHED)
    grown = _growth(case)
    if any(isinstance(module, _BatchNorm) for module in case.model.modules()):
        if fall < -NORMED_EXPLODED:
            yield Finding("batch-norm-explosion", first, -fall, NORMED_EXPLODED)
    elif fall < -EXPLODED or grown > math.log10(GROWN):
        value = -fall if fall < -EXPLODED else grown
        limit = EXPLODED if fall < -EXPLODED else math.log10(GROWN)
        yield Finding("exploding-by-initialisation", first, value, limit)


def _growth(case: _Case) -> float:
    """Return by how many decades the signal grows from the first layer's z to the last one's."""
    sizes = case.layers.loc[case.layers["op"] != "", "z_std"].to_numpy(dtype=float)
    if case.layers["nonfinite"].gt(0).any():
        return math.inf
    return float(np.log10(sizes[-1] / sizes[0])) if sizes[0] > 0 and sizes[-1] > 0 else 0.0


def _of_the_trial(case: _Case) -> Iterator[Finding]:
    trial, start = case.trial, case.dead
    limit = WORSE * max(case.before, case.guess)
    diverged = not trial.after <= limit
    killed = _share(trial.dead) - _share(start)
    if not diverged and killed <= KILLED and trial.moved >= STILL:
        return
    if diverged or killed > KILLED:
        slow = case.train(0.01)
        if not slow.after <= limit:
            slow = case.train(0.0001)
        calm = slow.after <= limit
        spared = _share(slow.dead) - _share(start) < killed / 2
        if killed > KILLED and _shift(case) > SHIFT:
            other = case.standardised()
            if _share(other.trial.dead) - _share(other.dead) < killed / 2:
                yield Finding("dead-by-input-shift", "", killed, KILLED)
                return
        if killed > KILLED and calm and spared:
            yield Finding("killed-by-learning-rate", "", killed, KILLED)
        elif diverged and calm:
            ratio = trial.after / case.before if math.isfinite(trial.after) else math.inf
            yield Finding("exploding-by-learning-rate", "", ratio, WORSE)
        return
    enough = trial.after - LESS * case.before
    guess = round(math.log10(USUAL / max(trial.moved, 1e-12)))
    near = sorted(range(max(1, guess - 3), guess + 4), key=lambda power: abs(power - guess))
    if any(case.train(10.0**power).after < enough for power in near):
        yield Finding("learning-rate-too-small", "", trial.moved, STILL)


# --- what is given --------------------------------------------------------------------------------


def _read(loader: Iterable[Any], model: nn.Module) -> list[Batch]:
    """Return the first batches, cut to a size; each must be on the model's device."""
    device = next(model.parameters()).device
    batches: list[Batch] = []
    for number, batch in enumerate(itertools.islice(loader, _MOST_BATCHES), 1):
        if (
            not isinstance(batch, list | tuple)
            or len(batch) < 2
            or not isinstance(batch[0], Tensor)
        ):
            kind = type(batch).__name__
            raise TypeError(f"batch {number} of loader must be (x, y) with a tensor x, got {kind}")
        for name, part in zip("xy", batch, strict=False):
            if isinstance(part, Tensor) and part.device != device:
                raise ValueError(
                    f"{name} of batch {number} is on {part.device}, the model on {device}; "
                    f'move one of them, such as by model.to("{part.device}")'
                )
        x, y = batch[:2]
        if len(x) == 0:
            raise ValueError(f"batch {number} of loader is empty")
        batches.append((x[:_MOST_IMAGES], y[:_MOST_IMAGES] if isinstance(y, Tensor) else y))
    if len(batches) < 2:
        raise ValueError(
            f"loader must give two batches or more, got {len(batches)}: what is silent on one "
            "batch may not be dead; give smaller batches"
        )
    return batches


def _as_factory(optimizer: object, model: nn.Module) -> Callable[[nn.Module], Optimizer]:
    """Return a function from a copy of the model to its optimiser."""
    if optimizer is None:
        optimizer = partial(torch.optim.Adam, lr=1e-3)
    if not isinstance(optimizer, Optimizer):
        check_callable("optimizer", optimizer)

        def made(twin: nn.Module) -> Optimizer:
            found = optimizer([p for p in twin.parameters() if p.requires_grad])
            if not isinstance(found, Optimizer):
                raise TypeError(f"optimizer must return a torch.optim.Optimizer, got {found!r}")
            return found

        return made
    names = {id(p): name for name, p in model.named_parameters()}
    groups = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    held = [[names.get(id(p)) for p in group["params"]] for group in optimizer.param_groups]
    if any(name is None for part in held for name in part):
        raise ValueError("optimizer holds parameters that are not the model's")
    state = copy.deepcopy(optimizer.state_dict())

    def copied(twin: nn.Module) -> Optimizer:
        parts = [
            {**group, "params": [twin.get_parameter(name) for name in part]}
            for group, part in zip(groups, held, strict=True)
        ]
        found = type(optimizer)(parts, **optimizer.defaults)
        found.load_state_dict(copy.deepcopy(state))
        return found

    return copied


# --- the notebook form ----------------------------------------------------------------------------


def _picture(layers: pd.DataFrame) -> str:
    """Return the profile as an HTML table: one bar a layer for the gradient, and the dead share."""
    rows = layers[(layers["op"] != "") & layers["grad_norm"].gt(0)]
    if rows.empty:
        return ""
    logs = np.log10(rows["grad_norm"].to_numpy(dtype=float))
    low, high = math.floor(logs.min()), math.ceil(logs.max())
    lines = []
    for (_, row), value in zip(rows.iterrows(), logs, strict=True):
        width = 100 * (value - low) / max(high - low, 1)
        bar = f'<div style="background: currentColor; height: 0.7em; width: {width:.0f}%"></div>'
        dead = "" if math.isnan(row["dead"]) else f"{row['dead']:.2f}"
        name = html.escape(str(row["layer"]))
        lines.append(
            f'<tr><td style="text-align: left">{name}</td><td>{value:.1f}</td>'
            f'<td style="width: 45%">{bar}</td><td>{dead}</td></tr>'
        )
    head = (
        f"<tr><th>layer</th><th>log10 ‖∂L/∂z‖</th><th>from {low} to {high}</th><th>dead</th></tr>"
    )
    return f'<table style="width: 100%">{head}{"".join(lines)}</table>'


# --- from the shell -------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Examine the network that a function builds; return 0 for no findings, 1 for some, 2 if not.

    Args:
        arguments: As on the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m cnnbook.clinic", description=main.__doc__)
    parser.add_argument("build", help="package.module:function, which returns the network")
    parser.add_argument(
        "--data", default="fashion-mini", help="a name that cnnbook.data.load takes"
    )
    parser.add_argument("--optimizer", choices=("adam", "sgd"), default="adam")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--momentum", type=float, default=0.0, help="of sgd")
    parser.add_argument("--batch-size", type=int, default=64)
    given = parser.parse_args(arguments)
    try:
        as_real("--lr", given.lr, least=0)
        size = as_int("--batch-size", given.batch_size, 1)
        model = _built(given.build)
        images = data.load(given.data).train
        x = data.standardize(images.x)[: size * _MOST_BATCHES]
        batches = list(zip(x.split(size), images.y[: len(x)].split(size), strict=True))
        rules = {
            "adam": partial(torch.optim.Adam, lr=given.lr),
            "sgd": partial(torch.optim.SGD, lr=given.lr, momentum=given.momentum),
        }
        report = examine(model, batches, optimizer=rules[given.optimizer])
    except (ValueError, TypeError, RuntimeError, ImportError, data.DataError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    print(report)
    return int(bool(report.findings))


def _built(path: str) -> nn.Module:
    """Return what the function named by package.module:function returns."""
    module, colon, name = path.partition(":")
    if not (module and colon and name):
        raise ValueError(f"build must be package.module:function, got {path!r}")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    found = importlib.import_module(module)
    if not hasattr(found, name):
        raise ValueError(f"build names {name}, which {module} does not define")
    return getattr(found, name)()


if __name__ == "__main__":
    sys.exit(main())
