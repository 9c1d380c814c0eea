"""Predictions to lay beside measurements: what depth does to signals, gradients and units.

Mean-field predictions are for wide networks whose weights are independent with mean 0 and variance
σ_w²/fan_in, and whose biases have variance σ_b². There q is the second moment of a
pre-activation, and c the correlation of the pre-activations of two inputs. Gaussian means are by
Gauss–Legendre quadrature between the activation's kinks, at which Gauss–Hermite would stumble.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import count, pairwise
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import brentq, minimize_scalar
from scipy.special import digamma, polygamma
from scipy.stats import binom
from torch import nn

from cnnbook._arguments import IntOrPair, as_int, as_pair, as_real
from cnnbook.activations import (
    Activation,
    as_activation,
    gaussian_mean,
    gaussian_pair_mean,
)

_NEARLY = 1e-12  # relative difference that quadrature cannot tell from none
_LEAST_Q, _LARGEST_Q = 1e-60, 1e30
_TINY_Q = 1e-24  # stands for the limit q → 0, where a kink at 0 still has two sides
_SIGMA_W2_RANGE = (1e-4, 1e4)


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
        TypeError: If ``hidden_layers`` is no integer, or ``probability`` no number.
        ValueError: If one is below 1, or the other is not strictly between 0 and 1.

    Source: Lu, Shin, Su & Karniadakis (2020).
    """
    layers = as_int("hidden_layers", hidden_layers, 1)
    most = as_real("probability", probability)
    if not 0 < most < 1:
        raise ValueError(f"probability must lie strictly between 0 and 1, got {probability}")
    return next(n for n in count(1) if _dead_on_one(n, layers) <= most)


def next_q(activation: str | Activation, q: float, sigma_w2: float, sigma_b2: float = 0.0) -> float:
    """Return the second moment of a layer's pre-activations from that of the layer before.

    σ_w² E[φ(√q z)²] + σ_b² with z ~ N(0, 1).

    Args:
        activation: φ, a name in ``ACTIVATIONS`` or an ``Activation``.
        q: Second moment of the pre-activations before, not negative.
        sigma_w2: σ_w², the weights' variance times fan_in, above 0.
        sigma_b2: σ_b², the biases' variance, not negative.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If one is out of range.

    Source: Poole et al. (2016), equation 3; for ReLU, He et al. (2015), equation 8.
    """
    phi, w, b = _layer(activation, sigma_w2, sigma_b2)
    return _next_q(phi, as_real("q", q, least=0), w, b)


def q_star(activation: str | Activation, sigma_w2: float, sigma_b2: float = 0.0) -> float:
    """Return the fixed point of ``next_q`` that layers approach from q = 1.

    It may be 0, as that of tanh is for σ_w² ≤ 1 without biases.

    Args:
        activation: φ, a name in ``ACTIVATIONS`` or an ``Activation``.
        sigma_w2: σ_w², above 0.
        sigma_b2: σ_b², not negative.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If one is out of range, if there is none up to 1e30, or if every q is a fixed
            point, as for ReLU with σ_w² = 2 and no biases.

    Source: Poole et al. (2016), equation 3.
    """
    return _q_star(*_layer(activation, sigma_w2, sigma_b2))


def chi1(
    activation: str | Activation,
    sigma_w2: float,
    sigma_b2: float = 0.0,
    *,
    q: float | None = None,
) -> float:
    """Return χ₁, the factor by which a layer multiplies the square of a gradient's norm.

    σ_w² E[φ′(√q z)²] with z ~ N(0, 1): the mean square of ∂L/∂z of a layer is χ₁ times that of the
    layer behind it, if both are equally wide. It is also the slope at c = 1 of ``next_c``: below 1,
    two inputs become alike with depth (the ordered phase); above, they part (chaos).

    Args:
        activation: φ, a name in ``ACTIVATIONS`` or an ``Activation``.
        sigma_w2: σ_w², above 0.
        sigma_b2: σ_b², not negative.
        q: Where to take it; by default at the fixed point. Where φ is homogeneous (ReLU, Leaky
            ReLU, identity) it is the same for every q.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If one is out of range, or ``q`` is needed and there is no fixed point.

    Source: Poole et al. (2016), equation 6; Schoenholz et al. (2017), section 3.
    """
    phi, w, b = _layer(activation, sigma_w2, sigma_b2)
    if q is not None:
        q = as_real("q", q, least=0)
    elif _is_homogeneous(phi):
        q = 1.0
    else:
        q = _q_star(phi, w, b)
    return _chi1(phi, q, w)


def critical_sigma_w2(activation: str | Activation, sigma_b2: float = 0.0) -> float:
    """Return the σ_w² at which χ₁ = 1, where gradients neither vanish nor explode with depth.

    Args:
        activation: φ, a name in ``ACTIVATIONS`` or an ``Activation``.
        sigma_b2: σ_b², not negative.

    Returns:
        The smallest such σ_w², if there are several.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``sigma_b2`` is out of range, or no σ_w² between 1e-4 and 1e4 is critical.

    Source: Schoenholz et al. (2017), section 3; figure 1 for tanh.
    """
    phi, _, b = _layer(activation, 1.0, sigma_b2)
    if _is_homogeneous(phi):
        found = [1 / max(phi.derivative_second_moment, 1e-300)]
    else:
        found = list(_critical_points(phi, b))
    least, largest = _SIGMA_W2_RANGE
    if found := [w for w in found if least <= w <= largest]:
        return min(found)
    raise ValueError(
        f"activation {phi.name} has no critical sigma_w2 between {least:g} and {largest:g} with "
        f"sigma_b2 {b:g}"
    )


def next_c(activation: str | Activation, c: float, sigma_w2: float, sigma_b2: float = 0.0) -> float:
    """Return the correlation of two inputs' pre-activations from that of the layer before.

    (σ_w² E[φ(u₁) φ(u₂)] + σ_b²)/q*, with u₁ and u₂ Gaussian of variance q* and correlation c: two
    inputs of equal norm, in layers that have come to the fixed point.

    Args:
        activation: φ, a name in ``ACTIVATIONS`` or an ``Activation``.
        c: Correlation before, from −1 to 1.
        sigma_w2: σ_w², above 0.
        sigma_b2: σ_b², not negative.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If one is out of range, or there is no fixed point q* above 0. For homogeneous
            φ without biases any q serves, and none is needed.

    Source: Poole et al. (2016), equation 5; for ReLU, Cho & Saul (2009), equation 6.
    """
    phi, w, b = _layer(activation, sigma_w2, sigma_b2)
    c = as_real("c", c, least=-1)
    if c > 1:
        raise ValueError(f"c must lie between -1 and 1, got {c}")
    return _next_c(phi, c, _pair_q(phi, w, b), w, b)


def c_star(activation: str | Activation, sigma_w2: float, sigma_b2: float = 0.0) -> float:
    """Return the correlation that two different inputs approach with depth.

    It is 1 in the ordered phase and at its edge (closer than 1e-7 no difference is seen), and below
    1 in chaos. For ReLU and other homogeneous φ without biases it is 1 at any σ_w².

    Args:
        activation: φ, a name in ``ACTIVATIONS`` or an ``Activation``.
        sigma_w2: σ_w², above 0.
        sigma_b2: σ_b², not negative.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If one is out of range, if there is no fixed point q* above 0, or if every
            correlation is a fixed point, as for the identity without biases.

    Source: Poole et al. (2016), section 2.
    """
    phi, w, b = _layer(activation, sigma_w2, sigma_b2)
    return _c_star(phi, _pair_q(phi, w, b), w, b)


def depth_scale(activation: str | Activation, sigma_w2: float, sigma_b2: float = 0.0) -> float:
    """Return ξ_c, the number of layers in which the difference of c from c* falls by e.

    −1/ln χ₁ in the ordered phase; in chaos −1/ln(σ_w² E[φ′(u₁) φ′(u₂)]) at correlation c*; infinite
    where χ₁ = 1. Where χ₁ is above 1 by less than 1e-4, it is the leading order in that difference,
    right to half a percent. Schoenholz et al. find networks trainable down to about 6 ξ_c layers.

    For homogeneous φ without biases, such as ReLU, it is infinite at any σ_w²: the norms grow or
    fade, but correlations go to 1 by a power of depth. Where q* is 0, there is no correlation left,
    and −1/ln χ₁ is the number of layers in which signals and gradients fade by e.

    Args:
        activation: φ, a name in ``ACTIVATIONS`` or an ``Activation``.
        sigma_w2: σ_w², above 0.
        sigma_b2: σ_b², not negative.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If one is out of range, or there is no fixed point.

    Source: Schoenholz et al. (2017), equation 9.
    """
    phi, w, b = _layer(activation, sigma_w2, sigma_b2)
    q = 1.0 if _is_homogeneous(phi) and b == 0 else _q_star(phi, w, b)
    slope = _chi1(phi, q, w) if q == 0 else _slope(phi, 1.0, q, w, b)
    # Next to the edge c* is too close to 1 for quadrature. What turns the map of c down from its
    # slope there is a power of 1 − c: the second, or the 1.5th where φ′ jumps.
    near, power = (1e-4, 1.5) if _derivative_jumps(phi) else (1e-5, 2)
    if slope > 1 + near:
        slope = _slope(phi, _c_star(phi, q, w, b), q, w, b)
    elif slope > 1 + _NEARLY:
        slope -= power * (slope - 1)
    if slope <= 0:
        return 0.0
    return math.inf if slope >= 1 - _NEARLY else -1 / math.log(slope)


class LayerFactors(NamedTuple):
    """What a weight layer and the activation before it do to mean squares.

    Attributes:
        signal: E z² behind the layer over E z² before it, on the way forward.
        gradient: E[(∂L/∂z)²] before the layer over that behind it, on the way back.
    """

    signal: float
    gradient: float


def layer_factors(
    layer: nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d,
    activation: str | Activation = "identity",
    *,
    q: float = 1.0,
    size: IntOrPair | None = None,
) -> LayerFactors:
    """Predict what a layer, as it is initialised, does to the scale of signal and gradient.

    The layer's weights have mean square v, and it follows φ(z) with E z² = q. An output sums
    fan_in products, so E z² becomes v · fan_in · E[φ(√q z)²], plus the biases' mean square. A
    gradient comes back through the weights that an input reaches, C_out/groups · kH · kW of them,
    of which a stride of s uses one in s² on average: v · fan_back · E[φ′(√q z)²]. Equally many
    channels on both sides, stride 1 and He's start for ReLU give 1 and 1.

    Only the mean square counts, not the distribution, if weights of different outputs are
    uncorrelated and have mean 0. At an image's border part of the windows lies on zeros, or there
    are fewer windows: ``size`` has that counted, for signals and gradients that enter with the same
    mean square everywhere. For many layers with zero padding see ``border_signal``.

    Args:
        layer: Dense or convolutional layer, with its weights drawn.
        activation: φ before the layer, a name in ``ACTIVATIONS`` or an ``Activation``; the identity
            where the layer reads the input.
        q: Mean square of the pre-activations before φ (with the identity: of the layer's input),
            above 0.
        size: Size in pixels of the images that a convolution reads, one number for all axes or one
            for each; by default they have no border.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``q`` is not above 0, ``activation`` names none, ``size`` is given for a
            dense layer or is smaller than its window, or the layer has no weights yet, or none.

    Source: Glorot & Bengio (2010), equations 5 and 6; He et al. (2015), equations 7 and 12; the
    border is derived here.
    """
    if not isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
        raise TypeError(f"layer must be dense or convolutional, got {type(layer).__name__}")
    phi, q = as_activation(activation), as_real("q", q, above=0)
    if isinstance(layer.weight, nn.parameter.UninitializedParameter) or not layer.weight.numel():
        raise ValueError(f"layer must have weights, got {layer!r}")
    weight = layer.weight.detach().double()
    square = weight.square().mean().item()
    bias = 0.0 if layer.bias is None else layer.bias.detach().double().square().mean().item()
    inputs = layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels
    fan_back = weight.numel() / inputs / math.prod(getattr(layer, "stride", ()))
    forward, back = (1.0, 1.0) if size is None else _border(layer, size)
    return LayerFactors(
        _next_q(phi, q, square * weight[0].numel() * forward, bias) / q,
        _chi1(phi, q, square * fan_back * back),
    )


def border_signal(size: IntOrPair, kernel_size: IntOrPair, layers: int) -> np.ndarray:
    """Return what zero padding leaves of a signal's mean square, after each of so many layers.

    At the image's edge part of a window lies on the padding and adds nothing. A stride-1
    convolution that keeps the size averages the mean square over each window, the padding counted
    as 0; circular padding would leave it whole. The values are relative to that. From layer to
    layer they come to fall by a constant factor, for kernel 3 and size n by
    (1 + 2 cos(π/(n + 1)))/3 an axis. A gradient on its way back loses the same.

    Args:
        size: Image size in pixels, n or (H, W).
        kernel_size: Kernel size in pixels, k or (kH, kW), odd.
        layers: Number of convolutions.

    Returns:
        Shape (layers,): the mean over positions, for an input of constant mean square and a
        homogeneous φ at its critical σ_w².

    Raises:
        TypeError: If an argument is no integer, or pair of them.
        ValueError: If one is below 1, or ``kernel_size`` is even.

    Source: derived here; the factor is the largest eigenvalue of a tridiagonal Toeplitz matrix.
    """
    area, kernel = as_pair("size", size, 1), as_pair("kernel_size", kernel_size, 1)
    number = as_int("layers", layers, 1)
    if not kernel[0] % 2 == kernel[1] % 2 == 1:
        raise ValueError(f"kernel_size must be odd, got {kernel_size}")
    left = np.ones(number)
    for n, k in zip(area, kernel, strict=True):
        places = np.arange(n)
        window = (abs(places[:, None] - places) <= k // 2) / k
        share = np.ones(n)
        for layer in range(number):
            share = window @ share
            left[layer] *= share.mean()
    return left


class LogNorm(NamedTuple):
    """Moments of ln(‖a_L‖²/‖x‖²) over the draw of the weights.

    Attributes:
        mean: Its mean.
        variance: Its variance.
    """

    mean: float
    variance: float


def log_norm_moments(widths: Sequence[int]) -> LogNorm:
    """Return mean and variance of ln(‖a_L‖²/‖x‖²) in a ReLU network of finite width.

    Weights are Gaussian of variance 2/fan_in, biases zero. Given ‖a‖ before it, a layer of n units
    behind one of m has ‖a‖² (2/m) χ²_K, with K ~ Binomial(n, ½) the number of active units; the
    layers are independent. Exact, given that no layer is dead (K ≥ 1). For large widths and
    β = Σ 1/n the variance is about 5β, and the mean, beside ln(n_L/n_0), about −2.5β.

    Args:
        widths: n_0, …, n_L, the features of the input and the units of each hidden layer.

    Raises:
        TypeError: If ``widths`` is no sequence of integers.
        ValueError: If it has fewer than two entries, or one is below 1.

    Source: derived here; Hanin (2018) and Hanin & Rolnick (2018) bound the same moments by β.
    """
    if not isinstance(widths, Sequence) or isinstance(widths, str):
        raise TypeError(f"widths must be a sequence of integers, got {widths!r}")
    sizes = [as_int(f"widths[{i}]", n, 1) for i, n in enumerate(widths)]
    if len(sizes) < 2:
        raise ValueError(f"widths must have at least two entries, got {widths!r}")
    mean = variance = 0.0
    for before, n in zip(sizes, sizes[1:], strict=False):
        active = np.arange(1, n + 1)
        odds = binom.pmf(active, n, 0.5)
        odds /= odds.sum()
        logs = digamma(active / 2) + math.log(2)
        average = odds @ logs
        mean += math.log(2 / before) + average
        variance += odds @ polygamma(1, active / 2) + odds @ (logs - average) ** 2
    return LogNorm(float(mean), float(variance))


def batch_norm_gradient_factor(activation: str | Activation) -> float:
    """Return the factor a layer by which batch norm makes squared gradient norms grow backwards.

    E[φ′(z)²]/Var φ(z) with z ~ N(0, 1), for a plain wide network in the order weight layer, batch
    norm, φ, and large batches: the weights' size cancels, since the norm divides by the spread of
    W φ. It is at least 1, with equality for the identity only; π/(π − 1) for ReLU.

    Args:
        activation: φ, a name in ``ACTIVATIONS`` or an ``Activation``.

    Raises:
        TypeError: If ``activation`` is neither a name nor an ``Activation``.
        ValueError: If it names none.

    Source: Yang et al. (2019), "A mean field theory of batch normalization".
    """
    phi = as_activation(activation)
    return phi.derivative_second_moment / (phi.second_moment - phi.mean**2)


class _NoFixedPoint(ValueError):
    """There is no fixed point q*, or not one only."""


def _layer(
    activation: str | Activation, sigma_w2: float, sigma_b2: float
) -> tuple[Activation, float, float]:
    return (
        as_activation(activation),
        as_real("sigma_w2", sigma_w2, above=0),
        as_real("sigma_b2", sigma_b2, least=0),
    )


def _is_homogeneous(phi: Activation) -> bool:
    """Return whether φ(sz) = s φ(z) for s ≥ 0, as far as a few points tell."""
    z = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    return all(torch.allclose(phi(s * z), s * phi(z), rtol=1e-9, atol=0) for s in (1e-3, 30.0))


def _next_q(phi: Activation, q: float, w: float, b: float) -> float:
    return w * gaussian_mean(lambda z: phi(z) ** 2, 0.0, math.sqrt(q), phi.kinks) + b


def _chi1(phi: Activation, q: float, w: float) -> float:
    std = math.sqrt(max(q, _TINY_Q))
    return w * gaussian_mean(lambda z: phi.derivative(z) ** 2, 0.0, std, phi.kinks)


def _q_star(phi: Activation, w: float, b: float) -> float:
    where = f"activation {phi.name} with sigma_w2 {w:g} and sigma_b2 {b:g}"
    if _is_homogeneous(phi):
        factor = w * phi.second_moment
        if factor < 1 - _NEARLY:
            return b / (1 - factor)
        if factor <= 1 + _NEARLY and b == 0:
            raise _NoFixedPoint(f"{where}: every q is a fixed point; name the one that is meant")
        raise _NoFixedPoint(f"{where}: no fixed point, q grows without bound")

    def growth(log_q: float) -> float:
        after = _next_q(phi, math.exp(log_q), w, b)
        return math.log(after) - log_q if after else -math.inf

    def fixed(low: float, high: float) -> float:
        return math.exp(
            brentq(growth, low, high, xtol=1e-14) if growth(low) * growth(high) < 0 else low
        )

    if abs(growth(0.0)) <= _NEARLY:
        return 1.0
    sign = math.copysign(1.0, growth(0.0))
    steps = np.arange(0, abs(math.log(_LARGEST_Q if sign > 0 else _LEAST_Q)), math.log(4)) * sign
    # Walk until the sign changes. Where it might change twice within a step, look at the dip.
    walked = [(0.0, sign * growth(0.0))]
    for there in steps[1:]:
        walked.append((there, sign * growth(there)))
        (before, high), (here, low), (_, new) = (walked[0], *walked)[-3:]
        if math.inf > high > low <= new < math.inf:
            span = sorted((before, there))
            dip = minimize_scalar(lambda x: sign * growth(x), bounds=span, method="bounded").x
            if -sign * growth(dip) > _NEARLY:
                return fixed(before, dip)
        if -new > _NEARLY:
            return fixed(here, there)
    if sign > 0:
        raise _NoFixedPoint(f"{where}: no fixed point, q grows beyond {_LARGEST_Q:g}")
    return 0.0


def _critical_points(phi: Activation, b: float) -> Iterator[float]:
    """Yield each σ_w² whose fixed point q*, if it is approached from 1, has χ₁ = 1.

    It takes q for the variable: σ_w² = (q − σ_b²)/E[φ²] makes it a fixed point.
    """

    def sigma_w2(log_rise: float) -> tuple[float, float]:
        q = b + math.exp(log_rise)
        return q, math.exp(log_rise) / _next_q(phi, q, 1.0, 0.0)

    def excess(log_rise: float) -> float:
        return math.log(_chi1(phi, *sigma_w2(log_rise)))

    candidates = [1 / _chi1(phi, 0.0, 1.0)] if b == 0 else []  # q* = 0
    least = _SIGMA_W2_RANGE[0] * _next_q(phi, b, 1.0, 0.0) if b else 1e-6
    grid = np.arange(math.log(least), math.log(1e12 * max(1.0, b)), 0.2)
    for (low, left), (high, right) in pairwise((point, excess(point)) for point in grid):
        if left * right < 0:
            candidates.append(sigma_w2(brentq(excess, low, high, xtol=1e-14))[1])
    for w in candidates:
        try:
            if abs(_chi1(phi, _q_star(phi, w, b), w) - 1) < 1e-6:
                yield w
        except _NoFixedPoint:
            continue


def _border(layer: nn.Module, size: IntOrPair) -> tuple[float, float]:
    """Return the factors by which a border lessens signal and gradient, as means over positions.

    Both count the pairs of a window's tap and a pixel that it reads: the signal by window and tap,
    the gradient by pixel, relative to an image without border.
    """
    if isinstance(layer, nn.Linear):
        raise ValueError(f"size must be None for a dense layer, got {size}")
    kernel, forward, back = layer.kernel_size, 1.0, 1.0
    sizes = size if isinstance(size, Sequence) else [size] * len(kernel)
    if len(sizes) != len(kernel):
        raise ValueError(f"size must be one integer or {len(kernel)}, got {size!r}")
    for axis, (n, k) in enumerate(zip(sizes, kernel, strict=True)):
        n, stride, reach = as_int("size", n, 1), layer.stride[axis], layer.dilation[axis] * (k - 1)
        low = high = layer.padding[axis] if not isinstance(layer.padding, str) else 0
        if layer.padding == "same":
            low, high = reach // 2, reach - reach // 2
        starts = np.arange(-low, n + high - reach, stride)
        if not len(starts):
            raise ValueError(f"size must be at least that of the layer's window, got {size!r}")
        taps = starts[:, None] + layer.dilation[axis] * np.arange(k)
        inside = taps.size if layer.padding_mode != "zeros" else ((taps >= 0) & (taps < n)).sum()
        forward *= inside / taps.size
        back *= inside * stride / (n * k)
    return float(forward), float(back)


def _pair_q(phi: Activation, w: float, b: float) -> float:
    """Return q* for a pair of inputs, which needs one above 0."""
    if _is_homogeneous(phi) and b == 0:
        return 1.0
    q = _q_star(phi, w, b)
    if q == 0:
        raise _NoFixedPoint(
            f"activation {phi.name} with sigma_w2 {w:g} and sigma_b2 {b:g}: q* is 0, and what is "
            "zero has no correlation"
        )
    return q


def _next_c(phi: Activation, c: float, q: float, w: float, b: float) -> float:
    covariance = w * gaussian_pair_mean(phi.function, math.sqrt(q), c, phi.kinks) + b
    return covariance / _next_q(phi, q, w, b)


def _slope(phi: Activation, c: float, q: float, w: float, b: float) -> float:
    """Return the slope of ``next_c`` at c."""
    if c == 1:
        slope = _chi1(phi, q, w)
    else:
        slope = w * gaussian_pair_mean(phi.derivative, math.sqrt(q), c, phi.kinks)
    return slope * q / _next_q(phi, q, w, b)


def _derivative_jumps(phi: Activation) -> bool:
    kinks = torch.tensor(phi.kinks, dtype=torch.float64)
    return not torch.allclose(phi.derivative(kinks - 1e-9), phi.derivative(kinks + 1e-9), atol=1e-6)


def _c_star(phi: Activation, q: float, w: float, b: float) -> float:
    def rise(c: float) -> float:
        return _next_c(phi, c, q, w, b) - c

    # The map is convex on [0, 1], starts at or above 0, and ends at 1.
    starts_at_0 = rise(0.0) <= _NEARLY
    if _slope(phi, 1.0, q, w, b) <= 1 + _NEARLY:
        if starts_at_0 and _is_homogeneous(phi):
            raise _NoFixedPoint(f"activation {phi.name} without biases: every c is a fixed point")
        return 1.0
    if starts_at_0:
        return 0.0
    last = 1 - 1e-7
    return brentq(rise, 0.0, last, xtol=1e-13) if rise(last) < 0 else 1.0


def _dead_on_one(width: int, hidden_layers: int) -> float:
    """Return P(dead) on a single input, 1 − (1 − 2^−N)^H, without cancellation."""
    return -math.expm1(hidden_layers * math.log1p(-math.ldexp(1.0, -width)))
