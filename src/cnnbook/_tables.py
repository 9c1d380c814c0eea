"""Grids, seeds and results as the columns of one tidy table, which a CSV file gives back."""

import io
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
import torch

from cnnbook._arguments import as_int

Scalar: TypeAlias = bool | int | float | str | None
Point: TypeAlias = dict[str, Scalar]
Grid: TypeAlias = Mapping[str, Iterable[Scalar]] | Sequence[Mapping[str, Scalar]]

# Names to which the tables give a meaning of their own.
RESERVED = ("seed", "error", "seconds", "row")


# --- what goes in ---------------------------------------------------------------------------------


def as_points(grid: Grid) -> list[Point]:
    """Return the points of a grid, all with the same names in the same order.

    Raises:
        TypeError: If the grid, a name or a value has a wrong type.
        ValueError: If the grid is empty, repeats a point or uses a reserved name, if its points
            differ in their names, or if a table could not hold a value.
    """
    if isinstance(grid, Mapping):
        for name, values in grid.items():
            if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
                raise TypeError(f"grid[{name!r}] must be a list of values, got {values!r}")
        rows = itertools.product(*grid.values())
        found = [dict(zip(grid, row, strict=True)) for row in rows]
    elif isinstance(grid, Sequence) and all(isinstance(point, Mapping) for point in grid):
        found = [dict(point) for point in grid]
    else:
        raise TypeError(f"grid must be a mapping or a sequence of mappings, got {grid!r}")
    if not found:
        raise ValueError("grid must have at least one point")
    names = list(found[0])
    for name in names:
        if not isinstance(name, str) or not name:
            raise TypeError(f"grid must have strings as names, got {name!r}")
        if name in RESERVED:
            raise ValueError(f"grid must not use the name {name!r}, which the table needs")
    for point in found:
        if set(point) != set(names):
            raise ValueError(f"grid must have the same names at every point, got {point}")
    points = [{name: _grid_scalar(name, point[name]) for name in names} for point in found]
    if len(set(cells(points))) < len(points):
        raise ValueError("grid must not repeat a point")
    return points


def as_seeds(seeds: Iterable[int]) -> list[int]:
    """Return seeds, distinct integers from 0 to 2³² − 1, at least one.

    Raises:
        TypeError: If they are no integers.
        ValueError: If they are not as above.
    """
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


def as_rows(result: object, point: Mapping[str, Scalar]) -> list[Point]:
    """Return what a function gave at a point as rows of scalars.

    Raises:
        TypeError: If it is no mapping, list of mappings or DataFrame of scalars.
        ValueError: If it has no row, or a column that the table has already.
    """
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
        if name in RESERVED or name in point:
            raise ValueError(f"the function must not return a column {name!r}: the table has one")
    return [{name: _scalar(name, value) for name, value in row.items()} for row in rows]


def _grid_scalar(name: str, value: object) -> Scalar:
    scalar = _scalar(f"grid[{name!r}]", value)
    if scalar == "" or scalar != scalar:
        raise ValueError(
            f"grid[{name!r}] must not hold {scalar!r}, which a table cannot tell apart"
        )
    return scalar


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


# --- columns --------------------------------------------------------------------------------------


def column(values: list[Scalar]) -> pd.Series:
    """Return values as the one dtype that a CSV file gives back: bool, int64, float64 or text."""
    present = [value for value in values if value is not None and value != ""]
    if not all(isinstance(value, bool | int | float) for value in present):
        return text_column(values)
    if len(present) == len(values) > 0:
        for dtype in (bool, int):
            if all(type(value) is dtype for value in present):
                return pd.Series(values, dtype={bool: "bool", int: "int64"}[dtype])
    return pd.Series([math.nan if v is None or v == "" else float(v) for v in values], dtype=float)


def grid_column(values: list[Scalar]) -> pd.Series:
    """Return the values of a grid, where None is a value like others, and no missing one."""
    if None in values:
        return text_column(["none" if value is None else value for value in values])
    return column(values)


def text_column(values: Iterable[Scalar]) -> pd.Series:
    """Return values as text, None and empty ones as missing."""
    texts = [math.nan if value is None or value == "" else str(value) for value in values]
    return pd.Series(texts, dtype=str)


def cells(points: list[Point]) -> list[tuple[Scalar, ...]]:
    """Return the points as they stand in a table."""
    columns = [grid_column([point[name] for point in points]).tolist() for name in points[0]]
    return list(zip(*columns, strict=True)) or [() for _ in points]


def grid_names(table: pd.DataFrame) -> list[str]:
    """Return the names of the columns of the grid."""
    return list(table.columns[: table.columns.get_loc("seed")])


def result_names(table: pd.DataFrame) -> list[str]:
    """Return the names of the columns of the results."""
    first, last = table.columns.get_loc("seed"), table.columns.get_loc("error")
    return list(table.columns[first + 1 : last])


def words(names: Iterable[str], key: Iterable[object]) -> str:
    """Return ``a=1, b=2``."""
    return ", ".join(f"{name}={value}" for name, value in zip(names, key, strict=True))


def band(values: Iterable[float], tolerance: float) -> tuple[float, float]:
    """Return the least and the greatest finite value, with the margin of ``sweep.bands``."""
    finite = [float(value) for value in values if math.isfinite(value)]
    if not finite:
        return math.nan, math.nan
    margin = max(tolerance, (max(finite) - min(finite)) / 2)
    return min(finite) - margin, max(finite) + margin


# --- files ----------------------------------------------------------------------------------------


def to_csv(table: pd.DataFrame) -> tuple[str, dict[str, str]]:
    """Return a table as CSV, digit for digit, and the dtypes that ``from_csv`` needs."""
    dtypes = {name: dtype(table[name]) for name in table}
    return table.to_csv(index=False, lineterminator="\n"), dtypes


def from_csv(text: str, dtypes: Mapping[str, str]) -> pd.DataFrame:
    """Return the table that ``to_csv`` wrote.

    Raises:
        KeyError: If a column is missing.
        ValueError: If a column has another dtype.
    """
    table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    read: dict[str, Callable[[str], Scalar]] = {
        "bool": lambda cell: cell == "True",
        "int64": int,
        "float64": lambda cell: float(cell or "nan"),
    }
    return pd.DataFrame(
        {
            name: text_column(table[name])
            if dtype == "text"
            else pd.Series([read[dtype](cell) for cell in table[name]], dtype=dtype)
            for name, dtype in dtypes.items()
        }
    )


def dtype(column: pd.Series) -> str:
    """Return "bool", "int64", "float64" or "text"."""
    return str(column.dtype) if column.dtype.kind in "bif" else "text"
