"""Throughput of ``sweep.run`` with two processes, beside the plain loop over the same runs.

Sixteen short training runs of a small CNN, of about a second each. Loop and sweep alternate. A
sweep is *cold* when it starts its processes, which import PyTorch and load the images, and *warm*
when those of the sweep before still wait, as in a notebook with several sweeps. The losses must
agree digit for digit. Columns: seconds of the loop, and how many times as fast the sweeps are.

Run it on a machine that does nothing else: ``make bench``.
"""

import time

import torch
import torch.nn.functional as F
from joblib.externals.loky import get_reusable_executor
from torch import nn

from cnnbook import data, repro, sweep

SEEDS = range(5)
GRID = [{"runs": 16, "processes": 2}]
FREE = ("seconds_loop", "cold", "warm")


def run(seed, runs, processes):
    """Measure a loop, a cold sweep and a warm one."""

    def train(seed, steps):  # in here, so that it travels by value
        split = data.load().train
        x, y = data.standardize(split.x), split.y
        layers = [nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2)]
        layers += [nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2)]
        model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(800, 10))
        optimizer = torch.optim.Adam(model.parameters())
        generator = repro.generator(seed)
        for _ in range(steps):
            batch = torch.randint(len(x), (64,), generator=generator)
            loss = F.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return {"loss": loss.item()}

    def loop():
        return [repro.seed_all(each) and train(each, 120)["loss"] for each in range(runs)]

    def swept():
        table = sweep.run(train, {"steps": [120]}, range(runs), workers=processes)
        return table["loss"].tolist()

    train(0, 5)
    get_reusable_executor(max_workers=1).shutdown(wait=True, kill_workers=True)
    seconds, losses = [], []
    for work in (loop, swept, swept):
        start = time.perf_counter()
        losses.append(work())
        seconds.append(time.perf_counter() - start)
    if not losses[0] == losses[1] == losses[2]:
        raise AssertionError("loop and sweep must agree digit for digit")
    alone, cold, warm = seconds
    return {"seconds_loop": alone, "cold": alone / cold, "warm": alone / warm}
