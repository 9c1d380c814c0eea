"""What the recipes about dead units share: train a dense network under a census."""

from cnnbook import models, probes, train

from ._images import images

OPTIMIZERS = {
    "SGD": {"optimizer": "sgd"},
    "momentum": {"optimizer": "sgd", "momentum": 0.9},
    "Adam": {"optimizer": "adam"},
}


def train_under_census(seed, optimizer, lr, *, init, bias, steps, every):
    """Train 784–100–100–10 at batch size 32; return network, census and history."""
    training, _ = images()
    net = models.dense_stack(784, 100, 3, init=init, bias_value=bias)
    with probes.Census(net, training[0].split(2000), every=every) as census:
        history = train.fit(
            net, training, steps=steps, batch_size=32, lr=lr, seed=seed, **OPTIMIZERS[optimizer]
        )
    return net, census, history


def accuracies(net, history, training, test):
    """Return training and test accuracy, missing if the run diverged, and whether it did."""
    row = {"train_accuracy": None, "test_accuracy": None, "diverged": history.diverged}
    if not history.diverged:
        row["train_accuracy"] = train.evaluate(net, training)["accuracy"]
        row["test_accuracy"] = train.evaluate(net, test)["accuracy"]
    return row
