"""He's shallow-and-deep story: the same ReLU networks under He's and under Xavier's start.

Dense networks of width 64 with 10, 20 and 30 weight layers, 20 epochs of 2,000 training images in
batches of 64, SGD with momentum 0.9 at five learning rates, of which the book takes the best.
Accuracy is on the images trained on; ``grad_norm`` is that of the first 500 images at the start.
"""

from torch.nn import functional as F

from cnnbook import models, train

from ._images import images

SEEDS = range(10)
GRID = {
    "depth": (10, 20, 30),
    "init": ("he", "xavier", "pytorch"),
    "lr": (0.0003, 0.001, 0.003, 0.01, 0.03),
}
TOLERANCES = {"accuracy": 0.15, "grad_norm": 1e-3}


def run(seed, depth, init, lr):
    """Train once; return the gradient norm before and the accuracy after."""
    (x, y), _ = images()
    x, y = x[:2000], y[:2000]
    net = models.dense_stack(784, 64, depth, init=init)
    F.cross_entropy(net(x[:500]), y[:500]).backward()
    norm = sum(p.grad.square().sum() for p in net.parameters()).sqrt().item()
    net.zero_grad()
    history = train.fit(
        net, (x, y), epochs=20, batch_size=64, optimizer="sgd", lr=lr, momentum=0.9, seed=seed
    )
    row = {"grad_norm": norm, "accuracy": None, "diverged": history.diverged}
    if not history.diverged:
        row["accuracy"] = train.evaluate(net, (x, y))["accuracy"]
    return row
