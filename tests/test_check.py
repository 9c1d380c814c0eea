"""``check``: a true claim prints one stable line, a false one raises with its numbers."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from cnnbook import check
from cnnbook.check import CheckFailed

FIVE = [1.0, 2.0, 3.0, 4.0, 5.0]

TRUE_CLAIMS = [
    (lambda: check.equal("Equal", 3, 3), "✓ Equal  [refuted by any difference]\n"),
    (lambda: check.equal("Tuples", (1, 2), (1, 2)), "✓ Tuples  [refuted by any difference]\n"),
    (
        lambda: check.equal("Tensors", torch.ones(2), torch.ones(2)),
        "✓ Tensors  [refuted by any difference]\n",
    ),
    (
        lambda: check.close("Close", 1.0, 1.0 + 1e-12),
        "✓ Close  [refuted by a difference above 1e-10]\n",
    ),
    (
        lambda: check.close("Arrays", torch.zeros(2, requires_grad=True), [0.0, 0.1], 0.1),
        "✓ Arrays  [refuted by a difference above 0.1]\n",
    ),
    (
        lambda: check.between("Scalar", 0.5, 0, 1),
        "✓ Scalar  [refuted outside [0, 1]]\n",
    ),
    (
        lambda: check.between("Seeds", FIVE, 1, math.inf),
        "✓ Seeds  [refuted if the 95 % interval reaches below 1]\n",
    ),
    (
        lambda: check.between("Upper", FIVE, -math.inf, 5),
        "✓ Upper  [refuted if the 95 % interval reaches above 5]\n",
    ),
    (
        lambda: check.ordered("Order", 1, 2, 3),
        "✓ Order  [refuted by any other order]\n",
    ),
    (
        lambda: check.between("Floor", 0.5, 0.1, math.inf),
        "✓ Floor  [refuted below 0.1]\n",
    ),
    (
        lambda: check.between("Band", FIVE, 0, 6),
        "✓ Band  [refuted if the 95 % interval leaves [0, 6]]\n",
    ),
    (
        lambda: check.ordered("Steps", 1, 2, gap=0.5),
        "✓ Steps  [refuted by a step of 0.5 or less]\n",
    ),
    (
        lambda: check.ordered("Paired", FIVE, [2.1, 3.2, 4.0, 5.1, 6.1], gap=0.5),
        "✓ Paired  [refuted if the 95 % interval of a difference reaches 0.5]\n",
    ),
    (
        lambda: check.raises("Fails", ValueError, int, "x"),
        "✓ Fails  [refuted by a call that succeeds]\n",
    ),
]


@pytest.mark.parametrize(("call", "line"), TRUE_CLAIMS)
def test_a_true_claim_prints_its_line(call, line, capsys):
    call()
    assert capsys.readouterr().out == line


FALSE_CLAIMS = [
    (lambda: check.equal("Numbers", 3, 4), "Numbers: refuted, measured 3, expected 4"),
    (lambda: check.equal("Shapes", torch.ones(2), torch.ones(1)), "Shapes: refuted"),
    (lambda: check.equal("Values", np.ones(2), np.array([1.0, 2.0])), "Values: refuted"),
    (lambda: check.close("Far", 1.0, 1.1), "Far: refuted, the largest difference is 0.1"),
    (lambda: check.close("NaN", math.nan, math.nan), "NaN: refuted"),
    (lambda: check.close("Shapes", [1.0], 1.0), r"Shapes: measured shape \(1,\), expected \(\)"),
    (lambda: check.close("One", [0.0, 0.0], [0.0, 1.0]), "One: refuted"),
    (lambda: check.between("Out", 2, 0, 1), "Out: refuted, measured 2"),
    (lambda: check.between("NaN", math.nan, 0, 1), "NaN: refuted"),
    (lambda: check.between("Wide", FIVE, 2.9, 3.1), r"Wide: refuted, measured 3 ± 1.963 over 5"),
    (lambda: check.between("High", FIVE, -math.inf, 4), "High: refuted"),
    (lambda: check.ordered("Same", 1, 1), "Same: refuted"),
    (lambda: check.ordered("Late", 1, 2, 1.5), "Late: refuted, the differences are 1, -0.5"),
    (lambda: check.ordered("NaN", 1, 2, math.nan), "NaN: refuted"),
    (lambda: check.ordered("Noise", FIVE, [2.0, 1.0, 4.0, 3.0, 6.0]), "Noise: refuted"),
    (lambda: check.ordered("Gap", FIVE, [x + 1 for x in FIVE], gap=1), "Gap: refuted"),
    (lambda: check.raises("Passes", ValueError, int, "1"), "the call returned 1"),
]


@pytest.mark.parametrize(("call", "message"), FALSE_CLAIMS)
def test_a_false_claim_raises_with_its_numbers(call, message, capsys):
    with pytest.raises(CheckFailed, match=message):
        call()
    assert capsys.readouterr().out == ""


def test_another_exception_passes_through():
    with pytest.raises(TypeError):
        check.raises("Other", ValueError, int, None)


BAD_CALLS = [
    (lambda: check.close("c", 1, 1, -1e-3), "tolerance must not be negative"),
    (lambda: check.close("c", 1, 1, math.nan), "tolerance must not be negative, got nan"),
    (lambda: check.between("c", 1, 2, 2), "low must be below high, got 2 and 2"),
    (lambda: check.between("c", FIVE[:4], 0, 9), r"at least 5 seeds, got shape \(4,\)"),
    (lambda: check.ordered("c", 1), "at least two groups, got 1"),
    (lambda: check.ordered("c", FIVE, FIVE[1:]), r"one shape, got \(5,\), \(4,\)"),
    (lambda: check.interval([[1.0] * 5] * 2), r"got shape \(2, 5\)"),
    (lambda: check.interval([1.0, 2.0, math.nan, 3.0, 4.0]), "samples must be finite"),
    (lambda: check.interval(FIVE, level=1), "level must lie between 0 and 1, got 1"),
]


@pytest.mark.parametrize(("call", "message"), BAD_CALLS)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_interval_is_students():
    found = check.interval([torch.tensor(value) for value in FIVE], level=0.9)
    low, high = stats.t.interval(0.9, 4, loc=3, scale=stats.sem(FIVE))
    assert (found.mean, found.low, found.high, found.seeds) == pytest.approx((3, low, high, 5))


def test_interval_formats_with_its_half_width():
    found = check.interval([0.1, 0.2, 0.3, 0.4, 0.5])
    assert f"{found:.2f}" == "0.30 ± 0.20"
    assert f"{found:.1%}" == "30.0 ± 19.6 %"


def test_summarize_groups_in_order_of_appearance():
    table = pd.DataFrame({"net": ["b"] * 5 + ["a"] * 5, "acc": [*FIVE, *(2 * x for x in FIVE)]})
    found = check.summarize(table, "net", "acc")
    assert list(found["net"]) == ["b", "a"]
    assert list(found.columns) == ["net", "mean", "low", "high", "seeds"]
    assert found.loc[1, "mean"] == pytest.approx(6)
    assert found.loc[1, "high"] == pytest.approx(check.interval([2 * x for x in FIVE]).high)


def test_summarize_keeps_a_group_without_a_name():
    table = pd.DataFrame({"net": ["a"] * 5 + [None] * 5, "acc": FIVE * 2})
    assert len(check.summarize(table, "net", "acc")) == 2


def test_summarize_refuses_a_group_of_four():
    table = pd.DataFrame({"a": [1] * 4, "b": [2] * 4, "acc": FIVE[:4]})
    with pytest.raises(ValueError, match="at least 5 seeds"):
        check.summarize(table, ["a", "b"], "acc")
