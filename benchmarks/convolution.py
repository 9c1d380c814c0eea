"""Time of ``ops.conv2d`` in multiples of PyTorch's, forward and backward, on 3×3 layers.

The layers are those of A-net and B-net, and of torchvision's ResNet18 for images of 64 and of 224
pixels. A run is one measurement: the functions take turns, three times each, and a ratio is that of
the medians. ``forward`` is of ``method="auto"``, ``im2col`` of that method; ``backward`` is of a
forward and a backward pass with respect to images and kernels, ``method="auto"``. ``milliseconds``
are PyTorch's, forward. One thread.

Run it on a machine that does nothing else: ``make bench``.
"""

import torch
import torch.nn.functional as F

from cnnbook import ops, timing

SEEDS = range(5)
A_NET = [(3, 32, 224), (32, 64, 111), (64, 128, 54)]
B_NET = [(1, 32, 28), (32, 64, 13), (64, 64, 5)]
FREE = ("milliseconds", "forward", "im2col", "backward")


def resnet18(side):
    """Return (channels, channels out, side, stride) of the 3×3 layers that differ."""
    side //= 4
    layers = [(64, 64, side, 1)]
    for channels in (64, 128, 256):
        layers.append((channels, 2 * channels, side, 2))
        side //= 2
        layers.append((2 * channels, 2 * channels, side, 1))
    return layers


LAYERS = [
    *(("A-net", *layer, 1, 0) for layer in A_NET),
    *(("B-net", *layer, 1, 0) for layer in B_NET),
    *((f"ResNet18, {side}", *layer, 1) for side in (64, 224) for layer in resnet18(side)),
]
NAMES = ("network", "channels", "channels_out", "side", "stride", "padding")
GRID = [
    {**dict(zip(NAMES, layer, strict=True)), "images": images}
    for layer in LAYERS
    for images in (8, 64)
]


def run(seed, network, channels, channels_out, side, stride, padding, images):
    """Measure one layer."""
    x = torch.randn(images, channels, side, side)
    w = torch.randn(channels_out, channels, 3, 3) / (9 * channels) ** 0.5
    how = {"stride": stride, "padding": padding}
    calls = {
        "theirs": lambda x, w: F.conv2d(x, w, **how),
        "forward": lambda x, w: ops.conv2d(x, w, **how, method="auto"),
        "im2col": lambda x, w: ops.conv2d(x, w, **how, method="im2col"),
    }
    with torch.no_grad():
        forward = timing.alternate(
            {name: lambda call=call: call(x, w) for name, call in calls.items()},
            rounds=3,
            seconds=0.05,
        ).median()
    x.requires_grad_()
    w.requires_grad_()
    up = torch.randn_like(calls["theirs"](x, w))

    def both(call):
        return lambda: torch.autograd.grad(call(x, w), (x, w), up)

    there_and_back = timing.alternate(
        {name: both(calls[name]) for name in ("theirs", "forward")}, rounds=3, seconds=0.05
    ).median()
    return {
        "milliseconds": 1e3 * forward["theirs"],
        "forward": forward["forward"] / forward["theirs"],
        "im2col": forward["im2col"] / forward["theirs"],
        "backward": there_and_back["forward"] / there_and_back["theirs"],
    }
