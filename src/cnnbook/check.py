"""The book's checked claims.

A claim is a sentence of the book with the measurement that carries it. Each function below prints
``✓``, the claim and what would refute it, or raises ``CheckFailed`` with the numbers. The line
printed is the same on every machine, so the notebooks' regression test compares it.

Mathematics is checked with ``equal`` and ``close``. A measurement depends on its seed, so
``between`` and ``ordered`` take samples, one number per seed, and judge the 95 % interval of their
mean; fewer than five seeds are refused.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from scipy import stats

MIN_SEEDS = 5


class CheckFailed(AssertionError):
    """A claim of the book that the measurement beside it refutes."""


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with its two-sided confidence interval (Student's t).

    Attributes:
        mean: Sample mean.
        low: Lower end.
        high: Upper end.
        seeds: Number of samples.
    """

    mean: float
    low: float
    high: float
    seeds: int

    def __format__(self, spec: str) -> str:
        """Return "mean ± half-width", both in the format ``spec``; "%" gives one percent sign."""
        half = (self.high - self.low) / 2
        if spec.endswith("%"):
            return f"{100 * self.mean:{spec[:-1]}f} ± {100 * half:{spec[:-1]}f} %"
        return f"{self.mean:{spec}} ± {half:{spec}}"


def interval(samples: ArrayLike, level: float = 0.95) -> Interval:
    """Return the mean of one number per seed, with its confidence interval.

    Args:
        samples: One number per seed, at least five of them.
        level: Confidence level, between 0 and 1.

    Raises:
        ValueError: If there are fewer than five samples, one is not finite, they have more than
            one axis, or ``level`` is out of range.
    """
    values = _as_array(samples)
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    if values.ndim != 1 or len(values) < MIN_SEEDS:
        raise ValueError(
            f"samples must be one number per seed for at least {MIN_SEEDS} seeds, "
            f"got shape {values.shape}"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"samples must be finite, got {values}")
    mean, error = values.mean(), values.std(ddof=1) / math.sqrt(len(values))
    half = stats.t.ppf((1 + level) / 2, len(values) - 1) * error
    return Interval(float(mean), float(mean - half), float(mean + half), len(values))


def summarize(table: pd.DataFrame, by: str | list[str], value: str) -> pd.DataFrame:
    """Return the mean over seeds with its 95 % interval, for each group of rows.

    Args:
        table: One row per run.
        by: Column, or columns, that tell the groups apart.
        value: Column to summarise; within a group, one number per seed.

    Returns:
        One row per group, in order of appearance: the columns of ``by``, then ``mean``, ``low``,
        ``high`` and ``seeds``.

    Raises:
        KeyError: If a column is missing.
        ValueError: If a group has fewer than five rows or a number that is not finite.
    """
    names = [by] if isinstance(by, str) else list(by)
    rows = [
        (*key, *astuple(interval(group[value])))
        for key, group in table.groupby(names, sort=False, observed=True, dropna=False)
    ]
    return pd.DataFrame(rows, columns=[*names, "mean", "low", "high", "seeds"])


def equal(claim: str, measured: object, expected: object) -> None:
    """Check that two things are exactly equal: numbers, tuples, strings, or whole arrays.

    Raises:
        CheckFailed: If they are not, or their shapes differ.
    """
    if isinstance(measured, torch.Tensor | np.ndarray):
        first, second = _as_array(measured), _as_array(expected)
        agree = first.shape == second.shape and np.array_equal(first, second)
    else:
        agree = measured == expected
    found = f"measured {measured}, expected {expected}"
    _conclude(bool(agree), claim, "by any difference", found)


def close(claim: str, measured: ArrayLike, expected: ArrayLike, tolerance: float = 1e-10) -> None:
    """Check that two numbers or arrays differ nowhere by more than ``tolerance``.

    Args:
        claim: The sentence.
        measured: A number or array.
        expected: A number or array of the same shape.
        tolerance: Largest absolute difference allowed, not negative.

    Raises:
        CheckFailed: If they differ by more, or one is not a number, or their shapes differ.
        ValueError: If ``tolerance`` is negative.
    """
    if not tolerance >= 0:
        raise ValueError(f"tolerance must not be negative, got {tolerance}")
    first, second = _as_array(measured), _as_array(expected)
    if first.shape != second.shape:
        raise CheckFailed(f"{claim}: measured shape {first.shape}, expected {second.shape}")
    gap = float(np.max(np.abs(first - second), initial=0.0))
    found = f"the largest difference is {gap:g}"
    _conclude(gap <= tolerance, claim, f"by a difference above {tolerance:g}", found)


def between(claim: str, measured: ArrayLike, low: float, high: float) -> None:
    """Check that a number, or the 95 % interval of a mean over seeds, lies within [low, high].

    Args:
        claim: The sentence.
        measured: One number, or one per seed (at least five).
        low: Lower end of the band; −∞ for none.
        high: Upper end of the band; ∞ for none.

    Raises:
        CheckFailed: If the number or any part of the interval lies outside.
        ValueError: If ``low`` is not below ``high``, or there are too few seeds.
    """
    if not low < high:
        raise ValueError(f"low must be below high, got {low} and {high}")
    bottom, top, found = _extent(measured)
    if _as_array(measured).ndim:
        refutation = f"if the 95 % interval {_beyond(low, high, 'leaves', 'reaches ')}"
    else:
        refutation = _beyond(low, high, "outside", "")
    _conclude(low <= bottom and top <= high, claim, refutation, f"measured {found}")


def ordered(claim: str, *groups: ArrayLike, gap: float = 0.0) -> None:
    """Check that each group lies above the one before it, by more than ``gap``.

    Numbers are compared as they are. Samples, one number per seed in the same order, are compared
    seed by seed: the 95 % interval of each difference must lie above ``gap``.

    Args:
        claim: The sentence.
        *groups: Two or more numbers, or samples of equal length, smallest first.
        gap: Least difference between neighbours.

    Raises:
        CheckFailed: If a difference, or any part of its interval, is not above ``gap``.
        ValueError: If there are fewer than two groups, they differ in length, or there are too few
            seeds.
    """
    if len(groups) < 2:
        raise ValueError(f"ordered needs at least two groups, got {len(groups)}")
    arrays = [_as_array(group) for group in groups]
    if len({array.shape for array in arrays}) > 1:
        raise ValueError(
            f"groups must have one shape, got {', '.join(str(a.shape) for a in arrays)}"
        )
    differences = [
        _extent(larger - smaller) for smaller, larger in zip(arrays, arrays[1:], strict=False)
    ]
    if arrays[0].ndim:
        refutation = f"if the 95 % interval of a difference reaches {gap:g}"
    else:
        refutation = f"by a step of {gap:g} or less" if gap else "by any other order"
    found = ", ".join(found for *_, found in differences)
    holds = all(bottom > gap for bottom, *_ in differences)
    _conclude(holds, claim, refutation, f"the differences are {found}")


def raises(
    claim: str,
    error: type[Exception] | tuple[type[Exception], ...],
    function: Callable[..., object],
    *args: object,
    **kwargs: object,
) -> None:
    """Check that a call fails as it should.

    Args:
        claim: The sentence.
        error: The exception class, or classes, expected.
        function: What to call.
        *args: Its arguments.
        **kwargs: Its keyword arguments.

    Raises:
        CheckFailed: If the call returns. Any other exception passes through.
    """
    try:
        result = function(*args, **kwargs)
    except error:
        _conclude(True, claim, "by a call that succeeds", "")
    else:
        _conclude(False, claim, "by a call that succeeds", f"the call returned {result!r}")


def _conclude(holds: bool, claim: str, refutation: str, measured: str) -> None:
    if not holds:
        raise CheckFailed(f"{claim}: refuted, {measured}. The claim is refuted {refutation}.")
    print(f"✓ {claim}  [refuted {refutation}]")


def _extent(measured: ArrayLike) -> tuple[float, float, str]:
    """Return the ends to judge, of a number or of an interval, and the measurement in words."""
    values = _as_array(measured)
    if values.ndim == 0:
        return float(values), float(values), f"{values:g}"
    found = interval(values)
    return found.low, found.high, f"{found:.4g} over {found.seeds} seeds"


def _beyond(low: float, high: float, both: str, one: str) -> str:
    """Say where the band [low, high] ends, with a verb for two ends and one for a single end."""
    if low == -math.inf:
        return f"{one}above {high:g}"
    if high == math.inf:
        return f"{one}below {low:g}"
    return f"{both} [{low:g}, {high:g}]"


def _as_array(values: object) -> np.ndarray:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    if isinstance(values, Sequence) and any(isinstance(v, torch.Tensor) for v in values):
        values = [v.item() for v in values]
    return np.asarray(values, dtype=np.float64)
