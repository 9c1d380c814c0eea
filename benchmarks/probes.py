"""What watching a training step costs: ``probes.Probe`` beside three peers.

A training step of B-net (64 images, Adam, one thread) and the same step watched take turns of ten
steps each, in which the watcher is put on and taken off again. ``milliseconds`` are the unwatched
step's, ``ratio`` is the median over fifteen rounds.

The peers watch each step, as far as they go: fastai's ``ActivationStats`` takes mean, standard
deviation and share near zero of the layers with weights, without gradients; delve's
``SaturationTracker`` their covariance; ``torchlens.trace`` keeps every intermediate result, in a
forward pass of its own. They are in ``benchmarks/requirements.txt``; ``make bench`` installs them
into an environment of their own.

Memory that is freed is kept for the next step. The C library may else give it back to the system
after each, by chance, and then a step takes half as long again, watched or not.
"""

import copy
import ctypes
import tempfile
import warnings
from contextlib import nullcontext
from functools import partial

import torch
import torch.nn.functional as F

from cnnbook import models, timing
from cnnbook.probes import Probe

SEEDS = range(5)
FREE = ("milliseconds", "ratio")
STEPS = 10


def keep_memory():
    """Ask the C library, if it is glibc, to give no memory back."""
    trim_threshold, mmap_threshold = -1, -3
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    mallopt(trim_threshold, 2**31 - 1)
    mallopt(mmap_threshold, 2**30)


def activation_stats(model):
    """Return the hooks that fastai's callback registers when training starts."""
    from fastai.callback.hook import ActivationStats, Hooks, flatten_model, has_params

    modules = [module for module in flatten_model(model) if has_params(module)]
    return Hooks(modules, ActivationStats().hook, is_forward=True, detach=True, cpu=True)


def saturation(model):
    """Put delve's hooks on the model, for good."""
    from delve import SaturationTracker

    with tempfile.TemporaryDirectory() as folder:
        SaturationTracker(folder, "csv", model, device="cpu", nosave=True)


def traced(model, x):
    """Record a forward pass as torchlens does."""
    from torchlens import trace
    from torchlens.options import CaptureOptions

    trace(model, x, capture=CaptureOptions(unwrap_when_done=True))


WATCHERS = {
    "Probe, every step": Probe,
    "Probe, every tenth step": partial(Probe, every=STEPS),
    "Probe, activations only": partial(Probe, gradients=False),
    "ActivationStats of fastai": activation_stats,
}
GRID = {"watcher": [*WATCHERS, "SaturationTracker of delve", "trace of torchlens"]}


def run(seed, watcher):
    """Measure one watcher."""
    warnings.simplefilter("ignore")
    keep_memory()
    model = models.b_net()
    x, y = torch.randn(64, 1, 28, 28), torch.randint(0, 10, (64,))

    def steps(model, optimizer, watch, before=None):
        def train():
            with watch(model):
                for _ in range(STEPS):
                    if before is not None:
                        before(model, x)
                    optimizer.zero_grad()
                    F.cross_entropy(model(x), y).backward()
                    optimizer.step()

        return train

    # Both train the same network, so that its place in memory decides nothing; but what delve does
    # to a network cannot be undone.
    trained = (model, torch.optim.Adam(model.parameters()))
    watched, watch, before = trained, WATCHERS.get(watcher, nullcontext), None
    if watcher.startswith("SaturationTracker"):
        watched = copy.deepcopy(trained)
        saturation(watched[0])
    elif watcher.startswith("trace"):
        before = traced
    turns = {"plain": steps(*trained, nullcontext), "watched": steps(*watched, watch, before)}
    times = timing.alternate(turns, rounds=15)
    ratios = timing.ratios(times, "plain")["ratio"]
    return {"milliseconds": 1e3 * times["plain"].median() / STEPS, "ratio": ratios["watched"]}
