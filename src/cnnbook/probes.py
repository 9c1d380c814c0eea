"""Probes: what each layer of a network does, measured while it runs.

``Probe`` attaches to any ``nn.Module`` and watches the functions that its forward pass calls, so
that ``F.relu(x)`` is seen like ``nn.ReLU()(x)``, and a module that is called twice gives two rows.
What it cannot see, it names. It changes neither values, nor gradients, nor the random stream.

A row of its table is a layer in the sense of the book: a convolution or dense layer, with the
normalisation and the activation that follow it directly. An activation that follows something else,
such as a residual sum, has a row of its own. The columns:

========================  =========================================================================
layer                     Qualified name of the module; ``#2`` marks its second row in one pass,
                          ``relu()`` a function called by a module's own code.
op, activation            Names of the functions called, such as conv2d and relu; "" for none.
depth                     Weight layers called up to and including this one.
units                     Channels of a convolution, features of a dense layer.
images, positions         How many images were seen, and positions of each unit, over all of them.
z_mean, z_std             Moments of the pre-activation, over units, positions and images.
a_mean, a_std             Likewise of the activation.
dead                      Share of units with φ′ = 0 at every position of every image seen.
sparse                    Share of units with φ′ ≠ 0 at under 1 % of the positions, yet at some.
dormant                   Share of units with a mean ``|a|`` of at most τ times the layer's.
saturated                 Share of units with ``|φ′| < 0.05 max |φ′|`` at over 95 % of positions.
flat                      Share of positions with ``|φ′| < 0.05 max |φ′|``, over all units.
nonfinite                 Share of units that met a NaN or an infinity; the five shares before it
                          are of the other units.
grad_z                    Root mean square of ∂L/∂z, for L as ``backward`` was called on it: under a
                          mean over N images it holds a factor 1/N.
grad_weight               Root mean square of ∂L/∂weight, over the backward passes seen.
update_ratio              ‖Δweight‖/‖weight‖ of an optimiser's step, averaged over the steps seen.
========================  =========================================================================

A number that does not apply, or was not seen, is NaN. Sums are taken in float64.

Units are the axis after the batch, but the last one behind ``linear``. An activation that follows
something else takes the axis that the weight layer before it had.

Sources: dormant, Sokar et al. (2023), definition 3.1; the others as the book defines them.
"""

import math
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from numbers import Real
from types import TracebackType
from typing import Any, Literal
from weakref import ReferenceType, ref

import numpy as np
import pandas as pd
import torch
from pandas.api.types import is_numeric_dtype
from scipy.stats import linregress
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.utils.hooks import RemovableHandle

from cnnbook import _calls, _kernels
from cnnbook._arguments import as_int
from cnnbook._rows import SATURATED_BELOW, UNIT_COLUMNS, Row

Loss = Callable[[Any, Any], Tensor]
_After = Callable[[Any], None]

COLUMNS = (
    *("layer", "op", "activation", "depth", "units", "images", "positions"),
    *("z_mean", "z_std", "a_mean", "a_std", "dead", "sparse", "dormant", "saturated"),
    *("flat", "nonfinite", "grad_z", "grad_weight", "update_ratio"),
)
_watch = _calls.Watch()


@dataclass(eq=False, slots=True)
class _Output:
    """The output of a weight layer, until the activation comes that follows it.

    Once something read ``z`` it is measured, since it might be overwritten, and held only weakly.
    """

    row: Row
    z: Tensor | ReferenceType[Tensor]
    undo: Callable[[], None] | None = None  # takes the measurement back

    def holds(self, value: object) -> bool:
        """Whether ``value`` is this output."""
        return (self.z if isinstance(self.z, Tensor) else self.z()) is value


class Probe:
    """Measures the layers of a model while it is used, in a ``with`` block.

    ::

        with Probe(model) as probe:
            for x, y in batches:
                F.cross_entropy(model(x), y).backward()
        probe.table()

    It sums over everything that happens inside the block, in memory that does not grow with the
    number of images. Gradients appear where ``backward`` is called, update ratios where an
    optimiser steps. At the end of the block nothing is left on the model, whatever happened inside.
    A call that fails half-way counts as far as it came. What ``measure`` does is not counted.

    Args:
        model: Any module. It is measured when it is called itself; a call of one of its parts alone
            is not.
        every: Measure the first of every so many calls, and the first step of each optimiser
            thereafter.
        only: Measure only calls in training mode, or only those in evaluation mode.
        tau: Threshold of ``dormant``.
        gradients: Whether to measure ``grad_z``, ``grad_weight`` and ``update_ratio``.

    Raises:
        TypeError: If ``model`` is no ``nn.Module``, or one that is compiled or scripted, so that
            its calls cannot be seen; if ``every`` is no integer, or ``tau`` no number.
        ValueError: If ``every`` is not positive, ``tau`` is negative or not finite, or ``only`` is
            something else.
    """

    _alone: "Probe | None" = None  # while ``measure`` runs, no other probe listens

    def __init__(
        self,
        model: nn.Module,
        *,
        every: int = 1,
        only: Literal["train", "eval"] | None = None,
        tau: float = 0.025,
        gradients: bool = True,
    ) -> None:
        self.model = _check_model(model)
        self.every = as_int("every", every, 1)
        if only not in (None, "train", "eval"):
            raise ValueError(f'only must be "train", "eval" or None, got {only!r}')
        if isinstance(tau, bool) or not isinstance(tau, Real):
            raise TypeError(f"tau must be a number, got {tau!r}")
        if not (math.isfinite(tau) and tau >= 0):
            raise ValueError(f"tau must be finite and not negative, got {tau!r}")
        self.only = only
        self.tau = tau
        self.gradients = gradients
        self._stack = ExitStack()
        self._open = False
        self.reset()

    def reset(self) -> None:
        """Forget what was measured, and count calls from the start."""
        self._rows: dict[str, Row] = {}
        self._calls = 0
        self._measuring = False
        self._ambiguous: dict[str, None] = {}
        self._seen: set[int] = set()

    def __enter__(self) -> "Probe":
        """Attach to the model.

        Raises:
            RuntimeError: If the probe is attached already.
        """
        if self._open:
            raise RuntimeError("the probe is attached already; make a second Probe to nest them")
        self._open = True
        self._names = {module: name for name, module in self.model.named_modules()}
        self._path: list[nn.Module] = []
        self._outputs: dict[int, _Output] = {}
        self._tensor_hooks: list[RemovableHandle] = []
        self._weights: dict[int, nn.Parameter] = {}
        self._before: dict[Optimizer, list[tuple[Row, np.ndarray | Tensor]]] = {}
        self._stepped: set[Optimizer] = set()
        # Hooks on all modules rather than on these, so that a copy made or saved inside the block
        # carries none.
        add = self._stack.callback
        add(register_module_forward_pre_hook(self._enter).remove)
        add(register_module_forward_hook(self._leave, always_call=True).remove)
        if self.gradients:
            add(register_optimizer_step_pre_hook(self._before_step).remove)
            add(register_optimizer_step_post_hook(self._after_step).remove)
        add(_watch.remove, self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Detach from the model."""
        self._open = self._measuring = False
        self._stack.close()
        for handle in self._tensor_hooks:
            handle.remove()
        for held in (
            *(self._names, self._path, self._outputs, self._tensor_hooks),
            *(self._weights, self._before, self._stepped),
        ):
            held.clear()

    def table(self) -> pd.DataFrame:
        """Return one row per layer, in the order of the calls; columns as the module lists them.

        ``table.attrs["unseen"]`` holds ``unseen``.
        """
        table = pd.DataFrame(
            [row.record(self.tau) for row in self._rows.values()], columns=list(COLUMNS)
        )
        table.attrs["unseen"] = self.unseen
        return table

    def units(self) -> pd.DataFrame:
        """Return one row per unit: layer, unit, positions, moments, shares, and verdicts.

        ``active`` is the share of positions with φ′ ≠ 0, ``flat`` that of those with
        ``|φ′| < 0.05 max |φ′|``. They and the verdicts dead, sparse, dormant and saturated are
        missing for a unit that met a NaN or an infinity, and without an activation.
        """
        frames = [row.unit_frame(self.tau) for row in self._rows.values()]
        return (
            pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=UNIT_COLUMNS)
        )

    @property
    def unseen(self) -> tuple[str, ...]:
        """What the probe knows that it did not measure.

        Parameters with two axes or more that no measured layer used (weights of a layer never
        called, of an embedding, of attention, of a scripted part), activation modules never
        called, and calls that may or may not be an activation of units, such as ``clamp``, or
        ``sigmoid`` on a tensor with fewer than two axes.
        """
        weights = [
            f"parameter {name}"
            for name, parameter in self.model.named_parameters()
            if parameter.ndim > 1 and id(parameter) not in self._seen
        ]
        modules = [
            f"module {name or type(module).__name__}"
            for name, module in self.model.named_modules()
            if type(module).__name__.lower() in _calls.MODULE_NAMES and id(module) not in self._seen
        ]
        return (*weights, *modules, *self._ambiguous)

    def _enter(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        root = module is self.model
        if not (root or self._measuring):
            return
        if (
            torch.compiler.is_compiling()
            or module not in self._names
            or self._alone not in (None, self)
        ):
            return
        # A path that ends elsewhere is of a call that something like Ctrl-C broke off.
        if root and (not self._path or self._path[-1] is not module):
            self._start()
        if self._measuring and (self._path or root):
            self._path.append(module)

    def _leave(self, module: nn.Module, args: tuple[Any, ...], output: object) -> None:
        if self._path and self._path[-1] is module:
            self._path.pop()
            if not self._path:
                self._finish()

    def _start(self) -> None:
        """Begin a call of the model: decide whether it is measured."""
        self._path.clear()
        self._outputs.clear()
        self._measuring = False
        if self.only is not None and self.model.training != (self.only == "train"):
            return
        self._measuring = self._calls % self.every == 0
        self._calls += 1
        if self._measuring:
            self._counts: dict[str, int] = {}
            self._depth = 0
            self._last: int | None = None
            self._stepped.clear()
            self._tensor_hooks = [h for h in self._tensor_hooks if h.hooks_dict_ref() is not None]
            _watch.add(self)

    def _finish(self) -> None:
        """End a call of the model: measure the layers whose output nothing consumed."""
        _watch.remove(self)
        for output in self._outputs.values():
            if isinstance(output.z, Tensor):
                self._measure_z(output.row, output.z)
        self._outputs.clear()

    def before(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _After | None:
        """Look at a call of the forward pass; return what shall see its result."""
        source = args[0] if args else kwargs.get("input")
        if name in _calls.ACTIVATIONS and isinstance(source, Tensor) and source.is_floating_point():
            named = {key: value for key, value in kwargs.items() if key != "input"}
            return self._see_activation(name, source, args[1:], named)
        if name in _calls.NORMALIZATIONS and (output := self._take(source)):
            return self._see_normalization(output)
        read = {}
        if self._outputs:
            for value in _calls.tensors((*args, *kwargs.values())):
                if output := self._take(value):
                    if output.undo is None:
                        self._measure_for_now(output, value)
                    read[id(value)] = output
                    output.z = ref(value)
        if name in _calls.AMBIGUOUS:
            self._note(name)
        weight = None
        if name in _calls.WEIGHT_OPS:
            weight = self._see_weight_layer(
                name, kwargs["weight"] if "weight" in kwargs else args[1]
            )
        if not read:
            return weight

        def after(result: object) -> None:
            if name != "__setitem__":
                read.pop(id(result), None)  # it worked in place
                self._outputs |= read
            if weight is not None:
                weight(result)

        return after

    def _see_weight_layer(self, name: str, weight: object) -> _After:
        def after(output: Any) -> None:
            self._depth += 1
            row = self._row(name)
            row.op, row.depth = name, self._depth
            row.unbatched, row.units_last = _calls.WEIGHT_OPS[name], name == "linear"
            if row.weight is not weight and isinstance(weight, nn.Parameter):
                row.weight = weight
                self._seen.add(id(weight))
            new = row.weight is weight and id(weight) not in self._weights
            if new and self.gradients and weight.requires_grad:
                self._weights[id(weight)] = weight
                self._tensor_hooks.append(weight.register_hook(self._weight_hook(weight)))
            self._last = output.shape[-1] if row.units_last and output.ndim > 2 else None
            if output.is_floating_point():
                self._outputs[id(output)] = _Output(row, output)

        return after

    def _see_normalization(self, output: _Output) -> _After:
        """Move on from the output of a weight layer to that of its normalisation."""
        if output.undo is not None:
            output.undo()

        def after(result: Any) -> None:
            self._outputs[id(result)] = _Output(output.row, result)

        return after

    def _see_activation(
        self, name: str, z: Tensor, options: tuple[Any, ...], named: dict[str, Any]
    ) -> _After | None:
        output = self._take(z)
        if output is None:
            if z.ndim < 2:
                self._note(name)
                return None
            output = _Output(self._row(name), z)
            output.row.depth = self._depth
            output.row.units_last = z.ndim > 2 and z.shape[-1] == self._last
        row = output.row
        row.activation = name
        if self._path:
            self._seen.add(id(self._path[-1]))
        if name == "relu":  # all there is to know, in one reading of z
            known = output.undo is not None
            row.add_relu(row.rows_of(z), known)
            if not known:
                self._await_gradient(row, z)
            return None
        if output.undo is None:
            self._measure_z(row, z)
        slopes = _calls.derivative(name, z, options, named).abs()
        limit = SATURATED_BELOW * _calls.steepest(name, z, options, named)
        moving, working = (
            np.asarray(torch.as_tensor(row.rows_of(judged)).sum((0, 2)).cpu())
            for judged in (slopes != 0, slopes >= limit)
        )
        return lambda a: row.add_activation(row.rows_of(a), moving, working)

    def _take(self, value: object) -> _Output | None:
        """Return the weight layer's output that ``value`` is, and forget it."""
        output = self._outputs.get(id(value))
        if output is None or not output.holds(value):  # an id may be in use again
            return None
        return self._outputs.pop(id(value))

    def _note(self, name: str) -> None:
        where = self._names[self._path[-1]] if self._path else ""
        self._ambiguous[f"call {name} in {where or type(self.model).__name__}"] = None

    def _row(self, function: str) -> Row:
        """Return the row of the current call, new or from an earlier batch."""
        module = self._path[-1]
        name = self._names[module]
        if not type(module).__module__.startswith("torch.nn"):
            name = f"{name}.{function}()" if name else f"{function}()"
        name = name or type(module).__name__
        call = self._counts[name] = self._counts.get(name, 0) + 1
        key = name if call == 1 else f"{name}#{call}"
        if key not in self._rows:
            self._rows[key] = Row(key)
        return self._rows[key]

    def _measure_z(self, row: Row, z: Tensor) -> RemovableHandle | None:
        """Add z, and its gradient when that comes."""
        row.add_z(row.rows_of(z))
        return self._await_gradient(row, z)

    def _measure_for_now(self, output: _Output, z: Tensor) -> None:
        """Add z, and its gradient when that comes; ``output.undo`` takes both back."""
        row = output.row
        old = row.images, row.z.copy()
        hook = self._measure_z(row, z)

        def undo() -> None:
            row.images, row.z = old
            if hook is not None:
                hook.remove()

        output.undo = undo

    def _await_gradient(self, row: Row, z: Tensor) -> RemovableHandle | None:
        """Add the gradient of z when that comes."""
        if not (self.gradients and z.requires_grad):
            return None
        hook = z.register_hook(lambda gradient: row.grad.add(row.rows_of(gradient)))
        self._tensor_hooks.append(hook)
        return hook

    @contextmanager
    def _listen_alone(self) -> Iterator[None]:
        before, Probe._alone = Probe._alone, self
        try:
            with self:
                yield
        finally:
            Probe._alone = before

    def _weight_hook(self, weight: nn.Parameter) -> Callable[[Tensor], None]:
        def see(gradient: Tensor) -> None:
            if self._measuring:
                square = _kernels.square(gradient) / gradient.numel()
                for row in self._rows.values():
                    if row.weight is weight:
                        row.grad_weight.add(square)

        return see

    def _before_step(self, optimizer: Optimizer, *_: object) -> None:
        if self._rows and optimizer not in self._stepped:
            self._stepped.add(optimizer)
            moved = {id(p) for group in optimizer.param_groups for p in group["params"]}
            self._before[optimizer] = [
                (row, _kernels.snapshot(row.weight))
                for row in self._rows.values()
                if row.weight is not None and id(row.weight) in moved
            ]

    def _after_step(self, optimizer: Optimizer, *_: object) -> None:
        for row, before in self._before.pop(optimizer, ()):
            size, step = _kernels.change(before, row.weight)
            if size > 0:
                row.update_ratio.add(math.sqrt(step / size))


def measure(
    model: nn.Module,
    loader: Iterable[Any],
    *,
    loss: Loss | None = None,
    training: bool = False,
    tau: float = 0.025,
    units: bool = False,
) -> pd.DataFrame:
    """Measure a model over all batches of ``loader``, and leave it as it was.

    Parameters, their ``grad``, buffers, the mode of each module and the random streams (PyTorch's,
    NumPy's, Python's, and that of the loader's generator) are the same afterwards.

    Args:
        model: Any module. Batches are moved to the device of its first parameter.
        loader: Batches, each a tensor x or a tuple or list that begins with (x, y).
        loss: From (output, y) to a scalar. With it gradients are measured too, without it none.
        training: Measure in training mode (batch statistics, dropout) rather than evaluation mode.
        tau: Threshold of ``dormant``.
        units: Return one row per unit, as ``Probe.units``, rather than one per layer.

    Raises:
        TypeError: If ``model`` is no module, a batch is neither a tensor nor a tuple or list of
            them, or ``loss`` cannot take what the model returns.
        ValueError: If ``loader`` gives no batch, a batch lacks the y that ``loss`` needs, the loss
            is no scalar or depends on no parameter that requires a gradient, or the model calls
            nothing that a probe can see.
    """
    probe = _probed(model, loader, loss, training, tau)
    return probe.units() if units else probe.table()


class Census:
    """Follows each unit's life through a training run, in a ``with`` block.

    ::

        with Census(model, loader, every=50) as census:
            ...  # any training loop
        census.table()

    Dead is judged on the whole of ``loader``, in evaluation mode: at the start of the block, after
    every so many steps of any optimiser that holds a parameter of the model, and at the end. The
    run goes as it would without, bit for bit.

    Args:
        model: Any module.
        loader: Batches as for ``measure``. It is read at every census.
        every: Optimiser steps between two censuses.

    Raises:
        TypeError: If ``model`` is no ``nn.Module``, or ``every`` no integer.
        ValueError: If ``every`` is not positive, or ``loader`` can be read once only, gives no
            batch, or reaches no activation.
    """

    def __init__(self, model: nn.Module, loader: Iterable[Any], *, every: int) -> None:
        self.model = _check_model(model)
        if isinstance(loader, Iterator):
            raise ValueError(
                "loader is read at every census; give a list or a DataLoader, "
                f"not a {type(loader).__name__}, which can be read once"
            )
        self.loader = loader
        self.every = as_int("every", every, 1)
        self._counts: dict[int, pd.Series] = {}
        self._steps = 0

    def __enter__(self) -> "Census":
        """Take the first census and begin to count steps."""
        self._counts.clear()
        self._steps = 0
        self._count()
        self._parameters = {id(parameter) for parameter in self.model.parameters()}
        self._hook = register_optimizer_step_post_hook(self._after_step)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the last census, unless the block failed."""
        self._hook.remove()
        if kind is None and self._steps not in self._counts:
            self._count()

    def states(self) -> pd.DataFrame:
        """Return dead or not: one row per (layer, unit), one column per census, named by its step.

        A unit that met a NaN or an infinity is missing (``pd.NA``).
        """
        return pd.DataFrame(self._counts)

    def table(self) -> pd.DataFrame:
        """Return one row per census and layer.

        Columns: step, layer, units; dead, the share dead now; born_dead, the share dead at the
        start and ever since; killed, the share alive at the start and dead now; deaths and
        revivals, their numbers since the census before.
        """
        rows = []
        for layer, states in self.states().groupby(level="layer", sort=False):
            start = before = ever = states.iloc[:, 0]
            for step, now in states.items():
                ever = ever & now
                shares = {"dead": now, "born_dead": ever, "killed": now & ~start}
                rows.append(
                    {
                        "step": step,
                        "layer": layer,
                        "units": len(states),
                        **{
                            name: float(share.mean()) if share.notna().any() else math.nan
                            for name, share in shares.items()
                        },
                        "deaths": int((now & ~before).sum()),
                        "revivals": int((~now & before).sum()),
                    }
                )
                before = now
        return pd.DataFrame(rows).sort_values("step", kind="stable", ignore_index=True)

    def units(self) -> pd.DataFrame:
        """Return one row per unit.

        Columns: layer, unit; born_dead, dead at the start; deaths and revivals, how often each was
        seen from one census to the next; dead, at the last census; first_death, the step of the
        first census that found it dead, or missing.
        """
        states = self.states()
        before, after = states.iloc[:, :-1], states.iloc[:, 1:]
        after = after.set_axis(before.columns, axis=1)
        dead = states.fillna(False).astype(bool)
        first = dead.idxmax(axis=1).where(dead.any(axis=1)).astype("Int64")
        return pd.DataFrame(
            {
                "born_dead": states.iloc[:, 0],
                "deaths": (after & ~before).sum(axis=1).astype(int),
                "revivals": (~after & before).sum(axis=1).astype(int),
                "dead": states.iloc[:, -1],
                "first_death": first,
            }
        ).reset_index()

    def _count(self) -> None:
        probe = _probed(self.model, self.loader, None, False, 0.0)
        frames = [row.unit_frame(0.0) for row in probe._rows.values() if row.activation]
        if not frames:
            raise ValueError(
                "model calls no activation that a probe can see; there is no life to follow"
            )
        self._counts[self._steps] = pd.concat(frames).set_index(["layer", "unit"])["dead"]

    def _after_step(self, optimizer: Optimizer, *_: object) -> None:
        held = (parameter for group in optimizer.param_groups for parameter in group["params"])
        if any(id(parameter) in self._parameters for parameter in held):
            self._steps += 1
            if self._steps % self.every == 0:
                self._count()


def slope(table: pd.DataFrame, column: str = "grad_z") -> tuple[float, float]:
    """Return the least-squares slope of log10(``column``) against depth, and its R².

    A slope of −1 is a factor of 10 lost with each weight layer towards the output. Rows without a
    weight layer of their own, and those where the column is missing, are left out. A flat profile
    has R² NaN.

    Args:
        table: As ``Probe.table`` gives it.
        column: A positive quantity, such as grad_z or grad_weight.

    Raises:
        ValueError: If a column is missing or holds no numbers, fewer than three layers have a
            number, all have one depth, or a number is zero, negative or infinite, so that it has no
            logarithm.
    """
    for name in ("layer", "op", "depth", column):
        if name not in table:
            raise ValueError(f"table has no column {name!r}; it has {', '.join(map(str, table))}")
    if not is_numeric_dtype(table[column]):
        raise ValueError(f"column must hold numbers, got {column!r}")
    rows = table[(table["op"] != "") & table[column].notna()]
    if len(rows) < 3:
        raise ValueError(f"a slope of {column} needs at least three layers, got {len(rows)}")
    values = rows[column].to_numpy(dtype=float)
    bad = ~(np.isfinite(values) & (values > 0))
    if bad.any():
        layer = rows["layer"].to_numpy()[bad][0]
        raise ValueError(f"{column} of layer {layer} is {values[bad][0]}, which has no logarithm")
    if rows["depth"].nunique() < 2:
        raise ValueError(f"a slope of {column} needs layers of different depths")
    logarithms = np.log10(values)
    if np.ptp(logarithms) == 0:
        return 0.0, math.nan
    fit = linregress(rows["depth"], logarithms)
    return float(fit.slope), float(fit.rvalue**2)


def _probed(
    model: nn.Module, loader: Iterable[Any], loss: Loss | None, training: bool, tau: float
) -> Probe:
    probe = Probe(model, tau=tau, gradients=loss is not None)
    batches = 0
    with (
        _undisturbed(model, loader),
        torch.inference_mode(False),
        torch.set_grad_enabled(loss is not None),
        probe._listen_alone(),
    ):
        model.train(training)
        for batch in loader:
            x, y = _split(batch, model, loss)
            output = model(x)
            if loss is not None:
                model.zero_grad()
                _apply(loss, output, y).backward()
            batches += 1
    if not batches:
        raise ValueError("loader must give at least one batch, got none")
    if not probe._rows:
        raise ValueError(
            "model calls no weight layer and no activation that a probe can see; unseen: "
            + (", ".join(probe.unseen) or "nothing that it knows of")
        )
    return probe


@contextmanager
def _undisturbed(model: nn.Module, loader: object) -> Iterator[None]:
    """Put the model, its gradients and every random stream back as they were."""
    generators = [
        getattr(owner, "generator", None) for owner in (loader, getattr(loader, "sampler", None))
    ]
    generators = [g for g in generators if isinstance(g, torch.Generator)]
    states = [g.get_state() for g in generators]
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - theirs
    modes = {module: module.training for module in model.modules()}
    gradients = {parameter: parameter.grad for parameter in model.parameters()}
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in model.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    for parameter in gradients:
        parameter.grad = None
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
        for module, training in modes.items():
            module.training = training
        for parameter, gradient in gradients.items():
            parameter.grad = gradient
        with torch.no_grad():
            for module, name, buffer, value in buffers:
                setattr(module, name, buffer)
                if not torch.equal(buffer, value):  # a write would spoil a backward pass to come
                    buffer.copy_(value)


def _split(batch: object, model: nn.Module, loss: Loss | None) -> tuple[Tensor, Any]:
    """Return (x, y) of a batch on the model's device; y is None where there is none."""
    parts = batch if isinstance(batch, list | tuple) else (batch,)
    if not parts or not isinstance(parts[0], Tensor):
        raise TypeError(f"a batch must be a tensor or begin with one, got {type(batch).__name__}")
    if loss is not None and len(parts) < 2:
        raise ValueError("a batch must be (x, y) for a loss to be measured, got x alone")
    device = next((parameter.device for parameter in model.parameters()), parts[0].device)
    x, y = (*parts, None)[:2]
    return x.to(device), y.to(device) if isinstance(y, Tensor) else y


def _apply(loss: Loss, output: object, y: object) -> Tensor:
    try:
        value = loss(output, y)
    except (TypeError, AttributeError) as error:
        if isinstance(output, Tensor):
            raise
        raise TypeError(
            f"loss cannot take the model's output, a {type(output).__name__}; give a loss that "
            f"picks its part, such as lambda output, y: cross_entropy(output[0], y) ({error})"
        ) from error
    if not isinstance(value, Tensor) or value.numel() != 1:
        got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"loss must return a scalar tensor, got {got}")
    if not value.requires_grad:
        raise ValueError("loss depends on no parameter that requires a gradient")
    return value


def _check_model(model: object) -> nn.Module:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    if isinstance(model, torch.jit.ScriptModule):
        raise TypeError(
            "model is scripted, and its calls cannot be seen; give the one it was made of"
        )
    for name, module in model.named_modules():
        # compile() leaves a compiled call behind, torch.compile a module around the original.
        if module._compiled_call_impl is not None or "_orig_mod" in module._modules:
            raise TypeError(
                f"model is compiled{f' in {name}' if name else ''}, and its calls cannot be seen; "
                "give the one it was made of (that of torch.compile is in _orig_mod)"
            )
    return model
