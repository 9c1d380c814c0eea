"""Points for code: the parts of a graded cell, and what they ask of a submission.

A graded cell of the coursework opens a ``Sheet``, tries the student's functions in several parts,
and ends with ``sheet.total()``, the points that nbgrader reads. A part that fails costs its own
points only, and prints why; where the wrong answer is a known one, it names the mistake::

    sheet = marks.Sheet(points=3)
    with sheet.part(1, "one channel") as rng:
        x = torch.randn(1, 1, 5, 5, generator=rng)
        marks.same(double(x), 2 * x, mistakes={"the sign is lost": 2 * x.abs()})
    with sheet.part(2, "the input stays as it was"), marks.untouched(x):
        double(x)
    sheet.total()

Inputs are drawn afresh at every run, so no answer can be learnt by heart; a failing part prints
the seed, and ``MARKS_SEED`` in the environment repeats it.
"""

import hashlib
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from cnnbook._arguments import as_real

STUDENT = "COURSE_STUDENT"  # in the environment: whose work this is; a grader sets it
SEED = "MARKS_SEED"  # in the environment: the seed to repeat
NOT_WRITTEN = "not written yet"

_withheld: ContextVar[tuple[str, ...]] = ContextVar("_withheld", default=())


class Wrong(AssertionError):
    """An answer that is not right.

    Attributes:
        mistake: The misconception behind it, where it is a known one.
    """

    def __init__(self, message: str, mistake: str | None = None) -> None:
        super().__init__(message)
        self.mistake = mistake


class Sheet:
    """The parts of one graded cell and their points.

    Args:
        points: All points of the cell. In the version for students some parts are left out;
            ``total`` then says how many points the hidden ones decide.

    Raises:
        TypeError: If ``points`` is not a number.
        ValueError: If it is not above zero.
    """

    def __init__(self, points: float) -> None:
        self.points = as_real("points", points, above=0)
        self.declared = 0.0
        self.earned = 0.0
        self.seed = _seed()
        self.parts = 0

    @contextmanager
    def part(self, points: float, title: str) -> Iterator[torch.Generator]:
        """Give ``points`` if nothing in the block raises; print a line that says so, or why not.

        Yields:
            A source of fresh random numbers, for ``torch.randn(…, generator=…)`` and its like.

        Raises:
            TypeError: If ``points`` is not a number.
            ValueError: If it is not above zero, or all parts together have more than the sheet.
        """
        points = as_real("points", points, above=0)
        if self.declared + points > self.points + 1e-9:
            raise ValueError(
                f"the parts have {self.declared + points:g} points, the sheet {self.points:g}"
            )
        self.declared += points
        self.parts += 1
        try:
            yield torch.Generator().manual_seed(self.seed + self.parts)
        except Exception as error:
            message, mistake = _explain(error)
            print(f"✗ 0 of {points:g}  {title}")
            print(f"    {message}")
            if mistake:
                print(f"    mistake: {mistake}")
            print(f"    (inputs drawn with {SEED}={self.seed})")
        else:
            self.earned += points
            print(f"✓ {points:g} of {points:g}  {title}")

    def total(self) -> float | None:
        """Return the points earned, which nbgrader reads as the cell's score.

        Where parts are left out, as in the version for students, a line says how many points are
        open. If all visible parts pass, no score is returned, since none is known; nbgrader's
        *Validate* is content with a cell that shows none.
        """
        hidden = self.points - self.declared
        if hidden < 1e-9:
            return round(self.earned, 4)
        print(f"{self.earned:g} of {self.declared:g} here; hidden tests decide {hidden:g} more")
        return None if self.earned == self.declared else round(self.earned, 4)


def same(
    got: Any,
    expected: Any,
    *,
    tolerance: float = 1e-5,
    what: str = "the result",
    mistakes: Mapping[str, Any] | None = None,
) -> None:
    """Require that an answer agrees with the right one.

    Args:
        got: The answer: a tensor, array or number, or a list, tuple or mapping of these.
        expected: The right one, of the same kind and shape.
        tolerance: The largest difference allowed, for floating-point numbers, in units of the
            largest magnitude in ``expected`` (of one, where that is smaller). Integers, truth
            values and strings must be equal.
        what: Its name in the message.
        mistakes: For each known misconception, the answer that it leads to. An answer that agrees
            with one of these, and not with ``expected``, is named by it.

    Raises:
        Wrong: If it does not; the message says where, and by how much.
    """
    reason = _difference(got, expected, tolerance, what)
    if reason is None:
        return
    for mistake, answer in (mistakes or {}).items():
        if _difference(got, answer, tolerance, what) is None:
            raise Wrong(reason, mistake)
    raise Wrong(reason)


def differ(got: Any, expected: Any, tolerance: float = 1e-5) -> bool:
    """Say whether ``same`` would refuse."""
    return _difference(got, expected, tolerance, "the result") is not None


def refuses(
    error: type[Exception], function: Callable[..., Any], *args: Any, **kwargs: Any
) -> None:
    """Require that a call fails with ``error`` and says why.

    Raises:
        Wrong: If it returns, fails in another way, or its message is empty.
    """
    try:
        function(*args, **kwargs)
    except NotImplementedError:
        raise
    except error as refusal:
        if not str(refusal).strip():
            raise Wrong(f"the {error.__name__} has no message", "an error without words") from None
    except Exception as other:
        raise Wrong(f"expected {error.__name__}, got {type(other).__name__}: {other}") from None
    else:
        raise Wrong(f"expected {error.__name__}, but the call returned", "bad input is accepted")


@contextmanager
def untouched(*things: Tensor | np.ndarray | nn.Module) -> Iterator[None]:
    """Require that the block leaves tensors, arrays and modules as they were.

    Of a module: its parameters, their gradients and whether they get any, its buffers, its mode,
    and its hooks.

    Raises:
        Wrong: If one has changed.
    """
    before = [_state(thing) for thing in things]
    yield
    for thing, old in zip(things, before, strict=True):
        new = _state(thing)
        if isinstance(thing, nn.Module) and new["hooks"] != old["hooks"]:
            raise Wrong("a hook is left on the network", "a hook is left behind")
        if isinstance(thing, nn.Module) and new["modes"] != old["modes"]:
            raise Wrong("the network's mode has changed (train or eval)", "the mode is changed")
        if isinstance(thing, nn.Module) and not alike(new.pop("gradients"), old.pop("gradients")):
            raise Wrong("the network's gradients have changed", "gradients are left behind")
        if new.keys() != old.keys() or not all(alike(new[key], old[key]) for key in old):
            raise Wrong("an argument has changed in the call", "in-place edit of the input")


def alike(new: Any, old: Any) -> bool:
    """Say whether two states of a thing are the same: tensors, arrays, or lists of these.

    NaN is the same as NaN, and as nothing else.
    """
    if isinstance(old, Tensor) and isinstance(new, Tensor):
        if new.shape != old.shape:
            return False
        return bool(((new == old) | ((new != new) & (old != old))).all())
    if isinstance(old, list) and isinstance(new, list):
        return len(new) == len(old) and all(map(alike, new, old))
    if isinstance(old, np.ndarray):
        return np.array_equal(new, old, equal_nan=old.dtype.kind == "f")
    return new is old if old is None or new is None else bool(new == old)


def hooks(network: nn.Module) -> int:
    """Return how many hooks a network and its layers carry."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(layer, kind)) for layer in network.modules() for kind in kinds)


@contextmanager
def without(*operators: str) -> Iterator[None]:
    """Withhold PyTorch's own operators from the code under test, wherever it calls them.

    Args:
        *operators: Beginnings of ATen names: ``"convolution"`` (what ``F.conv2d`` and
            ``nn.Conv2d`` run), ``"im2col"`` (``F.unfold``), ``"max_pool"``,
            ``"native_batch_norm"``; or ``"autograd"``, which withholds the backward pass of
            whatever graph the code builds, for derivations that are to be done by hand. Compute
            the answer to compare with outside the block.

    Raises:
        Wrong: At the first call of one of them.
    """
    token = _withheld.set((*_withheld.get(), *operators))
    try:
        with _Withhold(operators):
            yield
    finally:
        _withheld.reset(token)


def withheld() -> tuple[str, ...]:
    """Return the operators withheld just now."""
    return _withheld.get()


def variant(assignment: str, student: str = "") -> np.random.Generator:
    """Return the source of a student's own numbers in an assignment.

    Every student gets other numbers, the same at each run. A grader knows whose work it runs
    (``COURSE_STUDENT`` in the environment, which goes before ``student``); a line says so where
    the two differ.

    Args:
        assignment: The assignment's name.
        student: The student's login, where no grader has set it.

    Raises:
        ValueError: If neither says who the student is.
    """
    own = str(student).strip()
    name = os.environ.get(STUDENT) or own
    if not name:
        raise ValueError('student must be your login, got "": set STUDENT, and run this cell again')
    if own and own != name:
        print(f"this notebook says that you are {own!r}, the grader knows {name!r}: the numbers")
        print(f"drawn here are those of {name!r}")
    digest = hashlib.sha256(f"{assignment}/{name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


class _Withhold(TorchDispatchMode):
    def __init__(self, operators: Sequence[str]) -> None:
        super().__init__()
        self.operators = tuple(operators)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if "autograd" in self.operators and torch._C._current_graph_task_id() != -1:
            raise Wrong(
                "this must be your own derivation, and it calls autograd",
                "autograd in place of the derivation",
            )
        name = func.overloadpacket.__name__.lstrip("_")
        if name.startswith(self.operators):
            raise Wrong(
                f"this must be your own code, and it calls PyTorch's {name}",
                "copies PyTorch's function where forbidden",
            )
        return func(*args, **(kwargs or {}))


def _seed() -> int:
    text = os.environ.get(SEED, "")
    if not text:
        return secrets.randbits(31)
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{SEED} must be an integer, got {text!r}") from None


def _explain(error: Exception) -> tuple[str, str | None]:
    """Return what went wrong, in words, and the misconception, if known."""
    if isinstance(error, Wrong):
        return str(error), error.mistake
    if isinstance(error, NotImplementedError):
        return "nothing is written here yet", NOT_WRITTEN
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}", None


def _difference(got: Any, expected: Any, tolerance: float, what: str) -> str | None:
    """Return in words how ``got`` differs from ``expected``, or None."""
    if got is None and expected is not None:
        return f"{what} is None: is a return missing?"
    if isinstance(expected, Mapping):
        if not isinstance(got, Mapping) or set(got) != set(expected):
            found = f"keys {sorted(map(str, got))}" if isinstance(got, Mapping) else _kind(got)
            return f"{what}: expected keys {sorted(map(str, expected))}, got {found}"
        pairs = [(f"{what}[{key!r}]", got[key], expected[key]) for key in expected]
    elif isinstance(expected, list | tuple):
        if not isinstance(got, list | tuple) or len(got) != len(expected):
            found = f"{len(got)}" if isinstance(got, list | tuple) else _kind(got)
            return f"{what}: expected {len(expected)} values, got {found}"
        pairs = [(f"{what}[{i}]", a, b) for i, (a, b) in enumerate(zip(got, expected, strict=True))]
    elif isinstance(expected, bool):
        found = _array(got)
        agree = found is not None and found.dtype == bool and found.ndim == 0 and found == expected
        return None if agree else f"{what}: expected {expected!r}, got {_kind(got)}"
    elif isinstance(expected, str | type(None)):
        return None if got == expected else f"{what}: expected {expected!r}, got {_kind(got)}"
    else:
        return _gap(got, expected, tolerance, what)
    return next((r for name, a, b in pairs if (r := _difference(a, b, tolerance, name))), None)


def _gap(got: Any, expected: Any, tolerance: float, what: str) -> str | None:
    if isinstance(expected, Tensor) and not isinstance(got, Tensor):
        return f"{what}: expected a tensor, got {_kind(got)}"
    first, second = _array(got), _array(expected)
    if first is None:
        return f"{what}: expected numbers, got {_kind(got)}"
    if first.shape != second.shape:
        return f"{what}: expected shape {second.shape}, got {first.shape}"
    if not second.size:
        return None
    if second.dtype.kind in "biu":
        wrong = first != second
    else:
        with np.errstate(all="ignore"):
            gaps = np.abs(first.astype(np.float64) - second)
        finite = np.abs(second[np.isfinite(second)])
        scale = max(1.0, float(finite.max(initial=0.0)))
        wrong = ~(gaps <= tolerance * scale) & ~(first == second)
        wrong &= ~(np.isnan(first.astype(np.float64)) & np.isnan(second))
    if not wrong.any():
        return None
    if first.ndim == 0:
        return f"{what}: expected {_number(second[()])}, got {_number(first[()])}"
    place = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
    at = ", ".join(str(int(i)) for i in place)
    return (
        f"{what}: {int(wrong.sum())} of {wrong.size} entries differ, the first at [{at}]: "
        f"expected {_number(second[place])}, got {_number(first[place])}"
    )


def _number(value: np.generic) -> str:
    return f"{value:.6g}" if value.dtype.kind == "f" else str(value)


def _array(value: Any) -> np.ndarray | None:
    if isinstance(value, Tensor):
        return value.detach().cpu().resolve_conj().numpy()
    try:
        array = np.asarray(value)
    except Exception:
        return None
    return array if array.dtype.kind in "biuf" else None


def _kind(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '…'}"


def _state(thing: Tensor | np.ndarray | nn.Module) -> dict[str, Any]:
    if isinstance(thing, nn.Module):
        state = {f"state {name}": t.detach().clone() for name, t in thing.state_dict().items()}
        state["gradients"] = [
            None if p.grad is None else p.grad.clone() for p in thing.parameters()
        ]
        state["requires_grad"] = [p.requires_grad for p in thing.parameters()]
        state["modes"] = [m.training for m in thing.modules()]
        state["hooks"] = hooks(thing)
        return state
    if isinstance(thing, Tensor):
        return {"value": thing.detach().clone()}
    return {"value": np.array(thing)}
