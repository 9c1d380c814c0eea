"""Evidence on claims of articles A and E that no other table holds: an effect for each setting.

``effect`` is what the claim foretells, larger if it is right; the chapter on verdicts says in words
what each is and from where on it counts. Settings that begin with a colon are no effects but the
numbers behind some: accuracies, and counts of deaths and revivals.

Dense networks read Fashion images halved to 14 × 14 pixels, most of them through two hidden layers
of 100 units; convolutional ones read these or images of 4 × 4 pixels. Batches hold 32 images. Where
two networks are compared, they start from the same weights and see the same batches.
"""

from collections import OrderedDict
from functools import cache

import torch
from scipy.stats import spearmanr
from torch import nn
from torch.nn import functional as F

from cnnbook import data, geometry, models, probes, repro, train
from cnnbook.activations import as_activation

from ._images import images
from ._thumbnails import thumbnails

SEEDS = range(16)
GRID = {"claim": ("A2", "A3", "A5", "A6", "A7", "A10", "A12", "E1", "E2", "E3", "E4", "E6")}
TOLERANCES = {"effect": 0.1}


@cache
def halved():
    """Return (x, y) of the training split, then of the test split, x of shape (N, 1, 14, 14)."""
    (x, y), (test_x, test_y) = images()
    x, test_x = F.avg_pool2d(x, 2), F.avg_pool2d(test_x, 2)
    return (x / x.std(), y), (test_x / x.std(), test_y)


def dense(seed, width=100, depth=3, **how):
    """Return a dense network for the halved images."""
    return models.dense_stack(196, width, depth, generator=repro.generator(seed), **how)


def thumbnail_net(seed, **how):
    """Return three convolutions of 16 channels and a dense layer, for images of 4 × 4 pixels."""
    return models.conv_stack(1, 16, 4, flatten_size=4, generator=repro.generator(seed), **how)


def fit(net, pair, seed, optimizer="adam", lr=0.001, steps=500, **how):
    """Train; return whether the run stayed finite."""
    settings = {"optimizer": optimizer, "lr": lr, "steps": steps, "batch_size": 32, "metrics": ()}
    return not train.fit(net, pair, seed=seed, **settings | how).diverged


def fit_to(net, pair, seed, loss, lr=0.002):
    """Train by epochs until the loss on the images trained on is this, at most two hundred."""
    adam = torch.optim.Adam(net.parameters(), lr)
    for epoch in range(200):
        if train.evaluate(net, pair)["loss"] <= loss:
            break
        fit(net, pair, 1000 * seed + epoch, lambda _: adam, None, None, epochs=1)


def accuracy(net, pair):
    """Return the share of right answers."""
    return train.evaluate(net, pair)["accuracy"]


def units(net, x):
    """Return one row per hidden unit, with ``active``, the share of images or positions."""
    found = probes.measure(net, x.split(2500), units=True)
    return found[found["active"].notna()]


def share_dead(net, x):
    """Return the share of hidden units that are dead."""
    return float((units(net, x)["active"] == 0).mean())


# --- the claims -----------------------------------------------------------------------------------


def a2(seed):
    """Bury 20 units a layer just below zero on all images, or deeper; which stay dead?"""
    (x, y), _ = halved()
    for margin, depth in ((0.1, "just below zero"), (3.0, "three below zero")):
        net, a = dense(seed), x.flatten(1)
        with torch.no_grad():
            for layer in (net.dense1, net.dense2):
                layer.bias[:20] -= layer(a).amax(0)[:20] + margin
                a = torch.relu(layer(a))
        F.cross_entropy(net(x), y).backward()
        zero = [(layer.weight.grad[:20] == 0).all(1) for layer in (net.dense1, net.dense2)]
        yield f"no gradient, {depth}", torch.cat(zero).float().mean().item()
        fit(net, (x, y), seed, "sgd", 0.1, 200)
        rows = units(net, x)
        for layer, name in (("dense1", "first"), ("dense2", "second")):
            planted = rows[rows["layer"] == layer]["active"].to_numpy()[:20]
            yield f"dead after training, {name} layer, {depth}", (planted == 0).mean()


def hidden(net):
    """Return the weight layers but the last."""
    return [part for part in net.modules() if isinstance(part, nn.Linear | nn.Conv2d)][:-1]


def buried(net, share):
    """Kill a share of each hidden layer for good; return the network."""
    for layer in hidden(net):
        layer.bias.data[: round(share * len(layer.bias))] = -1e6
    return net


def a3(seed):
    """Bury a share of the units before a training at a healthy rate: accuracy, and the gap."""
    dense_pair, small_pair = halved(), thumbnails()
    cases = {
        "half of 100": (dense, {}, 0.5, dense_pair),
        "95 of 100": (dense, {}, 0.95, dense_pair),
        "half of 8": (dense, {"width": 8}, 0.5, dense_pair),
        "half of 16 channels": (thumbnail_net, {}, 0.5, small_pair),
    }
    for name, (make, how, share, ((x, y), test)) in cases.items():
        few, right = (x[:1000], y[:1000]), []
        for part in (0.0, share):
            fit(net := buried(make(seed, **how), part), few, seed)
            right.append((accuracy(net, few), accuracy(net, test)))
        (fitted, whole), (less, rest) = right
        yield f"accuracy lost, {name}", whole - rest
        yield f"gap gained, {name}", (less - rest) - (fitted - whole)
        yield f": accuracy, {name}, were none dead", whole
        yield f": accuracy, {name}", rest
    (x, y), test = dense_pair
    gaps = []
    for part in (0.0, 0.5):
        fit_to(net := buried(dense(seed), part), few := (x[:300], y[:300]), seed, 0.1)
        gaps.append(accuracy(net, few) - accuracy(net, test))
    yield "gap gained, half of 100, equally fitted", gaps[1] - gaps[0]


def a5(seed):
    """The share born dead from constant weights, or positive ones, less that from He's."""
    pixels = F.avg_pool2d(data.load().train.x.float(), 2)

    def share(change=None, **how):
        net = dense(seed, **how)
        for weight in (p for p in net.parameters() if p.ndim == 2 and change is not None):
            weight.data = change(weight.data)
        return share_dead(net, pixels)

    born, narrow = share(), share(width=8, depth=12)
    yield "against zero weights", share(torch.zeros_like) - born
    yield "against equal negative weights", share(lambda w: torch.full_like(w, -0.1)) - born
    yield "against equal positive weights", share(lambda w: torch.full_like(w, 0.01)) - born
    positive = share(lambda w: w.abs() / w.abs().sum(1, keepdim=True), width=8, depth=12)
    yield "narrow and deep, against positive weights", positive - narrow
    yield ": born dead, 100 wide", born
    yield ": born dead, narrow and deep", narrow


PENALTIES = {"none": {}, "L1": {"l1": 1e-3}, "L2": {"weight_decay": 1e-2}}
STEPS = {
    "Adam": {"optimizer": "adam", "lr": 0.01},
    "momentum": {"optimizer": "sgd", "lr": 0.2, "momentum": 0.9},
}


def a6(seed):
    """Dead units without a penalty less with it, at rates that kill; deaths, revivals, accuracy."""
    training, test = halved()
    for name, norm, penalties in (
        ("Adam", None, ("none", "L1", "L2")),
        ("momentum", None, ("none", "L1")),
        ("Adam, batch norm", "batch", ("none", "L2")),
    ):
        dead = {}
        for penalty in penalties:
            net = dense(seed, normalization=norm)
            with probes.Census(net, training[0].split(2500), every=50) as census:
                finite = fit(net, training, seed, **STEPS[name.split(",")[0]], **PENALTIES[penalty])
            dead[penalty] = share_dead(net, training[0]) if finite else 1.0
            yield f": dead, {penalty}, {name}", dead[penalty]
            yield f": deaths, {penalty}, {name}", census.units()["deaths"].sum()
            yield f": revivals, {penalty}, {name}", census.units()["revivals"].sum()
            yield f": accuracy, {penalty}, {name}", accuracy(net, test) if finite else 0.1
            if penalty != "none":
                yield f"{penalty}, {name}", dead["none"] - dead[penalty]
    yield from why_penalties(seed, training)


def why_penalties(seed, training):
    """Dead units of the first layer that return, and batch norm under L2 of the weights alone."""
    for penalty, change in PENALTIES.items():
        for name, how in (("Adam", STEPS["Adam"]), ("SGD", {"optimizer": "sgd", "lr": 0.1})):
            net = dense(seed)
            with torch.no_grad():
                highest = net.dense1(training[0].flatten(1)).amax(0)
                net.dense1.bias[:20] -= highest[:20] + 1
            fit(net, training, seed, **how, **change)
            rows = units(net, training[0])
            planted = rows[rows["layer"] == "dense1"]["active"].to_numpy()[:20]
            yield f": returned, {penalty}, {name}", (planted > 0).mean()
    net = dense(seed, normalization="batch")
    weights = [p for p in net.parameters() if p.ndim == 2]
    others = [p for p in net.parameters() if p.ndim == 1]
    groups = [{"params": weights, "weight_decay": 1e-2}, {"params": others}]
    fit(net, training, seed, lambda _: torch.optim.Adam(groups, 0.01), None)
    yield ": dead, L2 on the weights, Adam, batch norm", share_dead(net, training[0])


def a7(seed):
    """Biases of −5 at the start bury a ReLU network; dead units and accuracy with other slopes."""
    training, test = halved()
    for rule, how in (("Adam", {}), ("SGD", {"optimizer": "sgd", "lr": 0.1})):
        dead = {}
        for name in ("relu", "leaky_relu", "prelu"):
            net = dense(seed, activation=name, bias_value=-5.0)
            finite = fit(net, training, seed, **how)
            dead[name] = share_dead(net, training[0]) if finite else 1.0
            yield f": accuracy, {name}, {rule}", accuracy(net, test) if finite else 0.1
            yield f": dead, {name}, {rule}", dead[name]
            if name != "relu":
                yield f"{name}, {rule}", dead["relu"] - dead[name]


def a10(seed):
    """Rank correlation of the closed share of gates with the share of dead units."""

    def patient(net, x):
        rows = units(net, x)
        return rows.assign(dead=rows["active"] == 0).groupby("layer", sort=False)

    def agreement(closed, dead):
        found = spearmanr(closed, dead).statistic
        return 0.0 if found != found else float(found)

    rates = (0.001, 0.003, 0.01, 0.02, 0.03)
    for name, make, (pair, _) in (
        ("dense networks, by rate", dense, halved()),
        ("convolutional networks, by rate", thumbnail_net, thumbnails()),
    ):
        means = []
        for lr in rates:
            fit(net := make(seed), pair, seed, lr=lr, steps=300)
            rows = units(net, pair[0])
            means.append((1 - rows["active"].mean(), (rows["active"] == 0).mean()))
        yield name, agreement(*zip(*means, strict=True))
    (x, y), _ = halved()
    fit(net := dense(seed, depth=7), (x, y), seed, lr=0.01, steps=300)
    layers = patient(net, x)
    yield "layers of one network", agreement(1 - layers["active"].mean(), layers["dead"].mean())
    z = nn.Linear(196, 50, bias=False)(x.flatten(1)).detach()
    z = torch.cat([z, -z], 1)
    half = torch.arange(100) < 50
    built = (z, z.abs() * torch.where(half, 1, -1), z - z.quantile(0.98, dim=0))
    shares = [(layer > 0).double().mean(0) for layer in built]
    dead = [float((share == 0).double().mean()) for share in shares]
    yield "layers built by hand", agreement([float(1 - s.mean()) for s in shares], dead)


def pooled_net(seed, pools, head, size, widths):
    """Return convolutions 3×3 of zero padding, each with a pool behind it or not, and a head."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers, n = [], 1
        for width in widths:
            layers += [nn.Conv2d(n, width, 3, padding=1), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if pools else []
            n, size = width, size // 2 if pools else size
        layers += [nn.AdaptiveAvgPool2d(1)] if head == "global" else []
        layers += [nn.Flatten(), nn.Linear(n * (1 if head == "global" else size**2), 10)]
        return nn.Sequential(*layers)


def a12(seed):
    """Parameters saved by pools, and what they add to the accuracy when fitted equally."""
    for head, pair, size, widths, loss, lr in (
        ("flatten", images(), 28, (8, 16), 0.1, 0.002),
        ("global", halved(), 14, (16, 32), 0.7, 0.01),
    ):
        (x, y), test = pair
        right, counts = [], []
        for pools in (False, True):
            net = pooled_net(seed, pools, head, size, widths)
            counts.append(geometry.parameter_count(net))
            fit_to(net, (x[:500], y[:500]), seed, loss, lr)
            right.append(accuracy(net, test))
        yield f"parameters, {head}", 1 - counts[1] / counts[0]
        yield f"accuracy, {head}", right[1] - right[0]
        yield f": accuracy with pools, {head}", right[1]


def e1(seed):
    """Loss on other images when 300 are fitted to a loss of 0.1: the other's less ReLU's."""
    (x, y), test = halved()
    few, rest = (x[:300], y[:300]), {}
    for name in ("relu", "sigmoid", "tanh", "identity"):
        fit_to(net := dense(seed, activation=name, init="pytorch"), few, seed, 0.1)
        rest[name] = train.evaluate(net, test)["loss"]
        yield f": loss, {name}", rest[name]
        yield f": loss on the images fitted, {name}", train.evaluate(net, few)["loss"]
        if name != "relu":
            yield f"dense, against {name}", rest[name] - rest["relu"]
    losses = []
    for name in ("relu", "tanh"):
        net = models.conv_stack(
            1,
            8,
            3,
            flatten_size=14,
            activation=name,
            init="pytorch",
            generator=repro.generator(seed),
        )
        fit_to(net, few, seed, 0.1)
        losses.append(train.evaluate(net, test)["loss"])
    yield "convolutional, against tanh", losses[1] - losses[0]


def fitted_error(seed, activation, x, target, units=16, restarts=3):
    """Return log10 of the RMS error of the best fit by one hidden layer, by L-BFGS."""
    errors = []
    for start in range(restarts):
        net = models.dense_stack(
            x.shape[1],
            units,
            2,
            1,
            activation=activation,
            init="he",
            generator=repro.generator(100 * seed + start),
        ).double()
        with torch.no_grad():
            net[1].bias.uniform_(-3, 3, generator=repro.generator(100 * seed + start))
        descent = torch.optim.LBFGS(
            net.parameters(), max_iter=600, history_size=30, line_search_fn="strong_wolfe"
        )

        def loss(net=net, descent=descent):
            descent.zero_grad()
            value = (net(x).squeeze(1) - target).square().mean()
            value.backward()
            return value

        descent.step(loss)
        errors.append(loss().sqrt().log10().item())
    return min(errors)


def e2(seed):
    """Decades by which 16 tanh units fit better than 16 others."""
    x = torch.linspace(-3, 3, 200, dtype=torch.float64)[:, None]
    phase = 6.28 * torch.rand(1, generator=repro.generator(seed), dtype=torch.float64)
    wave = torch.sin(2 * x[:, 0] + phase)
    zigzag = 2 / torch.pi * torch.asin(wave)
    (small, _), _ = thumbnails()
    signs = torch.randint(2, (300,), generator=repro.generator(seed)).double() * 2 - 1
    faces = small[:300].flatten(1).double()
    for name, inputs, target in (
        ("smooth wave", x, wave),
        ("zigzag", x, zigzag),
        ("random labels", faces, signs),
    ):
        tanh = fitted_error(seed, "tanh", inputs, target)
        yield f"against ReLU, {name}", fitted_error(seed, "relu", inputs, target) - tanh
        linear = fitted_error(seed, "identity", inputs, target, restarts=1)
        yield f"against no activation, {name}", linear - tanh


def e3(seed):
    """Of the units with a derivative of zero everywhere, the share that is ever above zero."""
    (x, y), _ = halved()
    rate, bias = dense(seed), dense(seed, bias_value=-5.0)
    fit(rate, (x, y), seed, lr=0.03)
    cases = {"killed by the rate": rate, "buried by the bias": bias}
    cases["born dead"] = dense(seed, width=8, depth=12)
    for name, net in cases.items():
        above, a = [], x.flatten(1)
        for layer in hidden(net):
            z = layer(a).detach().requires_grad_()
            a = torch.relu(z)
            (slope,) = torch.autograd.grad(a.sum(), z)
            above += (z > 0).any(0)[(slope == 0).all(0)].tolist()
        yield name, sum(above) / max(len(above), 1)
        yield f": {name}, units", len(above)
    z = torch.linspace(1e-3, 1e3, 1000, requires_grad=True)
    (slope,) = torch.autograd.grad(torch.relu(z).sum(), z)
    yield "the derivative above zero", (slope == 0).double().mean().item()


def e4(seed):
    """Accuracy on test images, less ReLU's, of a convolutional network."""
    training, test = halved()
    right = {}
    for name in ("relu", "leaky_relu", "prelu"):
        net = models.conv_stack(
            1,
            16,
            4,
            flatten_size=14,
            activation=name,
            init="pytorch",
            generator=repro.generator(seed),
        )
        fit(net, training, seed, lr=0.002, steps=400)
        right[name] = accuracy(net, test)
        yield f": accuracy, {name}", right[name]
        if name != "relu":
            yield f"convolutional, {name}", right[name] - right["relu"]


def placed(seed, convolutions, places, activation):
    """Return convolutions and two dense layers, with an activation in the places named."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers, n, size = [], 1, 14
        for k in range(convolutions):
            layers.append((f"conv{k}", nn.Conv2d(n, 8, 3)))
            if "conv" in places:
                layers.append((f"after conv{k}", as_activation(activation).module()))
            n, size = 8, size - 2
        layers += [("flatten", nn.Flatten()), ("dense", nn.Linear(n * size**2, 32))]
        if "dense" in places:
            layers.append(("after dense", as_activation(activation).module()))
        layers.append(("last", nn.Linear(32, 10)))
        if "last" in places:
            layers.append(("after last", as_activation(activation).module()))
        return nn.Sequential(OrderedDict(layers))


def e6(seed):
    """Accuracy with the activation after convolutions and after the dense layer, less without."""
    training, test = halved()
    for name, count, others in (
        ("relu", 1, ((), ("conv",), ("dense",), ("conv", "dense", "last"))),
        ("sigmoid", 1, (("conv",), ("dense",))),
        ("relu", 3, (("conv",), ("dense",))),
    ):
        right = {}
        for places in (("conv", "dense"), *others):
            fit(net := placed(seed, count, places, name), training, seed, lr=0.002, steps=800)
            right["+".join(places) or "none"] = accuracy(net, test)
            yield f": accuracy, {name}, {count}, {'+'.join(places) or 'none'}", accuracy(net, test)
        both = right.pop("conv+dense")
        for places, found in right.items():
            last = places == "conv+dense+last"
            yield f"{name}, {count}, {places}", found - both if last else both - found


CLAIMS = (a2, a3, a5, a6, a7, a10, a12, e1, e2, e3, e4, e6)


def run(seed, claim):
    """Return a row for each setting of a claim."""
    repro.seed_all(seed)
    judge = next(judge for judge in CLAIMS if judge.__name__ == claim.lower())
    return [{"setting": name, "effect": float(effect)} for name, effect in judge(seed)]
