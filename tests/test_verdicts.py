"""The rules by which claims of the literature are judged."""

import math

import numpy as np
import pytest

from cnnbook import verdicts
from cnnbook.verdicts import (
    CONDITIONAL,
    DIFFERS,
    FALSE,
    REPRODUCED,
    TRUE,
    UNDECIDED,
    calculated,
    drawn,
    in_order,
    measured,
    tried,
)

SAY = ("a claim", "somebody")
LINE = np.linspace(-1, 1, 9)


@pytest.mark.parametrize(
    ("claimed", "ours", "verdict"),
    [
        ("0.25", 0.2549, REPRODUCED),
        ("0.25", 0.255, REPRODUCED),
        ("0.25", 0.2551, DIFFERS),
        ("0.25", 0.2449, DIFFERS),
        ("2", 2.4, REPRODUCED),
        ("2", 2.6, DIFFERS),
        ("8e-6", 8.4e-6, REPRODUCED),
        ("8e-6", 8.6e-6, DIFFERS),
        ("-0.170", -0.1704, REPRODUCED),
    ],
)
def test_a_calculated_number_may_differ_by_half_a_unit_of_the_last_digit(claimed, ours, verdict):
    assert calculated(*SAY, claimed, ours).verdict == verdict


def test_an_exact_claim_allows_rounding_only():
    row = calculated(*SAY, "1", 1 + 1e-9, exact=1e-12)
    assert (row.verdict, row.within, row.ours) == (DIFFERS, "exact", "1")
    assert calculated(*SAY, "1", 1 + 1e-13, exact=1e-12).verdict == REPRODUCED


@pytest.mark.parametrize(
    ("claimed", "ours", "text"),
    [("0.25", 0.2512345, "0.251"), ("8e-6", 8.11e-6, "8.1e-06"), ("23", 22.96, "23.0")],
)
def test_ours_is_printed_with_one_digit_more_than_the_claim(claimed, ours, text):
    assert calculated(*SAY, claimed, ours).ours == text


def test_a_share_is_judged_by_its_standard_error():
    """p = 1/4 from 100 draws against 400: 4·√(3/16)·√(1/100 + 1/400) = 0.1936, plus rounding."""
    row = drawn(*SAY, "0.25", np.arange(400) < 120, theirs=100)
    assert (row.verdict, row.within, row.ours) == (REPRODUCED, "± 0.199", "0.300")
    assert drawn(*SAY, "0.25", np.arange(400) < 180, theirs=100).verdict == DIFFERS
    # A formula rests on no draws: the tolerance is 4·√(3/16)/20 + 0.005 = 0.0916.
    assert drawn(*SAY, "0.25", np.arange(400) < 120).within == "± 0.092"


def test_a_mean_is_judged_by_the_spread_of_its_samples():
    samples = 5 + LINE
    row = drawn(*SAY, "5.0", samples)
    assert row.within == f"± {4 * LINE.std(ddof=1) / 3 + 0.05:.3f}"
    assert row.verdict == REPRODUCED
    assert drawn(*SAY, "5.0", samples + 2).verdict == DIFFERS
    assert drawn(*SAY, "-5.0", -samples).verdict == REPRODUCED


def test_what_a_measured_zero_would_pass_is_undecided():
    assert drawn(*SAY, "0.001", np.zeros(20_000, bool), theirs=20_000).verdict == UNDECIDED
    assert drawn(*SAY, "0.001", np.arange(20_000) < 90, theirs=20_000).verdict == DIFFERS


@pytest.mark.parametrize(
    ("low", "high", "verdict", "within"),
    [
        (-3, 3, REPRODUCED, "-3.000 to 3.000"),
        (0, 3, UNDECIDED, "0.000 to 3.000"),
        (0.5, 3, UNDECIDED, "0.500 to 3.000"),
        (-3, -0.5, UNDECIDED, "-3.000 to -0.500"),
        (2, 3, DIFFERS, "2.000 to 3.000"),
        (-math.inf, 3, REPRODUCED, "under 3.000"),
        (2, math.inf, DIFFERS, "over 2.000"),
    ],
)
def test_a_mean_over_seeds_is_judged_by_its_interval(low, high, verdict, within):
    row = measured(*SAY, "0", LINE, low, high)
    assert (row.verdict, row.within) == (verdict, within)


def test_the_interval_has_99_percent():
    """Student's t for eight degrees of freedom is 3.3554 at 99 %."""
    half = 3.3554 * LINE.std(ddof=1) / 3
    assert measured(*SAY, "0", LINE, -half * 1.001, half * 1.001).verdict == REPRODUCED
    assert measured(*SAY, "0", LINE, -half * 0.999, half * 1.001).verdict == UNDECIDED


def test_the_reader_may_choose_how_numbers_look():
    row = measured(*SAY, "0", LINE, -2, 3, look="{:.0%}".format)
    assert row.within == "-200% to 300%"
    assert row.ours == "-77% to 77%"


@pytest.mark.parametrize(("shift", "verdict"), [(4, REPRODUCED), (0, UNDECIDED), (-4, DIFFERS)])
def test_an_order_is_judged_by_differences_seed_by_seed(shift, verdict):
    assert in_order(*SAY, "", LINE, LINE[::-1] + shift).verdict == verdict


def test_an_order_is_paired_and_all_its_steps_count():
    wide = np.linspace(-100, 100, 9)
    assert in_order(*SAY, "", wide, wide + 1 + LINE / 10).verdict == REPRODUCED
    row = in_order(*SAY, "", LINE, LINE[::-1] + 9, LINE[::-1] + 9)
    assert row.verdict == UNDECIDED
    assert row.ours == "0.000 → 9.000 → 9.000"
    assert in_order(*SAY, "", LINE, LINE[::-1] + 9, LINE + 2).verdict == DIFFERS


def test_the_least_step_is_printed():
    high = LINE[::-1] + 9
    assert in_order(*SAY, "", LINE, high, high + 3).within == "step 3.000 ± 0.000"


def test_a_run_that_diverged_drops_out_of_its_order():
    high = LINE + 4 + LINE**2
    high[:4] = np.nan
    assert in_order(*SAY, "", LINE, high).verdict == REPRODUCED
    high[4] = np.inf
    row = in_order(*SAY, "", LINE, high)
    assert (row.ours, row.within, row.verdict) == ("diverges", "4 runs", UNDECIDED)


def test_the_table_groups_by_source_and_escapes():
    rows = [
        calculated("a < b", "R&D", "1", 1.0),
        calculated("c", "R&D", "1", 2.0),
        calculated("d", "nobody", "1", 1.0),
    ]
    text = verdicts.to_html(rows)
    assert text.count("<em>") == 2
    assert "<em>R&amp;D</em>" in text
    assert "a &lt; b" in text
    assert text.count("<strong>differs here</strong>") == 1
    assert text.count("<tr>") == text.count("</tr>") == 6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: calculated(*SAY, "a half", 0.5), "claimed must be a decimal number.*'a half'"),
        (lambda: calculated(*SAY, 0.5, 0.5), "claimed must be a decimal number as text, got 0.5"),
        (lambda: calculated(*SAY, "1", 1.0, exact=-1), "exact must not be negative, got -1"),
        (lambda: drawn(*SAY, "0.5", [True]), "samples must be two finite entries or more"),
        (lambda: drawn(*SAY, "0.5", [1.0, math.nan]), "samples must be two finite entries"),
        (lambda: drawn(*SAY, "1.5", [True, False]), "claimed must be a share.*'1.5'"),
        (lambda: drawn(*SAY, "0.5", [True, False], theirs=0), "theirs must be at least 1, got 0"),
        (lambda: measured(*SAY, "1", LINE, 2, 2), "low must be below high, got 2 and 2"),
        (lambda: measured(*SAY, "1", LINE[:4], 0, 2), "at least 5 seeds"),
        (lambda: in_order(*SAY, "1", LINE), "groups must be two or more"),
        (lambda: in_order(*SAY, "1", LINE, LINE[1:]), "groups must be two or more"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


UP, DOWN, ACROSS = 1 + LINE / 9, -1 + LINE / 9, LINE


@pytest.mark.parametrize(
    ("effects", "verdict"),
    [
        ([UP, UP], TRUE),
        ([DOWN, DOWN], FALSE),
        ([UP, DOWN], CONDITIONAL),
        ([UP, DOWN, ACROSS], CONDITIONAL),
        ([UP, ACROSS], UNDECIDED),
        ([DOWN, ACROSS], UNDECIDED),
        ([ACROSS], UNDECIDED),
    ],
)
def test_a_claim_is_judged_by_the_settings_in_which_it_holds(effects, verdict):
    settings = {f"setting {k}": samples for k, samples in enumerate(effects)}
    assert tried("Z1", "up", "the effect exceeds 0", settings).verdict == verdict


@pytest.mark.parametrize(
    ("effects", "verdict"),
    [
        ([UP, DOWN], TRUE),
        ([UP, ACROSS], TRUE),
        ([DOWN, DOWN], FALSE),
        ([DOWN, ACROSS], UNDECIDED),
    ],
)
def test_what_is_said_to_be_possible_holds_if_it_does_once(effects, verdict):
    settings = {f"setting {k}": samples for k, samples in enumerate(effects)}
    assert tried("Z1", "can", "it", settings, possible=True).verdict == verdict


def test_a_setting_is_judged_by_its_99_percent_interval_against_the_threshold():
    """Five numbers of standard deviation 1: the half-width is 4.604 / √5."""
    samples = np.array([-1.0, -1.0, 0.0, 1.0, 1.0])  # standard deviation 1
    half = 4.604095 / math.sqrt(5)
    for least, outcome in ((-half - 0.001, "holds"), (-half + 0.001, "open"), (half, "fails")):
        trial = tried("Z1", "up", "more than that", {"here": samples}, least=least + 1e-6)
        assert trial.findings == (("here", f"{0.0:.3g} ± {half:.3g}", outcome),)


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        ([UP], [UP, UP], TRUE),
        ([UP], [UP, DOWN], CONDITIONAL),
        ([UP, DOWN], [UP, DOWN], CONDITIONAL),
        ([UP, DOWN], [ACROSS], UNDECIDED),
        ([UP], [ACROSS, UP], UNDECIDED),
        ([ACROSS], [DOWN], FALSE),
        ([UP, DOWN], [DOWN], FALSE),
    ],
)
def test_two_claims_joined_by_and_are_as_true_as_the_weaker(first, second, verdict):
    halves = [
        tried("Z1", name, name, {f"{name} {k}": part for k, part in enumerate(parts)})
        for name, parts in (("here", first), ("there", second))
    ]
    for pair in (halves, halves[::-1]):
        joined = verdicts.both("Z1", "up here and there", *pair)
        assert joined.verdict == verdict
        assert joined.findings == pair[0].findings + pair[1].findings
        assert all(f"{half.rule} ({half.verdict})" in joined.rule for half in pair)
    other = halves[0]._replace(least=1.0)
    with pytest.raises(ValueError, match="one threshold, got 1 and 0"):
        verdicts.both("Z1", "up here and there", other, halves[1])


def test_so_many_seeds_would_decide():
    """With a hundred times as many the half-width is a tenth, and ends at the threshold."""
    samples = np.array([-1.0, -1.0, 0.0, 1.0, 1.0])
    half = 4.604095 / math.sqrt(5)
    assert verdicts.seeds_to_decide(samples, half / 10) == pytest.approx(100, rel=1e-4)
    assert verdicts.seeds_to_decide(samples, -half / 2) == pytest.approx(4, rel=1e-4)
    assert verdicts.seeds_to_decide(samples, 0.0) == math.inf


def test_what_is_not_random_counts_as_it_is():
    assert tried("Z1", "up", "exceeds 0", {"exact": [1.0] * 5}).verdict == TRUE
    assert tried("Z1", "up", "exceeds 0", {"exact": [0.0] * 5}).verdict == FALSE


def test_trials_stand_one_a_row_with_their_settings_and_a_link():
    trials = (
        tried("Z1", "a < b", "b less a", {"R&D": UP, "home": DOWN}),
        tried("Z2", "up", "exceeds 0", {"home": UP}),
    )
    text = verdicts.trials_to_html(trials, {"Z1": "../there/page.ipynb#part"})
    assert text.count("<tr>") == text.count("</tr>") == 3
    assert '<a href="../there/page.html#part">Z1</a>' in text
    assert text.count("<a ") == 1
    assert "a &lt; b<br><em>b less a</em>" in text
    (_, low, holds), (_, high, fails) = trials[0].findings
    assert (holds, fails) == ("holds", "fails")
    assert f"R&amp;D: {low}, holds<br>home: {high}, fails" in text
    assert "<strong>true under conditions</strong>" in text
    assert "<strong>true</strong>" in text
    assert verdicts.trials_to_html(trials).count("<a ") == 0


@pytest.mark.parametrize(
    ("effects", "message"),
    [
        ({}, "claim Z1 must hold one setting or more"),
        ({"here": [1.0] * 4}, "at least 5 seeds"),
        ({"here": [math.nan] * 5}, "finite"),
    ],
)
def test_a_trial_without_evidence_is_refused(effects, message):
    with pytest.raises(ValueError, match=message):
        tried("Z1", "up", "exceeds 0", effects)
