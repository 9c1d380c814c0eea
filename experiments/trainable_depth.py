"""How deep a tanh network trains, by the variance of its weights: the map of Schoenholz et al.

Dense networks of width 100, biases of variance 0.05, 200 steps of 32 images by SGD with momentum
0.9. Deeper networks need a smaller learning rate, so it is set per depth: a rate of r/depth for
three r, of which the book takes the best. Accuracy is on the first 2,000 training images.
"""

from functools import partial

from cnnbook import init, models, train

from ._images import images

SEEDS = range(5)
SIGMA_B2 = 0.05
GRID = {
    "depth": (10, 20, 30, 40, 60, 80, 100, 120),
    "sigma_w2": (0.6, 1.0, 1.25, 1.5, 1.76, 2.0, 2.25, 2.5, 3.0, 4.0),
    "rate": (0.03, 0.1, 0.3),
}
TOLERANCES = {"accuracy": 0.15}


def run(seed, depth, sigma_w2, rate):
    """Train once and return the accuracy."""
    (x, y), _ = images()
    start = partial(init.gaussian_, sigma_w2=sigma_w2, sigma_b2=SIGMA_B2)
    net = models.dense_stack(784, 100, depth, activation="tanh", init=start)
    history = train.fit(
        net,
        (x, y),
        steps=200,
        batch_size=32,
        optimizer="sgd",
        lr=rate / depth,
        momentum=0.9,
        seed=seed,
    )
    row = {"accuracy": None, "diverged": history.diverged}
    if not history.diverged:
        row["accuracy"] = train.evaluate(net, (x[:2000], y[:2000]))["accuracy"]
    return row
