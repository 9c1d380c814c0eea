"""Fifty to a thousand plain tanh layers: delta-orthogonal against Gaussian starts.

Convolutions 3×3 with circular padding, 16 channels, no normalisation and no skips, on images of 4×4
pixels, each the mean of 7×7. Weights and biases are at the edge of chaos: σ_b² = 2.01e-5, and the
σ_w² (about 1.05) at which χ₁ = 1. Every run has the same 240 steps of 16 images, by SGD with
momentum 0.9 at a learning rate of 0.15/depth. ``start_ratio`` is the norm of the gradient of the
second convolution's weights over that of the last, at the start, on 16 images; accuracies are on
2,000 images each. Depth 0 is a linear classifier of the same pixels, trained likewise.

Source: Xiao et al. (2018), whose start delta-orthogonal is.
"""

from torch import nn

from . import _edge
from ._thumbnails import thumbnails

SEEDS = range(5)
STEPS, BATCH, RATE = 240, 16, 0.15
GRID = [
    {"depth": 0, "start": "linear"},
    *(
        {"depth": depth, "start": start}
        for depth in (50, 200, 1000)
        for start in ("delta-orthogonal", "Gaussian")
    ),
]
TOLERANCES = {"train_accuracy": 0.2, "test_accuracy": 0.2, "start_ratio": 0.01}


def network(depth, start):
    """Return a network of ``depth`` weight layers, drawn from the global generator."""
    if start == "linear":
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 10))
    return _edge.network(depth, start)


def start_ratio(net):
    """Return the gradient norm of the second convolution's weights over that of the last."""
    (x, y), _ = thumbnails()
    norms = _edge.gradient_norms(net, x[:BATCH], y[:BATCH])
    return norms[1] / norms[-1] if norms else None


def run(seed, depth, start):
    """Train once."""
    net = network(depth, start)
    row = {"start_ratio": start_ratio(net)}
    return row | _edge.learn(net, RATE / max(depth, 1), seed=seed, steps=STEPS, batch_size=BATCH)
