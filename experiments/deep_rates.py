"""Fifty plain tanh layers, delta-orthogonal, at multiples of one learning rate.

Convolutions 3×3 with circular padding, 16 channels, on Fashion images of 4×4 pixels, each the mean
of 7×7, at the edge of chaos (σ_b² = 2.01e-5, χ₁ = 1); 150 steps of 16 images by SGD with momentum
0.9. Accuracies are on 2,000 images of the training set.

Source: Xiao et al. (2018), whose start this is.
"""

from functools import cache

from torch import nn
from torch.nn import functional as F

from cnnbook import data, init, models, theory, train

SEEDS = range(5)
DEPTH, STEPS, BATCH, RATE, SIGMA_B2 = 50, 150, 16, 0.003, 2.01e-5
GRID = [{"times": times} for times in (1 / 3, 1, 3, 9)]
TOLERANCES = {"accuracy": 0.2}


@cache
def images():
    """Return (x, y) of the training split, x of shape (N, 1, 4, 4)."""
    pictures = data.load().train
    return data.standardize(F.avg_pool2d(pictures.x.float(), 7)), pictures.y


def start(net):
    """Draw delta-orthogonal weights and Gaussian biases."""
    init.delta_orthogonal_(net, gain=theory.critical_sigma_w2("tanh", SIGMA_B2) ** 0.5)
    for layer in init.weight_layers(net):
        nn.init.normal_(layer.bias, std=SIGMA_B2**0.5)


def run(seed, times):
    """Train once."""
    how = {"padding": "circular", "conv": models.CircularConv2d, "flatten_size": 4}
    net = models.conv_stack(1, 16, DEPTH, activation="tanh", init=start, **how)
    how = {"optimizer": "sgd", "lr": times * RATE, "momentum": 0.9, "batch_size": BATCH}
    history = train.fit(net, images(), steps=STEPS, seed=seed, **how)
    row = {"diverged": history.diverged, "accuracy": None}
    if not history.diverged:
        x, y = images()
        row["accuracy"] = train.evaluate(net, (x[:2000], y[:2000]))["accuracy"]
    return row
