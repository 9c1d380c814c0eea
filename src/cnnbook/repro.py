"""Reproducibility: seeds, threads, the device, and a report of the machine that ran."""

import os
import platform
import random
from importlib.metadata import version

import numpy as np
import pandas as pd
import torch

from cnnbook._arguments import as_device, as_int

_PACKAGES = ("torch", "torchvision", "numpy", "pandas", "matplotlib")


def seed_all(seed: int) -> torch.Generator:
    """Seed Python, NumPy and PyTorch, and return a fresh generator with the same seed.

    The same seed gives the same draws on every machine. It does not give the same training run:
    float32 sums round differently on another processor, and training amplifies the difference.

    Raises:
        TypeError: If ``seed`` is no integer.
        ValueError: If ``seed`` is negative or not below 2³².
    """
    number = as_int("seed", seed, 0)
    if number >= 2**32:
        raise ValueError(f"seed must be below 2**32, got {number}")
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002 - libraries below us draw from the global generator
    torch.manual_seed(number)
    return generator(number)


def generator(seed: int) -> torch.Generator:
    """Return a CPU generator of its own, so that a draw does not depend on the draws before it.

    Raises:
        TypeError: If ``seed`` is no integer.
        ValueError: If ``seed`` is negative.
    """
    return torch.Generator().manual_seed(as_int("seed", seed, 0))


def use_threads(count: int = 1) -> None:
    """Let PyTorch use ``count`` threads in this process.

    One is the book's choice: its networks are small, and two threads that wait for each other on a
    busy machine can be slower than one. Parallelism is over processes instead.

    Raises:
        TypeError: If ``count`` is no integer.
        ValueError: If ``count`` is not positive.
    """
    torch.set_num_threads(as_int("count", count, 1))


_device: torch.device | None = None


def use_device(name: str | torch.device | None) -> None:
    """Let ``train.fit`` and ``train.fit_stacked`` train on a device, unless told otherwise.

    Everything else stays where it was: networks are drawn on the CPU, so from the same random
    numbers, and come back after training. Convolutions on a CUDA device then round as float32 does
    and repeat themselves, at some cost in speed: no TensorFloat-32, no choice between algorithms.

    Args:
        name: Such as ``"cuda"`` or ``"cuda:1"``; None for wherever the network is.

    Raises:
        TypeError: If ``name`` is something else.
        ValueError: If it names no device, or one that this machine lacks.
    """
    global _device
    _device = None if name is None else as_device("device", name)
    if _device is not None and _device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True


def device() -> torch.device | None:
    """Return the device that ``use_device`` set, or None."""
    return _device


def environment() -> pd.Series:
    """Return what a measurement depends on: versions, processor, cores and threads."""
    return pd.Series(
        {
            "python": platform.python_version(),
            **{name: version(name) for name in _PACKAGES},
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "torch threads": torch.get_num_threads(),
        },
        name="environment",
    )
