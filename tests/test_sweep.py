"""``sweep``: one table whatever happens; a recorded one cannot drift from its recipe."""

import json
import math
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from functools import partial
from pathlib import Path

import cloudpickle
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cnnbook import check, sweep
from cnnbook.sweep import SweepError

SEEDS = range(5)


def draw(seed, scale=1.0, kind="a"):
    """What a run may return: every type, and draws from every generator."""
    return {
        "python": scale * random.random(),
        "numpy": np.random.rand(),  # noqa: NPY002
        "torch": torch.rand(()),
        "threads": torch.get_num_threads(),
        "even": seed % 2 == 0,
        "name": f"{kind}{seed}",
    }


def profile(seed, depth):
    return pd.DataFrame({"layer": range(depth), "rms": torch.rand(depth).numpy()})


def fragile(seed, mode="ok", folder=None):
    if mode == "raise" and seed == 1:
        raise ValueError("no\n luck")
    if mode == "exit" and seed == 1:
        sys.exit(3)
    if mode == "die" and seed == 1:
        os._exit(7)
    if mode == "die once" and seed == 2 and not (Path(folder) / "died").exists():
        (Path(folder) / "died").touch()
        os._exit(7)
    return {"value": float(seed)}


def counted(seed, folder, fail=False, a=0):
    with (Path(folder) / "calls").open("a") as file:
        file.write(f"{a} {seed}\n")
    if fail and seed == 1 and not (Path(folder) / "mended").exists():
        raise ValueError("not yet")
    return {"value": a + seed / 3}


def calls(folder):
    path = Path(folder) / "calls"
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


def same(first, second):
    pd.testing.assert_frame_equal(
        first.drop(columns="seconds"), second.drop(columns="seconds"), check_exact=True
    )


# --- the table ------------------------------------------------------------------------------------


def test_the_table_is_tidy_and_ordered():
    table = sweep.run(draw, {"scale": [2.0, 1.0], "kind": ["b", None]}, [3, 1])
    results = ["python", "numpy", "torch", "threads", "even", "name"]
    assert list(table.columns) == ["scale", "kind", "seed", *results, "error", "seconds"]
    assert table["scale"].tolist() == [2.0] * 4 + [1.0] * 4
    assert table["kind"].tolist() == ["b", "b", "none", "none"] * 2
    assert table["seed"].tolist() == [3, 1] * 4
    assert table["error"].isna().all() and (table["seconds"] >= 0).all()
    assert (table["threads"] == 1).all() and table["even"].dtype == bool
    assert table["name"].tolist()[:4] == ["b3", "b1", "None3", "None1"]
    torch.manual_seed(3)
    assert table.loc[0, "torch"] == torch.rand(()).item()
    assert table.loc[0, "python"] == 2 * random.Random(3).random()


def test_the_table_does_not_depend_on_the_workers():
    grid = {"scale": [0.5, 1], "kind": ["a", "b"]}
    same(sweep.run(draw, grid, SEEDS), sweep.run(draw, grid, SEEDS, workers=2))


def test_functions_that_no_module_holds_reach_the_workers():
    factor = 3
    table = sweep.run(lambda seed: {"value": factor * seed}, {}, SEEDS, workers=2)
    assert table["value"].tolist() == [0, 3, 6, 9, 12]
    assert list(table.columns) == ["seed", "value", "error", "seconds"]


def test_several_rows_per_run():
    table = sweep.run(profile, [{"depth": 2}, {"depth": 3}], [0, 1])
    assert table["layer"].tolist() == [0, 1, 0, 1, 0, 1, 2, 0, 1, 2]
    assert table["seed"].tolist() == [0, 0, 1, 1, 0, 0, 0, 1, 1, 1]
    assert table.groupby(["depth", "seed"])["seconds"].nunique().eq(1).all()
    same(table, sweep.run(lambda **a: profile(**a).to_dict("records"), {"depth": [2, 3]}, [0, 1]))


def test_the_caller_finds_its_state_unchanged():
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        torch.set_default_dtype(torch.float64)
        torch.manual_seed(11), random.seed(11), np.random.seed(11)  # noqa: NPY002
        before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
        table = sweep.run(lambda seed: {"bits": torch.finfo(torch.rand(1).dtype).bits}, {}, [0, 1])
        assert table["bits"].tolist() == [32, 32]
        assert torch.equal(torch.get_rng_state(), before[0])
        assert random.getstate() == before[1]
        assert np.random.get_state()[1].tolist() == before[2]  # noqa: NPY002
        assert torch.get_num_threads() == 2 and torch.get_default_dtype() == torch.float64
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(torch.float32)


def test_each_run_starts_from_the_same_state():
    def spoil(seed):
        found = torch.get_num_threads(), str(torch.get_default_dtype()), torch.rand(()).item()
        torch.set_num_threads(2), torch.set_default_dtype(torch.float64)
        return dict(zip(("threads", "dtype", "draw"), found, strict=True))

    table = sweep.run(spoil, {}, [4, 5])
    assert table["threads"].tolist() == [1, 1] and set(table["dtype"]) == {"torch.float32"}
    assert table["draw"].tolist() == [
        torch.manual_seed(s) and torch.rand(()).item() for s in (4, 5)
    ]


def test_columns_that_not_every_run_has():
    def uneven(seed):
        return [{"a": 1, "b": True}, {"c": "x", "b": None}, {"b": False, "c": 2}][seed]

    table = sweep.run(uneven, {}, [0, 1, 2])
    assert table["a"].tolist()[:1] == [1.0] and table["a"].isna().tolist() == [False, True, True]
    assert table["b"].tolist()[::2] == [1.0, 0.0] and math.isnan(table["b"][1])
    assert table["c"].tolist()[1:] == ["x", "2"] and table["c"].isna().tolist() == [
        True,
        False,
        False,
    ]


# --- failures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("mode", "error"), [("raise", "ValueError: no luck"), ("exit", "SystemExit: 3")]
)
def test_a_failed_run_is_a_row_with_its_error(workers, mode, error):
    table = sweep.run(partial(fragile, mode=mode), {}, [0, 1, 2], workers=workers)
    assert table["error"].tolist()[1] == error and table["error"].isna().tolist() == [
        True,
        False,
        True,
    ]
    assert table["value"].tolist()[::2] == [0.0, 2.0] and math.isnan(table["value"][1])


def test_a_killed_process_costs_its_own_run_only(tmp_path):
    log, function = tmp_path / "log", partial(fragile, folder=str(tmp_path))
    table = sweep.run(function, {"mode": ["die", "die once"]}, range(4), workers=2, path=log)
    failed = table[table["error"].notna()]
    assert failed[["mode", "seed"]].values.tolist() == [["die", 1]]
    error = failed["error"].iloc[0]
    assert error == "TerminatedWorkerError: the process died twice, exit code {EXIT(7)}"
    assert table["value"].tolist() == pytest.approx([0, math.nan, 2, 3, 0, 1, 2, 3], nan_ok=True)
    assert len(log.read_text().splitlines()) == 8


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (3, "TypeError: the function must return a mapping or a list of mappings, got 3"),
        ([3], "TypeError: the function must return a mapping or a list"),
        ([], "ValueError: the function must return at least one row"),
        ({"x": [1]}, "TypeError: x must be a number, a truth value, a text or None, got [1]"),
        ({"x": torch.ones(2)}, "TypeError: x must be a number"),
        ({"x": 2**63}, "ValueError: x must fit in 64 bits"),
        ({"x": "a\rb"}, "ValueError: x must hold no carriage return"),
        ({1: 1}, "TypeError: the function must name its columns by strings, got 1"),
        ({"seed": 1}, "ValueError: the function must not return a column 'seed'"),
        ({"a": 1}, "ValueError: the function must not return a column 'a'"),
    ],
)
def test_results_that_fit_no_table(result, error):
    table = sweep.run(lambda seed, a: result, {"a": [1]}, [0])
    assert table["error"][0].startswith(error), table["error"][0]


def test_the_workers_function_in_this_process():
    pickled = cloudpickle.dumps(fragile)
    threads = torch.get_num_threads()
    with sweep._state_kept():
        assert sweep._execute_pickled(pickled, {"mode": "ok"}, 2).rows == [{"value": 2.0}]
    assert torch.get_num_threads() == threads
    before = signal.getsignal(signal.SIGINT)
    try:
        sweep._start_worker()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


BAD_CALLS = [
    ({"grid": 3}, TypeError, "grid must be a mapping or a sequence of mappings, got 3"),
    ({"grid": [3]}, TypeError, "grid must be a mapping or a sequence"),
    ({"grid": {"a": "xy"}}, TypeError, r"grid\['a'\] must be a list of values, got 'xy'"),
    ({"grid": {"a": 1}}, TypeError, r"grid\['a'\] must be a list of values, got 1"),
    ({"grid": {"a": []}}, ValueError, "grid must have at least one point"),
    ({"grid": []}, ValueError, "grid must have at least one point"),
    ({"grid": {1: [1]}}, TypeError, "grid must have strings as names, got 1"),
    ({"grid": {"seed": [1]}}, ValueError, "grid must not use the name 'seed'"),
    ({"grid": {"row": [1]}}, ValueError, "grid must not use the name 'row'"),
    ({"grid": {"a": [(1, 2)]}}, TypeError, r"grid\['a'\] must be a number.*\(1, 2\)"),
    ({"grid": {"a": [math.nan]}}, ValueError, r"grid\['a'\] must not hold nan"),
    ({"grid": {"a": [""]}}, ValueError, r"grid\['a'\] must not hold ''"),
    ({"grid": {"a": [1, 1.0]}}, ValueError, "grid must not repeat a point"),
    ({"grid": {"a": [None, "none"]}}, ValueError, "grid must not repeat a point"),
    ({"grid": [{}, {}]}, ValueError, "grid must not repeat a point"),
    ({"grid": [{"a": 1}, {"b": 1}]}, ValueError, "same names at every point, got {'b': 1}"),
    ({"seeds": []}, ValueError, "seeds must hold at least one seed"),
    ({"seeds": 3}, TypeError, "seeds must be a list of integers, got 3"),
    ({"seeds": "12"}, TypeError, "seeds must be a list of integers, got '12'"),
    ({"seeds": [1.0]}, TypeError, "seeds must be an integer, got 1.0"),
    ({"seeds": [-1]}, ValueError, "seeds must be at least 0"),
    ({"seeds": [2**32]}, ValueError, "seeds must be below"),
    ({"seeds": [1, 1]}, ValueError, r"seeds must be distinct, got \[1, 1\]"),
    ({"workers": 0}, ValueError, "workers must be at least 1"),
    ({"function": 3}, TypeError, "function must be callable, got 3"),
    (
        {"function": lambda seed, lock=sys.stdout: 0, "workers": 2},
        TypeError,
        "function must be picklable for several workers",
    ),
]


@pytest.mark.parametrize(("changes", "error", "message"), BAD_CALLS)
def test_bad_arguments_are_named(changes, error, message):
    with pytest.raises(error, match=message):
        sweep.run(**{"function": fragile, "grid": {}, "seeds": [0], **changes})


# --- the log --------------------------------------------------------------------------------------


def test_finished_runs_are_not_repeated(tmp_path):
    log, function = tmp_path / "new" / "log", partial(counted, folder=str(tmp_path))
    first = sweep.run(function, {"a": [1]}, [0, 1], path=log)
    assert calls(tmp_path) == ["1 0", "1 1"]
    pd.testing.assert_frame_equal(sweep.run(function, {"a": [1]}, [0, 1], path=log), first)
    assert calls(tmp_path) == []
    wider = sweep.run(function, {"a": [2, 1]}, [1, 2], path=log)
    assert calls(tmp_path) == ["2 1", "2 2", "1 2"]
    same(wider, sweep.run(function, {"a": [2, 1]}, [1, 2]))


def test_failed_runs_are_tried_again_by_choice(tmp_path):
    log, function = tmp_path / "log", partial(counted, folder=str(tmp_path), fail=True)
    assert sweep.run(function, {}, [0, 1], path=log)["error"].notna().tolist() == [False, True]
    calls(tmp_path)
    table = sweep.run(function, {}, [0, 1], path=log, retry_failed=False)
    assert calls(tmp_path) == [] and table["error"].notna().tolist() == [False, True]
    (tmp_path / "mended").touch()
    assert sweep.run(function, {}, [0, 1], path=log)["error"].isna().all()
    assert calls(tmp_path) == ["0 1"]
    assert sweep.run(function, {}, [0, 1], path=log)["error"].isna().all()
    assert calls(tmp_path) == []


def test_another_source_starts_afresh_and_loses_nothing(tmp_path):
    log = tmp_path / "log"
    sources = [f"def f(seed):\n    return {{'value': seed + {n}}}\n" for n in (0, 10)]
    tables = []
    for number in (0, 1, 0):
        (tmp_path / f"made{number}.py").write_text(sources[number])
        sys.path.insert(0, str(tmp_path))
        try:
            module = __import__(f"made{number}")
        finally:
            sys.path.remove(str(tmp_path))
        tables.append(sweep.run(module.f, {}, [0, 1], path=log)["value"].tolist())
    assert tables == [[0, 1], [10, 11], [0, 1]]
    assert len(log.read_text().splitlines()) == 4


def test_another_constant_is_another_function(tmp_path):
    def times(factor):
        def value(seed):
            return {"value": factor * seed}

        return value

    log = tmp_path / "log"
    values = [sweep.run(times(n), {}, [1], path=log)["value"][0] for n in (2, 3)]
    values += [
        sweep.run(partial(draw, scale=n), {}, [1], path=log)["python"][0] for n in (2.0, 4.0)
    ]
    assert values[:2] == [2, 3] and values[3] == 2 * values[2]


def test_other_versions_start_afresh(tmp_path, monkeypatch):
    log, function = tmp_path / "log", partial(counted, folder=str(tmp_path))
    sweep.run(function, {}, [0], path=log)
    monkeypatch.setattr(torch, "__version__", "0.0")
    sweep.run(function, {}, [0], path=log)
    assert calls(tmp_path) == ["0 0", "0 0"]


@pytest.mark.parametrize("cut", [1, 9, 30])
def test_a_half_written_line_is_run_again(tmp_path, cut):
    log, function = tmp_path / "log", partial(counted, folder=str(tmp_path))
    whole = sweep.run(function, {}, [0, 1, 2], path=log)
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:2]) + lines[2][:cut])
    calls(tmp_path)
    same(sweep.run(function, {}, [0, 1, 2], path=log), whole)
    assert calls(tmp_path) == ["0 2"]
    assert len(log.read_bytes().splitlines()) == 3 and json.loads(lines[2])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"half": \n', "line 1 is no finished run .* delete the line or the file"),
        (b'{"code": 1}\n', "line 1 is no finished run"),
        (b"3\n", "line 1 is no finished run"),
        (b"my notes", "ends in something else than a run; choose another path"),
    ],
)
def test_a_file_that_is_no_log_is_left_alone(tmp_path, content, message):
    log = tmp_path / "log"
    log.write_bytes(content)
    with pytest.raises(SweepError, match=message):
        sweep.run(fragile, {}, [0], path=log)
    assert log.read_bytes() == content


def test_what_a_log_cannot_tell_apart_is_refused(tmp_path):
    tensor = torch.ones(3)

    def closure(seed):
        return {"value": tensor.sum()}

    made = {}
    exec("def unknown(seed):\n    return {}", made)
    for function, message in [
        (lambda seed: {}, "a function with a name and a source"),
        (closure, "depends on scalars only, got tensor"),
        (partial(fragile, mode=[1]), "depends on scalars only, got mode"),
        (made["unknown"], "path needs the source of function"),
    ]:
        with pytest.raises(ValueError, match=message):
            sweep.run(function, {}, [0], path=tmp_path / "log")


def test_ctrl_c_keeps_what_is_done(tmp_path):
    def stop(seed):
        if seed == 2:
            raise KeyboardInterrupt
        return {"value": seed}

    log = tmp_path / "log"
    with pytest.raises(KeyboardInterrupt, match="stopped after 2 of 4 runs") as caught:
        sweep.run(stop, {}, range(4), path=log)
    assert isinstance(caught.value, sweep.Interrupted)
    assert caught.value.table["value"].tolist() == [0, 1] and caught.value.runs == 4
    assert len(log.read_text().splitlines()) == 2


def test_ctrl_c_stops_the_workers(tmp_path):
    script = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from cnnbook import sweep

        def work(seed):
            if seed > 1:
                Path(sys.argv[1], f"{seed}").touch()
                time.sleep(60)
            return {"value": seed}

        try:
            sweep.run(work, {}, range(8), workers=2)
        except KeyboardInterrupt as stop:
            print(stop, stop.table["value"].tolist())
        """
    )
    (tmp_path / "work.py").write_text(script)
    process = subprocess.Popen(
        [sys.executable, tmp_path / "work.py", tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    start = time.monotonic()
    while not (tmp_path / "3").exists() and time.monotonic() - start < 60:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert out == "stopped after 2 of 8 runs [0, 1]\n", err
    assert "Traceback" not in err


def test_a_sweep_that_is_killed_goes_on(tmp_path):
    (tmp_path / "experiments").mkdir()
    recipe = tmp_path / "experiments" / "slow.py"
    recipe.write_text(
        "import time\n\n\ndef run(seed):\n    time.sleep(0.2)\n    return {'value': seed / 3}\n\n\n"
        "GRID = {}\nSEEDS = range(6)\n"
    )
    log = tmp_path / "experiments" / ".runs" / "slow.jsonl"
    command = [sys.executable, "-m", "cnnbook.sweep", recipe]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not (log.exists() and log.read_bytes().count(b"\n") >= 2):
        time.sleep(0.02)
    process.kill()
    process.wait()
    before = log.read_bytes().splitlines()[:2]
    assert not recipe.with_suffix(".csv").exists()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{recipe}: running\n{recipe}: recorded 6 rows\n"
    assert log.read_bytes().splitlines()[:2] == before and log.read_bytes().count(b"\n") == 6
    assert sweep.load(recipe.with_suffix(".csv"))["value"].tolist() == [n / 3 for n in range(6)]


# --- summaries and bands --------------------------------------------------------------------------


def test_summary_counts_failures_and_agrees_with_check():
    def noisy(seed, net):
        if net == "c" or (net == "b" and seed == 0):
            raise ValueError
        return {"acc": torch.rand(()), "loss": 2.0}

    table = sweep.run(noisy, {"net": ["a", "b", "c", "d"]}, range(6))
    table = table[(table["net"] != "d") | (table["seed"] < 4)]
    found = sweep.summary(table, "net", ["acc", "loss"])
    assert list(found.columns) == ["net", "value", "mean", "low", "high", "seeds", "failed"]
    assert (
        found["net"].tolist() == list("aabbccdd") and found["value"].tolist() == ["acc", "loss"] * 4
    )
    assert found["seeds"].tolist() == [6, 6, 5, 5, 0, 0, 4, 4]
    assert found["failed"].tolist() == [0, 0, 1, 1, 6, 6, 0, 0]
    assert found["mean"].isna().tolist() == [False] * 4 + [True] * 4
    theirs = check.summarize(
        table[table["error"].isna() & table["net"].isin(["a", "b"])], "net", "acc"
    )
    ours = sweep.summary(table, ["net"], "acc").drop(columns=["value", "failed"])[:2]
    pd.testing.assert_frame_equal(ours, theirs)


def test_a_failed_run_fails_in_every_row_of_its_profile():
    def layers(seed, net):
        if net == "b" or seed == 0:
            raise ValueError
        return [{"layer": n, "rms": seed + n} for n in range(2)]

    table = sweep.run(layers, {"net": ["a", "b"]}, range(6))
    found = sweep.summary(table, ["net", "layer"], "rms")
    assert found["net"].tolist() == ["a", "a", "b"]
    assert found["layer"].tolist()[:2] == [0, 1] and math.isnan(found["layer"][2])
    assert found["mean"].tolist()[:2] == [3.0, 4.0]
    assert found["seeds"].tolist() == [5, 5, 0] and found["failed"].tolist() == [1, 1, 6]


def test_summary_refuses_what_has_no_mean():
    table = sweep.run(lambda seed, a: {"x": math.inf if seed == a else 1.0}, {"a": [9, 1]}, SEEDS)
    with pytest.raises(ValueError, match="x must be finite in every finished run, got a=1"):
        sweep.summary(table, "a", "x")
    table = sweep.run(profile, {"depth": [2]}, SEEDS)
    with pytest.raises(ValueError, match=r"several in depth=2"):
        sweep.summary(table, "depth", "rms")
    with pytest.raises(KeyError, match="table has no column 'width'"):
        sweep.summary(table, "width", "rms")


def test_bands_are_of_the_seeds_with_a_margin():
    table = pd.DataFrame(
        {"net": ["a"] * 3 + ["b"] * 2 + ["c"], "x": [1.0, 2.0, 3.0, 5.0, math.inf, math.nan]}
    )
    found = sweep.bands(table, "net", "x")
    assert found.values.tolist()[:2] == [["a", 0.0, 4.0], ["b", 5.0, 5.0]]
    assert found.iloc[2, 1:].isna().all()
    found = sweep.bands(table, ["net"], "x", tolerance=1.5)
    assert found.values.tolist()[:2] == [["a", -0.5, 4.5], ["b", 3.5, 6.5]]
    for bad in (-1, math.nan, math.inf):
        with pytest.raises(ValueError, match="tolerance must be finite and not negative"):
            sweep.bands(table, "net", "x", bad)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8), st.floats(0, 10))
def test_every_seed_lies_in_its_own_band(values, tolerance):
    band = sweep.bands(pd.DataFrame({"a": 1, "x": values}), "a", "x", tolerance)
    low, high = band.loc[0, ["low", "high"]]
    assert low <= min(values) and max(values) <= high
    assert min(values) - low == pytest.approx(high - max(values), abs=1e-6)


# --- recorded experiments -------------------------------------------------------------------------

RECIPE = '''"""An experiment."""

import math

import torch

from ._helper import scaled


def run(seed, width, norm):
    # a comment
    if width == 3 and seed == 1:
        raise ValueError("too wide")
    return {
        "draw": scaled(torch.rand(())),
        "count": width * 7,
        "exact": math.sqrt(width),
        "odd": seed % 2 == 1,
        "text": str(norm),
        "limit": math.inf if seed == 2 else math.nan if seed == 3 else 1.0,
    }


GRID = {"width": [1, 3], "norm": [None, "batch"]}
SEEDS = range(5)
TOLERANCES = {"count": 0.5}
EXACT = ("exact",)
MAY_FAIL = [{"width": 3, "norm": None}, {"norm": "batch", "width": 3}]
'''
HELPER = "from . import _deeper\n\n\ndef scaled(x):\n    return _deeper.FACTOR * x\n"


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "killed.py"
    path.write_text(RECIPE)
    (tmp_path / "_helper.py").write_text(HELPER)
    (tmp_path / "_deeper.py").write_text("FACTOR = 2.0\n")
    return path


def edit(path, old, new, count=1):
    text = path.read_text()
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, count))


def test_a_recorded_table_comes_back_as_it_was(recipe):
    table = sweep.record(recipe)
    loaded = sweep.load(recipe.with_suffix(".csv"))
    pd.testing.assert_frame_equal(loaded, table, check_exact=True)
    assert loaded["norm"].tolist()[:6] == ["none"] * 5 + ["batch"]
    assert loaded["error"].notna().sum() == 2 and loaded["draw"].isna().sum() == 2
    torch.manual_seed(0)
    assert loaded["draw"][0] == 2 * torch.rand(()).item()
    assert sweep.problems(recipe) == []
    entry = json.loads(recipe.with_suffix(".json").read_text())
    assert entry["seeds"] == [0, 1, 2, 3, 4] and entry["runs"] == 20 and entry["failed"] == 2
    assert entry["grid"] == {"width": [1, 3], "norm": [None, "batch"]}
    assert entry["environment"]["torch"] == torch.__version__
    assert entry["seconds"] >= 0 and len(entry["date"]) == 10
    assert not list(recipe.parent.glob("*.part"))
    assert (recipe.parent / ".runs" / ".gitignore").read_text() == "*\n"


def test_two_workers_record_the_same(recipe):
    first = sweep.record(recipe)
    same(sweep.record(recipe, workers=2, fresh=True), first)


@given(
    st.lists(
        st.one_of(
            st.floats(),
            st.integers(-(2**63), 2**63 - 1),
            st.booleans(),
            st.none(),
            st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"])),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_every_column_survives_its_file(values):
    table = pd.DataFrame({"other": range(len(values)), "x": sweep._column(values)})
    text = table.to_csv(index=False, lineterminator="\n")
    back = sweep._parse(text, {name: sweep._dtype(column) for name, column in table.items()})
    pd.testing.assert_frame_equal(back, table, check_exact=True)


def test_a_table_edited_by_hand_is_found_out(recipe):
    sweep.record(recipe)
    csv = recipe.with_suffix(".csv")
    csv.write_bytes(csv.read_bytes().replace(b"\n", b"\r\n"))
    sweep.load(csv)  # a checkout may have changed the line endings
    edit(csv, "none", "some")
    with pytest.raises(SweepError, match=r"killed.csv is not the table .*; run make experiments"):
        sweep.load(csv)
    assert "is not the table" in sweep.problems(recipe)[0]


@pytest.mark.parametrize(
    ("file", "old", "new", "stale"),
    [
        ("killed.py", "width * 7", "width * 8", True),
        ("killed.py", "range(5)", "range(6)", True),
        ("killed.py", "[1, 3]", "[1, 4]", True),
        ("killed.py", "too wide", "too # wide", True),
        ("_helper.py", "FACTOR * x", "FACTOR + x", True),
        ("_deeper.py", "2.0", "3.0", True),
        ("killed.py", "# a comment", "# another", False),
        ("killed.py", "An experiment.", "The experiment.\n\nIn detail.", False),
        ("killed.py", "0.5}", "0.6}", False),
        ("killed.py", "import math\n", "import math\n\n# note\n\n", False),
        ("killed.py", '("exact",)', "()", False),
        ("_deeper.py", "2.0", "2.0  # two", False),
    ],
)
def test_what_the_hash_covers(recipe, file, old, new, stale):
    sweep.record(recipe)
    edit(recipe.with_name(file), old, new)
    if stale:
        with pytest.raises(SweepError, match=r"killed.csv is older than its recipe killed.py; run"):
            sweep.load(recipe.with_suffix(".csv"))
        assert "is older than its recipe" in sweep.problems(recipe)[0]
    else:
        sweep.load(recipe.with_suffix(".csv"))
        assert sweep.problems(recipe) == []


def test_a_setting_that_the_run_reads_is_part_of_the_code(recipe):
    recipe.write_text(
        "GRID = {}\nSEEDS = [0, 1]\n\n\ndef run(seed):\n    return {'n': len(SEEDS)}\n"
    )
    sweep.record(recipe)
    edit(recipe, "[0, 1]", "[0, 1, 2]")
    assert sweep.record(recipe)["n"].tolist() == [3, 3, 3]


def test_more_seeds_reuse_the_runs_that_are_there(recipe):
    first = sweep.record(recipe)
    log = recipe.parent / ".runs" / "killed.jsonl"
    edit(recipe, "range(5)", "range(6)")
    second = sweep.record(recipe)
    assert log.read_bytes().count(b"\n") == 20 + 4 + 2  # the two failures are tried again
    reused = second[(second["seed"] < 5) & second["error"].isna()].reset_index(drop=True)
    pd.testing.assert_frame_equal(reused, first[first["error"].isna()].reset_index(drop=True))
    sweep.record(recipe, fresh=True)
    assert log.read_bytes().count(b"\n") == 24


def test_a_failure_that_is_not_allowed_leaves_the_old_record(recipe):
    sweep.record(recipe)
    before = [recipe.with_suffix(s).read_bytes() for s in (".csv", ".json")]
    edit(recipe, '"norm": "batch", "width": 3', '"norm": "batch", "width": 4')
    text = r"1 runs failed, the first at width=3, norm=batch, seed=1 with ValueError: too wide"
    assert sweep.problems(recipe) == [text]
    with pytest.raises(SweepError, match=text):
        sweep.record(recipe)
    assert [recipe.with_suffix(s).read_bytes() for s in (".csv", ".json")] == before


def forge(recipe, change):
    """Rewrite a table with its hash, as nobody should."""
    csv, record = recipe.with_suffix(".csv"), recipe.with_suffix(".json")
    csv.write_text(change(csv.read_text()))
    entry = json.loads(record.read_text()) | {"table_sha256": sweep._sha256(csv.read_text())}
    record.write_text(json.dumps(entry))


def test_missing_and_foreign_runs_are_found(recipe):
    sweep.record(recipe)
    forge(recipe, lambda text: "\n".join(text.splitlines()[:-2]) + "\n")
    assert sweep.problems(recipe) == ["the table lacks 2 of 20 runs"]
    forge(
        recipe,
        lambda text: (
            text + text.splitlines()[-1].replace(",2,", ",7,").replace("batch,3", "batch,9") + "\n"
        ),
    )
    assert "the table has 1 runs that are not in the recipe" in sweep.problems(recipe)
    forge(recipe, lambda text: text.replace("\n1,", "\n8,"))
    with pytest.raises(SweepError, match="points that its recipe lacks; run make experiments"):
        sweep.recompute(recipe.with_suffix(".csv"), [0])
    forge(recipe, lambda text: text.replace("width,", "breadth,"))
    assert "killed.csv does not fit its .json (KeyError('width'))" in sweep.problems(recipe)[0]
    record = recipe.with_suffix(".json")
    record.write_text(record.read_text().replace('"width":', '"breadth":'))
    assert "grid is of ['breadth', 'norm'], the recipe's of" in sweep.problems(recipe)[0]


def test_settings_that_name_no_column(recipe):
    sweep.record(recipe)
    edit(recipe, '{"count": 0.5}', '{"cuont": 0.5}')
    assert sweep.problems(recipe) == [
        "TOLERANCES or EXACT names 'cuont', which is no column of the table"
    ]


@pytest.mark.parametrize("suffix", [".csv", ".json", ".py"])
def test_a_missing_file_is_named(recipe, suffix):
    sweep.record(recipe)
    recipe.with_suffix(suffix).unlink()
    with pytest.raises(SweepError, match=rf"killed.*{suffix}"):
        sweep.load(recipe.with_suffix(".csv"))


def test_a_damaged_record_is_named(recipe):
    sweep.record(recipe)
    for content in ("{", "{}", "[]"):
        recipe.with_suffix(".json").write_text(content)
        with pytest.raises(SweepError, match=r"killed.csv or its .json is missing or damaged"):
            sweep.load(recipe.with_suffix(".csv"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("GRID = {}\nSEEDS = [0]\n", "killed.py must define run"),
        ("def run(seed): ...\nGRID = {}\n", "killed.py must define SEEDS"),
        ("def run(", "killed.py cannot be read"),
        ("from ._gone import x\n", r"_gone.py cannot be read"),
        ("import _helper\n", "imports _helper, which stands beside it: write from ._helper import"),
        ("from _helper import scaled\n", "write from ._helper import"),
        ("import math\n1 / 0\n", r"killed.py cannot be run \(ZeroDivisionError"),
    ],
)
def test_a_recipe_that_is_none(recipe, text, message):
    recipe.write_text(text)
    with pytest.raises(SweepError, match=message):
        sweep.record(recipe)
    assert not recipe.with_suffix(".csv").exists()


def test_a_recipe_that_failed_to_load_can_be_mended(recipe):
    recipe.with_name("_deeper.py").write_text("FACTOR = 1 / 0\n")
    with pytest.raises(SweepError, match="ZeroDivisionError"):
        sweep.problems(recipe)
    assert not [
        name
        for name in sys.modules
        if name.startswith("_cnnbook_experiment")
        and "deeper" in name
        and not hasattr(sys.modules[name], "FACTOR")
    ]
    recipe.with_name("_deeper.py").write_text("FACTOR = 1.0\n")
    assert "missing" in sweep.problems(recipe)[0]


def test_a_recipe_changed_while_it_runs_is_noticed(recipe):
    stale = sweep._recipe(recipe)
    edit(recipe, "width * 7", "width * 9")
    table = sweep.run(stale, {"width": [1], "norm": ["x"]}, [0])
    assert "killed.py was changed while it ran" in table["error"][0]


def test_recipes_of_one_name_in_two_folders_do_not_mix(recipe, tmp_path):
    other = tmp_path / "other" / "killed.py"
    other.parent.mkdir()
    for file in tmp_path.glob("*.py"):
        (other.parent / file.name).write_text(file.read_text())
    edit(other.with_name("_deeper.py"), "2.0", "4.0")
    first, second = sweep.record(recipe), sweep.record(other)
    assert second["draw"].dropna().tolist() == [2 * x for x in first["draw"].dropna()]


def test_recompute_puts_both_side_by_side(recipe):
    table = sweep.record(recipe)
    csv = recipe.with_suffix(".csv")
    found = sweep.recompute(csv, [0, 2, 3, 11])
    assert list(found.columns) == [
        *("width", "norm", "seed", "row", "column"),
        *("recorded", "recomputed", "low", "high", "inside"),
    ]
    assert found["inside"].all()
    assert found["column"].tolist()[:6] == ["draw", "count", "exact", "odd", "text", "limit"]
    draw = found[(found["column"] == "draw") & (found["seed"] == 2)].iloc[0]
    assert draw["recorded"] == draw["recomputed"] == table["draw"][2]
    band = sweep.bands(table, ["width", "norm"], "draw").iloc[0]
    assert (draw["low"], draw["high"]) == (band["low"], band["high"])
    count = found[found["column"] == "count"].iloc[0]
    assert (count["low"], count["high"]) == (6.5, 7.5)
    failed = found[(found["seed"] == 1) & (found["column"] == "error")].iloc[0]
    assert failed["recorded"] == failed["recomputed"] == "ValueError"
    assert found.loc[found["column"] == "limit", "recomputed"].tolist()[1] == math.inf
    same_again = sweep.recompute(csv, table.index, workers=2)
    assert same_again["inside"].all() and len(same_again) == 18 * 6 + 2


@pytest.mark.parametrize(
    ("old", "new", "column"),
    [
        ("2.0", "20.0", "draw"),
        ("2.0", "-2.0", "draw"),
        ("2.0", "math.nan", "draw"),
        ("width * 7", "width * 7 + 1", "count"),
        ("math.sqrt(width)", "math.sqrt(width) + 1e-12", "exact"),
        ("seed % 2 == 1", "3", "odd"),
        ("str(norm)", "str(norm) + '!'", "text"),
        ("math.inf if", "-math.inf if", "limit"),
        ('"odd": seed % 2 == 1,', "", "odd"),
        ("width == 3", "width == 1", "error"),
        ("        raise", "        return {}\n        raise", "draw"),
    ],
)
def test_a_changed_result_leaves_its_band(recipe, old, new, column, monkeypatch):
    """As if the library had changed: the recipe's hash is made to fit, the results are others."""
    sweep.record(recipe)
    deeper = recipe.with_name("_deeper.py")
    edit(deeper if old == "2.0" else recipe, old, new)
    if old == "2.0":
        deeper.write_text("import math\n\n" + deeper.read_text())
    entry = json.loads(recipe.with_suffix(".json").read_text())
    entry["recipe_sha256"] = sweep._recipe(recipe).sha256
    recipe.with_suffix(".json").write_text(json.dumps(entry))
    found = sweep.recompute(recipe.with_suffix(".csv"), range(20))
    assert column in set(found.loc[~found["inside"], "column"])


def test_recompute_compares_profiles_row_by_row(recipe):
    recipe.write_text(
        "import torch\n\n\ndef run(seed):\n"
        "    rows = range(3 - (seed == 2))\n"
        "    return [{'layer': n, 'x': n + torch.rand(()).item()} for n in rows]\n"
        "\n\nGRID = {}\nSEEDS = range(5)\n"
    )
    table = sweep.record(recipe)
    csv = recipe.with_suffix(".csv")
    found = sweep.recompute(csv, [1, 2, 7])
    assert found["row"].tolist() == [0, 0, 1, 1, 2, 2, 0, 0, 1, 1] and found["inside"].all()
    third = found[(found["row"] == 2) & (found["column"] == "x")].iloc[0]
    values = table.groupby("seed")["x"].nth(2)
    half = (values.max() - values.min()) / 2
    assert (third["low"], third["high"]) == (values.min() - half, values.max() + half)
    edit(recipe, "range(3", "range(1")
    entry = json.loads(recipe.with_suffix(".json").read_text())
    entry["recipe_sha256"] = sweep._recipe(recipe).sha256
    recipe.with_suffix(".json").write_text(json.dumps(entry))
    rows = sweep.recompute(csv, [0]).iloc[0]
    assert (rows["column"], rows["recorded"], rows["recomputed"], rows["inside"]) == (
        "rows",
        3,
        1,
        False,
    )


def test_recompute_refuses_rows_that_are_not_there(recipe):
    sweep.record(recipe)
    for rows in ([], [0, 99], [-1]):
        with pytest.raises(ValueError, match=r"rows must be labels of rows of killed.csv, got"):
            sweep.recompute(recipe.with_suffix(".csv"), rows)


def test_a_sample_fits_its_time():
    seconds = [1.0, 2.0, 3.0, 4.0, 0.5]
    table = sweep.run(lambda seed: [{"x": 1}, {"x": 2}], {}, SEEDS)
    table["seconds"] = np.repeat(seconds, 2)
    samples = {tuple(sweep.sample(table, 5.0, seed)) for seed in range(40)}
    assert len(samples) == 5
    assert all(label % 2 == 0 for chosen in samples for label in chosen)
    assert all(0 < sum(seconds[label // 2] for label in chosen) <= 5 for chosen in samples)
    assert all(chosen == tuple(sorted(chosen)) for chosen in samples)
    assert sweep.sample(table, 5.0, 3) == sweep.sample(table, 5.0, 3)
    assert sweep.sample(table, 100, 0) == [0, 2, 4, 6, 8]
    assert sweep.sample(table, 0.1, 0) == [8]
    table.loc[8:9, "error"] = "TerminatedWorkerError: the process died twice"
    assert sweep.sample(table, 0.1, 0) == [0]
    with pytest.raises(ValueError, match="seconds must be positive, got 0"):
        sweep.sample(table, 0, 0)
    with pytest.raises(ValueError, match="a run that can be repeated"):
        sweep.sample(table[8:], 1, 0)


# --- the command ----------------------------------------------------------------------------------


def test_the_command_records_what_is_out_of_date(recipe, capsys):
    other = recipe.with_name("broken.py")
    other.write_text("GRID = {}\nSEEDS = [0]\n\n\ndef run(seed):\n    return {'x': 1 / 0}\n")
    assert sweep.main([str(recipe.parent)]) == 1
    out, err = capsys.readouterr()
    assert out == f"{other}: running\n{recipe}: running\n{recipe}: recorded 20 rows\n"
    assert f"{other}: not recorded. {other}: 1 runs failed, the first at seed=0 with Zero" in err
    edit(other, "1 / 0", "1")
    assert sweep.main([str(recipe.parent)]) == 0
    assert f"{recipe}: up to date\n" in capsys.readouterr().out
    assert sweep.main([str(other), "--fresh"]) == 0
    assert f"{other}: recorded 1 rows\n" in capsys.readouterr().out
    assert sweep.main([str(recipe.with_name("gone.py"))]) == 1
    assert "gone.py cannot be read" in capsys.readouterr().err


def test_the_command_says_that_it_was_stopped(recipe, capsys):
    edit(recipe, 'raise ValueError("too wide")', "raise KeyboardInterrupt")
    assert sweep.main([str(recipe)]) == 130
    assert "stopped after 11 of 20 runs; the same command goes on" in capsys.readouterr().err
    assert not recipe.with_suffix(".csv").exists()
    assert not [n for n in os.listdir(recipe.parent) if n.endswith(".part")]


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    sweep._write(path, "old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        sweep._write(path, "new")
    assert path.read_text() == "old"
