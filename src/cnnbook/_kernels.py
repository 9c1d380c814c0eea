"""Sums over the values of a layer in one reading of memory, compiled by Numba.

A sum costs what it costs to read the values, so the sums of a layer that are taken together are had
for the price of one. PyTorch, which reads the values anew for each, takes several times as long.
"""

from collections.abc import Callable

import numba
import numpy as np
import torch
from torch import Tensor

# Sums may be taken in any order; NaN and the infinities stay what they are.
_FAST = {"reassoc", "contract", "nsz"}


def _compiled(function: Callable[..., None]) -> Callable[..., None]:
    """Return ``function`` compiled; its machine code is kept for later processes, if it can be."""
    try:
        return numba.njit(cache=True, fastmath=_FAST)(function)
    except RuntimeError:  # neither the library's folder nor a home can be written to
        return numba.njit(fastmath=_FAST)(function)


@_compiled
def _add_moments(rows, sums):
    images, units, positions = rows.shape
    for i in range(images):
        for unit in range(units):
            first = second = 0.0
            for p in range(positions):
                z = np.float64(rows[i, unit, p])
                first += z
                second += z * z
            sums[unit, 0] += first
            sums[unit, 1] += second


@_compiled
def _add_relu_moments(rows, sums):
    images, units, positions = rows.shape
    for i in range(images):
        for unit in range(units):
            first = second = first_a = second_a = 0.0
            positive = 0
            for p in range(positions):
                z = np.float64(rows[i, unit, p])
                first += z
                second += z * z
                a = 0.0 if z <= 0 else z  # and NaN is NaN
                first_a += a
                second_a += a * a
                positive += np.int64(z > 0)
            sums[unit, 0] += first
            sums[unit, 1] += second
            sums[unit, 2] += first_a
            sums[unit, 3] += second_a
            sums[unit, 4] += positive


@_compiled
def _add_change(before, after, sums):
    size = change = 0.0
    for i in range(len(before)):
        old = np.float64(before[i])
        step = np.float64(after[i]) - old
        size += old * old
        change += step * step
    sums[0] += size
    sums[1] += change


@_compiled
def add(part: np.ndarray, sums: np.ndarray) -> None:
    """Add a matrix to another in place, without NumPy's warning of ∞ − ∞."""
    for i in range(part.shape[0]):
        for j in range(part.shape[1]):
            sums[i, j] += part[i, j]


def add_moments(rows: Tensor, sums: np.ndarray) -> None:
    """Add Σz and Σz² of each unit to ``sums`` (units, 2), float64, in place.

    Args:
        rows: z (N, units, positions), float32 or float64.
        sums: What they are added to.
    """
    if rows.device.type == "cpu":
        _add_moments(_read(rows), sums)
    else:
        add(_moments_elsewhere(rows), sums)


def relu_moments(rows: Tensor) -> np.ndarray:
    """Return Σz, Σz², Σa, Σa² of each unit, for a = max(z, 0), and how many z are positive.

    Args:
        rows: z (N, units, positions), float32 or float64.

    Returns:
        Shape (units, 5), float64.
    """
    if rows.device.type != "cpu":
        return _relu_moments_elsewhere(rows)
    sums = np.zeros((rows.shape[1], 5))
    _add_relu_moments(_read(rows), sums)
    return sums


def square(value: Tensor) -> float:
    """Return the sum of the squares of all entries, in double precision."""
    sums = np.zeros((1, 2))
    add_moments(at_least_float32(value).reshape(1, 1, -1), sums)
    return float(sums[0, 1])


def change(before: Tensor, after: Tensor) -> tuple[float, float]:
    """Return the sums of squares of ``before``, and of ``after`` − ``before``."""
    if before.device.type != "cpu":
        return square(before), square(after.double() - before)
    sums, both = np.zeros(2), (before, after)
    both = (at_least_float32(tensor).reshape(-1).numpy(force=True) for tensor in both)
    _add_change(*both, sums)
    return float(sums[0]), float(sums[1])


def at_least_float32(value: Tensor) -> Tensor:
    """Return a tensor that the kernels can read: half precision as single."""
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value


def _read(rows: Tensor) -> np.ndarray:
    """Return contiguous rows, for which the kernels are compiled once in each precision."""
    return rows.contiguous().numpy(force=True)


def _moments_elsewhere(rows: Tensor) -> np.ndarray:
    """Return Σz and Σz² by PyTorch, (units, 2), for a tensor that is not in main memory."""
    z = rows.double()
    return torch.stack([z.sum((0, 2)), z.square().sum((0, 2))], 1).cpu().numpy()


def _relu_moments_elsewhere(rows: Tensor) -> np.ndarray:
    positive = (rows > 0).sum((0, 2)).cpu().numpy()
    both = (_moments_elsewhere(rows), _moments_elsewhere(rows.relu()))
    return np.column_stack([*both, positive])
