"""Eight activations, each from three starts: does the name decide, or the start?

Dense networks of width 64 on Fashion-mini shrunk to 8 × 8 pixels, 200 steps of 32 images, SGD with
momentum 0.9. One network for each learning rate, all from the same weights and on the same batches.
Starts: PyTorch's default; He's variance 2/fan_in; the activation's own, which is critical by theory
where there is such a variance (of ReLU and Leaky ReLU, He's), LeCun's for SELU and gain² for GELU;
for sigmoid also "centred", tanh's own start carried over. But for the default, the last layer is
LeCun's and biases are zero ("centred" sets them). ``fall`` is log10 of the mean square of ∂L/∂z in
the first layer over that in the last hidden one, before training; ``steps``, until the last 20
batches' mean accuracy is 0.6 (201: never); ``fitted``, the accuracy of the last 50 batches.
"""

from functools import partial

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from cnnbook import activations, data, init, models, theory

from ._images import images

SEEDS = range(5)
NAMES = ("sigmoid", "tanh", "relu", "leaky_relu", "prelu", "elu", "selu", "gelu")
GRID = [
    {"depth": depth, "activation": name, "start": start}
    for depth in (5, 20)
    for name in NAMES
    for start in ("PyTorch", "He", "own", "centred")
    if start in ("PyTorch", "He")
    or (start == "own" and name not in ("relu", "leaky_relu"))
    or (start == "centred" and name == "sigmoid")
]
RATES, STEPS = (0.002, 0.008, 0.03, 0.12), 200
TOLERANCES = {"accuracy": 0.15, "fitted": 0.15, "steps": 100, "fall": 0.3}


def begin(net, start, name):
    """Draw the weights of a network anew."""
    if start == "PyTorch":
        return
    own = {"selu": 1.0, "gelu": activations.ACTIVATIONS["gelu"].gain ** 2}.get(name)
    own = own or theory.critical_sigma_w2(name)
    init.gaussian_(net, {"He": 2.0, "own": own, "centred": 16.0}[start])
    first, *others = init.weight_layers(net)
    with torch.no_grad():
        others[-1].weight.copy_(torch.randn(10, 64) / 8)
        if start == "centred":  # σ(z) = ½ + ½ tanh(z/2): tanh's z is half of sigmoid's
            first.weight /= 2
            others[-1].weight *= 2
            for layer in others:
                layer.bias -= layer.weight.sum(1) / 2


def fall(net, x, y):
    """Return how far the gradient falls from the last hidden layer to the first, in decades."""
    zs = []
    for part in net:
        x = part(x)
        zs += [x] if isinstance(part, nn.Linear) else []
    first, *_, last = torch.autograd.grad(F.cross_entropy(x, y), zs[:-1])
    return (first.double().square().mean() / last.double().square().mean()).log10().item()


def run(seed, depth, activation, start):
    """Train one network for each rate; return a row for each."""
    small = [F.avg_pool2d(F.pad(x, (2, 2, 2, 2)), 4) for x, _ in images()]
    x, test = (data.standardize(part, small[0]).flatten(1) for part in small)
    y, test_y = (labels for _, labels in images())
    net = models.dense_stack(64, 64, depth, activation=activation, init="pytorch")
    begin(net, start, activation)
    row = {"fall": fall(net, x[:500], y[:500])}
    forward = torch.vmap(partial(functional_call, net), in_dims=(0, None))
    copies = {k: torch.stack([p.detach()] * len(RATES)) for k, p in net.named_parameters()}
    parameters = [p.requires_grad_() for p in copies.values()]
    rates = [torch.tensor(RATES).view(-1, *[1] * (p.ndim - 1)) for p in parameters]
    speed, hits = [torch.zeros_like(p) for p in parameters], []
    for rows in torch.randint(len(x), (STEPS, 32)):
        logits = forward(copies, (x[rows],))
        loss = F.cross_entropy(logits.flatten(0, 1), y[rows].repeat(len(RATES)), reduction="sum")
        gradients = torch.autograd.grad(loss / 32, parameters)
        hits.append((logits.argmax(2) == y[rows]).float().mean(1))
        with torch.no_grad():
            torch._foreach_mul_(speed, 0.9)
            torch._foreach_add_(speed, gradients)
            torch._foreach_sub_(parameters, torch._foreach_mul(speed, rates))
    with torch.no_grad():
        accuracy = (forward(copies, (test,)).argmax(2) == test_y).float().mean(1)
    hits = torch.stack(hits, 1)
    reached = hits.unfold(1, 20, 1).mean(2) >= 0.6
    return [
        row
        | {"lr": lr, "accuracy": accuracy[i].item(), "fitted": hits[i, -50:].mean().item()}
        | {"steps": 20 + int(reached[i].int().argmax()) if reached[i].any() else STEPS + 1}
        for i, lr in enumerate(RATES)
    ]
