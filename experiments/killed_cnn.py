"""Units killed in a convolutional network: learning rate × optimiser.

Three convolutions of 16 channels and a dense layer on images halved to 14×14, 300 steps of 32
images. A channel is dead if it is positive at no position of any of the 10,000 training images.
"""

from torch.nn import functional as F

from cnnbook import models, probes, train

from ._deaths import OPTIMIZERS, accuracies
from ._images import images

SEEDS = range(10)
GRID = [
    {"optimizer": optimizer, "lr": lr}
    for optimizer, lr in (
        *(("momentum", 0.01), ("momentum", 0.1)),
        *(("Adam", 0.001), ("Adam", 0.01), ("Adam", 0.03)),
    )
]
TOLERANCES = dict.fromkeys(("born_dead", "dead", "train_accuracy", "test_accuracy"), 0.1)


def run(seed, optimizer, lr):
    """Train once and return one row per layer; accuracies are the network's."""
    training, test = ((F.avg_pool2d(x, 2), y) for x, y in images())
    net = models.conv_stack(1, 16, 4, flatten_size=14)
    loader = training[0].split(500)
    before = probes.measure(net, loader)
    history = train.fit(
        net, training, steps=300, batch_size=32, lr=lr, seed=seed, **OPTIMIZERS[optimizer]
    )
    after = probes.measure(net, loader)
    last = accuracies(net, history, training, test)
    return [
        {"layer": row.layer, "units": row.units, "born_dead": born, "dead": row.dead, **last}
        for born, row in zip(before["dead"], after.itertuples(), strict=True)
        if row.activation
    ]
