"""Timing: functions take turns, so that all of them meet the same machine.

A machine that is busy, or clocks itself down, slows everything that runs meanwhile. Times of
different minutes cannot be compared; ratios of times from one round can.
"""

import gc
import time
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from cnnbook._arguments import as_int, as_real, check_callable


def alternate(
    functions: Mapping[str, Callable[[], object]], *, rounds: int = 7, seconds: float = 0.0
) -> pd.DataFrame:
    """Time functions in turns.

    Each is called once before, which is not counted. In each round, each has its turn: it is called
    once, and again until ``seconds`` are over, with the garbage collector off.

    Args:
        functions: Functions without arguments, by name.
        rounds: How often each has its turn.
        seconds: Least time of a turn, for functions too short to be timed by one call.

    Returns:
        Seconds a call: one row per round, one column per function.

    Raises:
        TypeError: If a function cannot be called, or a number is none.
        ValueError: If there is no function, ``rounds`` is not positive, or ``seconds`` is negative
            or not finite.
    """
    rounds, seconds = as_int("rounds", rounds, 1), as_real("seconds", seconds, least=0)
    if not functions:
        raise ValueError("functions must have a function, got none")
    for name, function in functions.items():
        check_callable(f"functions[{name!r}]", function)
        function()
    return pd.DataFrame(
        {name: _turn(function, seconds) for name, function in functions.items()}
        for _ in range(rounds)
    )


def _turn(function: Callable[[], object], seconds: float) -> float:
    """Return the mean time of a call."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        calls, start = 0, time.perf_counter()
        while calls == 0 or time.perf_counter() - start < seconds:
            function()
            calls += 1
        return (time.perf_counter() - start) / calls
    finally:
        if collecting:
            gc.enable()


def ratios(times: pd.DataFrame, to: str) -> pd.DataFrame:
    """Return how long each function takes, as a multiple of one of them in the same round.

    Args:
        times: What ``alternate`` returned.
        to: Name of the function to compare with.

    Returns:
        One row per function: ``ratio``, the median over rounds, and its quartiles ``low`` and
        ``high``.

    Raises:
        KeyError: If there is no function ``to``.
    """
    if to not in times:
        raise KeyError(f"to must be one of {', '.join(map(str, times))}, got {to!r}")
    shares = times.div(times[to], axis=0)
    quartiles = shares.quantile([0.5, 0.25, 0.75]).T
    return quartiles.set_axis(["ratio", "low", "high"], axis=1).rename_axis("function")


def exponent(work: ArrayLike, times: ArrayLike) -> float:
    """Return b of the power law time = a·work^b, by least squares of the logarithms.

    Args:
        work: Amounts of work, positive, of at least two sizes.
        times: The time of each.

    Raises:
        ValueError: If a number is not positive and finite, or all work is of one size.
    """
    x, y = (np.asarray(numbers, dtype=float) for numbers in (work, times))
    if not (np.isfinite([*x, *y]).all() and min([*x, *y], default=0) > 0):
        raise ValueError("work and times must be positive and finite")
    if len(np.unique(x)) < 2:
        raise ValueError("work must be of at least two sizes")
    return float(np.polynomial.Polynomial.fit(np.log(x), np.log(y), 1).convert().coef[1])
