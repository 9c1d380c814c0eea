"""Throughput of ``sweep.run`` with one process and with two, beside the plain loop.

Sixteen short training runs of a small CNN, of about a second each. A sweep is *cold* when it starts
its processes, which import PyTorch and load the images, and *warm* when those of the sweep before
still wait, as in a notebook with several sweeps. After the cold sweep, the loop, a sweep in this
process and a warm one take turns. The losses must agree digit for digit. Columns: seconds of the
loop, and how many times as fast as it the sweeps are, by the median of the turns.

Run it on a machine that does nothing else: ``make bench``.
"""

import statistics
import time

import torch
import torch.nn.functional as F
from joblib.externals.loky import get_reusable_executor
from torch import nn

from cnnbook import data, repro, sweep

SEEDS = range(5)
GRID = [{"runs": 16, "processes": 2}]
FREE = ("seconds_loop", "one", "cold", "warm")
TURNS = 3


def run(seed, runs, processes):
    """Measure a loop, a sweep in this process, a cold one and a warm one."""

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

    def swept(workers):
        table = sweep.run(train, {"steps": [120]}, range(runs), workers=workers)
        return table["loss"].tolist()

    ways = {"loop": loop, "one": lambda: swept(1), "warm": lambda: swept(processes)}
    train(0, 5)
    get_reusable_executor(max_workers=1).shutdown(wait=True, kill_workers=True)
    seconds, losses = [], []
    for order in (("loop", "warm"), *[tuple(ways)] * TURNS):  # the first is cold
        turn = {}
        for name in order:
            start = time.perf_counter()
            losses.append(ways[name]())
            turn[name] = time.perf_counter() - start
        seconds.append(turn)
    if any(other != losses[0] for other in losses):
        raise AssertionError("loop and sweep must agree digit for digit")
    first, *turns = seconds
    faster = {n: statistics.median(t["loop"] / t[n] for t in turns) for n in ("one", "warm")}
    alone = statistics.median(t["loop"] for t in turns)
    return {"seconds_loop": alone, "cold": first["loop"] / first["warm"], **faster}
