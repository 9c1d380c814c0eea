"""Sweeps: an experiment × a grid × seeds, run in parallel, to one tidy table.

``run`` makes the table. Its columns, in this order:

| column | meaning |
| --- | --- |
| those of the grid | the point; None is written ``"none"`` |
| ``seed`` | the seed of the run |
| what the function returned | one number, truth value or text each |
| ``error`` | type and message if the run failed, else missing |
| ``seconds`` | how long the run took, repeated on each of its rows |

A *recorded experiment* is a recipe ``NAME.py`` with its table ``NAME.csv`` and the record
``NAME.json`` of how that came about. ``record`` makes them (``python -m cnnbook.sweep NAME.py``),
``load`` returns the table after verifying it, ``recompute`` runs some of its rows again.

A recipe defines ``run(seed, **point)``, ``GRID`` and ``SEEDS``, and perhaps

- ``TOLERANCES``: column → absolute tolerance, for ``bands``;
- ``EXACT``: columns that come out the same on every machine;
- ``MAY_FAIL``: parts of grid points, as mappings, whose runs are allowed to fail.

It takes what it shares with other recipes from a file beside it: ``from ._helper import name``.
Files whose names begin with an underscore are no recipes.

A recipe's hash covers its text and that of the files it takes from. Comments, blank lines, the
recipe's docstring and its ``TOLERANCES``, ``EXACT`` and ``MAY_FAIL`` do not count, because they do
not change the table. Nor does the library: whether its changes moved a result, ``recompute`` tells.
"""

import argparse
import ast
import functools
import hashlib
import importlib
import importlib.util
import inspect
import io
import itertools
import json
import math
import os
import random
import re
import signal
import sys
import textwrap
import time
import tokenize
import types
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import cloudpickle
import numpy as np
import pandas as pd
import torch
from joblib.externals.loky import (
    FIRST_COMPLETED,
    BrokenProcessPool,
    ProcessPoolExecutor,
    get_reusable_executor,
    wait,
)
from tqdm import tqdm

from cnnbook import repro
from cnnbook._arguments import as_int

Scalar: TypeAlias = bool | int | float | str | None
Point: TypeAlias = dict[str, Scalar]
Grid: TypeAlias = Mapping[str, Iterable[Scalar]] | Sequence[Mapping[str, Scalar]]
PathLike: TypeAlias = str | os.PathLike[str]
_Task: TypeAlias = tuple[Point, int]

# Names that the tables of this module give a meaning of their own.
_RESERVED = ("seed", "error", "seconds", "row")
# Settings of a recipe that do not change its table, and those that do not change what a run gives.
_JUDGING = frozenset({"TOLERANCES", "EXACT", "MAY_FAIL"})
_CHOOSING = _JUDGING | {"GRID", "SEEDS"}
_ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMEXPR_NUM_THREADS",
    ),
    "1",
)


class SweepError(RuntimeError):
    """A recorded experiment or a log of runs is missing, damaged or out of date."""


class Interrupted(KeyboardInterrupt):
    """A sweep that was stopped by hand.

    Attributes:
        table: The runs that were finished.
        runs: How many the sweep has in all.
    """

    def __init__(self, table: pd.DataFrame, finished: int, runs: int) -> None:
        super().__init__(f"stopped after {finished} of {runs} runs")
        self.table = table
        self.runs = runs


# --- sweeps ---------------------------------------------------------------------------------------


def run(
    function: Callable[..., object],
    grid: Grid,
    seeds: Iterable[int],
    *,
    workers: int = 1,
    path: PathLike | None = None,
    progress: bool = False,
    retry_failed: bool = True,
) -> pd.DataFrame:
    """Call ``function(seed=..., **point)`` at every point of a grid with every seed.

    Each call begins with ``repro.seed_all(seed)``, one thread and float32 as the default dtype, so
    the table (but for ``seconds``) does not depend on the number of workers, as long as the
    function leaves no other state behind. With one worker it runs in this process, whose thread
    count, default dtype and random state are put back at the end.

    A call that raises is a row with its ``error``. So is one whose process dies (killed for its
    memory, say), after a second try alone in a process; with one worker it takes this process down.

    With ``path``, each finished run is at once appended to that file, as one line of JSON, and
    runs found there are not repeated. The lines count for one source text of ``function`` only,
    with the constants it was made with, and one version of PyTorch and NumPy: after a change all
    is run anew, and the old lines stay in the file. A change in what the function calls goes
    unseen; then delete the file.

    Args:
        function: Returns its results as a mapping from column to number, truth value, text or
            None; or several rows, one per layer or checkpoint say, as a list of such mappings or a
            DataFrame. With several workers it is pickled (by value if it is not importable) and
            unpickled for each call.
        grid: Values for each name, of which all combinations are run, the last name varying
            fastest; or a list of points, all with the same names. ``{}`` is one point.
        seeds: Distinct seeds.
        workers: Number of processes, of one thread each.
        path: Log of finished runs, for going on after an interruption.
        progress: Show a bar on standard error, if that is a terminal.
        retry_failed: Run again what failed according to the log.

    Returns:
        The table of the module's docstring, ordered by grid point, then seed, whatever the order
        of completion.

    Raises:
        TypeError: If an argument has the wrong type, or ``function`` cannot be pickled.
        ValueError: If the grid or the seeds are empty, repeat themselves, have other values than
            finite or infinite scalars, or use a reserved name; or if ``path`` is given and the
            source of ``function`` cannot be told.
        SweepError: If the log is damaged or no log.
        Interrupted: On Ctrl-C; it is a KeyboardInterrupt that carries the finished runs.
    """
    points, numbers = _points(grid), _seeds(seeds)
    tasks = list(itertools.product(points, numbers))
    outcomes = _run(function, tasks, workers, path, progress, retry_failed)
    return _table(tasks, outcomes)


def summary(table: pd.DataFrame, by: str | Sequence[str], values: str | Sequence[str]):
    """Return mean, 95 % interval and number of failures, for each group of runs and each value.

    It extends ``check.summarize`` to tables with failed runs. These are counted, never averaged.

    Args:
        table: What ``run`` or ``load`` returned.
        by: Column, or columns, that tell the groups apart.
        values: Column, or columns, to summarise.

    Returns:
        One row per group and value, groups in order of appearance: the columns of ``by``, then
        ``value`` (its column's name), ``mean``, ``low``, ``high``, ``seeds`` (finished runs, which
        the mean is over) and ``failed``. With fewer than five finished runs, mean and interval are
        NaN. A failed run has no value in columns that the function returns; if ``by`` has such a
        column, the run counts as failed in every group that it may have belonged to.

    Raises:
        KeyError: If a column is missing.
        ValueError: If a finished run has a value that is not finite (decide first what a diverged
            run counts as), or a group has several rows of one seed.
    """
    from cnnbook import check  # here, because it takes a second that the workers would spend too

    by = [by] if isinstance(by, str) else list(by)
    values = [values] if isinstance(values, str) else list(values)
    if missing := [name for name in (*by, *values, "seed", "error") if name not in table]:
        raise KeyError(f"table has no column {', '.join(map(repr, missing))}")
    failed = table["error"].notna()
    rows = []
    for key, group in table.groupby(by, sort=False, observed=True, dropna=False):
        finished = group[~failed[group.index]]
        if finished.empty and _belongs_elsewhere(table[~failed], by, key):
            continue
        if finished["seed"].duplicated().any():
            raise ValueError(
                f"by must tell the rows of one seed apart, got several in {_words(by, key)}"
            )
        same = failed.copy()
        for name, value in zip(by, key, strict=True):
            same &= table[name].isna() | (table[name] == value)
        for name in values:
            if not np.isfinite(finished[name].astype(float)).all():
                raise ValueError(
                    f"{name} must be finite in every finished run, got {_words(by, key)}"
                )
            found = (math.nan, math.nan, math.nan)
            if len(finished) >= check.MIN_SEEDS:
                interval = check.interval(finished[name].astype(float))
                found = (interval.mean, interval.low, interval.high)
            rows.append((*key, name, *found, len(finished), int(same.sum())))
    columns = [*by, "value", "mean", "low", "high", "seeds", "failed"]
    return pd.DataFrame(rows, columns=columns)


def bands(
    table: pd.DataFrame, by: str | Sequence[str], column: str, tolerance: float = 0.0
) -> pd.DataFrame:
    """Return the band in which a run that is repeated on another machine is expected.

    Training in float32 is chaotic: another processor rounds otherwise, and after some hundred
    steps the same seed has become another draw from the distribution that the seeds sample. So a
    repeated run is compared with all seeds of its group, not with its own recorded value:
    low = min − m and high = max + m over the seeds, with a margin m of half their range, because
    five draws seldom span it, or of ``tolerance`` where that is more, for when they hardly vary.

    Args:
        table: What ``run`` or ``load`` returned.
        by: Column, or columns, that tell the groups apart.
        column: A column of numbers; those that are not finite are left out.
        tolerance: Least margin, in units of the column, not negative.

    Returns:
        One row per group in order of appearance: the columns of ``by``, then ``low`` and ``high``,
        NaN where no number is finite.

    Raises:
        KeyError: If a column is missing.
        ValueError: If ``tolerance`` is negative or not finite.
    """
    by = [by] if isinstance(by, str) else list(by)
    tolerance = _tolerance("tolerance", tolerance)
    rows = [
        (*key, *_band(group[column], tolerance))
        for key, group in table.groupby(by, sort=False, observed=True, dropna=False)
    ]
    return pd.DataFrame(rows, columns=[*by, "low", "high"])


def _belongs_elsewhere(finished: pd.DataFrame, by: list[str], key: tuple) -> bool:
    """Say whether a group of failed runs lacks a part of its key that finished runs have."""
    known = {name: value for name, value in zip(by, key, strict=True) if not pd.isna(value)}
    same = pd.Series(len(known) < len(by), index=finished.index)
    for name, value in known.items():
        same &= finished[name] == value
    return bool(same.any())


def _words(names: Iterable[str], key: Iterable[object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in zip(names, key, strict=True))


def _tolerance(name: str, value: float) -> float:
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be finite and not negative, got {value}")
    return float(value)


def _band(values: Iterable[float], tolerance: float) -> tuple[float, float]:
    finite = [float(value) for value in values if math.isfinite(value)]
    if not finite:
        return math.nan, math.nan
    margin = max(tolerance, (max(finite) - min(finite)) / 2)
    return min(finite) - margin, max(finite) + margin


# --- grids and tables -----------------------------------------------------------------------------


def _points(grid: Grid) -> list[Point]:
    if isinstance(grid, Mapping):
        names = list(grid)
        columns = [_grid_values(name, values) for name, values in grid.items()]
        points = [dict(zip(names, row, strict=True)) for row in itertools.product(*columns)]
    elif isinstance(grid, Sequence) and all(isinstance(point, Mapping) for point in grid):
        points = [{n: _grid_scalar(n, value) for n, value in point.items()} for point in grid]
    else:
        raise TypeError(f"grid must be a mapping or a sequence of mappings, got {grid!r}")
    if not points:
        raise ValueError("grid must have at least one point")
    names = list(points[0])
    for name in names:
        if not isinstance(name, str) or not name:
            raise TypeError(f"grid must have strings as names, got {name!r}")
        if name in _RESERVED:
            raise ValueError(f"grid must not use the name {name!r}, which the table needs")
    for point in points:
        if set(point) != set(names):
            raise ValueError(f"grid must have the same names at every point, got {point}")
    points = [{name: point[name] for name in names} for point in points]
    if len(set(_cells(points))) < len(points):
        raise ValueError("grid must not repeat a point")
    return points


def _grid_values(name: str, values: Iterable[Scalar]) -> list[Scalar]:
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise TypeError(f"grid[{name!r}] must be a list of values, got {values!r}")
    return [_grid_scalar(name, value) for value in values]


def _grid_scalar(name: str, value: object) -> Scalar:
    scalar = _scalar(f"grid[{name!r}]", value)
    if scalar == "" or scalar != scalar:
        raise ValueError(
            f"grid[{name!r}] must not hold {scalar!r}, which a table cannot tell apart"
        )
    return scalar


def _seeds(seeds: Iterable[int]) -> list[int]:
    if isinstance(seeds, str) or not isinstance(seeds, Iterable):
        raise TypeError(f"seeds must be a list of integers, got {seeds!r}")
    numbers = [as_int("seeds", seed, 0) for seed in seeds]
    if not numbers:
        raise ValueError("seeds must hold at least one seed")
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"seeds must be distinct, got {numbers}")
    if max(numbers) >= 2**32:
        raise ValueError(f"seeds must be below 2**32, got {max(numbers)}")
    return numbers


def _scalar(name: str, value: object) -> Scalar:
    """Return a number, truth value, text or None, of Python's own types."""
    if isinstance(value, torch.Tensor | np.ndarray | np.generic) and value.ndim == 0:
        value = value.item()
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"{name} must fit in 64 bits, got {value}")
    if isinstance(value, str) and "\r" in value:
        raise ValueError(f"{name} must hold no carriage return, got {value!r}")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{name} must be a number, a truth value, a text or None, got {value!r}")


def _rows(result: object, point: Point) -> list[Point]:
    """Return what a function gave as rows of scalars."""
    if isinstance(result, pd.DataFrame):
        result = result.to_dict("records")
    rows = [result] if isinstance(result, Mapping) else result
    if not isinstance(rows, list | tuple) or not all(isinstance(row, Mapping) for row in rows):
        raise TypeError(f"the function must return a mapping or a list of mappings, got {result!r}")
    if not rows:
        raise ValueError("the function must return at least one row")
    for name in itertools.chain(*rows):
        if not isinstance(name, str) or not name:
            raise TypeError(f"the function must name its columns by strings, got {name!r}")
        if name in _RESERVED or name in point:
            raise ValueError(f"the function must not return a column {name!r}: the table has one")
    return [{name: _scalar(name, value) for name, value in row.items()} for row in rows]


def _table(tasks: list[_Task], outcomes: "Mapping[int, _Outcome]") -> pd.DataFrame:
    rows = [
        (task, row)
        for task in range(len(tasks))
        if task in outcomes
        for row in outcomes[task].rows or [{}]
    ]
    grid = {
        name: _grid_column([point[name] for point, _ in tasks]).iloc[[task for task, _ in rows]]
        for name in tasks[0][0]
    }
    names = dict.fromkeys(name for _, row in rows for name in row)
    errors = [outcomes[task].error for task, _ in rows]
    columns = {
        **{name: column.reset_index(drop=True) for name, column in grid.items()},
        "seed": pd.Series([tasks[task][1] for task, _ in rows], dtype="int64"),
        **{name: _column([row.get(name) for _, row in rows]) for name in names},
        "error": _text_column(errors),
        "seconds": pd.Series([outcomes[task].seconds for task, _ in rows], dtype="float64"),
    }
    return pd.DataFrame(columns)


def _column(values: list[Scalar]) -> pd.Series:
    """Return values as the one dtype that a CSV file gives back: bool, int64, float64 or text."""
    present = [value for value in values if value is not None and value != ""]
    if not all(isinstance(value, bool | int | float) for value in present):
        return _text_column(values)
    if len(present) == len(values) > 0:
        for dtype in (bool, int):
            if all(type(value) is dtype for value in present):
                return pd.Series(values, dtype={bool: "bool", int: "int64"}[dtype])
    return pd.Series([math.nan if v is None or v == "" else float(v) for v in values], dtype=float)


def _grid_column(values: list[Scalar]) -> pd.Series:
    """Return the values of a grid, where None is a value like others, and no missing one."""
    if None in values:
        return _text_column(["none" if value is None else value for value in values])
    return _column(values)


def _text_column(values: Iterable[Scalar]) -> pd.Series:
    texts = [math.nan if value is None or value == "" else str(value) for value in values]
    return pd.Series(texts, dtype=str)


def _cells(points: list[Point]) -> list[tuple[Scalar, ...]]:
    """Return the points as they stand in a table."""
    columns = [_grid_column([point[name] for point in points]).tolist() for name in points[0]]
    return list(zip(*columns, strict=True)) or [() for _ in points]


def _grid_names(table: pd.DataFrame) -> list[str]:
    return list(table.columns[: table.columns.get_loc("seed")])


# --- running --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Outcome:
    """What one run gave: its rows, or its error."""

    rows: list[Point]
    error: str | None
    seconds: float


def _execute(function: Callable[..., object], point: Point, seed: int) -> _Outcome:
    start = time.perf_counter()
    try:
        repro.use_threads(1)
        torch.set_default_dtype(torch.float32)
        repro.seed_all(seed)
        rows, error = _rows(function(seed=seed, **point), point), None
    except (Exception, SystemExit) as problem:
        rows, error = [], " ".join(f"{type(problem).__name__}: {problem}".split())
    return _Outcome(rows, error, round(time.perf_counter() - start, 4))


def _execute_pickled(pickled: bytes, point: Point, seed: int) -> _Outcome:
    return _execute(lambda **arguments: cloudpickle.loads(pickled)(**arguments), point, seed)


def _run(
    function: Callable[..., object],
    tasks: list[_Task],
    workers: int,
    path: PathLike | None,
    progress: bool,
    retry_failed: bool,
) -> dict[int, _Outcome]:
    """Return the outcome of each task, by its number, from the log or by running it."""
    workers = as_int("workers", workers, 1)
    if not callable(function):
        raise TypeError(f"function must be callable, got {function!r}")
    outcomes: dict[int, _Outcome] = {}
    log = None
    if path is not None:
        log = _Log(Path(path), _code(function))
        outcomes = {
            number: log.done[key]
            for number, key in enumerate(map(_key, tasks))
            if key in log.done and not (retry_failed and log.done[key].error)
        }
    left = [number for number in range(len(tasks)) if number not in outcomes]
    run_left = _in_processes if workers > 1 and left else _in_this_process
    bar = tqdm(total=len(tasks), initial=len(outcomes), disable=None if progress else True)
    try:
        with bar, closing(run_left(function, [tasks[n] for n in left], workers)) as stream:
            for index, outcome in stream:
                outcomes[left[index]] = outcome
                if log:
                    log.append(tasks[left[index]], outcome)
                bar.update()
    except KeyboardInterrupt:
        raise Interrupted(_table(tasks, outcomes), len(outcomes), len(tasks)) from None
    return outcomes


def _in_this_process(
    function: Callable[..., object], tasks: list[_Task], workers: int
) -> Iterator[tuple[int, _Outcome]]:
    with _state_kept():
        for index, task in enumerate(tasks):
            yield index, _execute(function, *task)


@contextmanager
def _state_kept() -> Iterator[None]:
    """Put this process's threads, default dtype and random state back at the end."""
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)


def _in_processes(
    function: Callable[..., object], tasks: list[_Task], workers: int
) -> Iterator[tuple[int, _Outcome]]:
    """Run tasks as processes become free; when one dies, try what was under way one by one."""
    try:
        pickled = cloudpickle.dumps(function)
    except Exception as error:
        raise TypeError(f"function must be picklable for several workers: {error}") from error
    waiting = deque(range(len(tasks)))
    running: dict[Any, int] = {}
    pool = None
    try:
        while waiting or running:
            pool = _pool(workers)
            try:
                while waiting and len(running) <= workers:  # one in the queue, so that none idles
                    running[pool.submit(_execute_pickled, pickled, *tasks[waiting[0]])] = waiting[0]
                    waiting.popleft()
            except BrokenProcessPool:  # between two submissions
                if not running:
                    continue
            done = wait(running, return_when=FIRST_COMPLETED).done
            if any(isinstance(future.exception(), BrokenProcessPool) for future in done):
                done = wait(running).done
            suspects = []
            for future in done:
                index = running.pop(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    suspects.append(index)
                else:
                    yield index, future.result()
            for index in sorted(suspects):
                yield index, _alone(pickled, tasks[index])
    except BaseException:
        if pool is not None:
            pool.shutdown(wait=True, kill_workers=True)
        raise


def _alone(pickled: bytes, task: _Task) -> _Outcome:
    start = time.perf_counter()
    pool = _pool(1)
    try:
        return pool.submit(_execute_pickled, pickled, *task).result()
    except BrokenProcessPool as error:
        codes = "".join(re.findall(r"\{.*\}", str(error)))
        message = f"{type(error).__name__}: the process died twice, exit code {codes}"
        return _Outcome([], message, round(time.perf_counter() - start, 4))
    except BaseException:
        pool.shutdown(wait=True, kill_workers=True)
        raise


def _pool(workers: int) -> ProcessPoolExecutor:
    """Return the processes of the sweep before, if they still wait, or new ones.

    They are started afresh, never forked, and go after a minute without work.
    """
    # A worker that keeps too much memory is replaced by loky; that is no news for the reader.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
    return get_reusable_executor(
        max_workers=workers, timeout=60, env=_ONE_THREAD, initializer=_start_worker
    )


def _start_worker() -> None:
    """Leave Ctrl-C, which reaches every process of the terminal, to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


# --- the log of finished runs ---------------------------------------------------------------------


class _Log:
    """Finished runs, one line of JSON each: appended and synced at once, so a kill loses none."""

    def __init__(self, path: Path, code: str) -> None:
        self.path = path
        self.code = code
        self.done: dict[str, _Outcome] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes() if path.exists() else b""
        *lines, tail = content.split(b"\n")
        for number, line in enumerate(lines, 1):
            try:
                entry = json.loads(line)
                task = _key((entry["point"], entry["seed"]))
                outcome = _Outcome(entry["rows"], entry["error"], entry["seconds"])
            except (ValueError, KeyError, TypeError) as error:
                raise SweepError(
                    f"{path}, line {number} is no finished run ({error!r}); delete the line or the "
                    "file, and run again"
                ) from error
            if entry["code"] == code:
                self.done[task] = outcome
        start = b'{"code": '
        if not tail.startswith(start[: len(tail)]):
            raise SweepError(f"{path} ends in something else than a run; choose another path")
        if tail:  # half-written: its run was not finished
            os.truncate(path, len(content) - len(tail))

    def append(self, task: _Task, outcome: _Outcome) -> None:
        entry = {"code": self.code, "point": task[0], "seed": task[1], **asdict(outcome)}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _key(task: _Task) -> str:
    return json.dumps(task, sort_keys=True)


def _code(function: Callable[..., object]) -> str:
    """Return a hash of a function's source, its constants, and the versions it runs on."""
    versions = f"torch {torch.__version__}, numpy {np.__version__}"
    if isinstance(function, _Recipe):
        return _sha256(function.code, versions)
    constants: dict[str, object] = {}
    while isinstance(function, functools.partial):
        constants |= {str(n): value for n, value in enumerate(function.args)} | function.keywords
        function = function.func
    if not inspect.isfunction(function) or function.__name__ == "<lambda>":
        raise ValueError(f"path needs a function with a name and a source, got {function!r}")
    constants |= inspect.getclosurevars(function).nonlocals
    for name, value in constants.items():
        if value is not None and not isinstance(value, bool | int | float | str | Path):
            raise ValueError(
                f"path needs a function that depends on scalars only, got {name} = {value!r}"
            )
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except OSError as error:
        raise ValueError(f"path needs the source of function: {error}") from error
    return _sha256(source, repr(sorted(constants.items(), key=repr)), versions)


def _sha256(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


# --- recipes --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Recipe:
    """A recipe's function as a value that can be sent to another process, which loads the file.

    Attributes:
        path: The file, absolute.
        sha256: Hash of all that makes the table.
        code: Hash of all that makes one run.
    """

    path: str
    sha256: str
    code: str

    def __call__(self, **arguments: Any) -> object:
        return self.module.run(**arguments)

    @property
    def module(self) -> types.ModuleType:
        return _module(self.path, self.sha256)

    @property
    def points(self) -> list[Point]:
        return _points(self.module.GRID)

    @property
    def seeds(self) -> list[int]:
        return _seeds(self.module.SEEDS)

    @property
    def tolerances(self) -> dict[str, float]:
        found = dict(getattr(self.module, "TOLERANCES", {}))
        return {name: _tolerance(f"TOLERANCES[{name!r}]", found[name]) for name in found}

    @property
    def exact(self) -> tuple[str, ...]:
        return tuple(getattr(self.module, "EXACT", ()))

    def may_fail(self, row: Mapping[str, object]) -> bool:
        """Say whether the recipe allows that the run of this row of the table fails."""
        parts = getattr(self.module, "MAY_FAIL", ())

        def fits(name: str, value: Scalar) -> bool:
            value = "none" if value is None else value
            return name in row and (row[name] == value or str(row[name]) == str(value))

        return any(all(fits(name, value) for name, value in part.items()) for part in parts)


def _recipe(path: Path) -> _Recipe:
    texts = _texts(path)
    recipe = _Recipe(
        str(path.absolute()), _hash(texts, path.stem, _JUDGING), _hash(texts, path.stem, _CHOOSING)
    )
    for name in ("run", "GRID", "SEEDS"):
        if not hasattr(recipe.module, name):
            raise SweepError(f"{path} must define {name}")
    return recipe


def _texts(path: Path) -> dict[str, str]:
    """Return the texts of a recipe and of the files beside it that it takes from, by name."""
    texts: dict[str, str] = {}
    pending = [path.stem]
    while pending:
        name = pending.pop()
        if name in texts:
            continue
        file = path.with_name(f"{name}.py")
        try:
            texts[name] = file.read_text(encoding="utf-8")
            pending += _helpers(texts[name], file)
        except (OSError, SyntaxError, UnicodeDecodeError) as error:
            raise SweepError(f"{file} cannot be read ({error})") from error
    return texts


def _helpers(text: str, file: Path) -> list[str]:
    """Return the names of the files beside this one that it imports from."""
    names = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            names += [node.module] if node.module else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import | ast.ImportFrom):
            absolute = isinstance(node, ast.ImportFrom)
            for module in [str(node.module)] if absolute else [alias.name for alias in node.names]:
                if file.with_name(f"{module}.py").is_file() and not importlib.util.find_spec(
                    module
                ):
                    raise SweepError(
                        f"{file} imports {module}, which stands beside it: "
                        f"write from .{module} import ..."
                    )
    return names


def _hash(texts: Mapping[str, str], recipe: str, left_out: frozenset[str]) -> str:
    own = _essence(texts[recipe], left_out)
    helpers = sorted(texts.keys() - {recipe})
    return _sha256(own, *itertools.chain(*((n, _essence(texts[n], frozenset())) for n in helpers)))


def _essence(text: str, left_out: frozenset[str]) -> str:
    """Return a module's text without comments, blank lines, docstring and some assignments.

    An assignment stays if its name is read anywhere else in the module.
    """
    tree = ast.parse(text)
    used = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    dropped: set[int] = set()
    kept: set[int] = set()
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        free = all(isinstance(t, ast.Name) and t.id in left_out - used for t in targets)
        docstring = node is tree.body[0] and ast.get_docstring(tree) is not None
        (dropped if free or docstring else kept).update(range(node.lineno, node.end_lineno + 1))
    lines = text.split("\n")
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        row, column = token.start
        if token.type == tokenize.COMMENT:
            lines[row - 1] = lines[row - 1][:column].rstrip()
        elif token.type == tokenize.NL and not lines[row - 1].strip():
            dropped.add(row)
    return "\n".join(
        line for row, line in enumerate(lines, 1) if row not in dropped - kept
    ).rstrip()


def _module(path: str, sha256: str) -> types.ModuleType:
    """Return a recipe as a module, if its text still has this hash."""
    file = Path(path)
    texts = _texts(file)
    if _hash(texts, file.stem, _JUDGING) != sha256:
        raise SweepError(f"{file} was changed while it ran; run it again")
    return _executed(file, tuple(sorted(texts.items())))


@functools.lru_cache(maxsize=64)
def _executed(file: Path, items: tuple[tuple[str, str], ...]) -> types.ModuleType:
    """Execute the very texts that were hashed, as modules of a package that no file can shadow."""
    texts = dict(items)
    package = f"_cnnbook_experiment_{_sha256(str(file), *itertools.chain(*items))[:16]}"
    sys.modules[package] = types.ModuleType(package)
    sys.modules[package].__path__ = []

    def execute(name: str) -> types.ModuleType:
        beside = file.with_name(f"{name}.py")
        module = types.ModuleType(f"{package}.{name}")
        module.__package__, module.__file__ = package, str(beside)
        sys.modules[module.__name__] = module
        setattr(sys.modules[package], name, module)
        for helper in _helpers(texts[name], beside):
            if f"{package}.{helper}" not in sys.modules:
                execute(helper)
        exec(compile(texts[name], str(beside), "exec"), module.__dict__)
        return module

    try:
        return execute(file.stem)
    except Exception as error:
        for name in [name for name in sys.modules if name.startswith(package)]:
            del sys.modules[name]
        raise SweepError(f"{file} cannot be run ({type(error).__name__}: {error})") from error


# --- recorded experiments -------------------------------------------------------------------------


def record(
    path: PathLike,
    *,
    workers: int = 1,
    progress: bool = False,
    fresh: bool = False,
) -> pd.DataFrame:
    """Run a recipe and write its table and its record beside it, each whole or not at all.

    Finished runs are kept in ``.runs/NAME.jsonl`` beside the recipe, as ``run`` does: after an
    interruption, or when only GRID or SEEDS have grown, what is there is not run again. That
    folder may be deleted at any time, and should be when the library has changed.

    Args:
        path: The recipe, ``NAME.py``.
        workers: Number of processes.
        progress: Show a bar on standard error, if that is a terminal.
        fresh: Run everything again.

    Returns:
        The table.

    Raises:
        SweepError: If the recipe cannot be run, or a run fails that is not in its MAY_FAIL; then
            nothing is written, and what succeeded is kept.
        Interrupted: On Ctrl-C; what is finished is kept.
    """
    file = Path(path)
    recipe = _recipe(file)
    points, seeds = recipe.points, recipe.seeds
    folder = file.parent / ".runs"
    log = folder / f"{file.stem}.jsonl"
    folder.mkdir(exist_ok=True)
    _write(folder / ".gitignore", "*\n")
    if fresh:
        log.unlink(missing_ok=True)
    table = run(recipe, points, seeds, workers=workers, path=log, progress=progress)
    if wrong := _failures(recipe, table):
        raise SweepError(f"{file}: " + "; ".join(wrong))
    grid = recipe.module.GRID
    by_name = {n: _grid_values(n, grid[n]) for n in grid} if isinstance(grid, Mapping) else points
    runs = table.drop_duplicates([*_grid_names(table), "seed"])
    text = table.to_csv(index=False, lineterminator="\n")
    entry = {
        "recipe_sha256": recipe.sha256,
        "table_sha256": _sha256(text),
        "columns": {name: _dtype(column) for name, column in table.items()},
        "grid": by_name,
        "seeds": seeds,
        "runs": len(runs),
        "failed": int(runs["error"].notna().sum()),
        "seconds": round(float(runs["seconds"].sum()), 1),
        "date": datetime.now(UTC).date().isoformat(),
        "environment": repro.environment().to_dict() | {"torch threads": 1},
    }
    _write(file.with_suffix(".csv"), text)
    _write(file.with_suffix(".json"), json.dumps(entry, indent=2, ensure_ascii=False) + "\n")
    return table


def load(path: PathLike) -> pd.DataFrame:
    """Return the table of a recorded experiment, if it is what its recipe made.

    Args:
        path: The table, ``NAME.csv``.

    Returns:
        The table as ``record`` returned it.

    Raises:
        SweepError: If the recipe, the table or the record is missing or damaged, or the table was
            edited, or the recipe has changed since; the message names file and remedy.
    """
    file = Path(path)
    texts = _texts(file.with_suffix(".py"))
    remedy = "run make experiments"
    try:
        entry = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
        recipe, table, columns = (entry[k] for k in ("recipe_sha256", "table_sha256", "columns"))
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SweepError(
            f"{file} or its .json is missing or damaged ({error}); {remedy}"
        ) from error
    if _hash(texts, file.stem, _JUDGING) != recipe:
        raise SweepError(f"{file} is older than its recipe {file.stem}.py; {remedy}")
    if _sha256(text) != table:
        raise SweepError(f"{file} is not the table that was recorded; {remedy}")
    try:
        return _parse(text, columns)
    except (ValueError, KeyError, AttributeError) as error:
        raise SweepError(f"{file} does not fit its .json ({error!r}); {remedy}") from error


def problems(path: PathLike) -> list[str]:
    """Return what keeps a recorded experiment from being complete and up to date, in words.

    Besides what ``load`` verifies: every grid point has every seed, as the recipe gives them now;
    no run failed but where the recipe allows it; TOLERANCES and EXACT name columns of the table.

    Args:
        path: The recipe, ``NAME.py``.

    Raises:
        SweepError: If the recipe cannot be run.
    """
    file = Path(path)
    recipe = _recipe(file)
    try:
        table = load(file.with_suffix(".csv"))
    except SweepError as error:
        return [str(error)]
    names = _grid_names(table)
    expected = set(itertools.product(_cells(recipe.points), recipe.seeds))
    found = {(tuple(cell), seed) for *cell, seed in table[[*names, "seed"]].itertuples(index=False)}
    result = _failures(recipe, table)
    if names != list(recipe.points[0]):
        return [f"the table's grid is of {names}, the recipe's of {list(recipe.points[0])}"]
    if missing := len(expected - found):
        result.append(f"the table lacks {missing} of {len(expected)} runs")
    if extra := len(found - expected):
        result.append(f"the table has {extra} runs that are not in the recipe")
    for name in sorted({*recipe.tolerances, *recipe.exact} - set(_result_names(table))):
        result.append(f"TOLERANCES or EXACT names {name!r}, which is no column of the table")
    return result


def sample(table: pd.DataFrame, seconds: float, seed: int) -> list[int]:
    """Return rows of a random sample of runs that took at most so many seconds together.

    Args:
        table: What ``load`` returned.
        seconds: Time to spend, by the recorded times.
        seed: Seed of the choice.

    Returns:
        The label of the first row of each chosen run, in order: as many as the time allows, and at
        least one. Runs that killed their process are never chosen.

    Raises:
        ValueError: If ``seconds`` is not positive, or there is no run to choose.
    """
    if not seconds > 0:
        raise ValueError(f"seconds must be positive, got {seconds}")
    runs = table.drop_duplicates([*_grid_names(table), "seed"])
    runs = runs[~runs["error"].str.startswith("TerminatedWorkerError", na=False)]
    if runs.empty:
        raise ValueError("table must have a run that can be repeated")
    order = np.random.default_rng(as_int("seed", seed, 0)).permutation(runs.index)
    chosen: list[int] = []
    for label in order:
        if runs.loc[label, "seconds"] <= seconds:
            chosen.append(int(label))
            seconds -= runs.loc[label, "seconds"]
    return sorted(chosen) or [int(runs["seconds"].idxmin())]


def recompute(path: PathLike, rows: Iterable[int], *, workers: int = 1) -> pd.DataFrame:
    """Run chosen rows of a recorded experiment again and put both results side by side.

    Args:
        path: The table, ``NAME.csv``.
        rows: Labels of rows of ``load(path)``. Of a run with several rows, all are compared.
        workers: Number of processes.

    Returns:
        One row per result: the columns of the grid, ``seed``, ``row`` (the row within its run,
        from 0), ``column``, ``recorded``, ``recomputed``, ``low``, ``high`` and ``inside``.

        ``inside`` says whether the recomputed value lies in its band, low to high (see ``bands``),
        over all finished seeds of its grid point and row. In columns of the recipe's EXACT it says
        whether both agree. A text, an infinity or a NaN must be one that some finished seed had.
        If either run failed, the types of the errors stand under ``error``, and the new one must be
        one of the grid point's; if the numbers of rows differ, they stand under ``rows``, likewise.

    Raises:
        SweepError: If the experiment cannot be loaded, or its recipe not run.
        ValueError: If ``rows`` is empty or holds a label that the table lacks.
    """
    file = Path(path)
    table = load(file)
    recipe = _recipe(file.with_suffix(".py"))
    labels = list(rows)
    if not labels or not set(labels) <= set(table.index):
        raise ValueError(f"rows must be labels of rows of {file.name}, got {labels}")
    names = _grid_names(table)
    table["row"] = table.groupby([*names, "seed"], sort=False).cumcount()
    points = dict(zip(_cells(recipe.points), recipe.points, strict=True))
    chosen = table.loc[labels, [*names, "seed"]].drop_duplicates()
    keys = [(tuple(cell), int(seed)) for *cell, seed in chosen.itertuples(index=False)]
    if not {cell for cell, _ in keys} <= points.keys():
        raise SweepError(f"{file} has points that its recipe lacks; run make experiments")
    outcomes = _run(
        recipe, [(points[cell], seed) for cell, seed in keys], workers, None, False, True
    )
    lines = []
    for number, (cell, seed) in enumerate(keys):
        same = pd.Series(True, index=table.index)
        for name, value in zip(names, cell, strict=True):
            same &= table[name] == value
        compared = _compare(table[same], seed, outcomes[number], recipe)
        lines += [(*cell, seed, *line) for line in compared]
    columns = ["row", "column", "recorded", "recomputed", "low", "high", "inside"]
    return pd.DataFrame(lines, columns=[*names, "seed", *columns])


def _compare(cell: pd.DataFrame, seed: int, outcome: _Outcome, recipe: _Recipe) -> Iterator[tuple]:
    """Compare a run with what is recorded of it, and with the other seeds of its grid point."""
    recorded = cell[cell["seed"] == seed]
    errors = cell["error"].str.partition(":")[0]
    old, new = errors[recorded.index[0]], (outcome.error or "").partition(":")[0] or math.nan
    if not (pd.isna(old) and pd.isna(new)):
        yield 0, "error", old, new, math.nan, math.nan, _known(new, errors)
    rows, finished = outcome.rows, cell[cell["error"].isna()]
    if outcome.error is None and pd.isna(old) and len(rows) != len(recorded):
        counts = finished.groupby("seed").size()
        yield 0, "rows", len(recorded), len(rows), math.nan, math.nan, _known(len(rows), counts)
    for number, row in enumerate(rows[: len(recorded)]):
        seeds = finished[finished["row"] == number]
        for name in _result_names(cell):
            numeric = _dtype(cell[name]) != "text"
            seen = seeds[name].astype(float) if numeric else seeds[name]
            old, new = cell.loc[recorded.index[number], name], row.get(name)
            if new is None or new == "":
                new = math.nan
            elif not (numeric and isinstance(new, bool | int | float)):
                new = str(new)
            else:
                new = float(new)
            low = high = math.nan
            if name in recipe.exact:
                inside = _known(new, [old])
            elif isinstance(new, float) and math.isfinite(new):
                low, high = _band(seen, recipe.tolerances.get(name, 0.0))
                inside = low <= new <= high
            else:
                inside = _known(new, seen)
            yield number, name, old, new, low, high, inside


def _known(value: object, values: Iterable[object]) -> bool:
    """Say whether a value is one of several, where NaN equals NaN."""
    return any(value == other or (pd.isna(value) and pd.isna(other)) for other in values)


def _result_names(table: pd.DataFrame) -> list[str]:
    first, last = table.columns.get_loc("seed"), table.columns.get_loc("error")
    return list(table.columns[first + 1 : last])


def _parse(text: str, dtypes: Mapping[str, str]) -> pd.DataFrame:
    """Read a table from CSV, digit for digit."""
    table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    read: dict[str, Callable[[str], Scalar]] = {
        "bool": lambda cell: cell == "True",
        "int64": int,
        "float64": lambda cell: float(cell or "nan"),
    }
    return pd.DataFrame(
        {
            name: _text_column(table[name])
            if dtype == "text"
            else pd.Series([read[dtype](cell) for cell in table[name]], dtype=dtype)
            for name, dtype in dtypes.items()
        }
    )


def _dtype(column: pd.Series) -> str:
    return str(column.dtype) if column.dtype.kind in "bif" else "text"


def _failures(recipe: _Recipe, table: pd.DataFrame) -> list[str]:
    """Say which runs failed that the recipe does not allow to."""
    names = [*_grid_names(table), "seed"]
    failed = table[table["error"].notna()].to_dict("records")
    wrong = [row for row in failed if not recipe.may_fail(row)]
    if not wrong:
        return []
    example = _words(names, (wrong[0][name] for name in names))
    return [f"{len(wrong)} runs failed, the first at {example} with {wrong[0]['error']}"]


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


# --- the command ----------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Record the experiments that are not up to date; return the exit status.

    0: all are up to date now. 1: one could not be recorded; the others were. 130: stopped by hand.
    """
    parser = argparse.ArgumentParser(
        prog="python -m cnnbook.sweep", description="Record experiments that are not up to date."
    )
    parser.add_argument("paths", nargs="+", type=Path, help="recipes, or folders of recipes")
    parser.add_argument("--workers", type=int, default=1, help="processes of one thread each")
    parser.add_argument("--fresh", action="store_true", help="run everything again")
    options = parser.parse_args(arguments)
    status = 0
    for path in itertools.chain(*map(_recipes, options.paths)):
        try:
            if not options.fresh and not problems(path):
                print(f"{path}: up to date", flush=True)
                continue
            print(f"{path}: running", flush=True)
            table = record(path, workers=options.workers, progress=True, fresh=options.fresh)
        except (SweepError, ValueError, TypeError) as error:
            print(f"{path}: not recorded. {error}", file=sys.stderr)
            status = 1
        except Interrupted as stop:
            print(f"{path}: {stop}; the same command goes on from there", file=sys.stderr)
            return 130
        else:
            print(f"{path}: recorded {len(table)} rows", flush=True)
    return status


def _recipes(path: Path) -> list[Path]:
    """Return the recipes of a folder, or the one that the path is."""
    return sorted(path.glob("[!_]*.py")) if path.is_dir() else [path]


if __name__ == "__main__":
    # Under its own name, by which other processes import it.
    sys.exit(importlib.import_module("cnnbook.sweep").main())
