"""Batch norm with and without noise behind it: accuracy, and how far the layers' inputs move.

Dense networks of six layers of 64 units on Fashion images of 8×8 pixels, each the mean of 4×4 of
the padded image; 200 steps of 64 images by SGD at 0.1 with momentum 0.9. "noisy" scales and shifts
what the norm gives by a random factor of 0.5 to 1.5 and a random amount of −0.5 to 0.5 for each
unit, anew in each training step. ``shift`` is the RMS step of the mean inputs of all layers but the
first, from one training step to the next. Accuracies are on 2,000 images of the training set.

Source: Santurkar et al. (2018), who put the noise there.
"""

from functools import cache

import torch
from torch import nn
from torch.nn import functional as F

from cnnbook import data, init, models, train

SEEDS = range(12)
GRID = {"norm": ("batch", "noisy")}
TOLERANCES = {"accuracy": 0.1, "shift": 0.02}


@cache
def images():
    """Return (x, y) of the training split, x of shape (N, 64)."""
    pictures = data.load().train
    small = F.avg_pool2d(F.pad(pictures.x, (2, 2, 2, 2)), 4)
    return data.standardize(small).flatten(1), pictures.y


class Noisy(nn.BatchNorm1d):
    """Batch norm whose output is scaled and shifted at random, anew in each training step."""

    def forward(self, z):
        """Return the normalised z, with noise in training mode."""
        scale, shift = torch.rand(2, z.shape[1]) if self.training else (0.5, 0.5)
        return super().forward(z) * (0.5 + scale) + shift - 0.5


def run(seed, norm):
    """Train once."""
    x, y = images()
    kind, means = {"batch": "batch", "noisy": Noisy}[norm], []
    net = models.dense_stack(64, 64, 6, normalization=kind)
    for layer in init.weight_layers(net)[1:]:
        layer.register_forward_pre_hook(lambda _, call: means.append(call[0].detach().mean(0)))
    how = {"steps": 200, "optimizer": "sgd", "lr": 0.1, "momentum": 0.9, "batch_size": 64}
    train.fit(net, (x, y), seed=seed, **how)
    moved = torch.stack(means[5:]).reshape(200, -1).diff(dim=0)  # fit tries one image first
    accuracy = train.evaluate(net, (x[:2000], y[:2000]))["accuracy"]
    return {"accuracy": accuracy, "shift": moved.square().mean().sqrt().item()}
