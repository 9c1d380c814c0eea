"""Networks that are sick by construction, and healthy ones, to set and to try the clinic's limits.

A patient is drawn by its cause, the name of a set ("tuning" or "test") and a number: architecture,
depth, width, activation, seed and the size of the mistake come from a generator of its own. Two
causes show in training only; their draws are repeated until they do, in a run longer than any
examination: see ``killed`` and ``exploding_rate``.
"""

import copy
import random
from functools import partial
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from cnnbook import init, models, probes, train

from ._images import images

BATCH = 64
CAUSES = (
    *("born-dead", "killed-by-learning-rate", "dead-by-bias", "dead-by-input-shift"),
    *("vanishing-by-saturation", "vanishing-by-initialisation", "exploding-by-initialisation"),
    *("exploding-by-learning-rate", "batch-norm-explosion", "no-gradient", "unbroken-symmetry"),
    *("softmax-before-loss", "relu-on-logits", "inputs-not-normalised", "labels-out-of-range"),
    "learning-rate-too-small",
)
TORCHVISION = (
    *("resnet18", "mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2_x0_5"),
    *("resnet34", "mnasnet0_5", "regnet_y_400mf", "densenet121"),
)


class Patient(NamedTuple):
    """A network with what it is to be trained by."""

    model: nn.Module
    batches: list
    optimizer: partial


def adam(lr=1e-3):
    """Return a maker of Adam."""
    return partial(torch.optim.Adam, lr=lr)


def sgd(lr, momentum=0.0):
    """Return a maker of SGD."""
    return partial(torch.optim.SGD, lr=lr, momentum=momentum)


def batches(draw, count=8, channels=1, size=28):
    """Return batches of standardised images, from a place of their own."""
    (x, y), _ = images()
    first = draw.randrange(len(x) - count * BATCH)
    x, y = x[first : first + count * BATCH], y[first : first + count * BATCH]
    if size != 28:
        x = F.interpolate(x, size=(size, size), mode="bilinear")
    return list(zip(x.expand(-1, channels, -1, -1).split(BATCH), y.split(BATCH), strict=True))


def dense(width, depth, **how):
    """Return a dense network of images."""
    return nn.Sequential(nn.Flatten(), models.dense_stack(784, width, depth, **how))


def conv(width, depth, **how):
    """Return a convolutional network: a strided first layer, then a stack at 14×14."""
    first = nn.Conv2d(1, width, 3, stride=2, padding=1)
    nn.init.kaiming_normal_(first.weight, nonlinearity="relu")
    nn.init.zeros_(first.bias)
    return nn.Sequential(first, nn.ReLU(), models.conv_stack(width, width, depth - 1, **how))


def plain(draw, least=3, most=6, **how):
    """Return a healthy plain network: dense, convolutional, or B-net."""
    how = {"activation": draw.choice(("relu", "leaky_relu", "elu")), "init": "he"} | how
    kind = draw.choice(("dense", "conv", "B-net"))
    depth = draw.randint(least, most)
    if kind == "dense":
        return dense(draw.choice((64, 100, 128)), depth, **how)
    if kind == "conv":
        return conv(draw.choice((16, 24, 32)), depth, **how)
    return models.b_net()


def weights(net):
    """Return the weight layers of a network."""
    return init.weight_layers(net)


def change(net, scale=1.0, bias=None):
    """Scale weights, and fill the biases of all but the last layer."""
    with torch.no_grad():
        for layer in weights(net):
            layer.weight.mul_(scale)
        for layer in weights(net)[:-1] if bias is not None else ():
            layer.bias.fill_(bias)
    return net


def dead_share(net, data):
    """Return the share of dead units, and the largest of a layer."""
    table = probes.measure(net, [x for x, _ in data])
    return table["dead"].mean(), table["dead"].max()


def born_dead(draw):
    """Narrow and deep until a layer is dead, or one-sided weights."""
    data = batches(draw)
    for _ in range(100):
        if draw.random() < 0.5:
            kind = draw.choice((dense, conv))
            net = kind(draw.choice((2, 3, 4)), draw.randint(10, 24), init="he")
        else:
            net = draw.choice((dense, conv))(draw.choice((16, 32)), draw.randint(4, 8), init="he")
            layer = draw.choice(weights(net)[1:-1])
            with torch.no_grad():
                layer.weight.copy_(-layer.weight.abs())
        if dead_share(net, data)[1] == 1:
            return Patient(net, data, adam())
    raise RuntimeError("no network was born dead")


def killed(draw):
    """A rate at which a hundred steps kill half of the units that a hundredth of it spares."""
    data = batches(draw)
    for _ in range(100):
        net = dense(draw.choice((64, 100, 128)), draw.randint(3, 5), init="he")
        rates = (sgd(draw.choice((0.15, 0.3, 0.5)), 0.9), adam(draw.choice((0.03, 0.05, 0.1))))
        rule = draw.choice(rates)
        tried = copy.deepcopy(net)
        history = train.fit(tried, data, steps=100, optimizer=rule, metrics=())
        if not history.diverged and dead_share(tried, data)[0] > 0.5:
            return Patient(net, data, rule)
    raise RuntimeError("no rate killed")


def exploding_rate(draw):
    """A rate at which a hundred steps end in infinities or at ten times the loss of the start."""
    data = batches(draw)
    for _ in range(100):
        net = plain(draw, activation=draw.choice(("leaky_relu", "elu", "selu", "tanh")))
        rule = sgd(draw.choice((3.0, 10.0, 30.0)), draw.choice((0.0, 0.9)))
        tried = copy.deepcopy(net)
        history = train.fit(tried, data, steps=100, optimizer=rule, metrics=())
        losses = history.steps["loss"]
        if history.diverged or losses.tail(10).mean() > 10 * losses.iloc[0]:
            return Patient(net, data, rule)
    raise RuntimeError("no rate exploded")


def input_shift(draw):
    """Inputs moved by several standard deviations, until that kills two units of five."""
    data = batches(draw)
    for _ in range(100):
        shift = draw.choice((-1, 1)) * draw.uniform(4, 12)
        net = draw.choice((dense, conv))(draw.choice((32, 64)), draw.randint(3, 5), init="he")
        moved = [(x + shift, y) for x, y in data]
        if dead_share(net, moved)[0] > 0.4 and dead_share(net, data)[0] < 0.1:
            return Patient(net, moved, adam())
    raise RuntimeError("no shift killed")


class Detached(nn.Module):
    """A network whose lower part gets no gradient."""

    def __init__(self, net, cut):
        super().__init__()
        self.net, self.cut = net, cut

    def forward(self, x):
        """Run the parts, and detach after one of them."""
        for k, part in enumerate(self.net):
            x = part(x).detach() if k == self.cut else part(x)
        return x


class Unused(nn.Module):
    """A network with a layer that forward does not call."""

    def __init__(self, net):
        super().__init__()
        self.net, self.extra = net, nn.Linear(10, 10)

    def forward(self, x):
        """Leave out the extra layer."""
        return self.net(x)


def no_gradient(draw):
    """Frozen, detached or unused."""
    net, kind = plain(draw), draw.choice(("frozen", "detached", "unused"))
    if kind == "frozen":
        draw.choice(weights(net)).weight.requires_grad_(False)
    elif kind == "unused":
        net = Unused(net)
    else:
        parts = [part for part in net.modules() if not list(part.children())]
        net = Detached(nn.Sequential(*parts), draw.randrange(2, len(parts) - 1))
    return Patient(net, batches(draw), adam())


def symmetric(draw):
    """All layers, or two in a row, filled with a constant."""
    net, value = plain(draw), draw.choice((0.0, 0.01, 0.1))
    first = draw.randrange(len(weights(net)) - 1)
    chosen = weights(net) if draw.random() < 0.5 else weights(net)[first : first + 2]
    with torch.no_grad():
        for layer in chosen:
            layer.weight.fill_(value)
            layer.bias.zero_()
    return Patient(net, batches(draw), adam())


def saturated(draw):
    """Sigmoid or tanh behind weights that are all positive, or behind large biases."""
    kind = draw.choice((dense, conv))
    how = {"activation": draw.choice(("tanh", "sigmoid")), "init": "xavier"}
    net = kind(draw.choice((32, 64)), draw.randint(4, 8), **how)
    with torch.no_grad():
        for layer in weights(net)[:-1]:
            if draw.random() < 0.5:
                layer.weight.uniform_(0, 1)
            else:
                layer.bias.normal_(std=draw.uniform(8, 20))
    return Patient(net, batches(draw), adam())


def faint(draw):
    """Deep from PyTorch's default start, or with weights that are too small."""
    kind = draw.choice((dense, conv))
    if draw.random() < 0.5:
        activation = draw.choice(("relu", "leaky_relu", "sigmoid"))
        depth = draw.randint(8, 12) if activation == "sigmoid" else draw.randint(14, 24)
        net = kind(draw.choice((32, 64)), depth, activation=activation, init="pytorch")
    else:
        how = {"activation": draw.choice(("relu", "elu", "tanh")), "init": "he"}
        net = change(kind(32, draw.randint(7, 12), **how), draw.uniform(0.1, 0.25))
    return Patient(net, batches(draw), adam())


def loud(draw):
    """Weights that are too large, in a deep network that does not saturate."""
    kind = draw.choice((dense, conv))
    how = {"activation": draw.choice(("relu", "leaky_relu", "elu")), "init": "he"}
    net = kind(draw.choice((32, 64)), draw.randint(8, 16), **how)
    return Patient(change(net, draw.uniform(2.0, 4.0)), batches(draw), adam())


def normalised(draw):
    """Batch norm in a plain network of many layers."""
    kind = draw.choice((dense, conv))
    net = kind(draw.choice((16, 32)), draw.randint(36, 60), init="he", normalization="batch")
    return Patient(net, batches(draw), adam())


def raw(draw):
    """Pixels from 0 to 255, or divided by 255 twice."""
    factor = draw.choice((255.0, 100.0, 1 / 255**2, 1e-4))
    pixels = [((x - x.min()) / (x.max() - x.min()) * factor, y) for x, y in batches(draw)]
    return Patient(plain(draw), pixels, adam())


def mislabelled(draw):
    """Classes from 1, or an output too few."""
    data = batches(draw)
    if draw.random() < 0.5:
        return Patient(plain(draw), [(x, y + 1) for x, y in data], adam())
    net = dense(64, draw.randint(3, 5), outputs=draw.choice((8, 9)), init="he")
    return Patient(net, data, adam())


def slow(draw):
    """A rate far too small."""
    rule = draw.choice((adam(draw.choice((1e-7, 1e-8))), sgd(draw.choice((1e-6, 1e-7)))))
    return Patient(plain(draw), batches(draw), rule)


SICK = {
    "born-dead": born_dead,
    "killed-by-learning-rate": killed,
    "dead-by-bias": lambda d: Patient(
        change(plain(d, activation="relu"), bias=-d.uniform(5, 20)), batches(d), adam()
    ),
    "dead-by-input-shift": input_shift,
    "vanishing-by-saturation": saturated,
    "vanishing-by-initialisation": faint,
    "exploding-by-initialisation": loud,
    "exploding-by-learning-rate": exploding_rate,
    "batch-norm-explosion": normalised,
    "no-gradient": no_gradient,
    "unbroken-symmetry": symmetric,
    "softmax-before-loss": lambda d: Patient(
        nn.Sequential(plain(d), nn.Softmax(1)), batches(d), adam()
    ),
    "relu-on-logits": lambda d: Patient(nn.Sequential(plain(d), nn.ReLU()), batches(d), adam()),
    "inputs-not-normalised": raw,
    "labels-out-of-range": mislabelled,
    "learning-rate-too-small": slow,
}


def healthy(draw, number):
    """Return a healthy patient: torchvision's, B-net, stacks that fit; half of them trained."""
    data = batches(draw)
    if number % 2:
        import torchvision  # noqa: F401 - after cnnbook, which mends its import
        from torchvision import models as vision

        net = getattr(vision, TORCHVISION[number // 2 % len(TORCHVISION)])(num_classes=10)
        data = batches(draw, channels=3, size=32)
    elif number % 4:
        net = plain(draw)
    else:
        deep = {"init": "he", "normalization": "layer"}
        net = draw.choice(
            (
                lambda: dense(64, draw.randint(8, 16), **deep),
                lambda: conv(16, draw.randint(3, 9), init="he", normalization="batch"),
                lambda: conv(16, 2 * draw.randint(4, 9) + 3, residual=2, normalization="batch"),
                lambda: dense(64, draw.randint(6, 14), activation="tanh", init="xavier"),
                lambda: dense(100, draw.randint(6, 12), activation="selu", init="lecun"),
            )
        )()
    rule = draw.choice((adam(1e-3), sgd(0.02, 0.9)))
    if draw.random() < 0.5:
        trained = copy.deepcopy(net)
        history = train.fit(trained, data, steps=40, optimizer=rule, metrics=())
        losses = history.steps["loss"]
        if not history.diverged and losses.tail(8).mean() < 0.9 * losses.head(8).mean():
            return Patient(trained, data, rule)  # otherwise it is not healthy, and the start stays
    return Patient(net, data, rule)


def patient(cause, group, number):
    """Draw a patient; PyTorch's generator is seeded by it, too."""
    draw = random.Random(f"{group} {cause} {number}")
    torch.manual_seed(draw.randrange(2**31))
    return healthy(draw, number) if cause == "healthy" else SICK[cause](draw)
