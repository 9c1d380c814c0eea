"""Hypothesis strategies: convolutions and poolings of every legal shape."""

from dataclasses import dataclass, field

import torch
from hypothesis import strategies as st
from torch import Tensor

settings = {"max_examples": 120, "deadline": None}


@dataclass
class Case:
    """Tensors of an operation, and its keyword arguments."""

    x: Tensor
    weight: Tensor | None = None
    bias: Tensor | None = None
    options: dict = field(default_factory=dict)


def pairs(low: int, high: int) -> st.SearchStrategy:
    """Draw ints and pairs of ints."""
    numbers = st.integers(low, high)
    return st.one_of(numbers, st.tuples(numbers, numbers))


def _both(value) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def seeded(seed: int, *shape: int) -> Tensor:
    """Return a float64 tensor whose entries are standard normal, the same for the same seed."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def normal(draw, *shape: int) -> Tensor:
    """Draw a float64 tensor whose entries are standard normal."""
    return seeded(draw(st.integers(0, 2**16)), *shape)


@st.composite
def convolutions(draw, paddings: st.SearchStrategy | None = None) -> Case:
    """Draw arguments of a convolution whose kernel fits the padded input."""
    groups = draw(st.integers(1, 3))
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    dilation = draw(pairs(1, 3))
    padding = draw(paddings if paddings is not None else pairs(0, 3))
    stride = 1 if padding == "same" else draw(pairs(1, 3))
    around = (0, 0) if isinstance(padding, str) else _both(padding)
    least = [
        max(1, d * (k - 1) + 1 - 2 * p)
        for k, d, p in zip(kernel, _both(dilation), around, strict=True)
    ]
    size = [draw(st.integers(smallest, smallest + 4)) for smallest in least]
    group_in, group_out = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    weight = normal(draw, groups * group_out, group_in, *kernel)
    bias = draw(st.sampled_from([None, normal(draw, groups * group_out)]))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    x = normal(draw, draw(st.integers(1, 2)), groups * group_in, *size)
    return Case(x, weight, bias, options)


@st.composite
def transposed_convolutions(draw) -> Case:
    """Draw arguments of a transposed convolution that leaves something of the output."""
    groups = draw(st.integers(1, 3))
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    stride, dilation = draw(pairs(1, 3)), draw(pairs(1, 3))
    extra = tuple(
        draw(st.integers(0, max(s, d) - 1))
        for s, d in zip(_both(stride), _both(dilation), strict=True)
    )
    size = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    room = [
        (n - 1) * s + d * (k - 1) + e
        for n, s, d, k, e in zip(size, _both(stride), _both(dilation), kernel, extra, strict=True)
    ]
    padding = tuple(draw(st.integers(0, r // 2)) for r in room)
    group_in, group_out = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    weight = normal(draw, groups * group_in, group_out, *kernel)
    bias = draw(st.sampled_from([None, normal(draw, groups * group_out)]))
    options = {
        "stride": stride,
        "padding": padding,
        "output_padding": extra,
        "dilation": dilation,
        "groups": groups,
    }
    x = normal(draw, draw(st.integers(1, 2)), groups * group_in, *size)
    return Case(x, weight, bias, options)


@st.composite
def poolings(draw, dilated: bool) -> Case:
    """Draw arguments of a pooling whose window fits the padded input."""
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    dilation = draw(pairs(1, 2)) if dilated else 1
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    least = [
        max(1, d * (k - 1) + 1 - 2 * p)
        for k, d, p in zip(kernel, _both(dilation), padding, strict=True)
    ]
    size = [draw(st.integers(smallest, smallest + 5)) for smallest in least]
    options = {
        "kernel_size": kernel,
        "stride": draw(st.one_of(st.none(), pairs(1, 4))),
        "padding": padding,
        "ceil_mode": draw(st.booleans()),
    }
    if dilated:
        options["dilation"] = dilation
    else:
        options["count_include_pad"] = draw(st.booleans())
    # Few distinct values, so that maxima tie as they do behind a ReLU.
    x = normal(draw, draw(st.integers(1, 2)), draw(st.integers(1, 2)), *size)
    return Case(x.round() if draw(st.booleans()) else x, options=options)
