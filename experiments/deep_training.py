"""Fifty to a thousand plain tanh layers: delta-orthogonal against Gaussian starts.

Convolutions 3×3 with circular padding, 16 channels, no normalisation and no skips, on images of 4×4
pixels, each the mean of 7×7. Weights and biases are at the edge of chaos: σ_b² = 2.01e-5, and the
σ_w² (about 1.05) at which χ₁ = 1. Every run has the same 240 steps of 16 images, by SGD with
momentum 0.9 at a learning rate of 0.15/depth. ``start_ratio`` is the norm of the gradient of the
second convolution's weights over that of the last, at the start, on 16 images; accuracies are on
2,000 images each. Depth 0 is a linear classifier of the same pixels, trained likewise.

Source: Xiao et al. (2018), whose start delta-orthogonal is.
"""

from functools import cache, partial

import torch.nn.functional as F
from torch import nn

from cnnbook import data, init, models, theory, train

SEEDS = range(5)
SIGMA_B2 = 2.01e-5
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


@cache
def thumbnails():
    """Return (x, y) of the training split, then of the test split, x of shape (N, 1, 4, 4)."""
    pictures = data.load()
    small = [F.avg_pool2d(split.x.float(), 7) for split in (pictures.train, pictures.test)]
    x, test_x = data.standardize(small[0]), data.standardize(small[1], small[0])
    return (x, pictures.train.y), (test_x, pictures.test.y)


@cache
def sigma_w2():
    """Return the weights' variance at the edge of chaos."""
    return theory.critical_sigma_w2("tanh", SIGMA_B2)


def delta_orthogonal(net):
    """Start at the edge, biases included: without them grey pixels stay below the fixed point."""
    init.delta_orthogonal_(net, gain=sigma_w2() ** 0.5)
    for layer in init.weight_layers(net):
        nn.init.normal_(layer.bias, std=SIGMA_B2**0.5)


def network(depth, start):
    """Return a network of ``depth`` weight layers, drawn from the global generator."""
    if start == "linear":
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 10))
    schemes = {
        "delta-orthogonal": delta_orthogonal,
        "Gaussian": partial(init.gaussian_, sigma_w2=sigma_w2(), sigma_b2=SIGMA_B2),
    }
    return models.conv_stack(
        *(1, 16, depth),
        padding="circular",
        conv=models.CircularConv2d,
        flatten_size=4,
        activation="tanh",
        init=schemes[start],
    )


def start_ratio(net):
    """Return the gradient norm of the second convolution's weights over that of the last."""
    (x, y), _ = thumbnails()
    layers = [layer for layer in net if isinstance(layer, nn.Conv2d)]
    if not layers:
        return None
    F.cross_entropy(net(x[:BATCH]), y[:BATCH]).backward()
    ratio = (layers[1].weight.grad.norm() / layers[-1].weight.grad.norm()).item()
    net.zero_grad()
    return ratio


def run(seed, depth, start):
    """Train once."""
    training, test = thumbnails()
    net = network(depth, start)
    row = {"start_ratio": start_ratio(net), "train_accuracy": None, "test_accuracy": None}
    history = train.fit(
        net,
        training,
        steps=STEPS,
        batch_size=BATCH,
        optimizer="sgd",
        lr=RATE / max(depth, 1),
        momentum=0.9,
        seed=seed,
    )
    if not history.diverged:
        for name, (x, y) in (("train_accuracy", training), ("test_accuracy", test)):
            row[name] = train.evaluate(net, (x[:2000], y[:2000]))["accuracy"]
    return row | {"diverged": history.diverged}
