"""The lives of all units of a network, census by census, for the explorable ``lives``.

784–64–64–10 with ReLU, He's weights and no bias at the start; 500 steps of 32 images. A status has
one letter per unit: "d" dead on the training images, "s" sparse, "a" neither. A unit has another
life after another rounding, so nothing judges the letters; their shares are judged.
"""

from cnnbook import models, probes, train

from ._deaths import OPTIMIZERS
from ._images import images

SEEDS = range(5)
RATES = {
    "SGD": (0.003, 0.01, 0.03, 0.1, 0.3),
    "momentum": (0.001, 0.003, 0.01, 0.03, 0.1),
    "Adam": (0.001, 0.003, 0.01, 0.03, 0.1),
}
GRID = [{"optimizer": name, "lr": lr} for name, rates in RATES.items() for lr in rates]
# Closer at the start, where most dies.
STEPS = (0, 10, 20, 40, 60, 80, 100, 140, 180, 220, 260, 300, 350, 400, 450, 500)
TOLERANCES = dict.fromkeys(("dead", "sparse", "train_accuracy"), 0.1)
FREE = ("status",)


def run(seed, optimizer, lr):
    """Train once and return one row per census and layer."""
    training, _ = images()
    loader = training[0].split(2000)
    net = models.dense_stack(784, 64, 3)
    rows = []

    def look(step):
        if step not in STEPS:
            return
        accuracy = train.evaluate(net, training)["accuracy"]
        units = probes.measure(net, loader, units=True)
        for layer in ("dense1", "dense2"):
            part = units[units["layer"] == layer]
            marks = zip(part["dead"], part["sparse"], strict=True)
            rows.append(
                {
                    "step": step,
                    "layer": layer,
                    "units": len(part),
                    "status": "".join("d" if d else "s" if s else "a" for d, s in marks),
                    "dead": float(part["dead"].mean()),
                    "sparse": float(part["sparse"].mean()),
                    "train_accuracy": accuracy,
                }
            )

    look(0)
    history = train.fit(
        net,
        training,
        steps=STEPS[-1],
        batch_size=32,
        lr=lr,
        seed=seed,
        on_step=look,
        **OPTIMIZERS[optimizer],
    )
    if history.diverged:  # a unit that met a NaN has none of the letters
        raise ArithmeticError(history.reason)
    return rows
