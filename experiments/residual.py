"""Degradation: plain and residual networks of equal depth, and what deleting two layers costs.

Convolutional networks of 16 channels on images of 4 × 4 pixels, 150 steps of Adam in batches of 32
over 480 training images. ``loss`` is the mean over the last epoch of what training saw; accuracies
are those of evaluation. ``deleted`` is the mean accuracy, on the images trained on, over networks
in which one block is left out, ``worst`` the least; in a plain network, the two layers that would
be the block. ``fixup`` is a residual network with that start.
"""

from collections import OrderedDict

import numpy as np
from torch import nn
from torch.nn import functional as F

from cnnbook import data, init, models, repro, train

SEEDS = range(5)
NETS = ("plain", "residual")
GRID = [
    *({"net": n, "norm": "batch", "depth": d, "lr": 0.003} for d in (6, 18, 54) for n in NETS),
    {"net": "plain", "norm": "batch", "depth": 54, "lr": 0.001},
    *({"net": n, "norm": "none", "depth": 54, "lr": 0.003} for n in ("residual", "fixup")),
]
TOLERANCES = {"loss": 0.3, "accuracy": 0.1, "test": 0.1, "deleted": 0.15, "worst": 0.15}


def run(seed, net, norm, depth, lr):
    """Train once; return how well it fits, and how well without any one block."""
    pictures = data.load()
    images = [F.avg_pool2d(part.x, 7) for part in (pictures.train, pictures.test)]
    x, y = data.standardize(images[0])[:480], pictures.train.y[:480]
    test = data.standardize(images[1], images[0])[:1000], pictures.test.y[:1000]
    kinds = {"padding": "circular", "conv": models.CircularConv2d, "flatten_size": 4}
    kinds |= {"normalization": None if norm == "none" else norm, "bias": norm == "none"}
    span = 0 if net == "plain" else 2
    model = models.conv_stack(1, 16, depth, residual=span, generator=repro.generator(seed), **kinds)
    if net == "fixup":
        init.fixup_(model, models.Residual, generator=repro.generator(seed))
    history = train.fit(model, (x, y), epochs=10, batch_size=32, lr=lr, seed=seed)
    row = dict.fromkeys(("loss", "accuracy", "test", "deleted", "worst"))
    if not history.diverged:
        row["loss"] = float(history.steps["loss"].tail(15).mean())
        row["accuracy"] = train.evaluate(model, (x, y))["accuracy"]
        row["test"] = train.evaluate(model, test)["accuracy"]
    if depth == 18 and not history.diverged:
        left = [train.evaluate(part, (x, y))["accuracy"] for part in without(model, depth)]
        row |= {"deleted": float(np.mean(left)), "worst": min(left)}
    return row | {"diverged": history.diverged}


def without(model, depth):
    """Yield the network without each of its blocks, or of its pairs of layers, in turn."""
    for k in range(1, (depth - 2) // 2 + 1):
        cut = {f"block{k}", f"norm{2 * k - 1}", f"relu{2 * k - 1}", f"conv{2 * k}"}
        cut |= {f"norm{2 * k}", f"relu{2 * k}", f"conv{2 * k + 1}"}
        kept = [(name, part) for name, part in model.named_children() if name not in cut]
        yield nn.Sequential(OrderedDict(kept))
