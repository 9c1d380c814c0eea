"""Fifty plain tanh layers at three learning rates, under two heads and from two starts.

Convolutions 3×3 with circular padding, 16 channels, on Fashion images of 4×4 pixels, each the mean
of 7×7, at the edge of chaos (σ_b² = 2.01e-5, χ₁ = 1). The head is a dense layer on all positions or
on their mean. 300 steps of 32 images by SGD with momentum 0.9, at a learning rate of ``times``
times 0.05/depth. Accuracies are on 2,000 images each.

Source: Xiao et al. (2018), whose start delta-orthogonal is.
"""

from ._edge import learn, network

SEEDS = range(10)
DEPTH, STEPS, BATCH, RATE = 50, 300, 32, 0.05
GRID = [
    {"head": head, "start": start, "times": times}
    for head in ("all positions", "mean")
    for start, times in (*(("delta-orthogonal", k) for k in (1, 3, 9)), ("Gaussian", 1))
]
TOLERANCES = {"train_accuracy": 0.2, "test_accuracy": 0.2}


def run(seed, head, start, times):
    """Train once."""
    net = network(DEPTH, start, flatten_size=4 if head == "all positions" else None)
    return learn(net, times * RATE / DEPTH, seed=seed, steps=STEPS, batch_size=BATCH)
