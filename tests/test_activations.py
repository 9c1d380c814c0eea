"""``activations`` against torch.nn, autograd and adaptive quadrature."""

import math

import pytest
import torch
from scipy import integrate, stats

from cnnbook.activations import ACTIVATIONS, Activation, elu, gaussian_mean, leaky_relu

EVERY = [*ACTIVATIONS.values(), leaky_relu(0.3), leaky_relu(-0.5), elu(0.7)]
Z = torch.cat(
    [
        torch.linspace(-60, 60, 2401, dtype=torch.float64),  # kinks at 0 and ±3 included
        torch.tensor([-800.0, 800.0], dtype=torch.float64),
    ]
)


def _names(activation: Activation) -> str:
    return f"{activation.name}-{activation.low:g}"


def test_the_table_holds_at_least_the_promised_ones():
    promised = (
        "identity sigmoid tanh relu leaky_relu prelu elu selu gelu silu mish softplus hardswish"
    )
    assert set(promised.split()) <= set(ACTIVATIONS)
    assert all(name == activation.name for name, activation in ACTIVATIONS.items())


@pytest.mark.parametrize("activation", EVERY, ids=_names)
def test_function_is_that_of_torch_nn(activation):
    expected = activation.module().double()(Z).detach()
    torch.testing.assert_close(activation(Z), expected, rtol=0, atol=1e-8)  # softplus: threshold 20


@pytest.mark.parametrize("activation", EVERY, ids=_names)
def test_derivative_is_autograds_also_at_kinks_and_far_out(activation):
    z = Z.clone().requires_grad_()
    (expected,) = torch.autograd.grad(activation.module().double()(z).sum(), z)
    torch.testing.assert_close(activation.derivative(Z), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("activation", EVERY, ids=_names)
def test_function_differentiates_to_derivative_also_at_kinks(activation):
    z = torch.tensor([-3.0, -1.0, 0.0, 1.0, 3.0], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(activation(z).sum(), z)
    torch.testing.assert_close(gradient, activation.derivative(z.detach()), rtol=0, atol=1e-12)


@pytest.mark.parametrize("activation", EVERY, ids=_names)
def test_range_is_tight(activation):
    values = activation(torch.linspace(-60, 60, 480_001, dtype=torch.float64))
    assert values.min() >= activation.low - 1e-12
    assert values.max() <= activation.high + 1e-12
    for bound, extreme in ((activation.low, values.min()), (activation.high, values.max())):
        if math.isinf(bound):
            assert abs(extreme) > 0.5  # grows with |z|, if slowly for a leaky slope
        else:
            assert abs(extreme - bound) < 1e-8


def _quadrature(function, kinks):
    points = sorted({-12.0, *kinks, 12.0})
    return sum(
        integrate.quad(
            lambda t: function(torch.tensor(t, dtype=torch.float64)).item() * stats.norm.pdf(t),
            low, high, epsabs=1e-13, epsrel=1e-13, limit=200,
        )[0]
        for low, high in zip(points, points[1:], strict=False)
    )  # fmt: skip


@pytest.mark.parametrize("activation", EVERY, ids=_names)
def test_moments_agree_with_adaptive_quadrature(activation):
    kinks = activation.kinks
    assert activation.mean == pytest.approx(_quadrature(activation, kinks), abs=1e-11)
    second = _quadrature(lambda z: activation(z) ** 2, kinks)
    assert activation.second_moment == pytest.approx(second, abs=1e-11)
    assert activation.gain == pytest.approx(second**-0.5, abs=1e-11)
    slope = _quadrature(lambda z: activation.derivative(z) ** 2, kinks)
    assert activation.derivative_second_moment == pytest.approx(slope, abs=1e-11)


def test_moments_known_in_closed_form():
    relu, selu, identity = (ACTIVATIONS[name] for name in ("relu", "selu", "identity"))
    assert relu.mean == pytest.approx(1 / math.sqrt(2 * math.pi), abs=1e-13)
    assert (relu.second_moment, relu.derivative_second_moment) == pytest.approx((0.5, 0.5))
    assert relu.gain == pytest.approx(math.sqrt(2), abs=1e-13)
    assert selu.mean == pytest.approx(0, abs=1e-12)
    assert selu.second_moment == pytest.approx(1, abs=1e-12)
    assert (identity.mean, identity.gain) == pytest.approx((0, 1), abs=1e-13)
    assert leaky_relu(0.3).second_moment == pytest.approx((1 + 0.3**2) / 2, abs=1e-13)


def test_gaussian_mean_of_a_shifted_and_scaled_input():
    assert gaussian_mean(lambda z: z**2, mean=1.5, std=0.5) == pytest.approx(1.5**2 + 0.5**2)
    # E max(0, z) = μ Φ(μ/σ) + σ φ(μ/σ)
    mean, std = -0.7, 2.0
    expected = mean * stats.norm.cdf(mean / std) + std * stats.norm.pdf(mean / std)
    found = gaussian_mean(ACTIVATIONS["relu"], mean, std, kinks=(0.0,))
    assert found == pytest.approx(expected, abs=1e-13)
    assert gaussian_mean(ACTIVATIONS["relu"], 3.0, 0.0) == 3.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gaussian_mean(torch.abs, std=-1), "std finite and ≥ 0, got 0.0 and -1"),
        (lambda: gaussian_mean(torch.abs, mean=math.nan), "mean must be finite"),
        (lambda: leaky_relu(1.5), "slope must be finite and at most 1, got 1.5"),
        (lambda: elu(0), "alpha must be positive and finite, got 0"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
