"""Plain tanh networks at the edge of chaos, and the images of 4×4 pixels that they see."""

from functools import cache, partial

from torch import nn
from torch.nn import functional as F

from cnnbook import data, init, models, theory

SIGMA_B2 = 2.01e-5


@cache
def thumbnails():
    """Return (x, y) of the training split, x of shape (N, 1, 4, 4), each the mean of 7×7."""
    pictures = data.load().train
    return data.standardize(F.avg_pool2d(pictures.x.float(), 7)), pictures.y


@cache
def sigma_w2():
    """Return the weights' variance at the edge of chaos."""
    return theory.critical_sigma_w2("tanh", SIGMA_B2)


def delta_orthogonal(net):
    """Draw delta-orthogonal weights and Gaussian biases."""
    init.delta_orthogonal_(net, gain=sigma_w2() ** 0.5)
    for layer in init.weight_layers(net):
        nn.init.normal_(layer.bias, std=SIGMA_B2**0.5)


def network(depth, start, flatten_size=4):
    """Return 16 channels of 3×3 convolutions with circular padding, and one dense layer."""
    starts = {
        "delta-orthogonal": delta_orthogonal,
        "Gaussian": partial(init.gaussian_, sigma_w2=sigma_w2(), sigma_b2=SIGMA_B2),
    }
    how = {"padding": "circular", "conv": models.CircularConv2d, "flatten_size": flatten_size}
    return models.conv_stack(1, 16, depth, activation="tanh", init=starts[start], **how)
