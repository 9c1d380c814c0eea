"""The remedy matrix: one network that cannot train, and every remedy and useful pair on it.

25 circular convolutions 3×3 of 16 channels and a dense layer, ReLU, PyTorch's default start, on
Fashion images of 4×4 pixels, each the mean of 7×7; 200 steps of 32 images by SGD with momentum 0.9.
Each remedy changes one thing of it, each pair two, at three learning rates. Rules on the weights
hold for all layers but the first and the last, at the start and after every step. ``slope`` is that
of the convolutions at the start, on 64 images in training mode, and missing where a gradient is
zero; ``share`` is log10 of the RMS of what differs between 500 images in the logits at the start,
over that of all, ``share_after`` the same after training; ``moved`` how far the first step moves
the median layer's weights, over their norm; ``dead`` the mean share of dead units after training,
on 2,000 images of the training set; accuracies are on 2,000 images each.
"""

import copy
import statistics
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import lr_scheduler

from cnnbook import init, models, probes, theory, train

from ._thumbnails import thumbnails

SEEDS = range(5)
DEPTH, STEPS, BATCH = 26, 200, 32
RATES = {"sgd": (0.0005, 0.003, 0.02), "adam": (0.0003, 0.002, 0.01), "adagrad": (0.001, 0.01, 0.1)}
SCALE_FREE = {  # PyTorch's ε is 1e-10 for Adagrad, 1e-8 for Adam
    "adagrad": torch.optim.Adagrad,
    "adam, tiny ε": partial(torch.optim.Adam, eps=1e-20),
}
START = {"init": "pytorch"}
HE, XAVIER = {"init": "he"}, {"init": "xavier"}
BATCH_NORM, SKIPS = {"normalization": "batch"}, {"residual": 2}
ADAM, TINY, CLIP = {"optimizer": "adam"}, {"optimizer": "adam, tiny ε"}, {"clip_norm": 1.0}
EDGE = theory.critical_sigma_w2("tanh", 2.01e-5)
TANH_EDGE = {
    "activation": "tanh",
    "init": partial(init.delta_orthogonal_, gain=EDGE**0.5),
}


def lsuv(net):
    """Start by LSUV on the first 100 images."""
    init.lsuv_(net, thumbnails()[0][0][:100])


def warm_up(optimizer):
    """Raise the learning rate linearly over the first 100 steps."""
    return lr_scheduler.LinearLR(optimizer, 0.01, total_iters=100)


def decay(optimizer):
    """Divide the learning rate by ten over the run, exponentially."""
    return lr_scheduler.ExponentialLR(optimizer, 0.1 ** (1 / STEPS))


def zero_biases(net):
    """Start as PyTorch does, with biases of zero."""
    init.pytorch_(net)
    for layer in init.weight_layers(net):
        nn.init.zeros_(layer.bias)


def centred(net):
    """Carry the start of tanh with σ_w² = 1 over to sigmoid: σ(z) = ½ + ½ tanh(z/2)."""
    init.gaussian_(net, 16.0)
    first, *others = init.weight_layers(net)
    with torch.no_grad():
        first.weight /= 2
        others[-1].weight /= 2
        for layer in others:
            layer.bias -= layer.weight.flatten(1).sum(1) / 2


# What is held in every step, of weights (layers, units, fan_in).
RULES = {
    "clip": lambda w: w.clamp(-0.05, 0.05),
    "max-norm": lambda w: w * (2**0.5 / w.norm(dim=2, keepdim=True)).clamp(max=1),
    "spectral": lambda w: w / torch.linalg.matrix_norm(w, 2)[:, None, None],
    "norms": lambda w: w * 2**0.5 / w.norm(dim=2, keepdim=True),
    "orthogonal": lambda w: 1.5 * w - 0.25 * (w @ w.mT) @ w,  # draws singular values to √2
}
REMEDIES = {
    "none": {},
    "zero biases": {"init": zero_biases},
    "Xavier": XAVIER,
    "He": HE,
    "orthogonal": {"init": partial(init.orthogonal_, gain=2**0.5)},
    "delta-orthogonal": {"init": partial(init.delta_orthogonal_, gain=2**0.5)},
    "LSUV": {"init": lsuv},
    "asymmetric": {"init": init.asymmetric_},
    "batch norm": BATCH_NORM,
    "layer norm": {"normalization": "layer"},
    "group norm": {"normalization": partial(nn.GroupNorm, 4)},
    "skips": SKIPS,
    "Leaky ReLU": {"activation": "leaky_relu"},
    "PReLU": {"activation": "prelu"},
    "ELU": {"activation": "elu"},
    "SELU": {"activation": "selu"},
    "GELU": {"activation": "gelu"},
    "tanh": {"activation": "tanh"},
    "sigmoid": {"activation": "sigmoid"},
    "sigmoid, centred": {"activation": "sigmoid", "init": centred},
    "Adam": ADAM,
    "Adam, tiny ε": TINY,
    "Adagrad": {"optimizer": "adagrad"},
    "warm-up": {"schedule": warm_up},
    "decay": {"schedule": decay},
    "clip by norm": CLIP,
    "clip by value": {"clip_value": 0.1},
    "dropout": {"dropout": 0.2},
    "L1": {"l1": 0.0001},
    "L2": {"weight_decay": 0.01},
    "weights clipped": {"rule": "clip"},
    "max-norm √2": {"rule": "max-norm"},
    "spectral norm 1": {"rule": "spectral"},
    "unit norms √2": {"rule": "norms"},
    "orthogonal √2": {"rule": "orthogonal"},
    "32 channels": {"width": 32},
    "four times the steps": {"steps": 4 * STEPS},
    "zero biases + Adam": ADAM | {"init": zero_biases},
    "zero biases + Adam, tiny ε": TINY | {"init": zero_biases},
    "He + Adam": HE | ADAM,
    "He + clip": HE | CLIP,
    "He + warm-up": HE | {"schedule": warm_up},
    "He + dropout": HE | {"dropout": 0.2},
    "He + batch norm": HE | BATCH_NORM,
    "He + skips": HE | SKIPS,
    "LSUV + Adam": ADAM | {"init": lsuv},
    "batch norm + Adam": BATCH_NORM | ADAM,
    "batch norm + skips": BATCH_NORM | SKIPS,
    "batch norm + skips + Adam": BATCH_NORM | SKIPS | ADAM,
    "skips + Adam": SKIPS | ADAM,
    "skips + Fixup": SKIPS | {"init": partial(init.fixup_, blocks=models.Residual)},
    "SELU + LeCun": {"activation": "selu", "init": "lecun"},
    "tanh + Xavier": {"activation": "tanh"} | XAVIER,
    "tanh + delta-orthogonal": TANH_EDGE,
    "sigmoid + Adam": {"activation": "sigmoid"} | ADAM,
}
GRID = [
    {"remedy": name, "lr": lr}
    for name, changes in REMEDIES.items()
    for lr in RATES[changes.get("optimizer", "sgd").partition(",")[0]]
]
TOLERANCES = {"train_accuracy": 0.15, "test_accuracy": 0.15, "slope": 0.01, "dead": 0.1}


def network(remedy, conv=models.CircularConv2d):
    """Return the network with what the remedy changes of it, drawn from the global generator."""
    kinds = ("init", "normalization", "residual", "activation", "dropout")
    how = START | {k: v for k, v in REMEDIES[remedy].items() if k in kinds}
    width = REMEDIES[remedy].get("width", 16)
    net = models.conv_stack(1, width, DEPTH, padding="circular", flatten_size=4, conv=conv, **how)
    for _ in range(8):
        hold(net, remedy)
    return net


def hold(net, remedy):
    """Apply the remedy's rule, if it has one, to the weights of the hidden layers."""
    if "rule" in REMEDIES[remedy]:
        layers = init.weight_layers(net)[1:-1]
        with torch.no_grad():
            weights = torch.stack([layer.weight.flatten(1) for layer in layers])
            for layer, w in zip(layers, RULES[REMEDIES[remedy]["rule"]](weights), strict=True):
                layer.weight.copy_(w.view_as(layer.weight))


def seen(net, remedy):
    """Return a copy of the network whose convolutions a probe can see."""
    with torch.random.fork_rng(devices=[]):
        copy = network(remedy, nn.Conv2d)
    copy.load_state_dict(net.state_dict())
    return copy


def settings(remedy, lr):
    """Return what ``train.fit`` is told."""
    kinds = ("optimizer", "schedule", "clip_norm", "clip_value", "l1", "weight_decay", "steps")
    how = {"optimizer": "sgd", "steps": STEPS}
    how |= {k: v for k, v in REMEDIES[remedy].items() if k in kinds}
    if how["optimizer"] in SCALE_FREE:
        return how | {"optimizer": partial(SCALE_FREE[how["optimizer"]], lr=lr)}
    return how | {"lr": lr} | ({"momentum": 0.9} if how["optimizer"] == "sgd" else {})


def share(net, x):
    """Return log10 of the RMS of what differs between images in the logits, over that of all."""
    with torch.no_grad():
        logits = copy.deepcopy(net).train()(x[:500]).double()
    ratio = (logits - logits.mean(dim=0)).square().mean() / logits.square().mean()
    return ratio.log10().item() / 2 if ratio > 0 else None


class Steps:
    """What follows each step: the rule, and a note of how far the first one led."""

    def __init__(self, net, remedy):
        self.net, self.remedy, self.moved = net, remedy, None
        self.start = [layer.weight.detach().clone() for layer in init.weight_layers(net)]

    def __call__(self, step):
        if step == 1:
            pairs = zip(init.weight_layers(self.net), self.start, strict=True)
            pairs = [(layer.weight.detach(), old) for layer, old in pairs if old.any()]
            moves = [((new - old).norm() / old.norm()).item() for new, old in pairs]
            self.moved = statistics.median(moves)
        hold(self.net, self.remedy)


def run(seed, remedy, lr):
    """Train once."""
    training, test = thumbnails()
    net = network(remedy)
    first = [(training[0][:64], training[1][:64])]
    table = probes.measure(seen(net, remedy), first, loss=F.cross_entropy, training=True)
    table = table[table["op"] == "conv2d"]
    row = {"slope": probes.slope(table)[0] if (table["grad_z"] > 0).all() else None}
    row["share"] = share(net, training[0])
    steps = Steps(net, remedy)
    how = settings(remedy, lr) | {"on_step": steps}
    history = train.fit(net, training, batch_size=BATCH, seed=seed, **how)
    row |= {"moved": steps.moved, "diverged": history.diverged, "loss": None, "dead": None}
    row |= {"share_after": None, "train_accuracy": None, "test_accuracy": None}
    if not history.diverged:
        part = (training[0][:2000], training[1][:2000])
        row |= {"loss": train.evaluate(net, part)["loss"], "share_after": share(net, training[0])}
        table = probes.measure(seen(net, remedy), [part])
        row["dead"] = float(table["dead"].mean())
        for name, (x, y) in (("train_accuracy", part), ("test_accuracy", test)):
            row[name] = train.evaluate(net, (x[:2000], y[:2000]))["accuracy"]
    return row
