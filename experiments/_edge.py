"""Plain tanh networks at the edge of chaos: how they are drawn, and what training makes of them."""

from functools import cache, partial

from torch import nn
from torch.nn import functional as F

from cnnbook import init, models, theory, train

from ._thumbnails import thumbnails

SIGMA_B2 = 2.01e-5


@cache
def sigma_w2():
    """Return the weights' variance at the edge of chaos."""
    return theory.critical_sigma_w2("tanh", SIGMA_B2)


def delta_orthogonal(net):
    """Start at the edge, biases included: without them grey pixels stay below the fixed point."""
    init.delta_orthogonal_(net, gain=sigma_w2() ** 0.5)
    for layer in init.weight_layers(net):
        nn.init.normal_(layer.bias, std=SIGMA_B2**0.5)


STARTS = {
    "delta-orthogonal": delta_orthogonal,
    "Gaussian": partial(init.gaussian_, sigma_w2=sigma_w2(), sigma_b2=SIGMA_B2),
}


def network(depth, start, flatten_size=4):
    """Return 16 channels of 3×3 convolutions with circular padding, and one dense layer."""
    how = {"padding": "circular", "conv": models.CircularConv2d, "flatten_size": flatten_size}
    return models.conv_stack(1, 16, depth, activation="tanh", init=STARTS[start], **how)


def gradient_norms(net, x, y):
    """Return the norm of the gradient of each convolution's weights."""
    net.zero_grad()
    F.cross_entropy(net(x), y).backward()
    norms = [layer.weight.grad.norm().item() for layer in net if isinstance(layer, nn.Conv2d)]
    net.zero_grad()
    return norms


def learn(net, lr, *, seed, steps, batch_size):
    """Train by SGD with momentum 0.9; return accuracies on 2,000 images, missing if it diverged."""
    training, test = thumbnails()
    how = {"optimizer": "sgd", "lr": lr, "momentum": 0.9, "batch_size": batch_size}
    history = train.fit(net, training, steps=steps, seed=seed, **how)
    row = {"diverged": history.diverged, "train_accuracy": None, "test_accuracy": None}
    if not history.diverged:
        for name, (x, y) in (("train_accuracy", training), ("test_accuracy", test)):
            row[name] = train.evaluate(net, (x[:2000], y[:2000]))["accuracy"]
    return row
