"""The article networks on real images: learning curves, and test metrics at the end.

A-net is trained at 32×32 with three equal channels, not at 224×224, and for two epochs, not ten.
D-net is B-net with each convolution replaced by Article D's layer. E-net is B-net in Article E's
setting, with the comparison of activations that the article never makes.
B-net and D-net run for three epochs, and again for ten, as long as C-net.
"""

import torch
from torch import nn
from torch.nn import functional as F

from cnnbook import models, train

from ._images import images

SEEDS = range(5)
GRID = [
    {"network": network, "activation": activation, "epochs": epochs}
    for network, activation, epochs in (
        *(("A-net", "relu", 2), ("C-net", "relu", 10)),
        *(("B-net", "relu", 3), ("B-net", "relu", 10)),
        *(("D-net", "relu", 3), ("D-net", "relu", 10)),
        *(("E-net", name, 2) for name in ("relu", "leaky_relu", "prelu", "elu")),
        *(("E-net", name, 2) for name in ("sigmoid", "tanh", "identity")),
    )
]
BATCH_SIZE = {"A-net": 32, "B-net": 64, "C-net": 64, "D-net": 64, "E-net": 32}
METRICS = ("accuracy", "macro_f1", "roc_auc")
TOLERANCES = {
    **{f"{part}{name}": 0.02 for part in ("train_", "val_", "test_") for name in METRICS},
    **{f"{part}loss": 0.05 for part in ("train_", "val_", "test_")},
}


def build(network, activation):
    """Return a new network."""
    if network == "A-net":
        return models.a_net(32, activation=activation)
    if network == "C-net":
        return models.c_net(activation=activation)
    net = models.b_net(activation=activation)
    if network == "D-net":
        convolutions = [name for name, part in net.named_children() if isinstance(part, nn.Conv2d)]
        for name in convolutions:
            part = net.get_submodule(name)
            layer = models.d_layer(part.in_channels, part.out_channels, 3)
            setattr(net, name, layer)
            setattr(net, name.replace("conv", activation), nn.Identity())
    return net


def run(seed, network, activation, epochs):
    """Train one network and return one row per epoch."""
    training, test = images()
    if network == "A-net":
        training, test = (
            (F.pad(x, (2, 2, 2, 2)).expand(-1, 3, -1, -1), y) for x, y in (training, test)
        )
    net = build(network, activation).to(memory_format=torch.channels_last)  # the same, but faster
    history = train.fit(
        net,
        training,
        epochs=epochs,
        batch_size=BATCH_SIZE[network],
        lr=1e-3,
        validation=0.1,
        metrics=METRICS,
        seed=seed,
    )
    final = train.evaluate(net, test, metrics=METRICS)
    columns = [f"{part}_{name}" for part in ("train", "val") for name in ("loss", *METRICS)]
    rows = history.epochs[["epoch", *columns]].to_dict("records")
    for row in rows:
        row |= {f"test_{name}": value if row is rows[-1] else None for name, value in final.items()}
    return rows
