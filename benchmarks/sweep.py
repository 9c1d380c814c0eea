"""How much faster ``sweep.run`` with two processes is than the plain loop.

    python benchmarks/sweep.py [--repeats 5] [--runs 16] [--workers 2]

Each run trains a small CNN on fashion-mini for 1–2 s. Loop and sweep alternate, so that a machine
that is busy for a while slows both. A sweep is "cold" when it starts its processes, which import
PyTorch and load the images, and "warm" when those of the sweep before still wait.
"""

import argparse
import statistics
import time

import torch
import torch.nn.functional as F
from joblib.externals.loky import get_reusable_executor
from torch import nn

from cnnbook import data, repro, sweep


def train(seed: int, steps: int) -> dict[str, float]:
    split = data.load().train
    x, y = data.standardize(split.x), split.y
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(800, 10),
    )
    optimizer = torch.optim.Adam(model.parameters())
    generator = repro.generator(seed)
    for _ in range(steps):
        batch = torch.randint(len(x), (64,), generator=generator)
        loss = F.cross_entropy(model(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {"loss": loss.item()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--runs", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=120)
    options = parser.parse_args()
    seeds, grid = range(options.runs), {"steps": [options.steps]}
    repro.use_threads(1)

    def loop() -> list[float]:
        return [repro.seed_all(seed) and train(seed, options.steps)["loss"] for seed in seeds]

    def swept() -> list[float]:
        return sweep.run(train, grid, seeds, workers=options.workers)["loss"].tolist()

    train(0, 5)
    seconds: dict[str, list[float]] = {"loop": [], "sweep, cold": [], "sweep, warm": []}
    for _ in range(options.repeats):
        get_reusable_executor(max_workers=1).shutdown(wait=True, kill_workers=True)
        results = []
        for name, function in zip(seconds, (loop, swept, swept), strict=True):
            start = time.perf_counter()
            results.append(function())
            seconds[name].append(time.perf_counter() - start)
        assert results[0] == results[1] == results[2], "loop and sweep must agree digit for digit"

    print(f"{options.runs} runs, {options.workers} processes, {options.repeats} repeats")
    print("              median s   least    most  speed-up  least   most")
    for name, times in seconds.items():
        ratios = [plain / own for plain, own in zip(seconds["loop"], times, strict=True)]
        print(
            f"{name:12s} {statistics.median(times):9.2f} {min(times):7.2f} {max(times):7.2f}"
            f" {statistics.median(ratios):9.2f} {min(ratios):6.2f} {max(ratios):6.2f}"
        )


if __name__ == "__main__":
    main()
