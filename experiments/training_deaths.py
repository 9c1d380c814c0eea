"""Dead units under the settings for which the literature and folklore give numbers.

784–100–100–10 with ReLU, He's weights and zero bias, 600 steps of 32 images. The numbers that this
repeats came from 8×8 digits; what can carry over is the order, not the decimals.
"""

from cnnbook import models, probes, train

from ._deaths import OPTIMIZERS, accuracies
from ._images import images

SEEDS = range(10)
# setting: optimiser, learning rate, arguments of the network, arguments of fit
SETTINGS = {
    "SGD 0.01": ("SGD", 0.01, {}, {}),
    "SGD 0.1": ("SGD", 0.1, {}, {}),
    "SGD 0.3": ("SGD", 0.3, {}, {}),
    "SGD 0.5": ("SGD", 0.5, {}, {}),
    "SGD 1.0": ("SGD", 1.0, {}, {}),
    "SGD 0.3 + dropout": ("SGD", 0.3, {"dropout": 0.5}, {}),
    "SGD 1.0 + clipping": ("SGD", 1.0, {}, {"clip_norm": 1.0}),
    "SGD 0.1 + L2 0.01": ("SGD", 0.1, {}, {"weight_decay": 0.01}),
    "SGD 0.1 + L2 0.03": ("SGD", 0.1, {}, {"weight_decay": 0.03}),
    "Adam 0.001": ("Adam", 0.001, {}, {}),
    "Adam 0.01": ("Adam", 0.01, {}, {}),
    "Adam 0.03": ("Adam", 0.03, {}, {}),
    "Adam 0.1": ("Adam", 0.1, {}, {}),
    "Adam 0.03 + clipping": ("Adam", 0.03, {}, {"clip_norm": 1.0}),
    "Adam 0.03 + dropout": ("Adam", 0.03, {"dropout": 0.5}, {}),
    "Adam 0.03 + batch norm": ("Adam", 0.03, {"normalization": "batch"}, {}),
    "Adam 0.01 + batch norm": ("Adam", 0.01, {"normalization": "batch"}, {}),
    **{
        f"Adam 0.01 + batch norm + L2 {decay}": (
            "Adam",
            0.01,
            {"normalization": "batch"},
            {"weight_decay": decay},
        )
        for decay in (0.001, 0.01)
    },
    **{
        f"SGD 0.1, bias {bias} at start": ("SGD", 0.1, {"bias_value": float(bias)}, {})
        for bias in (-1, -3, -5)
    },
}
GRID = {"setting": list(SETTINGS)}
TOLERANCES = dict.fromkeys(("born_dead", "dead", "train_accuracy", "test_accuracy"), 0.05)


def run(seed, setting):
    """Train once; return the share of dead units at the start and at the end."""
    training, test = images()
    optimizer, lr, network, arguments = SETTINGS[setting]
    net = models.dense_stack(784, 100, 3, **network)
    loader = training[0].split(2000)
    before = probes.measure(net, loader)["dead"].mean()
    history = train.fit(
        net,
        training,
        steps=600,
        batch_size=32,
        lr=lr,
        seed=seed,
        **OPTIMIZERS[optimizer],
        **arguments,
    )
    after = None if history.diverged else probes.measure(net, loader)["dead"].mean()
    return {"born_dead": before, "dead": after, **accuracies(net, history, training, test)}
