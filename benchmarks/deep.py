"""Plain tanh networks of up to ten thousand layers, at two points of the edge of chaos.

Convolutions 3×3 with circular padding, 16 channels, no normalisation and no skips, from a
delta-orthogonal start, on images of 4×4 pixels, each the mean of 7×7. ``q_star`` is the fixed point
of a signal's mean square. It sets both variances at the edge, and the horizon, 1/(2 q*²), to which
the singular values stay together: 745 layers for 0.0259, that is σ_b² = 2.01e-5, and 41,000 for
0.0035. Every run has 100 steps of 16 images, by SGD with momentum 0.9 at a learning rate of
0.15/depth. ``start_ratio`` is the norm of the gradient of the second convolution's weights over
that of the last, at the start; ``loss`` is the mean of the last 20 steps; accuracies are on 1,000
images each.

Run it by ``python -m cnnbook.recorded --workers 2 benchmarks/deep.py``. A run of 10,000 layers
takes 4 GB and about a quarter of an hour.

Source: Xiao et al. (2018), who train such networks of 10,000 layers on MNIST and CIFAR-10.
"""

from functools import cache

import torch.nn.functional as F
from torch import nn

from cnnbook import data, init, models, theory, train

SEEDS = range(5)
STEPS, BATCH, RATE = 100, 16, 0.15
GRID = [{"depth": depth, "q_star": q} for depth in (10_000, 3000, 1000) for q in (0.0035, 0.0259)]
TOLERANCES = {"train_accuracy": 0.2, "test_accuracy": 0.2, "start_ratio": 0.1, "loss": 0.3}


@cache
def thumbnails():
    """Return (x, y) of the training split, then of the test split, x of shape (N, 1, 4, 4)."""
    pictures = data.load()
    small = [F.avg_pool2d(split.x.float(), 7) for split in (pictures.train, pictures.test)]
    x, test_x = data.standardize(small[0]), data.standardize(small[1], small[0])
    return (x, pictures.train.y), (test_x, pictures.test.y)


def edge(q):
    """Return (σ_w², σ_b²) at which q is the fixed point, and χ₁ = 1."""
    sigma_w2 = 1 / theory.chi1("tanh", 1.0, q=q)
    return sigma_w2, q - theory.next_q("tanh", q, sigma_w2)


def network(depth, q_star):
    """Return a network of ``depth`` weight layers, drawn from the global generator."""
    sigma_w2, sigma_b2 = edge(q_star)

    def start(net):
        init.delta_orthogonal_(net, gain=sigma_w2**0.5)
        for layer in init.weight_layers(net):
            nn.init.normal_(layer.bias, std=sigma_b2**0.5)

    how = {"padding": "circular", "conv": models.CircularConv2d, "flatten_size": 4}
    return models.conv_stack(1, 16, depth, activation="tanh", init=start, **how)


def start_ratio(net):
    """Return the gradient norm of the second convolution's weights over that of the last."""
    (x, y), _ = thumbnails()
    layers = [layer for layer in net if isinstance(layer, nn.Conv2d)]
    F.cross_entropy(net(x[:BATCH]), y[:BATCH]).backward()
    ratio = (layers[1].weight.grad.norm() / layers[-1].weight.grad.norm()).item()
    net.zero_grad()
    return ratio


def run(seed, depth, q_star):
    """Train once."""
    training, test = thumbnails()
    net = network(depth, q_star)
    row = {"start_ratio": start_ratio(net), "train_accuracy": None, "test_accuracy": None}
    how = {"optimizer": "sgd", "lr": RATE / depth, "momentum": 0.9, "batch_size": BATCH}
    history = train.fit(net, training, steps=STEPS, seed=seed, **how)
    if not history.diverged:
        for name, (x, y) in (("train_accuracy", training), ("test_accuracy", test)):
            row[name] = train.evaluate(net, (x[:1000], y[:1000]))["accuracy"]
    loss = history.steps["loss"].tail(20).mean()
    return row | {"loss": loss, "diverged": history.diverged}
