"""How time grows with images, channels, layers and seeds, and what it is beside the plain way.

A run measures all sizes along one axis, in turns; the other sizes stay at ``BASE``, images have 16
by 16 pixels. ``ours`` and ``plain`` are seconds. What they are:

- ``conv2d``: ``ops.conv2d(method="auto")`` and PyTorch's, a 3×3 layer;
- ``measure``: ``probes.measure`` with gradients, and a forward and a backward pass alone;
- ``examine``: ``clinic.examine``, and training steps by Adam on all the images it was given;
- ``sweep``: ``sweep.run`` with two processes that wait already, and a loop over the same runs.
"""

import torch
import torch.nn.functional as F

from cnnbook import clinic, models, ops, probes, repro, sweep, timing

SEEDS = range(5)
BASE = {"images": 64, "channels": 16, "layers": 4}
SIZES = {
    "images": [16, 32, 64, 128, 256],
    "channels": [8, 16, 32, 64],
    "layers": [2, 4, 8, 16],
    "seeds": [2, 4, 8, 16],
}
GRID = [
    *({"what": "conv2d", "axis": axis} for axis in ("images", "channels")),
    *({"what": w, "axis": a} for w in ("measure", "examine") for a in BASE),
    {"what": "sweep", "axis": "seeds"},
]
FREE = ("ours", "plain")


def convolve(images, channels, layers):
    """Return a convolution of ours and PyTorch's."""
    x = torch.randn(images, channels, 16, 16)
    w = torch.randn(channels, channels, 3, 3) / (9 * channels) ** 0.5
    return lambda: ops.conv2d(x, w, method="auto"), lambda: F.conv2d(x, w)


def network(images, channels, layers):
    """Return a network, and eight batches."""
    x, y = torch.randn(images, 1, 16, 16), torch.randint(0, 10, (images,))
    return models.conv_stack(1, channels, layers), list(zip(x.chunk(8), y.chunk(8), strict=True))


def measure(**sizes):
    """Return a pass with probes and one without."""
    model, batches = network(**sizes)

    def plain():
        for x, y in batches:
            F.cross_entropy(model(x), y).backward()

    return lambda: probes.measure(model, batches, loss=F.cross_entropy), plain


def examine(**sizes):
    """Return an examination, and a pass of training."""
    model, batches = network(**sizes)
    optimizer = torch.optim.Adam(model.parameters())

    def plain():
        for x, y in batches:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()

    return lambda: clinic.examine(model, batches), plain


def many(seeds):
    """Return a sweep over so many seeds, and a loop."""

    def train(seed):
        x, y = torch.randn(32, 1, 16, 16), torch.randint(0, 10, (32,))
        model = models.conv_stack(1, 16, 4)
        optimizer = torch.optim.Adam(model.parameters())
        for _ in range(40):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
        return {"loss": loss.item()}

    def plain():
        for seed in range(seeds):
            repro.seed_all(seed)
            train(seed)

    return lambda: sweep.run(train, [{}], range(seeds), workers=2), plain


def run(seed, what, axis):
    """Measure all sizes along an axis: one row for each."""
    make = {"conv2d": convolve, "measure": measure, "examine": examine, "sweep": many}[what]
    base = {} if what == "sweep" else BASE
    turns = {}
    for size in SIZES[axis]:
        turns["ours", size], turns["plain", size] = make(**base | {axis: size})
    slow = what in ("examine", "sweep")
    times = timing.alternate(turns, rounds=1 if slow else 5, seconds=0 if slow else 0.02).median()
    return [
        {"size": size, "ours": times["ours", size], "plain": times["plain", size]}
        for size in SIZES[axis]
    ]
