"""``sweep``: one table whatever happens."""

import json
import math
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
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

import clusters
from cnnbook import check, repro, sweep
from cnnbook.sweep import SweepError
from terminals import stderr_as_terminal

# Processes need not import this file, which takes them seconds.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

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
    if mode == "die" and seed < 2:
        died = Path(folder) / "died"
        if seed == 1 and not died.exists():
            died.touch()
            os._exit(7)
        while not died.exists():
            time.sleep(0.01)
        if seed == 0:
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
    """Two processes die: in seed 1, once; in seed 0, after that, and again when tried alone."""
    log, function = tmp_path / "log", partial(fragile, folder=str(tmp_path))
    table = sweep.run(function, {"mode": ["die"]}, range(5), workers=2, path=log)
    assert table["error"].tolist()[0] == (
        "TerminatedWorkerError: the process died twice, exit code {EXIT(7)}"
    )
    assert table["error"].isna().tolist() == [False, True, True, True, True]
    assert math.isnan(table["value"][0]) and table["value"].tolist()[1:] == [1, 2, 3, 4]
    assert len(log.read_text().splitlines()) == 5


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


def trained_on(seed):
    return {"device": str(repro.device())}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_device_holds_in_every_process_and_for_one_log(tmp_path, workers):
    path = tmp_path / "log.jsonl"
    try:
        for device in ("cpu", None, "cpu"):
            repro.use_device(device)
            table = sweep.run(trained_on, {}, [0, 1], workers=workers, path=path)
            assert set(table["device"]) == {str(device)}
    finally:
        repro.use_device(None)
    assert len(path.read_text().splitlines()) == 4  # the third sweep found what the first wrote


def test_the_workers_function_in_this_process():
    pickled = sweep._pickled(fragile)
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
    ({"scheduler": 8786}, TypeError, "scheduler must be an address or None, got 8786"),
    ({"scheduler": "tcp://x:1", "workers": 2}, ValueError, "workers must be left out beside"),
    ({"scheduler": "nowhere"}, ConnectionError, "scheduler must be a Dask scheduler's address"),
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


def slow_draw(seed, folder, scale=1.0):
    """Draw after others had time to draw, and leave a trace: which process, which run."""
    first = torch.rand(()).item()
    Path(folder, f"{seed}-{scale}-{os.getpid()}").touch()
    time.sleep(0.2)
    return {"first": first, "second": scale * torch.rand(()).item(), "python": random.random()}


def test_a_cluster_gives_the_same_table_and_outlives_a_worker(tmp_path):
    grid = {"folder": [str(tmp_path)], "scale": [1.0, 2.0]}
    alone = sweep.run(slow_draw, grid, SEEDS).drop(columns="seconds")
    found = []
    with clusters.cluster(tmp_path, threads=2) as running:
        log = tmp_path / "log.jsonl"
        kill = threading.Thread(target=kill_one, args=(running, log))
        kill.start()
        for _ in range(2):
            table = sweep.run(slow_draw, grid, SEEDS, path=log, scheduler=running.address)
            found.append(table.drop(columns="seconds"))
        kill.join()
    for table in found:
        pd.testing.assert_frame_equal(table, alone)
    assert len(log.read_text().splitlines()) == len(alone)  # none twice
    runs = [path.name.split("-") for path in tmp_path.glob("*-*-*")]
    assert len({process for *_, process in runs}) == 3  # this process and two workers


def kill_one(running, log):
    """Kill the first worker when some runs are finished."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (log.exists() and log.read_text().count("\n") >= 4):
        time.sleep(0.01)
    running.kill(0)


def test_a_cluster_reports_failures_and_refuses_other_versions(tmp_path, monkeypatch):
    terminal = stderr_as_terminal(monkeypatch)
    with clusters.cluster(tmp_path, nanny=True) as running:
        modes, place = {"mode": ["ok", "raise"]}, {"scheduler": running.address}
        table = sweep.run(fragile, modes, [1], **place, progress=True)
        assert table["error"].tolist()[1] == "ValueError: no luck"
        assert "2/2" in terminal.text
        shown = terminal.text
        sweep.run(fragile, modes, [1], **place)
        assert terminal.text == shown
        table = sweep.run(lambda seed: os._exit(7), {}, [1], scheduler=running.address)
        assert table["error"].str.contains(r"the process died twice, exit code {EXIT\(7\)}").all()
        monkeypatch.setattr(torch, "__version__", "1.0")
        with pytest.raises(SweepError, match=r"has torch 2\..* but here is torch 1\.0, numpy"):
            sweep.run(draw, {}, SEEDS, scheduler=running.address)


def kill_the_worker(seed):
    if seed == 1:
        os.kill(os.getppid(), signal.SIGKILL)
    return {"value": seed}


def test_a_run_that_costs_too_many_workers_is_a_row(tmp_path):
    allowed = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
    with clusters.cluster(tmp_path, **allowed) as running:
        table = sweep.run(kill_the_worker, {}, [1, 2], scheduler=running.address)
    assert table["error"].str.startswith("KilledWorker: ").tolist()[0]


def test_a_cluster_without_the_library_is_no_table_of_errors(tmp_path):
    package = tmp_path / "broken" / "cnnbook"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('not here')")
    with clusters.cluster(tmp_path, workers=1, PYTHONPATH=str(package.parent)) as running:
        log = tmp_path / "log.jsonl"
        with pytest.raises(SweepError, match=r"cannot run: ImportError\('not here'\)"):
            sweep.run(draw, {}, [1, 2], path=log, scheduler=running.address)
        assert not log.exists()


def test_chosen_points_with_chosen_seeds():
    tasks = [({"scale": 2.0}, 3), ({"scale": 1.0}, 1), ({"scale": 2.0}, 2)]
    table = sweep.run(draw, {"scale": [1.0, 2.0]}, [1, 2, 3])
    for workers in (1, 2):
        found = dict(sweep.run_tasks(draw, tasks, workers))
        assert sorted(found) == [0, 1, 2]
        for index, (point, seed) in enumerate(tasks):
            row = table[(table["scale"] == point["scale"]) & (table["seed"] == seed)].iloc[0]
            assert found[index].error is None and found[index].seconds >= 0
            (result,) = found[index].rows
            assert result == row[list(result)].to_dict()
    assert list(sweep.run_tasks(draw, [], 2)) == []
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        sweep.run_tasks(draw, tasks, 0)


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


def test_the_order_of_a_points_names_makes_no_other_run(tmp_path):
    made = []

    def noted(seed, a, b):
        made.append((a, b))
        return {"value": a - b}

    for point in ({"a": 1, "b": 2}, {"b": 2, "a": 1}):
        table = sweep.run(noted, [point], [0], path=tmp_path / "log", version="1")
        assert table["value"].tolist() == [-1]
    assert made == [(1, 2)]


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


def test_a_version_stands_for_the_source(tmp_path):
    log, made = tmp_path / "log", []

    def listed(seed):  # depends on more than scalars
        made.append(seed)
        return {"value": len(made)}

    for version in ("1", "1", "2"):
        table = sweep.run(listed, {}, [4, 5], path=log, version=version)
    assert made == [4, 5, 4, 5] and table["value"].tolist() == [3, 4]


@pytest.mark.parametrize("version", [None, "1"])
def test_other_versions_of_torch_start_afresh(tmp_path, monkeypatch, version):
    log, function = tmp_path / "log", partial(counted, folder=str(tmp_path))
    sweep.run(function, {}, [0], path=log, version=version)
    monkeypatch.setattr(torch, "__version__", "0.0")
    sweep.run(function, {}, [0], path=log, version=version)
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
    assert [json.loads(line)["seed"] for line in log.read_bytes().splitlines()] == [0, 1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"half": \n', "line 1 is no finished run .* delete the line or the file"),
        (b'{"code": 1}\n', "line 1 is no finished run"),
        (b'{"point": {}, "seed": 0, "rows": [], "error": null, "seconds": 1}\n', "line 1 is no"),
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
    """It reaches every process of a terminal; that of the sweep alone may act upon it."""
    script = textwrap.dedent(
        """
        import signal, sys, time
        from pathlib import Path
        from cnnbook import sweep

        # A shell starts what runs in its background with this signal ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)

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
    time.sleep(0.3)  # until what the first two returned has arrived
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert out == "stopped after 2 of 8 runs [0, 1]\n", err
    assert "Traceback" not in err


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
        with pytest.raises(ValueError, match="tolerance must be finite and ≥ 0"):
            sweep.bands(table, "net", "x", bad)
    with pytest.raises(TypeError, match="tolerance must be a number, got '1'"):
        sweep.bands(table, "net", "x", "1")


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8), st.floats(0, 10))
def test_every_seed_lies_in_its_own_band(values, tolerance):
    band = sweep.bands(pd.DataFrame({"a": 1, "x": values}), "a", "x", tolerance)
    low, high = band.loc[0, ["low", "high"]]
    assert low <= min(values) and max(values) <= high
    assert min(values) - low == pytest.approx(high - max(values), abs=1e-6)
