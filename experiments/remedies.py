"""Every remedy that the articles name, and those they miss, against three causes of death.

*Born dead*: a narrow and deep network (width 8, 12 weight layers). *Killed by the learning rate*:
the network of the recipe ``killed`` under momentum at learning rate 0.1. *Killed by input shift*:
the same network under plain SGD, inputs moved by two standard deviations. 500 steps of 32 images.

All inputs are standardised by one mean and one standard deviation. "centre inputs" subtracts the
mean of all pixels of all training images, one number (zero, but for the shift, so that only the
shifted inputs can be centred); "centre each pixel" subtracts the mean training image. Neither
changes the scale. "width × 4" has four times the units in each hidden layer.
"""

from functools import partial

import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LinearLR

from cnnbook import models, probes, train

from ._deaths import accuracies
from ._images import images

SEEDS = range(10)
STEPS = 500
CAUSES = {
    "born dead": {"width": 8, "depth": 12, "shift": 0.0, "fit": {"optimizer": "adam", "lr": 1e-3}},
    "learning rate": {
        "width": 100,
        "depth": 3,
        "shift": 0.0,
        "fit": {"optimizer": "sgd", "lr": 0.1, "momentum": 0.9},
    },
    "input shift": {
        "width": 100,
        "depth": 3,
        "shift": 2.0,
        "fit": {"optimizer": "sgd", "lr": 0.1},
    },
}
# What each remedy changes: arguments of the network, arguments of fit, or a function of its own.
NETWORK = {
    "Leaky ReLU": {"activation": "leaky_relu"},
    "PReLU": {"activation": "prelu"},
    "ELU": {"activation": "elu"},
    "GELU": {"activation": "gelu"},
    "SiLU": {"activation": "silu"},
    "batch norm": {"normalization": "batch"},
    "dropout": {"dropout": 0.5},
    "Xavier": {"init": "xavier"},
    "bias 0.1": {"bias_value": 0.1},
}
FIT = {
    "L1": {"l1": 1e-4},
    "L2": {"weight_decay": 1e-3},
    "clipping": {"clip_norm": 1.0},
}
REMEDIES = (
    *("none", "small random weights", "Xavier", "asymmetric weights", "bias 0.1"),
    *("Leaky ReLU", "PReLU", "ELU", "GELU", "SiLU", "batch norm"),
    *("learning rate / 10", "warm-up", "clipping", "L1", "L2", "dropout"),
    *("reset activation", "revive dead units"),
    *("centre inputs", "centre each pixel", "width × 4"),
)
# He's initialisation is what all start from ("none").
GRID = [
    {"cause": cause, "remedy": remedy}
    for cause, setting in CAUSES.items()
    for remedy in REMEDIES
    if remedy != "centre inputs" or setting["shift"]
]
TOLERANCES = dict.fromkeys(("born_dead", "dead", "train_accuracy", "test_accuracy"), 0.1)


def small_weights(net):
    """Fill weights from a normal distribution of standard deviation 0.01, biases with 0."""
    for part in net.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=0.01)
            nn.init.zeros_(part.bias)


def asymmetric(net):
    """Draw weights and biases by randomised asymmetric initialisation (Lu et al., 2020).

    Each unit draws all from N(0, 0.6007²/fan_in), then one of them, chosen at random, from
    Beta(2, 1).
    """
    beta = torch.distributions.Beta(2.0, 1.0)
    for part in net.modules():
        if isinstance(part, nn.Linear):
            both = torch.randn(part.out_features, part.in_features + 1)
            both *= 0.6007 / part.in_features**0.5
            chosen = torch.randint(part.in_features + 1, (part.out_features,))
            both[torch.arange(part.out_features), chosen] = beta.sample((part.out_features,))
            with torch.no_grad():
                part.weight.copy_(both[:, :-1])
                part.bias.copy_(both[:, -1])


class Switched(nn.Module):
    """ReLU, but Leaky ReLU with slope 0.01 for the units that were switched."""

    def __init__(self, units):
        super().__init__()
        self.register_buffer("slope", torch.zeros(units))

    def forward(self, z):
        """Return the activation of ``z`` (N, units)."""
        return F.prelu(z, self.slope)


def dead_units(net, x):
    """Return each hidden layer's mask of dead units, by the name of its weight layer."""
    units = probes.measure(net, x.split(2000), units=True)
    units = units[units["active"].notna()]
    return {
        layer: torch.tensor((rows["active"] == 0).to_numpy())
        for layer, rows in units.groupby("layer", sort=False)
    }


def revive(net, x, step):
    """Draw the incoming weights of dead units anew, by He's rule, and cut their outgoing ones.

    Sokar et al. (2023), section 4, for dead instead of dormant units.
    """
    if step % 100 or step == STEPS:
        return
    layers = [part for part in net.modules() if isinstance(part, nn.Linear)]
    for mask, layer, following in zip(
        dead_units(net, x).values(), layers[:-1], layers[1:], strict=True
    ):
        fresh = torch.empty_like(layer.weight)
        nn.init.kaiming_normal_(fresh, nonlinearity="relu")
        with torch.no_grad():
            layer.weight[mask] = fresh[mask]
            layer.bias[mask] = 0.0
            following.weight[:, mask] = 0.0


def switch(net, x, step):
    """Give units that are dead in the middle of training another activation (Article C)."""
    if step == STEPS // 2:
        for mask, part in zip(
            dead_units(net, x).values(),
            [part for part in net.modules() if isinstance(part, Switched)],
            strict=True,
        ):
            part.slope[mask] = 0.01


def run(seed, cause, remedy):
    """Train once; return the share of dead units before and after, and the accuracies."""
    setting = CAUSES[cause]
    (x, y), (test_x, test_y) = images()
    x, test_x = x + setting["shift"], test_x + setting["shift"]
    if remedy in ("centre inputs", "centre each pixel"):
        mean = x.mean() if remedy == "centre inputs" else x.mean(0)
        x, test_x = x - mean, test_x - mean
    width = setting["width"] * (4 if remedy == "width × 4" else 1)
    network, fit = dict(NETWORK.get(remedy, {})), setting["fit"] | FIT.get(remedy, {})
    if remedy == "small random weights":
        network["init"] = small_weights
    elif remedy == "asymmetric weights":
        network["init"] = asymmetric
    elif remedy == "learning rate / 10":
        fit["lr"] /= 10
    elif remedy == "warm-up":
        fit["schedule"] = partial(LinearLR, start_factor=0.01, total_iters=STEPS // 2)
    net = models.dense_stack(784, width, setting["depth"], **network)
    if remedy == "reset activation":
        for name, part in list(net.named_children()):
            if isinstance(part, nn.ReLU):
                setattr(net, name, Switched(width))
    change = {"reset activation": switch, "revive dead units": revive}.get(remedy)
    before = share_dead(net, x)
    history = train.fit(
        net,
        (x, y),
        steps=STEPS,
        batch_size=32,
        seed=seed,
        on_step=None if change is None else partial(change, net, x),
        **fit,
    )
    return {
        "born_dead": before,
        "dead": None if history.diverged else share_dead(net, x),
        **accuracies(net, history, (x, y), (test_x, test_y)),
    }


def share_dead(net, x):
    """Return the share of hidden units that are dead on ``x``."""
    return torch.cat(list(dead_units(net, x).values())).float().mean().item()
