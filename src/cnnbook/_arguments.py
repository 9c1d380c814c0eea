"""Argument checks shared by the public functions: the error names argument, value and choice."""

import math
import operator
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor

Pair: TypeAlias = tuple[int, int]
IntOrPair: TypeAlias = int | Sequence[int]
Padding: TypeAlias = int | Sequence[int] | str
_Choice = TypeVar("_Choice")


def as_int(name: str, value: object, minimum: int) -> int:
    """Return ``value`` as an int of at least ``minimum``.

    Raises:
        TypeError: If ``value`` is not an integer (booleans are not).
        ValueError: If it is smaller than ``minimum``.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if number < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {number}")
    return number


def as_real(
    name: str, value: object, *, least: float = -math.inf, above: float = -math.inf
) -> float:
    """Return ``value`` as a finite float that is at least ``least`` and greater than ``above``.

    Raises:
        TypeError: If ``value`` is not a number (booleans are not).
        ValueError: If it is out of range.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        number = float(value)
    except OverflowError:  # an integer beyond 1.8e308
        number = math.inf
    if not math.isfinite(number) or number < least or number <= above:
        bounds = ((" and ≥", least), (" and >", above))
        limits = "".join(f"{sign} {bound:g}" for sign, bound in bounds if bound > -math.inf)
        raise ValueError(f"{name} must be finite{limits}, got {value}")
    return number


def as_probability(name: str, value: object) -> float:
    """Return ``value`` as a probability below 1, at which dropout would leave nothing.

    Raises:
        TypeError: If ``value`` is not a number.
        ValueError: If it is not in [0, 1).
    """
    p = as_real(name, value)
    if not 0 <= p < 1:
        raise ValueError(f"{name} must be at least 0 and below 1, got {p}")
    return p


def as_bool(name: str, value: object) -> bool:
    """Return ``value``, which must be True or False.

    Raises:
        TypeError: If it is not.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return value


def as_choice(name: str, value: object, choices: Mapping[str, _Choice], other: str) -> _Choice:
    """Return what ``value`` names among ``choices``; ``other`` says what else may be given.

    Raises:
        TypeError: If ``value`` is not a string.
        ValueError: If it names none of them.
    """
    if isinstance(value, str) and value in choices:
        return choices[value]
    error = ValueError if isinstance(value, str) else TypeError
    raise error(f"{name} must be {other} or one of {', '.join(choices)}, got {value!r}")


def as_device(name: str, value: object) -> torch.device:
    """Return ``value`` as a device that this machine has.

    Args:
        name: Name of the argument, for the message.
        value: Such as ``"cuda"``.

    Raises:
        TypeError: If it is neither a string nor a device.
        ValueError: If it names no device, or one that this machine lacks.
    """
    if not isinstance(value, str | torch.device):
        raise TypeError(f"{name} must be a device such as 'cuda', got {value!r}")
    try:
        found = torch.device(value)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{name} must be a device of this machine, got {value!r}: {reason}"
        ) from None
    if found.type == "meta":
        raise ValueError(f"{name} must hold numbers, got 'meta'")
    return found


def check_callable(name: str, value: object) -> None:
    """Check that ``value`` can be called.

    Raises:
        TypeError: If it cannot.
    """
    if not callable(value):
        raise TypeError(f"{name} must be callable, got {value!r}")


def as_pair(name: str, value: object, minimum: int) -> tuple[int, int]:
    """Return ``value``, an int or a pair of ints, as (vertical, horizontal).

    Raises:
        TypeError: If ``value`` is neither an integer nor a sequence of integers.
        ValueError: If it has another length than two, or an entry is smaller than ``minimum``.
    """
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) != 2:
            raise ValueError(f"{name} must be an integer or a pair of integers, got {value!r}")
        return as_int(f"{name}[0]", value[0], minimum), as_int(f"{name}[1]", value[1], minimum)
    try:
        number = as_int(name, value, minimum)
    except TypeError:
        raise TypeError(f"{name} must be an integer or a pair of integers, got {value!r}") from None
    return number, number


def as_padding(
    padding: Padding,
    kernel_size: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the padding as ((top, bottom), (left, right)).

    ``"valid"`` adds nothing. ``"same"`` adds d·(k − 1) in all to each axis, the odd one at the
    bottom or right, as PyTorch does; it is defined for stride 1 only.

    Raises:
        TypeError: If ``padding`` is neither an integer, a pair of integers nor a string.
        ValueError: If the string is unknown, or ``"same"`` meets a stride above 1.
    """
    if isinstance(padding, str):
        if padding == "valid":
            return (0, 0), (0, 0)
        if padding != "same":
            raise ValueError(
                f'padding must be an integer, a pair, "same" or "valid", got {padding!r}'
            )
        if stride != (1, 1):
            raise ValueError(f'padding "same" needs stride 1, got stride {stride}')
        totals = [d * (k - 1) for k, d in zip(kernel_size, dilation, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)  # type: ignore[return-value]
    vertical, horizontal = as_pair("padding", padding, 0)
    return (vertical, vertical), (horizontal, horizontal)


def output_size(
    sizes: Pair,
    kernels: Pair,
    strides: Pair,
    paddings: tuple[Pair, Pair],
    dilations: Pair,
    ceil_mode: bool = False,
) -> Pair:
    """Return ``geometry.conv_output_size`` of pairs that were checked already.

    ``paddings`` are ((top, bottom), (left, right)).

    Raises:
        ValueError: If the kernel exceeds the padded input.
    """
    outputs = []
    for n, k, s, (before, after), d in zip(
        sizes, kernels, strides, paddings, dilations, strict=True
    ):
        span = d * (k - 1) + 1
        free = n + before + after - span
        if free < 0:
            raise ValueError(
                f"kernel_size {k} with dilation {d} spans {span} pixels, "
                f"more than the padded input of {n + before + after}"
            )
        out = free // s + 1
        if ceil_mode and free % s and out * s < n + before:
            out += 1
        outputs.append(out)
    return outputs[0], outputs[1]


def check_images(name: str, x: object) -> None:
    """Check that ``x`` is a floating-point tensor (N, C, H, W) with no empty axis but perhaps N.

    Raises:
        TypeError: If ``x`` is no tensor, or its dtype is no real floating-point one.
        ValueError: If its rank is not 4, or C, H or W is 0.
    """
    check_float_tensor(name, x)
    if x.ndim != 4:
        raise ValueError(f"{name} must have 4 axes (N, C, H, W), got shape {tuple(x.shape)}")
    if 0 in x.shape[1:]:
        raise ValueError(f"{name} must have no empty axis C, H or W, got shape {tuple(x.shape)}")


def check_float_tensor(name: str, value: object) -> None:
    """Check that ``value`` is a tensor of a real floating-point dtype.

    Raises:
        TypeError: If it is not.
    """
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(value).__name__}")
    if not value.is_floating_point():
        raise TypeError(f"{name} must have a floating-point dtype, got {value.dtype}")


def check_same_dtype(name: str, value: Tensor, other_name: str, other: Tensor) -> None:
    """Check that two tensors share one dtype, as PyTorch demands of its convolutions.

    Raises:
        TypeError: If they do not.
    """
    if value.dtype != other.dtype:
        raise TypeError(
            f"{name} must have the dtype of {other_name}, {other.dtype}, got {value.dtype}"
        )


def check_shape(name: str, value: Tensor, expected: Sequence[int]) -> None:
    """Check that ``value`` has the ``expected`` shape.

    Raises:
        ValueError: If it has another.
    """
    if value.shape != torch.Size(expected):
        raise ValueError(
            f"{name} must have shape {tuple(expected)}, got shape {tuple(value.shape)}"
        )
