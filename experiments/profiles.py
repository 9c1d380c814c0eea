"""How signal and gradient go through fifty layers, beside what mean-field theory predicts.

Dense networks of 50 weight layers, before any training, on eight Fashion images of mean square 1;
float64, as sigmoid's gradient leaves float32. Weights have variance ``sigma_w2``/fan_in, biases
``sigma_b2``. Of every fourth hidden layer: ``q1``, ``q5``, … are log10 of the mean square of z,
``g1``, ``g5``, … of that of ∂L/∂z over that in the last hidden layer, the 49th.

The explorable ``profile`` shows them.
"""

import math
from functools import cache, partial

from torch.nn import functional as F

from cnnbook import data, init, models, probes, repro

SEEDS = range(10)
DEPTH, LAYERS = 50, range(1, 50, 4)
SETTINGS = {
    "sigmoid": ((1, 0), (2, 0), (16, 0), (1, 4)),
    "tanh": ((0.5, 0), (1, 0), (2.8, 0), (16, 0), (1, 0.05), (1.75, 0.05), (4, 0.05), (1, 4)),
    "relu": ((0.35, 0), (1, 0), (2, 0), (4, 0), (2, 0.05), (1, 1)),
    "leaky_relu": ((1, 0), (2, 0)),
    "elu": ((1, 0), (1.55, 0), (2.5, 0), (1.55, 0.05)),
    "gelu": ((2, 0), (2.2, 0), (3, 0), (2, 1)),
    "selu": ((0.5, 0), (1, 0), (2, 0)),
    "identity": ((0.5, 0), (1, 0), (2, 0)),
}
GRID = [
    {"activation": name, "sigma_w2": float(w), "sigma_b2": float(b), "width": width}
    for name, settings in SETTINGS.items()
    for w, b in settings
    for width in (100, 300)
]
TOLERANCES = {f"{what}{layer}": 0.01 for what in "qg" for layer in LAYERS}


@cache
def batch():
    """Return the images, of mean square 1 each, and their labels."""
    split = data.load("fashion-mini").train
    x = split.x[:8].flatten(1).double()
    return x / x.square().mean(dim=1, keepdim=True).sqrt(), split.y[:8]


def run(seed, activation, sigma_w2, sigma_b2, width):
    """Take one gradient."""
    begin = partial(init.gaussian_, sigma_w2=sigma_w2, sigma_b2=sigma_b2)
    start = partial(begin, generator=repro.generator(seed))
    net = models.dense_stack(784, width, DEPTH, activation=activation, init=start).double()
    seen = probes.measure(net, [batch()], loss=F.cross_entropy).iloc[: DEPTH - 1]
    squares = {"q": seen["z_mean"] ** 2 + seen["z_std"] ** 2, "g": seen["grad_z"] ** 2}
    squares["g"] /= squares["g"].iloc[-1]
    return {
        f"{what}{layer}": round(math.log10(squares[what].iloc[layer - 1]), 3)
        for what in "qg"
        for layer in LAYERS
    }
