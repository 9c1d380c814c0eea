"""How exactly must the learning rate be chosen? Four optimisers, five schedules, thirteen rates.

A dense ReLU network 196-64-64-10 from He's start, on images halved to 14 × 14 pixels, 200 steps
of 64 images; the accuracy is on the test images, that of a network with a NaN or an infinity is
chance. The rates of one run span four decades, train side by side from the same weights on the same
batches, and give a row each. ``offset`` is log10 of the rate over the lowest one.
"""

import torch
from torch.nn import functional as F

from cnnbook import init, models, repro

from ._images import images

SEEDS = range(5)
GRID = {
    "optimizer": ("SGD", "momentum", "Adagrad", "Adam"),
    "schedule": ("constant", "warm-up", "linear", "exponential", "warm-up, linear"),
}
TOLERANCES = {"accuracy": 0.05}
EXACT = ("lr",)
LOWEST = {"SGD": -3, "momentum": -4, "Adagrad": -4, "Adam": -5}
STEPS, WARM = 200, 40
SHAPES = {
    "constant": lambda t: 1.0,
    "warm-up": lambda t: min(t / WARM, 1.0),
    "linear": lambda t: 1 - (t - 1) / STEPS,
    "exponential": lambda t: 0.01 ** ((t - 1) / STEPS),
    "warm-up, linear": lambda t: min(t / WARM, (STEPS - t + 1) / (STEPS - WARM)),
}


def move(optimizer, m, v, g, t):
    """Update the memories m and v in place; return the step for a rate of one."""
    if optimizer == "momentum":
        return m.mul_(0.9).add_(g)
    if optimizer == "Adagrad":
        return g / v.addcmul_(g, g).sqrt().add_(1e-10)
    if optimizer == "Adam":
        m.lerp_(g, 0.1)
        v.mul_(0.999).addcmul_(g, g, value=0.001)
        return (m / (1 - 0.9**t)) / (v / (1 - 0.999**t)).sqrt_().add_(1e-8)
    return g


def logits(parameters, x):
    """Return what each network says, (rates, images, 10)."""
    a = x.expand(len(parameters[0]), -1, -1)
    for weight, bias in zip(parameters[:-2:2], parameters[1:-2:2], strict=True):
        a = torch.relu(torch.baddbmm(bias, a, weight))
    return torch.baddbmm(parameters[-1], a, parameters[-2])


def halved():
    """Return the images as vectors of 196 numbers, again of variance one, with their labels."""
    (x, y), (test_x, test_y) = images()
    x, test_x = (F.avg_pool2d(part, 2).flatten(1) for part in (x, test_x))
    return x / x.std(), y, test_x / x.std(), test_y


def run(seed, optimizer, schedule):
    """Train once with each rate."""
    x, y, test_x, test_y = halved()
    exponents = LOWEST[optimizer] + torch.arange(13) / 3
    rates, draw = 10.0 ** exponents[:, None, None], repro.generator(seed)
    parameters = []
    for layer in init.weight_layers(models.dense_stack(196, 64, 3, generator=draw)):
        for tensor in (layer.weight.detach().T, layer.bias.detach()[None]):
            parameters.append(tensor.expand(13, -1, -1).clone().requires_grad_())
    memories = [(torch.zeros_like(p), torch.zeros_like(p)) for p in parameters]
    for t in range(1, STEPS + 1):
        batch = torch.randint(len(x), (64,), generator=draw)
        z = logits(parameters, x[batch])
        loss = F.cross_entropy(z.flatten(0, 1), y[batch].repeat(13), reduction="sum") / 64
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for p, (m, v), g in zip(parameters, memories, gradients, strict=True):
                p.addcmul_(rates * SHAPES[schedule](t), move(optimizer, m, v, g, t), value=-1)
    with torch.no_grad():
        z = logits(parameters, test_x)
    right = (z.argmax(2) == test_y).double().mean(1).where(z.isfinite().all(2).all(1), 0.1)
    return [
        {"lr": f"{r:.3g}", "offset": k / 3, "accuracy": a}
        for k, (r, a) in enumerate(zip(rates.flatten().tolist(), right.tolist(), strict=True))
    ]
