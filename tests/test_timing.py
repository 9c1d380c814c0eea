"""``timing``: functions take turns, and ratios belong to a round."""

import gc
import math
import time

import numpy as np
import pandas as pd
import pytest

from cnnbook import timing


def test_functions_take_turns_after_a_call_that_does_not_count():
    called = []
    functions = {name: lambda name=name: called.append(name) for name in "ab"}
    table = timing.alternate(functions, rounds=3)
    assert called == [*"ab", *"ab", *"ab", *"ab"]
    assert list(table) == ["a", "b"] and len(table) == 3
    assert (table > 0).all().all()


def test_a_turn_lasts_as_long_as_it_should_and_gives_the_time_of_a_call():
    calls = []
    functions = {"nap": lambda: calls.append(time.sleep(0.004))}
    table = timing.alternate(functions, rounds=2, seconds=0.04)
    assert 5 <= len(calls) <= 22
    assert table["nap"].between(0.004, 0.02).all()


@pytest.mark.parametrize("collecting", [True, False])
def test_the_collector_is_off_meanwhile_and_put_back(collecting):
    before, seen = gc.isenabled(), []
    (gc.enable if collecting else gc.disable)()
    try:
        timing.alternate({"look": lambda: seen.append(gc.isenabled())}, rounds=2)
        assert seen[1:] == [False, False] and gc.isenabled() == collecting

        def fail():
            seen.append(0)
            return 1 / (5 - len(seen))  # at the second call, which is the first that counts

        with pytest.raises(ZeroDivisionError):
            timing.alternate({"fail": fail})
        assert gc.isenabled() == collecting
    finally:
        (gc.enable if before else gc.disable)()


def test_ratios_are_taken_within_a_round():
    times = pd.DataFrame({"slow": [2.0, 20.0, 6.0], "quick": [1.0, 10.0, 2.0]})
    found = timing.ratios(times, "quick")
    assert found.loc["slow"].tolist() == [2.0, 2.0, 2.5]
    assert found.loc["quick"].tolist() == [1.0, 1.0, 1.0]


def test_the_exponent_of_a_power_law():
    work = np.array([1, 3, 10, 100])
    assert timing.exponent(work, 5 * work**1.5) == pytest.approx(1.5)
    bent = timing.exponent([1, 10, 100], [1, 10, 1000])
    assert bent == pytest.approx(np.polyfit([0, 1, 2], [0, 1, 3], 1)[0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: timing.alternate({}), ValueError, "functions must have a function"),
        (lambda: timing.alternate({"a": 1}), TypeError, r"functions\['a'\] must be callable"),
        (lambda: timing.alternate({"a": print}, rounds=0), ValueError, "rounds must be at least 1"),
        (lambda: timing.alternate({"a": print}, seconds=-1), ValueError, "seconds must be finite"),
        (lambda: timing.ratios(pd.DataFrame({"a": [1.0]}), "b"), KeyError, "one of a, got 'b'"),
        (lambda: timing.exponent([1, 1], [1, 2]), ValueError, "at least two sizes"),
        (lambda: timing.exponent([1, 2], [0, 2]), ValueError, "positive and finite"),
        (lambda: timing.exponent([1, math.inf], [1, 2]), ValueError, "positive and finite"),
        (lambda: timing.exponent([], []), ValueError, "positive and finite"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
