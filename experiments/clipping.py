"""Clipping by norm: learning rates from far too low to far too high, thresholds from tiny to none.

784–100–100–10 with ReLU, He's weights and zero bias, 400 steps of 32 images by plain SGD. A
step is at most rate × threshold long; ``clipped`` is the share of steps that were shortened.
"""

import math

from cnnbook import models, train

from ._images import images

SEEDS = range(6)
GRID = {  # powers of four, so that rate × threshold takes few values
    "rate": (1 / 64, 1 / 16, 1 / 4, 1.0, 4.0, 16.0),
    "threshold": (1 / 16, 1 / 4, 1.0, 4.0, 16.0, math.inf),
}
TOLERANCES = {"accuracy": 0.05, "clipped": 0.05, "norm": 0.2}


def run(seed, rate, threshold):
    """Train once; return the accuracy, the share of clipped steps and their median norm."""
    training, test = images()
    net = models.dense_stack(784, 100, 3)
    settings = {"record_norm": True} if threshold == math.inf else {"clip_norm": threshold}
    history = train.fit(
        net, training, steps=400, batch_size=32, optimizer="sgd", lr=rate, seed=seed, **settings
    )
    norms = history.steps["gradient_norm"]
    row = {"clipped": float((norms > threshold).mean()), "norm": float(norms.median())}
    if history.diverged:
        return row | {"accuracy": None, "diverged": True}
    return row | {"accuracy": train.evaluate(net, test)["accuracy"], "diverged": False}
