"""Predictions to lay beside measurements: how likely a ReLU network is born dead."""

import math
from itertools import count
from typing import NamedTuple

from cnnbook._arguments import as_int


class BornDeadBounds(NamedTuple):
    """Bounds on the probability that a ReLU network is born dead.

    Attributes:
        lower: Lower bound for a one-dimensional input of both signs.
        upper: Upper bound for any set of inputs that holds one other than zero.
    """

    lower: float
    upper: float


def born_dead_bounds(width: int, hidden_layers: int) -> BornDeadBounds:
    """Bound the probability that a ReLU network is dead at initialisation.

    Dead means that some hidden layer is zero on the whole input set. Biases are zero; weights are
    independent, each of a continuous distribution symmetric about zero.

    Upper bound: one input x ≠ 0 leaves each layer, given that the layer before it is alive, dead
    with probability 2^−N; so P(dead on x) = 1 − (1 − 2^−N)^H exactly, and a larger set can only
    be safer. A convolution with circular padding obeys it on a constant image, N its channels.

    Lower bound: x = ±1 stand for a one-dimensional input, as the network is homogeneous. The first
    layer cannot be dead on both; with probability 2^(1−N) it is dead on one, and otherwise its two
    images are orthogonal. From orthogonal images the next layer is dead on both with probability
    4^−N, and leaves one direction (dead on one of them, or alive in a single unit) with probability
    2^(1−N) + (N−2)4^−N; images at a smaller angle die more often, so to treat those that remain
    as orthogonal is a bound. It is exact for H ≤ 2 and for N = 1.

    Args:
        width: N, units of each hidden layer.
        hidden_layers: H, number of hidden layers; depth − 1.

    Returns:
        The pair (lower, upper), to about 14 digits also where they are tiny.

    Raises:
        TypeError: If an argument is no integer.
        ValueError: If one is below 1.

    Source: Lu, Shin, Su & Karniadakis (2020), who give the lower bound as
    1 − a₁^(H−1) + (1−2^(1−N))(1−2^−N)/(1+(N−1)2^−N)·(a₂^(H−1) − a₁^(H−1)) with a₁ = 1 − 2^−N and
    a₂ = 1 − 2^(1−N) − (N−1)4^−N. The recursion here equals it and does not cancel.
    """
    n, layers = as_int("width", width, 1), as_int("hidden_layers", hidden_layers, 1)
    half = math.ldexp(1.0, -n)
    one_way = half * (2 + (n - 2) * half)
    two_ways = 1 - half * (2 + (n - 1) * half)
    from_two = 0.0
    for layer in range(layers - 1):
        from_two = half**2 + one_way * _dead_on_one(n, layer) + two_ways * from_two
    lower = 2 * half * _dead_on_one(n, layers - 1) + (1 - 2 * half) * from_two
    upper = _dead_on_one(n, layers)
    return BornDeadBounds(min(lower, upper), upper)  # both may round to 1


def safe_width(hidden_layers: int, probability: float) -> int:
    """Return the smallest width whose upper bound on P(born dead) is at most ``probability``.

    It is at most ⌈log2(hidden_layers/probability)⌉.

    Args:
        hidden_layers: H, number of hidden layers.
        probability: Largest acceptable P(born dead), between 0 and 1.

    Raises:
        TypeError: If ``hidden_layers`` is no integer.
        ValueError: If it is below 1, or ``probability`` is not strictly between 0 and 1.

    Source: Lu, Shin, Su & Karniadakis (2020).
    """
    layers = as_int("hidden_layers", hidden_layers, 1)
    if not 0 < probability < 1:
        raise ValueError(f"probability must lie strictly between 0 and 1, got {probability}")
    return next(n for n in count(1) if _dead_on_one(n, layers) <= probability)


def _dead_on_one(width: int, hidden_layers: int) -> float:
    """Return P(dead) on a single input, 1 − (1 − 2^−N)^H, without cancellation."""
    return -math.expm1(hidden_layers * math.log1p(-math.ldexp(1.0, -width)))
