"""Deaths and revivals as training goes on, census by census.

The network of the recipe ``killed``, He's weights and no bias at the start; a census every 20
steps.
"""

from ._deaths import accuracies, train_under_census
from ._images import images

SEEDS = range(10)
GRID = [
    {"optimizer": optimizer, "lr": lr}
    for optimizer, lr in (
        *(("SGD", 0.1), ("momentum", 0.03), ("momentum", 0.1)),
        *(("Adam", 0.001), ("Adam", 0.01), ("Adam", 0.03)),
    )
]
TOLERANCES = {
    **dict.fromkeys(("dead", "born_dead", "killed"), 0.05),
    # Waves of up to most of a layer come at steps that rounding decides.
    **dict.fromkeys(("deaths", "revivals"), 65),
    "train_accuracy": 0.05,
    "test_accuracy": 0.05,
}


def run(seed, optimizer, lr):
    """Train once and return one row per census and layer; accuracies are those at the end."""
    net, census, history = train_under_census(
        seed, optimizer, lr, init="he", bias=0.0, steps=500, every=20
    )
    return census.table().assign(**accuracies(net, history, *images()))
