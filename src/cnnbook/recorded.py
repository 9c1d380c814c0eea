"""Recorded experiments: sweeps whose tables cannot drift from what made them.

A recorded experiment is a recipe ``NAME.py`` with its table ``NAME.csv`` and the record
``NAME.json`` of how that came about. ``record`` makes them, as ``python -m cnnbook.recorded
NAME.py`` does, ``load`` returns the table after verifying it, ``recompute`` runs some of its rows
again, and ``recipe`` returns what defines them.

A recipe defines ``run(seed, **point)``, ``GRID`` and ``SEEDS``, as ``sweep.run`` takes them, and
perhaps

- ``TOLERANCES``: column → absolute tolerance, for ``sweep.bands``;
- ``EXACT``: columns that come out the same on every machine;
- ``FREE``: columns that nothing can judge, such as a text that rounding decides;
- ``MAY_FAIL``: parts of grid points, as mappings, whose runs are allowed to fail.

It takes what it shares with other recipes from a file beside it: ``from ._helper import name``.
Files whose names begin with an underscore are no recipes.

A recipe's hash covers its text and that of the files it takes from. Comments, blank lines, the
recipe's docstring and its ``TOLERANCES``, ``EXACT``, ``FREE`` and ``MAY_FAIL`` do not count,
because they do not change the table. Nor does the library: whether its changes moved a result,
``recompute`` tells.
"""

import argparse
import itertools
import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd

from cnnbook import _files, _recipes, _tables, repro, sweep
from cnnbook._arguments import as_int, as_real
from cnnbook.sweep import Interrupted, PathLike, SweepError


def record(
    path: PathLike,
    *,
    workers: int = 1,
    progress: bool = False,
    fresh: bool = False,
    scheduler: str | None = None,
) -> pd.DataFrame:
    """Run a recipe and write its table and its record beside it, each whole or not at all.

    Finished runs are kept in ``.runs/NAME.jsonl`` beside the recipe, as ``sweep.run`` does: after
    an interruption, or when only GRID or SEEDS have grown, what is there is not run again. That
    folder may be deleted at any time, and should be when the library has changed.

    Args:
        path: The recipe, ``NAME.py``.
        workers: Number of processes.
        progress: Show a bar on standard error, if that is a terminal.
        fresh: Run everything again.
        scheduler: As for ``sweep.run``.

    Returns:
        The table.

    Raises:
        SweepError: If the recipe cannot be run, or a run fails that is not in its MAY_FAIL; then
            nothing is written, and what succeeded is kept.
        ConnectionError: If no scheduler answers.
        Interrupted: On Ctrl-C; what is finished is kept.
    """
    file = Path(path)
    recipe, module = _executed(file)
    points, seeds = _tables.as_points(module.GRID), _tables.as_seeds(module.SEEDS)
    log = file.parent / ".runs" / f"{file.stem}.jsonl"
    log.parent.mkdir(exist_ok=True)
    _files.write(log.with_name(".gitignore"), b"*\n")
    if fresh:
        log.unlink(missing_ok=True)
    how = {"workers": workers, "scheduler": scheduler, "progress": progress}
    table = sweep.run(recipe, points, seeds, path=log, version=recipe.code, **how)
    if wrong := _failures(module, table):
        raise SweepError(f"{file}: " + "; ".join(wrong))
    grid: object = points
    if isinstance(module.GRID, Mapping):
        grid = {name: list(dict.fromkeys(p[name] for p in points)) for name in module.GRID}
    runs = _runs(table)
    text, dtypes = _tables.to_csv(table)
    device = {"device": str(repro.device())} if repro.device() else {}
    entry = {
        "recipe_sha256": recipe.sha256,
        "table_sha256": _files.sha256(text),
        "columns": dtypes,
        "grid": _spelt(grid),
        "seeds": seeds,
        "runs": len(runs),
        "failed": int(runs["error"].notna().sum()),
        "seconds": round(float(runs["seconds"].sum()), 1),
        "date": datetime.now(UTC).date().isoformat(),
        "environment": repro.environment().to_dict() | {"torch threads": 1} | device,
    }
    _files.write(file.with_suffix(".csv"), text.encode())
    about = json.dumps(entry, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    _files.write(file.with_suffix(".json"), about.encode())
    return table


def _spelt(value: object) -> object:
    """Return the same with every number that JSON lacks, such as ∞, as a word."""
    if isinstance(value, Mapping):
        return {name: _spelt(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_spelt(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


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
    recipe = _read(file.with_suffix(".py"))
    remedy = "run make experiments"
    try:
        entry = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
        hashes = (entry["recipe_sha256"], entry["table_sha256"])
        dtypes = entry["columns"]
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SweepError(
            f"{file} or its .json is missing or damaged ({error}); {remedy}"
        ) from error
    if hashes[0] != recipe.sha256:
        raise SweepError(f"{file} is older than its recipe {file.stem}.py; {remedy}")
    if hashes[1] != _files.sha256(text):
        raise SweepError(f"{file} is not the table that was recorded; {remedy}")
    try:
        return _tables.from_csv(text, dtypes)
    except (ValueError, KeyError, AttributeError) as error:
        raise SweepError(f"{file} does not fit its .json ({error!r}); {remedy}") from error


def recipe(path: PathLike) -> ModuleType:
    """Return the recipe of a recorded experiment as a module, to use what it defines.

    Args:
        path: The recipe, ``NAME.py``, or its table.

    Returns:
        The module, executed; the same one each time until its text changes.

    Raises:
        SweepError: If it cannot be read or run, or lacks ``run``, ``GRID`` or ``SEEDS``.
    """
    return _executed(Path(path).with_suffix(".py"))[1]


def problems(path: PathLike) -> list[str]:
    """Return what keeps a recorded experiment from being complete and up to date, in words.

    Besides what ``load`` verifies: every grid point has every seed, as the recipe gives them now;
    no run failed but where the recipe allows it; TOLERANCES, EXACT and FREE name columns of the
    table.

    Args:
        path: The recipe, ``NAME.py``.

    Raises:
        SweepError: If the recipe cannot be run.
    """
    file = Path(path)
    _, module = _executed(file)
    try:
        table = load(file.with_suffix(".csv"))
    except SweepError as error:
        return [str(error)]
    points, seeds = _tables.as_points(module.GRID), _tables.as_seeds(module.SEEDS)
    names = _tables.grid_names(table)
    if names != list(points[0]):
        return [f"the table's grid is of {names}, the recipe's of {list(points[0])}"]
    expected = set(itertools.product(_tables.cells(points), seeds))
    found = set(_keys(table))
    result = _failures(module, table)
    if missing := len(expected - found):
        result.append(f"the table lacks {missing} of {len(expected)} runs")
    if extra := len(found - expected):
        result.append(f"the table has {extra} runs that are not in the recipe")
    named = (_tolerances(module), getattr(module, "EXACT", ()), getattr(module, "FREE", ()))
    judged = set(itertools.chain(*named))
    for name in sorted(judged - set(_tables.result_names(table))):
        result.append(f"TOLERANCES, EXACT or FREE names {name!r}, which is no column of the table")
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
    runs = _runs(table)
    runs = runs[~runs["error"].str.startswith("TerminatedWorkerError", na=False)]
    if runs.empty:
        raise ValueError("table must have a run that can be repeated")
    chosen: list[int] = []
    for label in np.random.default_rng(as_int("seed", seed, 0)).permutation(runs.index):
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

        ``inside`` says whether the recomputed value lies in its band, low to high (see
        ``sweep.bands``), over all finished seeds of its grid point and row. In columns of the
        recipe's EXACT it says whether both agree; those of its FREE have no row. A text, an
        infinity or a NaN must be one that some finished seed had. If either run failed, the types
        of the errors stand under ``error``, and the new one must be one of the grid point's; if
        the numbers of rows differ,
        they stand under ``rows``, likewise.

    Raises:
        SweepError: If the experiment cannot be loaded, or its recipe not run.
        ValueError: If ``rows`` is empty or holds a label that the table lacks.
    """
    file = Path(path)
    table = load(file)
    recipe, module = _executed(file.with_suffix(".py"))
    labels = list(rows)
    if not labels or not set(labels) <= set(table.index):
        raise ValueError(f"rows must be labels of rows of {file.name}, got {labels}")
    points = _tables.as_points(module.GRID)
    by_cell = dict(zip(_tables.cells(points), points, strict=True))
    keys = list(dict.fromkeys(_keys(table.loc[labels])))
    if not {cell for cell, _ in keys} <= by_cell.keys():
        raise SweepError(f"{file} has points that its recipe lacks; run make experiments")
    names = _tables.grid_names(table)
    table["row"] = table.groupby([*names, "seed"], sort=False).cumcount()
    tasks = [(by_cell[cell], seed) for cell, seed in keys]
    outcomes = dict(sweep.run_tasks(recipe, tasks, workers))
    lines = []
    for number, (cell, seed) in enumerate(keys):
        same = (table[names] == pd.Series(cell, names, dtype=object)).all(axis=1)
        compared = _compare(table[same], seed, outcomes[number], module)
        lines += [(*cell, seed, *line) for line in compared]
    columns = ["row", "column", "recorded", "recomputed", "low", "high", "inside"]
    return pd.DataFrame(lines, columns=[*names, "seed", *columns])


def _compare(
    cell: pd.DataFrame, seed: int, outcome: sweep.Outcome, recipe: ModuleType
) -> Iterator[tuple]:
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
    tolerances, exact = _tolerances(recipe), getattr(recipe, "EXACT", ())
    for number, (label, row) in enumerate(zip(recorded.index, rows, strict=False)):
        seeds = finished[finished["row"] == number]
        for name in _tables.result_names(cell):
            if name in getattr(recipe, "FREE", ()):
                continue
            numeric = _tables.dtype(cell[name]) != "text"
            old, new = cell.loc[label, name], row.get(name)
            if new is None or new == "":
                new = math.nan
            else:
                new = float(new) if numeric and not isinstance(new, str) else str(new)
            low = high = math.nan
            if name in exact:
                inside = _known(new, [old])
            elif isinstance(new, float) and math.isfinite(new):
                low, high = _tables.band(seeds[name], tolerances.get(name, 0.0))
                inside = low <= new <= high
            else:
                inside = _known(new, seeds[name])
            yield number, name, old, new, low, high, inside


def _known(value: object, values: Iterable[object]) -> bool:
    """Say whether a value is one of several, where NaN equals NaN."""
    return any(value == other or (pd.isna(value) and pd.isna(other)) for other in values)


def _runs(table: pd.DataFrame) -> pd.DataFrame:
    """Return the first row of each run."""
    return table.drop_duplicates([*_tables.grid_names(table), "seed"])


def _keys(table: pd.DataFrame) -> list[tuple[tuple, int]]:
    """Return grid point and seed of each row."""
    names = [*_tables.grid_names(table), "seed"]
    return [(tuple(cell), int(seed)) for *cell, seed in table[names].itertuples(index=False)]


# --- recipes --------------------------------------------------------------------------------------


def _read(path: Path) -> _recipes.Recipe:
    try:
        return _recipes.read(path)
    except ImportError as error:
        raise SweepError(str(error)) from error


def _executed(path: Path) -> tuple[_recipes.Recipe, ModuleType]:
    recipe = _read(path)
    try:
        module = recipe.module
    except ImportError as error:
        raise SweepError(str(error)) from error
    for name in ("run", "GRID", "SEEDS"):
        if not hasattr(module, name):
            raise SweepError(f"{path} must define {name}")
    return recipe, module


def _tolerances(recipe: ModuleType) -> dict[str, float]:
    found = getattr(recipe, "TOLERANCES", {})
    return {n: as_real(f"TOLERANCES[{n!r}]", value, least=0) for n, value in found.items()}


def _failures(recipe: ModuleType, table: pd.DataFrame) -> list[str]:
    """Say which runs failed that the recipe does not allow to."""
    failed = table[table["error"].notna()].to_dict("records")
    wrong = [row for row in failed if not _may_fail(recipe, row)]
    if not wrong:
        return []
    names = [*_tables.grid_names(table), "seed"]
    example = _tables.words(names, (wrong[0][name] for name in names))
    return [f"{len(wrong)} runs failed, the first at {example} with {wrong[0]['error']}"]


def _may_fail(recipe: ModuleType, row: Mapping[str, object]) -> bool:
    """Say whether the recipe allows that the run of this row of the table fails."""

    def fits(name: str, value: object) -> bool:
        value = "none" if value is None else value
        return name in row and (row[name] == value or str(row[name]) == str(value))

    parts = getattr(recipe, "MAY_FAIL", ())
    return any(all(fits(name, value) for name, value in part.items()) for part in parts)


# --- the command ----------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Record the experiments that are not up to date; return the exit status.

    0: all are up to date now. 1: one could not be recorded; the others were. 130: stopped by hand.
    """
    parser = argparse.ArgumentParser(
        prog="python -m cnnbook.recorded", description="Record experiments that are not up to date."
    )
    parser.add_argument("paths", nargs="+", type=Path, help="recipes, or folders of recipes")
    parser.add_argument("--workers", type=int, default=1, help="processes of one thread each")
    parser.add_argument("--scheduler", help="address of a Dask scheduler, to run on its workers")
    parser.add_argument("--device", help="where to train, such as cuda")
    parser.add_argument("--fresh", action="store_true", help="run everything again")
    options = parser.parse_args(arguments)
    try:
        repro.use_device(options.device)
    except ValueError as error:
        parser.error(str(error))
    how = {"workers": options.workers, "scheduler": options.scheduler}
    status = 0
    for path in itertools.chain(*map(_recipes_in, options.paths)):
        try:
            if not options.fresh and not problems(path):
                print(f"{path}: up to date", flush=True)
                continue
            print(f"{path}: running", flush=True)
            table = record(path, **how, progress=True, fresh=options.fresh)
        except (SweepError, ConnectionError, ValueError, TypeError) as error:
            print(f"{path}: not recorded. {error}", file=sys.stderr)
            status = 1
        except Interrupted as stop:
            print(f"{path}: {stop}; the same command goes on from there", file=sys.stderr)
            return 130
        else:
            print(f"{path}: recorded {len(table)} rows", flush=True)
    return status


def _recipes_in(path: Path) -> list[Path]:
    """Return the recipes of a folder, or the one that the path is."""
    return sorted(path.glob("[!_]*.py")) if path.is_dir() else [path]


if __name__ == "__main__":
    sys.exit(main())
