"""Two hundred plain tanh layers from a Gaussian start at lower learning rates.

Convolutions 3×3 with circular padding, 16 channels, on Fashion images of 4×4 pixels, each the mean
of 7×7, at the edge of chaos (σ_b² = 2.01e-5, χ₁ = 1). 240 steps of 16 images by SGD with momentum
0.9, at a learning rate of ``times`` times 0.15/depth. Accuracies are on 2,000 images each.
"""

from ._edge import learn, network

SEEDS = range(5)
DEPTH, STEPS, BATCH, RATE = 200, 240, 16, 0.15
GRID = {"times": (1 / 9, 1 / 3, 1)}
TOLERANCES = {"train_accuracy": 0.2, "test_accuracy": 0.2}


def run(seed, times):
    """Train once."""
    net = network(DEPTH, "Gaussian")
    return learn(net, times * RATE / DEPTH, seed=seed, steps=STEPS, batch_size=BATCH)
