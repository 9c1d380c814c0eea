"""Sums over the values of a layer in one reading of memory, compiled by Numba.

A sum costs what it costs to read the values, so the sums of a layer that are taken together are had
for the price of one. PyTorch, which reads the values anew for each, takes several times as long.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload
from torch import Tensor

# Sums may be taken in any order; NaN and the infinities stay what they are.
_FAST = {"reassoc", "contract", "nsz"}
_HALF = (torch.float16, torch.bfloat16)


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``function`` compiled; its machine code is kept for later processes, if it can be."""
    try:
        return numba.njit(cache=True, fastmath=_FAST)(function)
    except RuntimeError:  # neither the library's folder nor a home can be written to
        return numba.njit(fastmath=_FAST)(function)


def _fetch(values, start, count):
    """Ask the processor to fetch values that will be read soon."""


@overload(_fetch)
def _fetch_compiled(values, start, count):
    line = 512 // values.dtype.bitwidth

    def fetch(values, start, count):
        for index in range(start, start + count, line):
            _prefetch(values, index)

    return fetch


@intrinsic
def _prefetch(context, values, index):
    """Emit LLVM's instruction, which may name a place beyond the end."""

    def emit(context, builder, signature, arguments):
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        place = builder.gep(array.data, [arguments[1]])
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, *[number] * 3])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        read_into_all_caches = [number(0), number(3), number(1)]
        builder.call(function, [builder.bitcast(place, byte), *read_into_all_caches])
        return context.get_dummy_value()

    return types.void(values, index), emit


# A processor fetches ahead by itself, but stops at the end of each page of memory (4 kB). So two
# units are read at a time, and what lies this many values on is asked for: half a page of single
# precision.
_AHEAD = 512


@_compiled
def _add_moments(rows, sums):
    images, units, positions = rows.shape
    half = (units + 1) // 2
    values = rows.reshape(-1)
    for i in range(images):
        for unit in range(half):
            other = unit + half if unit + half < units else unit
            for start in ((i * units + unit) * positions, (i * units + other) * positions):
                _fetch(values, start + _AHEAD, positions)
            first = second = first_other = second_other = 0.0
            for p in range(positions):
                y, z = np.float64(rows[i, unit, p]), np.float64(rows[i, other, p])
                first += y
                second += y * y
                first_other += z
                second_other += z * z
            sums[unit, 0] += first
            sums[unit, 1] += second
            if other > unit:
                sums[other, 0] += first_other
                sums[other, 1] += second_other


@_compiled
def _add_unit(before, after, slopes, unit, found):
    z1, z2, a1, a2, positive = found
    before[unit, 0] += z1
    before[unit, 1] += z2
    after[unit, 0] += a1
    after[unit, 1] += a2
    slopes[unit, 0] += a1
    slopes[unit, 1] += positive
    slopes[unit, 2] += positive


@_compiled
def _add_relu_moments(rows, before, after, slopes):
    images, units, positions = rows.shape
    half = (units + 1) // 2
    values = rows.reshape(-1)
    for i in range(images):
        for unit in range(half):
            other = unit + half if unit + half < units else unit
            for start in ((i * units + unit) * positions, (i * units + other) * positions):
                _fetch(values, start + _AHEAD, positions)
            s0 = s1 = s2 = s3 = t0 = t1 = t2 = t3 = 0.0
            s4 = t4 = np.int32(0)
            for p in range(positions):
                y, z = np.float64(rows[i, unit, p]), np.float64(rows[i, other, p])
                s0 += y
                s1 += y * y
                t0 += z
                t1 += z * z
                a = 0.0 if y < 0 else y  # and NaN is NaN
                s2 += a
                s3 += a * a
                b = 0.0 if z < 0 else z
                t2 += b
                t3 += b * b
                s4 = np.int32(s4 + np.int32(rows[i, unit, p] > 0))
                t4 = np.int32(t4 + np.int32(rows[i, other, p] > 0))
            _add_unit(before, after, slopes, unit, (s0, s1, s2, s3, s4))
            if other > unit:
                _add_unit(before, after, slopes, other, (t0, t1, t2, t3, t4))


@_compiled
def _square(values):
    total = 0.0
    for i in range(len(values)):
        value = np.float64(values[i])
        total += value * value
    return total


@_compiled
def _change(before, after):
    size = change = 0.0
    for i in range(len(before)):
        old = np.float64(before[i])
        step = np.float64(after[i]) - old
        size += old * old
        change += step * step
    return size, change


@_compiled
def add(part: np.ndarray, sums: np.ndarray) -> None:
    """Add a matrix to another in place, without NumPy's warning of ∞ − ∞."""
    for i in range(part.shape[0]):
        for j in range(part.shape[1]):
            sums[i, j] += part[i, j]


def values(tensor: Tensor) -> np.ndarray | Tensor:
    """Return the entries for the kernels to read: half precision as single, out of the graph.

    Tensors that are not in main memory stay tensors, and PyTorch sums them where they are.
    """
    if tensor.dtype in _HALF:
        tensor = tensor.float()
    return tensor.numpy(force=True) if tensor.is_cpu else tensor.detach()


def add_moments(rows: np.ndarray | Tensor, sums: np.ndarray) -> None:
    """Add Σz and Σz² of each unit to ``sums`` (units, 2), float64, in place.

    Args:
        rows: z (N, units, positions), float32 or float64.
        sums: What they are added to.
    """
    if isinstance(rows, Tensor):
        add(_moments_elsewhere(rows), sums)
    else:
        _add_moments(np.ascontiguousarray(rows), sums)


def add_relu_moments(
    rows: np.ndarray | Tensor, before: np.ndarray, after: np.ndarray, slopes: np.ndarray
) -> None:
    """Add the sums of each unit over z and over a = max(z, 0), all float64, in place.

    Args:
        rows: z (N, units, positions), float32 or float64.
        before: What Σz and Σz² are added to, (units, 2).
        after: What Σa and Σa² are added to, (units, 2).
        slopes: What Σ|a| and, twice, the number of positive z are added to, (units, 3).
    """
    if isinstance(rows, Tensor):
        for part, sums in zip(_relu_moments_elsewhere(rows), (before, after, slopes), strict=True):
            add(part, sums)
    else:
        _add_relu_moments(np.ascontiguousarray(rows), before, after, slopes)


def square(tensor: Tensor) -> float:
    """Return the sum of the squares of all entries, in double precision."""
    entries = values(tensor)
    if isinstance(entries, Tensor):
        return float(entries.double().square().sum())
    return _square(entries.ravel())


def snapshot(tensor: Tensor) -> np.ndarray | Tensor:
    """Return a copy of all entries, for ``change``."""
    entries = values(tensor)
    return entries.clone() if isinstance(entries, Tensor) else entries.flatten()


def change(before: np.ndarray | Tensor, after: Tensor) -> tuple[float, float]:
    """Return the sums of squares of what ``before`` is a snapshot of, and of what it changed by."""
    if isinstance(before, Tensor):
        return square(before), square(after.double() - before)
    return _change(before, values(after).ravel())


def _moments_elsewhere(rows: Tensor) -> np.ndarray:
    """Return Σz and Σz² by PyTorch, (units, 2), for a tensor that is not in main memory."""
    z = rows.double()
    return torch.stack([z.sum((0, 2)), z.square().sum((0, 2))], 1).cpu().numpy()


def _relu_moments_elsewhere(rows: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    positive = (rows > 0).sum((0, 2)).cpu().numpy()
    after = _moments_elsewhere(rows.relu())
    slopes = np.column_stack([after[:, 0], positive, positive])
    return _moments_elsewhere(rows), after, slopes
