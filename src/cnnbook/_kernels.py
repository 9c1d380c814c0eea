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


def moments(rows: Tensor) -> np.ndarray:
    """Return Σz and Σz² of each unit, in double precision.

    Args:
        rows: z (N, units, positions), float32 or float64.

    Returns:
        Shape (2, units).
    """
    if rows.device.type != "cpu":
        return _moments_elsewhere(rows)
    return _summed(_add_moments, rows, 2)


def relu_moments(rows: Tensor) -> np.ndarray:
    """Return Σz, Σz², Σa, Σa² of each unit, for a = max(z, 0), and how many z are positive.

    Args:
        rows: z (N, units, positions), float32 or float64.

    Returns:
        Shape (5, units), float64.
    """
    if rows.device.type != "cpu":
        return _relu_moments_elsewhere(rows)
    return _summed(_add_relu_moments, rows, 5)


def square(value: Tensor) -> float:
    """Return the sum of the squares of all entries, in double precision."""
    return float(moments(at_least_float32(value).reshape(1, 1, -1))[1, 0])


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


def _summed(add: Callable[..., None], rows: Tensor, sums: int) -> np.ndarray:
    """Run a kernel on contiguous rows, so that it is compiled once for each precision."""
    result = np.zeros((rows.shape[1], sums))
    add(rows.contiguous().numpy(force=True), result)
    return result.T


def _moments_elsewhere(rows: Tensor) -> np.ndarray:
    """Return the same as ``moments`` by PyTorch, for a tensor that is not in main memory."""
    z = rows.double()
    return torch.stack([z.sum((0, 2)), z.square().sum((0, 2))]).cpu().numpy()


def _relu_moments_elsewhere(rows: Tensor) -> np.ndarray:
    positive = (rows > 0).sum((0, 2)).cpu().numpy()
    return np.vstack([_moments_elsewhere(rows), _moments_elsewhere(rows.relu()), positive])
