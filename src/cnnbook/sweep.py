"""Sweeps: a function × a grid × seeds, run in parallel, to one tidy table.

Its columns, in this order:

==========================  ===================================================
column                      meaning
==========================  ===================================================
those of the grid           the point; None is written ``"none"``
``seed``                    the seed of the run
what the function returned  one number, truth value or text each
``error``                   type and message if the run failed, else missing
``seconds``                 how long the run took, repeated on each of its rows
==========================  ===================================================
"""

import functools
import importlib
import inspect
import itertools
import json
import math
import multiprocessing
import os
import random
import re
import signal
import textwrap
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
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

from cnnbook import _tables, repro
from cnnbook._arguments import as_int, as_real, check_callable
from cnnbook._files import sha256
from cnnbook._tables import Grid, Point, Scalar

PathLike: TypeAlias = str | os.PathLike[str]
Task: TypeAlias = tuple[Mapping[str, Scalar], int]

_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
}


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


@dataclass(frozen=True)
class Outcome:
    """What one run gave.

    Attributes:
        rows: What the function returned; empty if the run failed.
        error: Type and message if it failed, else None.
        seconds: How long it took.
    """

    rows: list[Point]
    error: str | None
    seconds: float


# --- sweeps ---------------------------------------------------------------------------------------


def run(
    function: Callable[..., object],
    grid: Grid,
    seeds: Iterable[int],
    *,
    workers: int = 1,
    path: PathLike | None = None,
    version: str | None = None,
    progress: bool = False,
    retry_failed: bool = True,
    scheduler: str | None = None,
) -> pd.DataFrame:
    """Call ``function(seed=..., **point)`` at every point of a grid with every seed.

    Each call begins with ``repro.seed_all(seed)``, one thread and float32 as the default dtype, so
    the table (but for ``seconds``) does not depend on the number of workers, as long as the
    function leaves no other state behind. With one worker it runs in this process, whose thread
    count, default dtype and random state are put back at the end.

    A call that raises is a row with its ``error``. So is one whose process dies (killed for its
    memory, say), after a second try alone in a process; with one worker it takes this process down.

    With ``scheduler``, runs go to the workers of a Dask cluster, each of which makes one at a time,
    in a process of its own, however many threads it has; it must have the same versions of PyTorch
    and NumPy. Runs of a worker that dies go to another. One that has cost more workers than the
    cluster allows is a row with its ``error``.

    With ``path``, each finished run is at once appended to that file, as one line of JSON, and
    runs found there are not repeated. The lines count for one version of PyTorch and NumPy and one
    ``version`` of the function only, by default its source text with the constants it was made
    with, and for one device: after a change all is run anew, and the old lines stay in the file. A
    change in what the function calls goes unseen; then delete the file.

    What ``repro.use_device`` set holds in every process, here or on a cluster: networks are then
    trained on that device.

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
        version: Stands for the source of ``function`` in the log.
        progress: Show a bar on standard error, if that is a terminal.
        retry_failed: Run again what failed according to the log.
        scheduler: Address of a Dask scheduler, such as ``"tcp://10.0.0.1:8786"``, to run there;
            ``cnnbook`` is installed on its workers, and ``distributed`` here.

    Returns:
        The table of the module's docstring, ordered by grid point, then seed, whatever the order
        of completion.

    Raises:
        TypeError: If an argument has the wrong type, or ``function`` cannot be pickled.
        ValueError: If the grid or the seeds are empty, repeat themselves, have other values than
            finite or infinite scalars, or use a reserved name; if ``path`` is given without
            ``version`` and the source of ``function`` cannot be told; or if ``workers`` is given
            beside ``scheduler``.
        SweepError: If the log is damaged or no log, or a worker of the cluster lacks ``cnnbook`` or
            has other versions.
        ConnectionError: If no scheduler answers.
        Interrupted: On Ctrl-C; it is a KeyboardInterrupt that carries the finished runs.
    """
    tasks = list(itertools.product(_tables.as_points(grid), _tables.as_seeds(seeds)))
    outcomes: dict[int, Outcome] = {}
    log = None
    if path is not None:
        log = _Log(Path(path), _code(function, version))
        for number, key in enumerate(map(_key, tasks)):
            if key in log.done and not (retry_failed and log.done[key].error):
                outcomes[number] = log.done[key]
    left = [number for number in range(len(tasks)) if number not in outcomes]
    stream = run_tasks(function, [tasks[n] for n in left], workers, scheduler)
    bar = tqdm(total=len(tasks), initial=len(outcomes), disable=None if progress else True)
    try:
        with bar, closing(stream):
            for index, outcome in stream:
                outcomes[left[index]] = outcome
                if log:
                    log.append(tasks[left[index]], outcome)
                bar.update()
    except KeyboardInterrupt:
        raise Interrupted(_table(tasks, outcomes), len(outcomes), len(tasks)) from None
    return _table(tasks, outcomes)


def run_tasks(
    function: Callable[..., object],
    tasks: Sequence[Task],
    workers: int = 1,
    scheduler: str | None = None,
) -> Iterator[tuple[int, Outcome]]:
    """Run ``function`` at chosen points with chosen seeds, as ``run`` does.

    Args:
        function: As for ``run``.
        tasks: Pairs of point and seed.
        workers: As for ``run``.
        scheduler: As for ``run``.

    Returns:
        The place of each task among ``tasks``, and its outcome, as they are finished.

    Raises:
        TypeError: If an argument has the wrong type, or ``function`` cannot be pickled.
        ValueError: If ``workers`` is below 1, or given beside ``scheduler``.
        SweepError: If a worker of the cluster lacks ``cnnbook`` or has other versions of PyTorch or
            NumPy.
        ConnectionError: If no scheduler answers.
    """
    workers = as_int("workers", workers, 1)
    check_callable("function", function)
    if scheduler is not None:
        if not isinstance(scheduler, str):
            raise TypeError(f"scheduler must be an address or None, got {scheduler!r}")
        if workers > 1:
            raise ValueError(f"workers must be left out beside scheduler, got {workers}")
        return _on_cluster(function, tasks, scheduler)
    if workers > 1 and tasks:
        return _in_processes(function, tasks, workers)
    return _in_this_process(function, tasks)


def _table(tasks: list[Task], outcomes: Mapping[int, Outcome]) -> pd.DataFrame:
    order = [task for task in sorted(outcomes) for _ in outcomes[task].rows or [{}]]
    rows = [row for task in sorted(outcomes) for row in outcomes[task].rows or [{}]]
    names = dict.fromkeys(itertools.chain(*rows))
    columns = {
        **{name: _tables.grid_column([point[name] for point, _ in tasks]) for name in tasks[0][0]},
        "seed": pd.Series([seed for _, seed in tasks], dtype="int64"),
    }
    columns = {name: column.iloc[order].reset_index(drop=True) for name, column in columns.items()}
    columns |= {name: _tables.column([row.get(name) for row in rows]) for name in names}
    columns["error"] = _tables.text_column([outcomes[task].error for task in order])
    columns["seconds"] = pd.Series([outcomes[task].seconds for task in order], dtype="float64")
    return pd.DataFrame(columns)


# --- summaries ------------------------------------------------------------------------------------


def summary(
    table: pd.DataFrame, by: str | Sequence[str], values: str | Sequence[str]
) -> pd.DataFrame:
    """Return mean, 95 % interval and number of failures, for each group of runs and each value.

    It extends ``check.summarize`` to tables with failed runs. These are counted, never averaged.

    Args:
        table: What ``run`` or ``recorded.load`` returned.
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

    by, values = ([names] if isinstance(names, str) else list(names) for names in (by, values))
    if missing := [name for name in (*by, *values, "seed", "error") if name not in table]:
        raise KeyError(f"table has no column {', '.join(map(repr, missing))}")
    failed = table["error"].notna()
    rows = []
    for key, group in table.groupby(by, sort=False, observed=True, dropna=False):
        finished = group[~failed[group.index]]
        if finished.empty and _belongs_elsewhere(table[~failed], by, key):
            continue
        where = _tables.words(by, key)
        if finished["seed"].duplicated().any():
            raise ValueError(f"by must tell the rows of one seed apart, got several in {where}")
        same = failed.copy()
        for name, value in zip(by, key, strict=True):
            same &= table[name].isna() | (table[name] == value)
        for name in values:
            numbers = finished[name].astype(float)
            if not np.isfinite(numbers).all():
                raise ValueError(f"{name} must be finite in every finished run, got {where}")
            found = (math.nan, math.nan, math.nan)
            if len(finished) >= check.MIN_SEEDS:
                interval = check.interval(numbers)
                found = (interval.mean, interval.low, interval.high)
            rows.append((*key, name, *found, len(finished), int(same.sum())))
    columns = [*by, "value", "mean", "low", "high", "seeds", "failed"]
    return pd.DataFrame(rows, columns=columns)


def _belongs_elsewhere(finished: pd.DataFrame, by: list[str], key: tuple) -> bool:
    """Say whether a group of failed runs lacks a part of its key that finished runs have."""
    known = {name: value for name, value in zip(by, key, strict=True) if not pd.isna(value)}
    same = pd.Series(True, index=finished.index)
    for name, value in known.items():
        same &= finished[name] == value
    return bool(same.any())


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
        table: What ``run`` or ``recorded.load`` returned.
        by: Column, or columns, that tell the groups apart.
        column: A column of numbers; those that are not finite are left out.
        tolerance: Least margin, in units of the column, not negative.

    Returns:
        One row per group in order of appearance: the columns of ``by``, then ``low`` and ``high``,
        NaN where no number is finite.

    Raises:
        KeyError: If a column is missing.
        TypeError: If ``tolerance`` is no number.
        ValueError: If ``tolerance`` is negative or not finite.
    """
    by = [by] if isinstance(by, str) else list(by)
    tolerance = as_real("tolerance", tolerance, least=0)
    rows = [
        (*key, *_tables.band(group[column], tolerance))
        for key, group in table.groupby(by, sort=False, observed=True, dropna=False)
    ]
    return pd.DataFrame(rows, columns=[*by, "low", "high"])


# --- running --------------------------------------------------------------------------------------


def _execute(function: Callable[..., object], point: Mapping[str, Scalar], seed: int) -> Outcome:
    start = time.perf_counter()
    try:
        repro.use_threads(1)
        torch.set_default_dtype(torch.float32)
        repro.seed_all(seed)
        rows, error = _tables.as_rows(function(seed=seed, **point), point), None
    except (Exception, SystemExit) as problem:
        rows, error = [], " ".join(f"{type(problem).__name__}: {problem}".split())
    return Outcome(rows, error, round(time.perf_counter() - start, 4))


def _execute_pickled(pickled: bytes, point: Mapping[str, Scalar], seed: int) -> Outcome:
    def call(**arguments: Any) -> object:
        function, device = cloudpickle.loads(pickled)
        repro.use_device(device)
        return function(**arguments)

    return _execute(call, point, seed)


def _pickled(function: Callable[..., object]) -> bytes:
    try:
        return cloudpickle.dumps((function, repro.device()))
    except Exception as error:
        raise TypeError(f"function must be picklable for several workers: {error}") from error


def _in_this_process(
    function: Callable[..., object], tasks: Sequence[Task]
) -> Iterator[tuple[int, Outcome]]:
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
    function: Callable[..., object], tasks: Sequence[Task], workers: int
) -> Iterator[tuple[int, Outcome]]:
    """Run tasks as processes become free; when one dies, try what was under way one by one."""
    pickled = _pickled(function)
    waiting = deque(range(len(tasks)))
    running: dict[Any, int] = {}
    pool = _pool(workers)
    try:
        while waiting or running:
            pool = _pool(workers)  # another one, if that has broken
            with suppress(BrokenProcessPool):  # between two submissions
                while waiting and len(running) <= workers:  # one in the queue, so that none idles
                    running[pool.submit(_execute_pickled, pickled, *tasks[waiting[0]])] = waiting[0]
                    waiting.popleft()
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
                pool = _pool(1)
                yield index, _alone(pool, pickled, tasks[index])
    except BaseException:
        pool.shutdown(wait=True, kill_workers=True)
        raise


def _alone(pool: ProcessPoolExecutor, pickled: bytes, task: Task) -> Outcome:
    start = time.perf_counter()
    try:
        return pool.submit(_execute_pickled, pickled, *task).result()
    except BrokenProcessPool as error:
        codes = "".join(re.findall(r"\{.*\}", str(error)))
        message = f"{type(error).__name__}: the process died twice, exit code {codes}"
        return Outcome([], message, round(time.perf_counter() - start, 4))


def _on_cluster(
    function: Callable[..., object], tasks: Sequence[Task], scheduler: str
) -> Iterator[tuple[int, Outcome]]:
    """Run tasks on a Dask cluster, which gives those of a worker that dies to another."""
    from distributed import Client, KilledWorker, as_completed

    pickled, versions = _pickled(function), _versions()

    def remote(point: Any, seed: int) -> Any:
        # Defined in here, with types of no package, it travels by value: then the scheduler need
        # not have this one.
        sweep = importlib.import_module("cnnbook.sweep")
        found = sweep._versions()
        return found if found != versions else sweep._execute_beside_dask(pickled, point, seed)

    try:
        client = Client(scheduler, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConnectionError(f"scheduler must be a Dask scheduler's address: {error}") from error
    with client:
        futures = {client.submit(remote, *task, pure=False): n for n, task in enumerate(tasks)}
        try:
            for future in as_completed(list(futures), loop=client.loop):
                index, error = futures.pop(future), future.exception()
                if isinstance(error, KilledWorker):
                    found = Outcome([], " ".join(f"KilledWorker: {error}".split()), 0.0)
                elif error is not None:
                    raise SweepError(f"a worker of {scheduler} cannot run: {error!r}") from error
                else:
                    found = future.result()
                if isinstance(found, str):
                    raise SweepError(f"a worker of {scheduler} has {found}, but here is {versions}")
                yield index, found
                future.release()
        finally:
            client.cancel(list(futures))


_ONE_AT_A_TIME = threading.Lock()


def _execute_beside_dask(pickled: bytes, point: Mapping[str, Scalar], seed: int) -> Outcome:
    """Run a task on a Dask worker, in a process of its own: Dask draws random numbers, too."""
    with _ONE_AT_A_TIME:
        # A worker with a nanny counts as a daemon, which may start no processes otherwise.
        multiprocessing.current_process()._config["daemon"] = False
        try:
            return _pool(1).submit(_execute_pickled, pickled, point, seed).result()
        except BrokenProcessPool:
            return _alone(_pool(1), pickled, (point, seed))


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
        self.done: dict[str, Outcome] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes() if path.exists() else b""
        *lines, tail = content.split(b"\n")
        for number, line in enumerate(lines, 1):
            try:
                entry = json.loads(line)
                task = _key((entry["point"], entry["seed"]))
                outcome = Outcome(entry["rows"], entry["error"], entry["seconds"])
                if entry["code"] == code:
                    self.done[task] = outcome
            except (ValueError, KeyError, TypeError) as error:
                raise SweepError(
                    f"{path}, line {number} is no finished run ({error!r}); delete the line or the "
                    "file, and run again"
                ) from error
        start = b'{"code": '
        if not tail.startswith(start[: len(tail)]):
            raise SweepError(f"{path} ends in something else than a run; choose another path")
        if tail:  # half-written: its run was not finished
            os.truncate(path, len(content) - len(tail))

    def append(self, task: Task, outcome: Outcome) -> None:
        entry = {"code": self.code, "point": task[0], "seed": task[1], **asdict(outcome)}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _key(task: Task) -> str:
    return json.dumps(task, sort_keys=True)


def _versions() -> str:
    return f"torch {torch.__version__}, numpy {np.__version__}"


def _code(function: Callable[..., object], version: str | None) -> str:
    """Return a hash of a function's version, or source and constants, and what it runs on."""
    versions = _versions() + (f", {device}" if (device := repro.device()) else "")
    if version is not None:
        return sha256(version, versions)
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
    return sha256(source, repr(sorted(constants.items(), key=repr)), versions)
