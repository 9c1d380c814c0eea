"""The rules by which the book rules on claims, one table row a claim.

What can be judged depends on the kind of claim: ``calculated`` (nothing is random), ``drawn`` (a
share of random networks, or a mean over them), ``measured`` (a mean over seeds against a band) and
``in_order`` (an order of settings). Each returns a ``Row``, whose verdict is REPRODUCED, DIFFERS or
UNDECIDED. Tolerances are fixed by the claim and the number of draws, never by what came out.

A claim that says more than a number, such as "skips help", is put on trial: it foretells an effect
above a threshold, in several settings, and ``tried`` rules TRUE, CONDITIONAL, FALSE or UNDECIDED.
``both`` rules on a claim that joins two by "and".
"""

import html
import itertools
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from cnnbook import check

REPRODUCED, DIFFERS, UNDECIDED = "reproduced", "differs here", "undecided here"
TRUE, CONDITIONAL, FALSE = "true", "true under conditions", "false"
LEVEL = 0.99


class Row(NamedTuple):
    """One claim of the literature beside what the book found.

    Attributes:
        claim: What is claimed.
        source: Who claims it.
        claimed: The number claimed, or the statement in short.
        ours: What the book found, with its interval where it has one.
        within: How far the two may be apart.
        verdict: REPRODUCED, DIFFERS or UNDECIDED.
    """

    claim: str
    source: str
    claimed: str
    ours: str
    within: str
    verdict: str


def calculated(
    claim: str, source: str, claimed: str, ours: float, *, exact: float | None = None
) -> Row:
    """Judge a number that is not random.

    Args:
        claim: What is claimed.
        source: Who claims it.
        claimed: The number, as printed: its last digit tells its rounding.
        ours: The book's.
        exact: Largest difference, for rounding, where the claim is exact. By default half a unit of
            the claimed number's last digit.

    Raises:
        ValueError: If ``claimed`` is no decimal number, or ``exact`` is negative.
    """
    theirs, tolerance = _number(claimed)
    if exact is not None:
        if not exact >= 0:
            raise ValueError(f"exact must not be negative, got {exact}")
        tolerance = exact
    # A number given as 0.25 may be 0.255 to the last bit: the rounding of the arithmetic is free.
    inside = abs(ours - theirs) <= tolerance * (1 + 1e-9)
    mantissa, letter, _ = claimed.lower().partition("e")
    digits = len(mantissa.partition(".")[2]) + (exact is None)
    within = f"± {tolerance:g}" if exact is None else "exact"
    verdict = REPRODUCED if inside else DIFFERS
    return Row(claim, source, claimed, f"{ours:.{digits}{letter or 'f'}}", within, verdict)


def drawn(
    claim: str, source: str, claimed: str, samples: ArrayLike, *, theirs: float = math.inf
) -> Row:
    """Judge a share of random networks, or a mean over them, against draws of the book's own.

    The difference may be four of its standard errors, plus the rounding of the claim. If a
    measured zero would pass, the row is undecided.

    Args:
        claim: What is claimed.
        source: Who claims it.
        claimed: The share or mean, as printed.
        samples: One entry per network: True or False for a share, a number for a mean.
        theirs: How many draws the claim rests on; a formula counts as infinitely many.

    Raises:
        ValueError: If ``claimed`` is no decimal number, no share between 0 and 1 where samples are
            True or False, ``theirs`` is below 1, or there are fewer than two samples, or one that
            is not finite.
    """
    (p, rounding), values = _number(claimed), np.asarray(samples)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values.astype(float)).all():
        raise ValueError(f"samples must be two finite entries or more, got {values}")
    if not theirs >= 1:
        raise ValueError(f"theirs must be at least 1, got {theirs}")
    if values.dtype == bool:
        if not 0 <= p <= 1:
            raise ValueError(f"claimed must be a share, between 0 and 1, got {claimed!r}")
        spread = math.sqrt(p * (1 - p))
    else:
        spread = values.std(ddof=1)
    tolerance = 4 * spread * math.sqrt(1 / len(values) + 1 / theirs) + rounding
    ours = values.mean()
    verdict = UNDECIDED if tolerance >= abs(p) else REPRODUCED
    verdict = DIFFERS if abs(ours - p) > tolerance else verdict
    return Row(claim, source, claimed, f"{ours:.3f}", f"± {tolerance:.3f}", verdict)


def measured(
    claim: str,
    source: str,
    claimed: str,
    samples: ArrayLike,
    low: float,
    high: float,
    *,
    look: Callable[[float], str] | None = None,
) -> Row:
    """Judge a mean over seeds by its 99 % interval: inside the band, wholly outside, or across.

    Args:
        claim: What is claimed.
        source: Who claims it.
        claimed: The number or statement.
        samples: One number per seed, at least five.
        low: Lower end of the band; −∞ for none.
        high: Upper end; ∞ for none.
        look: How to write a number, for the ends of interval and band; by default three decimals,
            and the interval as mean ± half-width.

    Raises:
        ValueError: If ``low`` is not below ``high``, there are fewer than five samples, or one is
            not finite.
    """
    if not low < high:
        raise ValueError(f"low must be below high, got {low} and {high}")
    found = check.interval(samples, LEVEL)
    outside = found.high < low or high < found.low
    verdict = DIFFERS if outside else UNDECIDED
    verdict = REPRODUCED if low <= found.low and found.high <= high else verdict
    ours = f"{look(found.low)} to {look(found.high)}" if look else f"{found:.3f}"
    write = look or "{:.3f}".format
    band = f"{write(low)} to {write(high)}"
    band = f"under {write(high)}" if low == -math.inf else band
    band = f"over {write(low)}" if high == math.inf else band
    return Row(claim, source, claimed, ours, band, verdict)


def in_order(claim: str, source: str, claimed: str, *groups: ArrayLike) -> Row:
    """Judge an order of settings by the 99 % intervals of neighbours' differences, seed by seed.

    All above zero: reproduced; one wholly below: differs; else undecided. A seed with a number
    that is not finite drops out; with fewer than five left the row is undecided.

    Args:
        claim: What is claimed.
        source: Who claims it.
        claimed: The numbers or statement.
        *groups: One per setting, smallest first: one number per seed, the same seeds in each.

    Raises:
        ValueError: If there are fewer than two groups, or they differ in length.
    """
    rows = [np.asarray(group, dtype=float) for group in groups]
    if len(rows) < 2 or len({row.shape for row in rows}) > 1 or rows[0].ndim != 1:
        shapes = [row.shape for row in rows]
        raise ValueError(f"groups must be two or more, one number per seed each, got {shapes}")
    values = np.array(rows)
    values = values[:, np.isfinite(values).all(axis=0)]
    if values.shape[1] < check.MIN_SEEDS:
        return Row(claim, source, claimed, "diverges", f"{values.shape[1]} runs", UNDECIDED)
    steps = [check.interval(step, LEVEL) for step in np.diff(values, axis=0)]
    verdict = DIFFERS if any(step.high < 0 for step in steps) else UNDECIDED
    verdict = REPRODUCED if all(step.low > 0 for step in steps) else verdict
    least = min(steps, key=lambda step: step.low)
    means = " → ".join(f"{mean:.3f}" for mean in values.mean(axis=1))
    return Row(claim, source, claimed, means, f"step {least:.3f}", verdict)


class Trial(NamedTuple):
    """A claim, the rule by which it is judged, and what the experiments said.

    Attributes:
        id: Its name, such as "A1".
        claim: The claim in one sentence.
        rule: What must exceed the threshold for the claim to hold.
        least: The threshold.
        findings: For each setting its name, the effect with its 99 % interval, and HOLDS, FAILS or
            OPEN.
        verdict: TRUE, CONDITIONAL, FALSE or UNDECIDED.
    """

    id: str
    claim: str
    rule: str
    least: float
    findings: tuple[tuple[str, str, str], ...]
    verdict: str


HOLDS, FAILS, OPEN = "holds", "fails", "open"


def tried(
    id: str,
    claim: str,
    rule: str,
    effects: Mapping[str, ArrayLike],
    *,
    least: float = 0.0,
    possible: bool = False,
) -> Trial:
    """Put a claim on trial: does the effect that it foretells exceed a threshold in each setting?

    In a setting the claim holds if the 99 % interval of the effect lies above ``least``, fails if
    it lies at or below, and is open otherwise. It is TRUE if it holds in all settings, FALSE if it
    fails in all, CONDITIONAL if it holds in some and fails in some, and UNDECIDED in any other
    case. A claim that something is possible is TRUE if it holds in one setting.

    Args:
        id: Name of the claim.
        claim: The claim in one sentence.
        rule: What is measured, in which unit, and against what, in words.
        effects: For each setting one number per seed, at least five; a setting in which nothing is
            random has the same number five times.
        least: The threshold, fixed before the data.
        possible: Whether the claim says "can" or "may", and not "does".

    Raises:
        ValueError: If there is no setting, or one has fewer than five numbers, or a number is not
            finite.
    """
    if not effects:
        raise ValueError(f"effects of claim {id} must hold one setting or more, got none")
    findings = []
    for setting, samples in effects.items():
        found = check.interval(samples, LEVEL)
        outcome = HOLDS if found.low > least else FAILS if found.high <= least else OPEN
        findings.append((setting, f"{found:.3g}", outcome))
    outcomes = {outcome for *_, outcome in findings}
    verdict = CONDITIONAL if {HOLDS, FAILS} <= outcomes else UNDECIDED
    outcomes = {HOLDS} if possible and HOLDS in outcomes else outcomes
    verdict = {frozenset({HOLDS}): TRUE, frozenset({FAILS}): FALSE}.get(
        frozenset(outcomes), verdict
    )
    return Trial(id, claim, rule, least, tuple(findings), verdict)


def both(id: str, claim: str, first: Trial, second: Trial) -> Trial:
    """Rule on a claim that joins two by "and", each of them tried in settings of its own.

    It is FALSE if one of the two is, else UNDECIDED if one is, else CONDITIONAL if one is.

    Args:
        id: Name of the claim.
        claim: The claim in one sentence.
        first: The trial of its first half.
        second: That of its second half.

    Raises:
        ValueError: If the two have different thresholds, for a trial has one.
    """
    if first.least != second.least:
        raise ValueError(
            f"first and second must have one threshold, got {first.least:g} and {second.least:g}"
        )
    halves = (first.verdict, second.verdict)
    verdict = next(kind for kind in (FALSE, UNDECIDED, CONDITIONAL, TRUE) if kind in halves)
    rule = f"{first.rule} ({first.verdict}); and {second.rule} ({second.verdict})"
    return Trial(id, claim, rule, first.least, first.findings + second.findings, verdict)


def seeds_to_decide(samples: ArrayLike, least: float) -> float:
    """Return how many times as many seeds would decide, if mean and spread stayed as they are.

    Args:
        samples: One effect a seed, at least five.
        least: The threshold.

    Raises:
        ValueError: If there are fewer than five samples, or one is not finite.
    """
    found = check.interval(samples, LEVEL)
    distance = abs(found.mean - least)
    return ((found.high - found.mean) / distance) ** 2 if distance else math.inf


def to_html(rows: Iterable[Row]) -> str:
    """Return rows as an HTML table, each run of one source under that source."""
    names = ("claim", "claimed", "ours", "within", "verdict")
    lines = ["<tr>" + "".join(f"<th>{name}</th>" for name in names)]
    for source, group in itertools.groupby(rows, key=lambda row: row.source):
        head = f'<td colspan="5" style="text-align: left"><em>{html.escape(source)}</em></td>'
        lines.append(f"<tr>{head}")
        for row in group:
            claim, _, *numbers, verdict = map(html.escape, row)
            verdict = verdict if verdict == REPRODUCED else f"<strong>{verdict}</strong>"
            cells = "".join(f"<td>{cell}</td>" for cell in (*numbers, verdict))
            name = f'<td style="text-align: left; white-space: normal">{claim}</td>'
            lines.append(f"<tr>{name}{cells}")
    style = "width: 100%; font-size: 0.8em; font-variant-numeric: tabular-nums"
    return f'<table style="{style}">' + "</tr>\n".join(lines) + "</tr></table>"


def trials_to_html(trials: Iterable[Trial], sections: Mapping[str, str] | None = None) -> str:
    """Return trials as an HTML table, one row a claim, its settings below one another.

    Args:
        trials: The rows.
        sections: For the id of a claim, where the book derives it: a path from the notebook that
            shows the table. That of a notebook becomes a link to its page.
    """
    left = 'style="text-align: left; white-space: normal; vertical-align: top"'
    names = ("", "claim and rule", "effect in each setting", "verdict")
    lines = ["<tr>" + "".join(f"<th {left}>{name}</th>" for name in names)]
    for trial in trials:
        name, claim, rule, verdict = map(
            html.escape, (trial.id, trial.claim, trial.rule, trial.verdict)
        )
        if link := (sections or {}).get(trial.id):
            page = html.escape(re.sub(r"\.ipynb(?=#|$)", ".html", link))
            name = f'<a href="{page}">{name}</a>'
        found = "<br>".join(
            f"{html.escape(setting)}: {effect}, {outcome}"
            for setting, effect, outcome in trial.findings
        )
        cells = (name, f"{claim}<br><em>{rule}</em>", found, f"<strong>{verdict}</strong>")
        lines.append("<tr>" + "".join(f"<td {left}>{cell}</td>" for cell in cells))
    style = "width: 100%; font-size: 0.8em; font-variant-numeric: tabular-nums"
    return f'<table style="{style}">' + "</tr>\n".join(lines) + "</tr></table>"


def _number(text: str) -> tuple[float, float]:
    """Return a number given as text, and half a unit of its last digit."""
    try:
        mantissa, _, exponent = text.lower().partition("e")
        value = float(text)
        return value, 0.5 * 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    except (AttributeError, ValueError):
        raise ValueError(f"claimed must be a decimal number as text, got {text!r}") from None
