"""Units killed in training: learning rate × optimiser × initialisation × bias at the start.

A dense network with two hidden layers of 100 ReLUs, 500 steps of 32 images. A unit is dead if it is
never positive on the 10,000 training images. A run that diverges is judged at its last census
before it did, and marked.
"""

from ._deaths import accuracies, train_under_census
from ._images import images

SEEDS = range(10)
RATES = {
    "SGD": (0.1, 0.3, 0.5),
    "momentum": (0.03, 0.1),
    "Adam": (0.001, 0.01, 0.03),
}
GRID = [
    {"optimizer": optimizer, "lr": lr, "init": init, "bias": bias}
    for optimizer, rates in RATES.items()
    for lr in rates
    for init in ("he", "xavier", "pytorch")
    for bias in (0.0, -1.0)
]
TOLERANCES = {
    **dict.fromkeys(("born_dead", "dead", "killed", "train_accuracy", "test_accuracy"), 0.05),
    **dict.fromkeys(("deaths", "revivals"), 20),
}


def run(seed, optimizer, lr, init, bias):
    """Train once and count the dead."""
    net, census, history = train_under_census(
        seed, optimizer, lr, init=init, bias=bias, steps=500, every=250
    )
    units = census.units()
    judged = census.states().dropna(axis=1)
    born, dead = judged.iloc[:, 0], judged.iloc[:, -1]
    return {
        "born_dead": born.mean(),
        "dead": dead.mean(),
        "killed": (dead & ~born).mean(),
        "deaths": int(units["deaths"].sum()),
        "revivals": int(units["revivals"].sum()),
        **accuracies(net, history, *images()),
    }
