"""``theory`` against exact fractions, closed forms and Monte-Carlo draws of networks."""

import math
from fractions import Fraction
from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from cnnbook import init, theory
from cnnbook.activations import ACTIVATIONS, gaussian_pair_mean
from cnnbook.repro import generator
from cnnbook.theory import born_dead_bounds, safe_width

WIDTHS, DEPTHS = st.integers(1, 200), st.integers(1, 60)


def dead_fraction(x, width, hidden_layers, draws, seed):
    """Draw ReLU networks without biases; x is (inputs, features). Return the share dead on x."""
    own = generator(seed)
    a = x.expand(draws, *x.shape)
    dead = torch.zeros(draws, dtype=torch.bool)
    for _ in range(hidden_layers):
        weight = torch.randn(draws, a.shape[-1], width, generator=own)
        a = torch.relu(a @ weight)
        a = a / a.amax(dim=(1, 2), keepdim=True).clamp(min=1e-30)  # a scale kills and revives none
        dead |= (a == 0).all(dim=2).all(dim=1)
    return dead.double().mean().item()


def closed_form(width, hidden_layers):
    """Return the bounds as published, in exact fractions."""
    e, n = Fraction(1, 2**width), hidden_layers - 1
    a1, a2 = 1 - e, 1 - 2 * e - (width - 1) * e**2
    weight = (1 - 2 * e) * (1 - e) / (1 + (width - 1) * e)
    return 1 - a1**n + weight * (a2**n - a1**n), 1 - a1**hidden_layers


@given(WIDTHS, DEPTHS)
def test_bounds_are_the_published_ones_to_14_digits(width, hidden_layers):
    lower, upper = closed_form(width, hidden_layers)
    found = born_dead_bounds(width, hidden_layers)
    assert found == pytest.approx((float(lower), float(upper)), rel=2e-14, abs=0)


@given(WIDTHS, DEPTHS)
def test_bounds_are_ordered_and_monotone(width, hidden_layers):
    found = born_dead_bounds(width, hidden_layers)
    deeper = born_dead_bounds(width, hidden_layers + 1)
    wider = born_dead_bounds(width + 1, hidden_layers)
    assert 0 <= found.lower <= found.upper <= 1
    for end in (0, 1):
        assert deeper[end] >= found[end] * (1 - 1e-14)
        assert wider[end] <= found[end] * (1 + 1e-14)


def test_bounds_stay_probabilities_where_they_round_to_one():
    assert born_dead_bounds(2, 2000) == (1, 1)
    for layers in range(100, 200):  # at 130 the last digit of the lower one rounds up
        lower, upper = born_dead_bounds(2, layers)
        assert lower <= upper <= 1


@pytest.mark.parametrize("width", range(1, 9))
def test_one_layer_by_enumeration_of_signs(width):
    # x = 1 sees the sign of each weight, x = −1 the opposite one; all sign patterns are equal.
    patterns = list(product((-1, 1), repeat=width))
    dead_on_one = sum(max(signs) < 0 for signs in patterns)
    dead_on_both = sum(max(signs) < 0 and min(signs) > 0 for signs in patterns)
    expected = (dead_on_both / len(patterns), dead_on_one / len(patterns))
    assert born_dead_bounds(width, 1) == pytest.approx(expected, rel=1e-15, abs=0)


@pytest.mark.parametrize("width", range(1, 6))
def test_two_layers_by_enumeration_of_signs(width):
    # The images of ±1 share no unit, so that the next layer's z are independent and symmetric.
    alive = Fraction(0)
    for signs in product((-1, 1), repeat=width):
        directions = len(set(signs))
        alive += (1 - Fraction(1, 2 ** (width * directions))) / 2**width
    assert born_dead_bounds(width, 2).lower == pytest.approx(float(1 - alive), rel=1e-14)


@pytest.mark.parametrize(("width", "both_signs"), [(2, 0.882), (3, 0.581), (5, 0.126), (10, 0.001)])
def test_monte_carlo_lies_at_the_upper_and_between_the_bounds(width, both_signs):
    layers, draws = 9, 20_000
    lower, upper = born_dead_bounds(width, layers)
    error = math.sqrt(upper * (1 - upper) / draws)
    one = dead_fraction(torch.tensor([[0.3, -1.2, 2.0]]), width, layers, draws, seed=width)
    assert one == pytest.approx(upper, abs=4 * error)
    two = dead_fraction(torch.tensor([[-1.0], [1.0]]), width, layers, draws, seed=100 + width)
    assert lower - 4 * error < two < upper - 4 * error
    assert two == pytest.approx(both_signs, abs=0.01)


@given(st.integers(1, 10_000), st.floats(1e-300, 1, exclude_max=True))
def test_safe_width_is_the_smallest(hidden_layers, probability):
    width = safe_width(hidden_layers, probability)
    assert -math.expm1(hidden_layers * math.log1p(-(2.0**-width))) <= probability
    if width > 1:
        assert -math.expm1(hidden_layers * math.log1p(-(2.0 ** (1 - width)))) > probability
    assert width <= max(1, math.ceil(math.log2(hidden_layers / probability)))


@pytest.mark.parametrize("width", [1, 2, 10, 60])
def test_safe_width_reaches_an_exact_bound(width):
    assert safe_width(1, 2.0**-width) == width


# ---------------------------------------------------------------- mean field


def draw(phi, q, c=0.0, draws=400_000, seed=0):
    """Return Gaussian u and v of variance q and correlation c."""
    own = generator(seed)
    u, rest = (torch.randn(draws, generator=own, dtype=torch.float64) for _ in range(2))
    return math.sqrt(q) * u, math.sqrt(q) * (c * u + math.sqrt(1 - c**2) * rest)


def near(found, sample):
    """Say whether a number is the mean of a sample, to five standard errors."""
    error = sample.std().item() / math.sqrt(len(sample))
    return abs(found - sample.mean().item()) <= 5 * error + 1e-12


NAMES = st.sampled_from(sorted(ACTIVATIONS))


@given(NAMES, st.floats(0.01, 9), st.floats(0.1, 4), st.floats(0, 1), st.integers(0, 999))
@settings(max_examples=25, deadline=None)
def test_factors_agree_with_monte_carlo(name, q, sigma_w2, sigma_b2, seed):
    phi = ACTIVATIONS[name]
    u, _ = draw(phi, q, seed=seed)
    assert near(theory.next_q(name, q, sigma_w2, sigma_b2), sigma_w2 * phi(u) ** 2 + sigma_b2)
    assert near(theory.chi1(name, sigma_w2, q=q), sigma_w2 * phi.derivative(u) ** 2)


@given(NAMES, st.floats(0.1, 9), st.floats(-1, 1), st.integers(0, 999))
@settings(max_examples=25, deadline=None)
def test_pair_means_agree_with_monte_carlo(name, q, c, seed):
    phi = ACTIVATIONS[name]
    u, v = draw(phi, q, c, seed=seed)
    for function in (phi.function, phi.derivative):
        found = gaussian_pair_mean(function, math.sqrt(q), c, phi.kinks)
        assert near(found, function(u) * function(v))


@given(st.floats(-1, 1), st.floats(0.1, 5))
@settings(deadline=None)
def test_pairs_through_relu_have_the_arc_cosine_kernels(c, q):
    angle = math.acos(c)
    first = (math.sin(angle) + (math.pi - angle) * c) / (2 * math.pi)
    relu = ACTIVATIONS["relu"]
    found = gaussian_pair_mean(relu.function, math.sqrt(q), c, relu.kinks)
    assert found == pytest.approx(q * first, rel=1e-7, abs=1e-9)
    zeroth = (math.pi - angle) / (2 * math.pi)
    found = gaussian_pair_mean(relu.derivative, 1.0, c, relu.kinks)
    assert found == pytest.approx(zeroth, rel=1e-7, abs=1e-9)
    assert theory.next_c("relu", c, 2.0) == pytest.approx(2 * first, rel=1e-7, abs=1e-9)


def test_pair_means_at_the_ends():
    assert gaussian_pair_mean(torch.tanh, 0.0, 0.3) == 0
    square = gaussian_pair_mean(lambda u: u, 2.0, 1.0)
    assert square == pytest.approx(4) and gaussian_pair_mean(lambda u: u, 2.0, -1.0) == -square


@given(NAMES, st.floats(0.2, 3), st.floats(0, 0.5))
@settings(max_examples=30, deadline=None)
def test_fixed_points_are_fixed_and_approached_from_one(name, sigma_w2, sigma_b2):
    try:
        found = theory.q_star(name, sigma_w2, sigma_b2)
    except ValueError:  # then q grows wherever it is
        for q in np.geomspace(1, 1e8, 300):
            assert theory.next_q(name, q, sigma_w2, sigma_b2) > q
        return
    after = theory.next_q(name, found, sigma_w2, sigma_b2)
    assert after == pytest.approx(found, rel=1e-9, abs=1e-12)
    q = 1.0
    distances = []
    for _ in range(30):
        distances.append(abs(q - found))
        q = theory.next_q(name, q, sigma_w2, sigma_b2)
    assert distances[-1] <= distances[0] and sorted(distances, reverse=True) == pytest.approx(
        distances, abs=1e-9
    )


@pytest.mark.parametrize(
    ("name", "sigma_w2", "sigma_b2"),
    [("silu", 2.12542, 0.284847), ("hardswish", 2.02373, 0.420626)],
)
def test_a_fixed_point_close_to_an_unstable_one_is_found(name, sigma_w2, sigma_b2):
    q = 1.0
    for _ in range(1500):
        q = theory.next_q(name, q, sigma_w2, sigma_b2)
    assert theory.q_star(name, sigma_w2, sigma_b2) == pytest.approx(q, rel=1e-3)


@given(NAMES, st.floats(0, 2))
@example("elu", 0.1)
@settings(max_examples=15, deadline=None)
def test_critical_weights_are_where_chi1_passes_one(name, sigma_b2):
    below = []
    for sigma_w2 in np.geomspace(0.05, 8, 40):
        try:
            below.append(theory.chi1(name, sigma_w2, sigma_b2) < 1)
        except ValueError:  # no fixed point
            break
    try:
        found = theory.critical_sigma_w2(name, sigma_b2)
    except ValueError:
        assert len(set(below)) <= 1
    else:
        assert theory.chi1(name, found, sigma_b2) == pytest.approx(1, abs=1e-6)


# By bisection of χ₁ with fixed points found by iteration.
@pytest.mark.parametrize(
    ("name", "sigma_b2", "critical"),
    [
        ("elu", 0.1, 1.6067),
        ("elu", 1, 1.8441),
        ("selu", 1, 1.3177),
        ("gelu", 0.2, 1.9707),
        ("silu", 1, 1.9670),
        ("mish", 0.2, 1.9497),
        ("hardswish", 1, 1.8833),
    ],
)
def test_the_edge_of_chaos_of_unbounded_activations(name, sigma_b2, critical):
    assert theory.critical_sigma_w2(name, sigma_b2) == pytest.approx(critical, abs=1e-4)


def test_wide_signals_through_tanh():
    # φ′² is a spike of area 4/3 there, and the fixed point σ_w² follows.
    for q in (1e4, 1e6, 1e12):
        spike = 4 / 3 / math.sqrt(2 * math.pi * q)
        assert theory.chi1("tanh", 1, q=q) == pytest.approx(spike, rel=1 / q, abs=0)
    found = theory.critical_sigma_w2("tanh", 1e6)
    assert found == pytest.approx(0.75 * math.sqrt(2 * math.pi * (1e6 + found)), rel=1e-3)


@pytest.mark.parametrize(("sigma_b2", "critical"), [(0.01, 1.424), (0.05, 1.761), (0.1, 1.986)])
def test_the_edge_of_chaos_of_tanh(sigma_b2, critical):
    found = theory.critical_sigma_w2("tanh", sigma_b2)
    assert found == pytest.approx(critical, abs=0.002)
    assert theory.chi1("tanh", found, sigma_b2) == pytest.approx(1, abs=1e-9)
    assert (
        theory.chi1("tanh", 0.99 * found, sigma_b2)
        < 1
        < theory.chi1("tanh", 1.01 * found, sigma_b2)
    )


def test_the_edge_of_chaos_without_biases():
    assert theory.critical_sigma_w2("tanh") == pytest.approx(1, abs=1e-5)  # φ′(0) = 1, q* = 0
    assert theory.critical_sigma_w2("relu") == pytest.approx(2)
    assert theory.critical_sigma_w2("leaky_relu", 0.3) == pytest.approx(2 / (1 + 1e-4))
    # At q = 0, half of the inputs see each of SELU's two slopes there.
    scale, alpha = 1.0507009873554805, 1.6732632423543772
    expected = 2 / (scale**2 * (1 + alpha**2))
    assert theory.critical_sigma_w2("selu") == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("sigma_w2", "depth"), [(0.6, 8.9), (1, 21.8), (1.5, 94.7), (2, 151), (2.5, 70.8), (4, 41.9)]
)
def test_depth_scales_of_tanh(sigma_w2, depth):
    scale = theory.depth_scale("tanh", sigma_w2, 0.05)
    assert 6 * scale == pytest.approx(depth, rel=0.005)
    # The correlation itself, iterated, comes to its fixed point at that rate.
    target = theory.c_star("tanh", sigma_w2, 0.05)
    assert (target == 1) == (sigma_w2 < 1.7)
    gaps = [0.01]
    for _ in range(12):
        gaps.append(target - theory.next_c("tanh", target - gaps[-1], sigma_w2, 0.05))
    rate = (gaps[-1] / gaps[-4]) ** (1 / 3)
    assert -1 / math.log(rate) == pytest.approx(scale, rel=0.05)


def test_depth_scales_at_the_ends():
    assert theory.depth_scale("relu", 2.0) == math.inf
    assert theory.depth_scale("identity", 1.0) == math.inf
    assert theory.depth_scale("relu", 1.0, 0.1) == pytest.approx(1 / math.log(2))
    assert theory.depth_scale("tanh", 0.9) == pytest.approx(-1 / math.log(0.9))
    assert theory.c_star("relu", 2.0) == 1 and theory.c_star("tanh", 3.0) == 0
    assert theory.depth_scale("tanh", 1.05, 2.01e-5) > 1e6  # as close to the edge as one trains
    assert theory.q_star("tanh", 1.05, 2.01e-5) == pytest.approx(0.0259, abs=5e-5)
    assert theory.q_star("selu", 1.0) == pytest.approx(1, abs=1e-9)
    assert theory.q_star("tanh", 1.0) == 0


@pytest.mark.parametrize("sigma_w2", [0.5, 3.0])
def test_without_biases_relu_makes_any_two_inputs_alike_by_a_power_of_depth(sigma_w2):
    gaps, c = [], 0.3
    for _ in range(128):
        gaps.append(1 - c)
        c = theory.next_c("relu", c, sigma_w2)
    assert gaps[127] / gaps[63] == pytest.approx(1 / 4, rel=0.2)  # like 1/depth²
    assert theory.c_star("relu", sigma_w2) == 1
    assert theory.depth_scale("relu", sigma_w2) == math.inf


CURVED = st.sampled_from(["tanh", "sigmoid", "elu", "selu", "gelu", "silu", "softplus"])


@given(CURVED, st.floats(0.3, 4), st.floats(0.01, 1))
@settings(max_examples=12, deadline=None)
def test_correlations_go_where_theory_says_and_as_fast(name, sigma_w2, sigma_b2):
    try:
        goal = theory.c_star(name, sigma_w2, sigma_b2)
    except ValueError:
        return
    gaps, c = [], 0.5
    for _ in range(40):
        gaps.append(c - goal)
        c = theory.next_c(name, c, sigma_w2, sigma_b2)
    assert abs(gaps[-1]) < abs(gaps[0]) + 1e-9
    last = max((k for k in range(39) if abs(gaps[k]) > 1e-5), default=0)
    scale = theory.depth_scale(name, sigma_w2, sigma_b2)
    if abs(gaps[last]) < 1e-3 and last > 0 and scale < 20:  # near its end the fall is exponential
        rate = gaps[last] / gaps[last - 1]
        assert rate == pytest.approx(math.exp(-1 / scale), abs=0.03)


@pytest.mark.parametrize(("name", "product"), [("tanh", 1), ("elu", 1), ("selu", 2)])
def test_depth_scales_near_the_edge(name, product):
    # There ξ (χ₁ − 1) → 1, or 2 where φ′ jumps; on the way, no step where the formula changes.
    edge = theory.critical_sigma_w2(name, 0.05)
    for gap in (1e-3, 1e-4, 1e-5, 1e-7):
        excess = theory.chi1(name, edge * (1 + gap), 0.05) - 1
        scale = theory.depth_scale(name, edge * (1 + gap), 0.05)
        assert scale * excess == pytest.approx(product, rel=0.025)


def wide_network(phi, sigma_w2, sigma_b2, width, layers, seed):
    """Return a dense network's z of each layer, and what gives the gradient profile."""
    own = generator(seed)
    x = torch.randn(1, width, generator=own)
    z = x * math.sqrt(max(theory.q_star(phi, sigma_w2, sigma_b2), 1e-3))
    kept = []
    for _ in range(layers):
        weight = torch.randn(width, width, generator=own) * math.sqrt(sigma_w2 / width)
        bias = torch.randn(width, generator=own) * math.sqrt(sigma_b2)
        z = F.linear(ACTIVATIONS[phi](z), weight, bias).requires_grad_()
        z.retain_grad()
        kept.append(z)
    (z * torch.randn(width, generator=own)).sum().backward()
    return kept


@pytest.mark.parametrize(
    ("phi", "sigma_w2", "sigma_b2"),
    [
        ("tanh", 0.8, 0.1),
        ("tanh", 2.5, 0.05),
        ("sigmoid", 4.0, 0.2),
        ("gelu", 1.6, 0.3),
        ("elu", 1.2, 0.2),
    ],
)
def test_gradients_of_wide_networks_change_by_chi1(phi, sigma_w2, sigma_b2):
    slopes = []
    for seed in range(6):
        kept = wide_network(phi, sigma_w2, sigma_b2, 500, 14, seed)
        norms = [z.grad.square().sum().item() for z in kept]
        slopes.append(np.polyfit(range(10), np.log(norms[2:12]), 1)[0])
    error = np.std(slopes, ddof=1) / math.sqrt(6)
    predicted = -math.log(theory.chi1(phi, sigma_w2, sigma_b2))
    assert abs(np.mean(slopes) - predicted) < 5 * error + 0.01


# ---------------------------------------------------------------- borders, width, batch norm


LAYERS = {
    "dense": lambda: nn.Linear(300, 500),
    "1d": lambda: nn.Conv1d(60, 80, 5, padding=2, padding_mode="circular"),
    "2d": lambda: nn.Conv2d(40, 60, 3, padding=1, padding_mode="circular", bias=False),
    "groups": lambda: nn.Conv2d(64, 96, 3, padding=1, padding_mode="circular", groups=4),
    "dilated": lambda: nn.Conv2d(40, 30, 3, padding=2, padding_mode="circular", dilation=2),
    "strided": lambda: nn.Conv2d(40, 60, 3, padding=1, padding_mode="circular", stride=2),
    "delta": lambda: nn.Conv2d(64, 64, 3, padding=1, padding_mode="circular"),
}
STARTS = {
    "he": init.he_,
    "uniform": partial(init.xavier_, distribution="uniform"),
    "pytorch": init.pytorch_,
    "gaussian": partial(init.gaussian_, sigma_w2=1.7, sigma_b2=0.3),
}


@pytest.mark.parametrize(("phi", "q"), [("relu", 1.0), ("tanh", 3.0), ("gelu", 0.4)])
@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("kind", LAYERS)
def test_layer_factors_are_what_random_layers_do(kind, start, phi, q):
    signal, gradient = [], []
    own = generator(3)
    for _ in range(5):
        layer = LAYERS[kind]()
        scheme = init.delta_orthogonal_ if kind == "delta" else STARTS[start]
        scheme(layer, generator=own)
        inputs = layer.in_features if kind == "dense" else layer.in_channels
        shape = {"dense": (40, inputs), "1d": (2, inputs, 64)}.get(kind, (2, inputs, 8, 8))
        z = (torch.randn(shape, generator=own) * math.sqrt(q)).requires_grad_()
        found = theory.layer_factors(layer, phi, q=q)
        after = layer(ACTIVATIONS[phi](z))
        back = torch.randn(after.shape, generator=own)
        (after * back).sum().backward()
        signal.append(after.square().mean().item() / q / found.signal)
        gradient.append((z.grad.square().mean() / back.square().mean()).item() / found.gradient)
    for ratios in (signal, gradient):
        assert np.mean(ratios) == pytest.approx(1, abs=0.04 + 3 * np.std(ratios) / 2)


@given(
    st.sampled_from([nn.Conv1d, nn.Conv2d]),
    st.integers(5, 9),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 2),
    st.sampled_from([0, 1, 2, "same"]),
    st.sampled_from(["zeros", "circular"]),
    st.integers(0, 999),
)
@settings(max_examples=25, deadline=None)
def test_layer_factors_count_the_border(kind, n, kernel, stride, dilation, padding, mode, seed):
    own = generator(seed)
    stride = 1 if padding == "same" else stride
    how = {"stride": stride, "dilation": dilation, "padding": padding, "padding_mode": mode}
    layer = init.he_(kind(40, 50, kernel, bias=False, **how), generator=own)
    axes = 1 if kind is nn.Conv1d else 2
    z = torch.randn(24, 40, *[n] * axes, generator=own).requires_grad_()
    after = layer(z)
    back = torch.randn(after.shape, generator=own)
    (after * back).sum().backward()
    found = theory.layer_factors(layer, size=n)
    assert after.square().mean().item() == pytest.approx(found.signal, rel=0.12)
    ratio = (z.grad.square().mean() / back.square().mean()).item()
    assert ratio == pytest.approx(found.gradient, rel=0.12)
    assert theory.layer_factors(layer, size=[n] * axes) == found


def test_layer_factors_agree_with_border_signal():
    layer = init.gaussian_(nn.Conv2d(64, 64, 3, padding=1), 1.0, generator=generator(0))
    whole, bordered = theory.layer_factors(layer), theory.layer_factors(layer, size=(28, 7))
    left = theory.border_signal((28, 7), 3, 1)[0]
    assert np.divide(bordered, whole) == pytest.approx([left, left], rel=1e-12)


def test_layer_factors_of_the_published_starts():
    layer = nn.Conv2d(200, 200, 3)
    expected = {init.he_: 1, init.xavier_: 1 / 2, init.lecun_: 1 / 2, init.pytorch_: 1 / 6}
    for scheme, factor in expected.items():
        scheme(layer, generator=generator(0))
        nn.init.zeros_(layer.bias)
        assert theory.layer_factors(layer, "relu", q=5.0) == pytest.approx((factor,) * 2, rel=0.02)
    init.orthogonal_(layer, generator=generator(0))
    assert theory.layer_factors(layer) == pytest.approx((1, 1), rel=1e-6)
    nn.init.constant_(layer.bias, 3.0)
    assert theory.layer_factors(layer, q=4.0) == pytest.approx((1 + 9 / 4, 1), rel=1e-6)


@given(st.integers(1, 12), st.integers(0, 3), st.integers(1, 6))
@settings(deadline=None)
def test_border_signal_is_what_a_convolution_of_squares_leaves(size, half, layers):
    kernel = 2 * half + 1
    share = torch.ones(1, 1, size, size, dtype=torch.float64)
    window = torch.full((1, 1, kernel, kernel), 1 / kernel**2, dtype=torch.float64)
    expected = []
    for _ in range(layers):
        share = F.conv2d(share, window, padding=half)
        expected.append(share.mean().item())
    assert theory.border_signal(size, kernel, layers) == pytest.approx(expected, rel=1e-12)


def test_border_signal_comes_to_fall_by_a_constant_factor():
    left = theory.border_signal((28, 7), 3, 1000)
    factor = math.prod((1 + 2 * math.cos(math.pi / (n + 1))) / 3 for n in (28, 7))
    assert left[-1] / left[-2] == pytest.approx(factor, rel=1e-9)
    assert left[1] / left[0] < 0.99 * factor  # not so from the start
    assert theory.border_signal((28, 7), (1, 1), 5).tolist() == [1.0] * 5


def test_border_signal_of_a_random_network():
    own, squares = generator(0), []
    for _ in range(8):
        x = torch.ones(1, 256, 6, 6)
        for _ in range(3):
            weight = torch.randn(256, 256, 3, 3, generator=own) * math.sqrt(1 / (9 * 256))
            x = F.conv2d(x, weight, padding=1)
        squares.append(x.square().mean().item())
    error = np.std(squares, ddof=1) / math.sqrt(8)
    assert abs(np.mean(squares) - theory.border_signal(6, 3, 3)[-1]) < 5 * error


@pytest.mark.parametrize("widths", [[20, 10, 30, 5], [50] * 13, [3, 200], [8, 2, 1, 3]])
def test_log_norms_of_narrow_networks(widths):
    draws, own = 4_000, generator(1)
    a = torch.randn(1, widths[0], generator=own).expand(draws, -1)
    logs = -a.square().sum(1).double().log()
    for before, after in zip(widths, widths[1:], strict=False):
        weight = torch.randn(draws, before, after, generator=own) * math.sqrt(2 / before)
        a = torch.relu(torch.einsum("ni,nio->no", a, weight))
    logs += a.square().sum(1).double().log()
    logs = logs[logs.isfinite()]
    found = theory.log_norm_moments(widths)
    assert near(found.mean, logs)
    assert near(found.variance, (logs - logs.mean()) ** 2)


@pytest.mark.parametrize(("width", "mean", "variance"), [(100, -1.23, 2.52), (50, -2.58, 5.53)])
def test_log_norms_as_the_literature_has_them(width, mean, variance):
    found = theory.log_norm_moments([width] * 51)
    assert found == pytest.approx((mean, variance), rel=0.12)
    beta = 50 / width
    wide = theory.log_norm_moments([100 * width] * 51)
    assert wide == pytest.approx((-2.5 * beta / 100, 5 * beta / 100), rel=0.01)


def test_batch_norm_explodes_by_the_published_factor():
    assert theory.batch_norm_gradient_factor("relu") == pytest.approx(math.pi / (math.pi - 1))
    assert theory.batch_norm_gradient_factor("identity") == pytest.approx(1)
    assert all(theory.batch_norm_gradient_factor(name) > 1 - 1e-9 for name in ACTIVATIONS)


@pytest.mark.parametrize("name", ["relu", "tanh", "gelu"])
def test_batch_norm_factor_of_a_wide_network(name):
    slopes = []
    for seed in range(5):
        own, kept = generator(seed), []
        a = torch.randn(256, 300, generator=own)
        for _ in range(16):
            z = a @ torch.randn(300, 300, generator=own)
            z = F.batch_norm(z, None, None, training=True).requires_grad_()
            z.retain_grad()
            kept.append(z)
            a = ACTIVATIONS[name](z)
        (a * torch.randn(256, 300, generator=own)).sum().backward()
        norms = [z.grad.square().sum().item() for z in kept[3:14]]
        slopes.append(-np.polyfit(range(11), np.log(norms), 1)[0])
    predicted = math.log(theory.batch_norm_gradient_factor(name))
    assert np.mean(slopes) == pytest.approx(predicted, abs=0.04)


# ---------------------------------------------------------------- bad arguments


EMPTY = nn.Linear(2, 1)
EMPTY.weight = nn.Parameter(torch.empty(0, 2))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: born_dead_bounds(2.0, 3), TypeError, "width must be an integer, got 2.0"),
        (lambda: born_dead_bounds(0, 3), ValueError, "width must be at least 1, got 0"),
        (lambda: born_dead_bounds(2, 0), ValueError, "hidden_layers must be at least 1, got 0"),
        (lambda: safe_width(0, 0.1), ValueError, "hidden_layers must be at least 1, got 0"),
        (lambda: safe_width(3, 0), ValueError, "probability must lie strictly between 0 and 1"),
        (lambda: safe_width(3, 1.0), ValueError, r"between 0 and 1, got 1\.0"),
        (lambda: safe_width(3, math.nan), ValueError, "probability must be finite, got nan"),
        (lambda: theory.q_star("sine", 1), ValueError, "activation must be an Activation or one"),
        (lambda: theory.q_star(torch.tanh, 1), TypeError, "activation must be an Activation or"),
        (lambda: theory.q_star("tanh", -1), ValueError, "sigma_w2 must be .* > 0, got -1"),
        (lambda: theory.q_star("tanh", 1, -0.1), ValueError, "sigma_b2 must be .* ≥ 0, got -0.1"),
        (lambda: theory.q_star("tanh", "1"), TypeError, "sigma_w2 must be a number"),
        (lambda: theory.q_star("relu", 2), ValueError, "relu with sigma_w2 2 .*: every q is a"),
        (lambda: theory.q_star("relu", 2, 0.1), ValueError, "no fixed point, q grows without"),
        (lambda: theory.q_star("relu", 2.1), ValueError, "no fixed point, q grows without bound"),
        (
            lambda: theory.q_star("gelu", 3, 0.1),
            ValueError,
            r"no fixed point, q grows beyond 1e\+30",
        ),
        (lambda: theory.q_star("tanh", 10**400), ValueError, "sigma_w2 must be finite and > 0"),
        (lambda: theory.depth_scale("relu", 2, 0.1), ValueError, "no fixed point, q grows without"),
        (lambda: theory.c_star("identity", 2), ValueError, "every c is a fixed point"),
        (lambda: safe_width(3, "0.1"), TypeError, "probability must be a number, got '0.1'"),
        (lambda: born_dead_bounds(torch.tensor(2.0), 3), TypeError, "width must be an integer"),
        (lambda: theory.chi1("tanh", 1, q=-1), ValueError, "q must be .* ≥ 0, got -1"),
        (lambda: theory.next_q("tanh", math.inf, 1), ValueError, "q must be finite"),
        (lambda: theory.next_c("tanh", 1.5, 2), ValueError, "c must lie between -1 and 1, got 1.5"),
        (lambda: theory.next_c("tanh", 0.5, 0.9), ValueError, "q\\* is 0, and what is zero has no"),
        (lambda: theory.c_star("tanh", 0.9), ValueError, "q\\* is 0, and what is zero has no"),
        (lambda: theory.critical_sigma_w2("gelu"), ValueError, "gelu has no critical sigma_w2"),
        (lambda: theory.critical_sigma_w2("tanh", -1), ValueError, "sigma_b2 must be"),
        (lambda: theory.layer_factors(nn.ReLU()), TypeError, "layer must be dense or conv.*ReLU"),
        (lambda: theory.layer_factors(nn.Linear(2, 2), q=0), ValueError, "q must be .* > 0, got 0"),
        (
            lambda: theory.layer_factors(nn.LazyLinear(2)),
            ValueError,
            "layer must have weights, got",
        ),
        (lambda: theory.layer_factors(EMPTY), ValueError, r"layer must have weights, got Linear\("),
        (
            lambda: theory.layer_factors(nn.Linear(2, 2), size=8),
            ValueError,
            "size must be None for",
        ),
        (
            lambda: theory.layer_factors(nn.Conv2d(1, 1, 3), size=(8, 8, 8)),
            ValueError,
            "size must be one integer or 2",
        ),
        (
            lambda: theory.layer_factors(nn.Conv2d(1, 1, 3), size=2),
            ValueError,
            "size must be at least that of the layer's window, got 2",
        ),
        (lambda: theory.border_signal(8, 2, 1), ValueError, "kernel_size must be odd, got 2"),
        (lambda: theory.border_signal(0, 3, 1), ValueError, "size must be at least 1, got 0"),
        (lambda: theory.border_signal(8, 3, 0), ValueError, "layers must be at least 1, got 0"),
        (lambda: theory.log_norm_moments([3]), ValueError, "at least two entries, got"),
        (lambda: theory.log_norm_moments([3, 0]), ValueError, r"widths\[1\] must be at least 1"),
        (lambda: theory.log_norm_moments(3), TypeError, "widths must be a sequence of integers"),
        (lambda: gaussian_pair_mean(torch.tanh, -1, 0), ValueError, "std must be finite"),
        (lambda: gaussian_pair_mean(torch.tanh, 1, 1.1), ValueError, "correlation between -1 and"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
