"""``theory`` against exact fractions, enumeration and Monte-Carlo draws of ReLU networks."""

import math
from fractions import Fraction
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: born_dead_bounds(2.0, 3), TypeError, "width must be an integer, got 2.0"),
        (lambda: born_dead_bounds(0, 3), ValueError, "width must be at least 1, got 0"),
        (lambda: born_dead_bounds(2, 0), ValueError, "hidden_layers must be at least 1, got 0"),
        (lambda: safe_width(0, 0.1), ValueError, "hidden_layers must be at least 1, got 0"),
        (lambda: safe_width(3, 0), ValueError, "probability must lie strictly between 0 and 1"),
        (lambda: safe_width(3, 1.0), ValueError, r"between 0 and 1, got 1\.0"),
        (lambda: safe_width(3, math.nan), ValueError, "between 0 and 1, got nan"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
