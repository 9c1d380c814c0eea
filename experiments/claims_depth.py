"""Claims on depth that no other table decides: one effect a setting, in the direction of the claim.

A network's *loss over depth* is how many decades the RMS of ∂L/∂z loses from the last hidden layer
to the first, on 100 images in training mode; below zero it grows. Dense networks on Fashion images,
unless a setting says otherwise; a number under B7, B10, C4 or C5 is the mean over several networks.
"Stuck" units are dead or, of sigmoid and tanh, have under 5 % of their largest slope on over 95 %
of the images. Each claim's rule is in ``chapters/verdicts/trials_depth.py``.
"""

import copy
import math
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LinearLR

from cnnbook import data, init, models, probes, train

from ._images import images

SEEDS = range(10)
TOLERANCES = {"effect": 0.1}
WIDTH, CLIP = 64, 0.1


def stack(depth, start="he", activation="relu", width=WIDTH, **how):
    """Return a dense network; a number as start is σ_w² of Gaussian weights without biases."""
    if isinstance(start, float):
        start = partial(init.gaussian_, sigma_w2=start)
    return models.dense_stack(784, width, depth, activation=activation, init=start, **how)


def few(count):
    """Return the first images and labels of the training split."""
    (x, y), _ = images()
    return x[:count], y[:count]


def lost(net, batch=None):
    """Return the decades of RMS ∂L/∂z lost from the last hidden layer to the first."""
    batch = few(100) if batch is None else batch
    table = probes.measure(net, [batch], loss=F.cross_entropy, training=True)
    hidden = table.loc[table["op"] != "", "grad_z"].to_numpy()[:-1]
    return math.log10(hidden[-1]) - math.log10(hidden[0])


def scaled(net, factor):
    """Return a copy whose hidden weights are multiplied by ``factor``."""
    net = copy.deepcopy(net)
    with torch.no_grad():
        for layer in init.weight_layers(net)[:-1]:
            layer.weight *= factor
    return net


def clip(net, *_):
    """Clip all weights, in place."""
    with torch.no_grad():
        for layer in init.weight_layers(net):
            layer.weight.clamp_(-CLIP, CLIP)
    return net


def learn(net, seed, lr, *, optimizer="sgd", steps=200, batch_size=32, images=500, **how):
    """Train a copy of a network; return the copy and its history."""
    net = copy.deepcopy(net)
    how |= {"optimizer": optimizer, "lr": lr, "batch_size": batch_size}
    return net, train.fit(net, few(images), steps=steps, seed=seed, **how)


def after(net, seed, lr, **how):
    """Return the loss over depth after training, or of the last finite weights."""
    return lost(learn(net, seed, lr, **how)[0])


def b1(_):
    """Twice the depth, and how much more is lost."""
    kinds = {
        "sigmoid, He's start": ("he", "sigmoid", {}),
        "ReLU, PyTorch's start": ("pytorch", "relu", {}),
        "ReLU, He's start": ("he", "relu", {}),
        "ReLU, PyTorch's start, skips": ("pytorch", "relu", {"residual": 2}),
    }
    for name, (start, activation, how) in kinds.items():
        shallow, deep = (lost(stack(d, start, activation, 100, **how)) for d in (12, 22))
        yield name, deep - shallow


def b2(seed):
    """What training adds to the loss over depth."""
    kinds = {
        "12 sigmoid layers": (stack(12, 1.0, "sigmoid"), 0.03),
        "12 ReLU layers, He's start": (stack(12), 0.03),
        "4 tanh layers": (stack(4, 1.0, "tanh"), 0.03),
        "8 tanh layers, a learning rate of 1": (stack(8, 1.0, "tanh"), 1.0),
    }
    for name, (net, lr) in kinds.items():
        yield name, after(net, seed, lr) - lost(net)


def b3(_):
    """What halving the hidden weights takes from the first layer's gradient."""
    for name, net in {
        "ReLU, from He's start": stack(10),
        "tanh, from σ_w² = 1": stack(10, 1.0, "tanh"),
        "sigmoid, from He's start": stack(10, "he", "sigmoid"),
        "ReLU with batch norm, from He's start": stack(10, normalization="batch"),
    }.items():
        norms = [gradient(part) for part in (net, scaled(net, 0.5))]
        yield name, norms[0] - norms[1]


def gradient(net):
    """Return log10 of the RMS of the gradient of the first layer's weights."""
    table = probes.measure(net, [few(100)], loss=F.cross_entropy, training=True)
    return math.log10(table["grad_weight"].dropna().iloc[0])


def b5(_):
    """What twenty hidden layers of ReLU gain, which is to be no great loss."""
    for name, start in (("He", "he"), ("Xavier", "xavier"), ("PyTorch", "pytorch")):
        yield f"{name}'s start", -lost(stack(21, start, width=100))


def b6(seed):
    """What clipped weights spare, at the start and in every step."""
    for name, start, activation in (
        ("ReLU, He's start", "he", "relu"),
        ("ReLU, PyTorch's start", "pytorch", "relu"),
        ("sigmoid, He's start", "he", "sigmoid"),
    ):
        net = stack(8, start, activation)
        yield name, lost(net) - lost(clip(copy.deepcopy(net)))
    net = stack(8, 1.0, "tanh")
    bound = copy.deepcopy(net)
    train.fit(
        bound,
        few(500),
        steps=200,
        batch_size=32,
        optimizer="sgd",
        lr=1.0,
        seed=seed,
        on_step=partial(clip, bound),
    )
    yield "tanh, a learning rate of 1, clipped in every step", after(net, seed, 1.0) - lost(bound)


def b7(seed):
    """What linear decay spares, against the same first rate throughout."""
    kinds = {
        "8 sigmoid layers, SGD": ("sigmoid", 0.1, "sgd", 1),
        "8 sigmoid layers, Adam": ("sigmoid", 0.003, "adam", 8),
        "8 tanh layers, SGD at a rate of 1/2": ("tanh", 0.5, "sgd", 2),
        "8 tanh layers, SGD at a rate of 1": ("tanh", 1.0, "sgd", 12),
    }
    fall = partial(LinearLR, start_factor=1.0, end_factor=0.01, total_iters=200)
    for name, (activation, lr, optimizer, count) in kinds.items():
        spared = 0.0
        for net in [stack(8, 1.0, activation) for _ in range(count)]:
            ends = [
                after(net, seed, lr, optimizer=optimizer, schedule=schedule)
                for schedule in (None, fall)
            ]
            spared += (ends[0] - ends[1]) / count
        yield name, spared


def nearer(first, second, batch=None):
    """Return by how many decades the second network is nearer to losing nothing."""
    return abs(lost(first, batch)) - abs(lost(second, batch))


def b8(_):
    """What batch norm brings: decades nearer to level, before training."""
    for name, start, activation in (
        ("ReLU, PyTorch's start", "pytorch", "relu"),
        ("sigmoid, PyTorch's start", "pytorch", "sigmoid"),
        ("ReLU, He's start", "he", "relu"),
        ("tanh, σ_w² = 1", 1.0, "tanh"),
    ):
        plain, norm = (
            stack(21, start, activation, 100, normalization=kind) for kind in (None, "batch")
        )
        yield name, nearer(plain, norm)


def b9(_):
    """What skips bring: decades nearer to level, before training."""
    for name, start, how in (
        ("PyTorch's start", "pytorch", {}),
        ("He's start with batch norm", "he", {"normalization": "batch"}),
        ("He's start", "he", {}),
    ):
        yield name, nearer(stack(22, start, **how), stack(22, start, residual=2, **how))


def b10(_):
    """What twenty convolutions of 16 channels lose more than dense layers of equal fan_in."""
    for size, padding in ((4, "circular"), (28, "circular"), (4, "zeros"), (28, "zeros")):
        x, y = few(16)
        x = data.standardize(F.adaptive_avg_pool2d(x, size))
        how = {"padding": padding, "flatten_size": size}
        nets = [models.conv_stack(1, 16, 22, **how) for _ in range(10)]
        dense = [models.dense_stack(size * size, 144, 22) for _ in range(10)]
        kept = [sum(lost(net, (x, y)) for net in group) / 10 for group in (nets, dense)]
        yield f"{size} × {size} pixels, {padding} around", kept[0] - kept[1]


def dead(net):
    """Return the share of hidden units that are dead on the first 2,000 images."""
    return probes.measure(net, [few(2000)[0]])["dead"].mean()


def c1(seed):
    """Dead units after training that an ill start adds to those of He's."""
    net = stack(8)
    ends = [dead(learn(scaled(net, c), seed, 0.003, images=2000)[0]) for c in (1.0, 0.5, 2.0)]
    yield "gradients vanish: He's weights halved", ends[1] - ends[0]
    yield "gradients explode: He's weights doubled", ends[2] - ends[0]


def stuck(net, x, column):
    """Return the share of hidden units that are dead or saturated."""
    return probes.measure(net, [x])[column].iloc[:-1].mean()


def c2(seed):
    """Stuck units of article C's network that go when sigmoid or tanh makes room for ReLU."""
    pixels = 255 * data.load().train.x[:2000]
    _, y = few(2000)
    for name, x in (("standardised", few(2000)[0]), ("pixels from 0 to 255", pixels)):
        shares = {}
        for activation in ("relu", "sigmoid", "tanh"):
            torch.manual_seed(seed)
            net = stack(3, "xavier", activation, 128)
            train.fit(net, (x, y), steps=200, batch_size=32, lr=1e-3, seed=seed)
            shares[activation] = stuck(net, x, "dead" if activation == "relu" else "saturated")
        for activation in ("sigmoid", "tanh"):
            yield f"{activation}, {name}", shares[activation] - shares["relu"]


def c3(seed):
    """Accuracy that batch norm adds: as training goes on, and at last on the test images."""
    _, test = images()
    kinds = {
        "3 layers, batches of 2": (3, 2, (0.001, 0.01)),
        "50 layers, batches of 64": (50, 64, (0.001, 0.01)),
    }
    for name, (depth, batch_size, rates) in kinds.items():
        early, late = [], []
        for norm in (None, "batch"):
            torch.manual_seed(seed)
            net = stack(depth, normalization=norm)
            how = {"batch_size": batch_size, "images": 4000, "momentum": 0.9, "steps": 200}
            runs = [learn(net, seed, lr, **how) for lr in rates]
            early.append(max(history.epochs["train_accuracy"].mean() for _, history in runs))
            late.append(max(train.evaluate(net, test)["accuracy"] for net, _ in runs))
        yield f"{name}: in training", early[1] - early[0]
        yield f"{name}: test", late[1] - late[0]


def uniform(scheme, net):
    """Start by the uniform form of a scheme."""
    return scheme(net, distribution="uniform")


def c5(_):
    """Decades less lost with the distribution that article C wants than with the other one."""
    for activation, sign in (("relu", 1), ("sigmoid", -1), ("tanh", -1)):
        forms = (partial(uniform, init.xavier_), "xavier")
        means = [
            sum(abs(lost(stack(11, form, activation, 256))) for _ in range(5)) / 5 for form in forms
        ]
        yield activation, sign * (means[1] - means[0])


def c6(_):
    """How far a layer is from holding the gradient, in decades and below zero, if Var w = 2."""
    for activation, width in (("relu", 64), ("tanh", 64), ("sigmoid", 64), ("sigmoid", 512)):
        net = stack(11, "he", activation, width)
        with torch.no_grad():
            for layer in init.weight_layers(net):
                law = (torch.rand_like(layer.weight) * 2 - 1) * math.sqrt(6)
                law = law if activation == "relu" else torch.randn_like(law) * math.sqrt(2)
                layer.weight.copy_(law)
        yield f"{activation}, width {width}", -abs(lost(net)) / 9


def softmaxed(z, y):
    """Return article C's loss: that of logits, on what is none."""
    return F.cross_entropy(z.softmax(1), y)


def c_net(dropout=0.0):
    """Return article C's network as its framework starts it: Xavier's uniform form."""
    return stack(3, partial(uniform, init.xavier_), "relu", 128, dropout=dropout)


def as_in_c(net, seed, batch, loss=softmaxed):
    """Train a network as article C does; return the masks of units dead before and after."""
    with probes.Census(net, [batch[0]], every=100) as census:
        train.fit(net, batch, steps=100, batch_size=1000, lr=1e-3, loss=loss, seed=seed)
    states = census.states().astype(bool)
    return states.iloc[:, 0], states.iloc[:, -1]


def c4(seed):
    """Dead units that go with dropout of one half."""
    noise = torch.rand(1000, 784), torch.randint(10, (1000,))
    gone = 0.0
    for _ in range(4):
        ends = [as_in_c(c_net(p), seed, noise)[1].mean() for p in (0.0, 0.5)]
        gone += (ends[0] - ends[1]) / 4
    yield "article C's network", gone
    how, gone = {"optimizer": "adam", "steps": 500, "images": 10000}, 0.0
    for _ in range(2):
        nets = [learn(stack(3, width=100, dropout=p), seed, 0.01, **how)[0] for p in (0.0, 0.5)]
        gone += (dead(nets[0]) - dead(nets[1])) / 2
    yield "Adam at 0.01", gone


def c7(seed):
    """Dead units of article C's network on all that it is trained on, and how many were killed."""
    noise, labels = torch.rand(1000, 784), torch.randint(10, (1000,))
    for name, batch, loss in (
        ("as the article trains it", (noise, labels), softmaxed),
        ("loss mended", (noise, labels), F.cross_entropy),
        ("Fashion images, standardised", few(1000), F.cross_entropy),
        ("noise centred", (noise - 0.5, labels), softmaxed),
    ):
        born, end = as_in_c(c_net(), seed, batch, loss)
        yield name, end.mean()
        yield f"{name}: killed", (end & ~born).mean()


def d1(_):
    """Digits to which a product over layers gives the first layer's gradient."""
    widths = [20, 20, 20, 20, 20, 5]
    weights = [torch.randn(m, 20, dtype=torch.double) / 20**0.5 for m in widths]
    a, zs = torch.randn(20, dtype=torch.double), []
    for weight in weights:
        zs.append((weight @ a).requires_grad_())
        a = zs[-1].tanh()
    loss = zs[-1].logsumexp(0) - zs[-1][0]
    first, last = torch.autograd.grad(loss, [zs[0], zs[-1]])
    jacobians = [
        weight * (1 - z.detach().tanh() ** 2)
        for weight, z in zip(weights[1:], zs[:-1], strict=True)
    ]
    right = torch.linalg.multi_dot([last[None], *reversed(jacobians)])[0]
    wrong = torch.linalg.multi_dot([last[None], jacobians[-1], *jacobians[:-1]])[0]
    stretch = math.prod((j.square().sum() / len(j)).sqrt().item() for j in jacobians)
    exact = first.norm()
    yield "Jacobians in their order", digits((right - first).norm() / exact)
    yield "Jacobians in another order", digits((wrong - first).norm() / exact)
    yield "one number a layer", digits((last.norm() * stretch - exact).abs() / exact)


def digits(error):
    """Return how many decimal digits a relative error leaves right, sixteen at most."""
    return min(-math.log10(error.item() + 1e-300), 16.0)


def d2(seed):
    """Decades a layer lost more by saturated tanh and sigmoid than by unsaturated ones."""
    plain = {name: stack(11, 1.0, name) for name in ("tanh", "sigmoid")}
    level = {name: lost(net) / 9 for name, net in plain.items()}
    yield "sigmoid, weights times 16", lost(scaled(plain["sigmoid"], 16)) / 9 - level["sigmoid"]
    yield "tanh, weights times 4", lost(scaled(plain["tanh"], 4)) / 9 - level["tanh"]
    shifted = copy.deepcopy(plain["tanh"])
    for layer in init.weight_layers(shifted):
        nn.init.constant_(layer.bias, 2.0)
    yield "tanh, all biases 2", lost(shifted) / 9 - level["tanh"]
    net = stack(8, 1.0, "tanh")
    yield "tanh, trained at a rate of 1", (after(net, seed, 1.0) - lost(net)) / 6


def d3(_):
    """Decades gained over ten hidden layers whose weights are twice those of He's start."""
    for activation in ("relu", "tanh", "sigmoid"):
        yield activation, -lost(scaled(stack(11, "he", activation, 100), 2.0))


def d4(seed):
    """Decades by which biases and rates move the gradient, in the direction claimed."""
    biased = {}
    for name, start, activation, values in (
        ("vanish", 1.0, "tanh", (2.0,)),
        ("explode", "he", "relu", (0.1, 0.3, 1.0, 3.0)),
    ):
        net, found = stack(17, start, activation, 100), []
        for value in values:
            other = copy.deepcopy(net)
            for layer in init.weight_layers(other):
                nn.init.constant_(layer.bias, value)
            found.append(lost(other) - lost(net))
        biased[name] = max(found) if name == "vanish" else -min(found)
    yield "biases, vanishing: tanh", biased["vanish"]
    yield "biases, explosion: ReLU, the worst of four", biased["explode"]
    net = stack(8, 1.0, "tanh")
    yield "rates, vanishing: tanh at 1", after(net, seed, 1.0) - lost(net)
    norms = learn(stack(8), seed, 1.0, record_norm=True)[1].steps["gradient_norm"]
    norms = norms[norms.notna() & (norms < math.inf)]
    yield "rates, explosion: ReLU at 1", math.log10(norms.max() / norms.iloc[0])


def d5(_):
    """What batch norm brings, by the scale of the weights and the size of the batch."""
    plain, norm = stack(21, width=100), stack(21, width=100, normalization="batch")
    for name, factor in (("half of He's", 0.5), ("twice He's", 2.0)):
        yield f"weights {name}", nearer(scaled(plain, factor), scaled(norm, factor))
    yield "He's weights", nearer(plain, norm)
    yield "He's weights, batches of 4", nearer(plain, norm, few(4))


CLAIMS = (b1, b2, b3, b5, b6, b7, b8, b9, b10, c1, c2, c3, c4, c5, c6, c7, d1, d2, d3, d4, d5)
GRID = {"claim": [claim.__name__.upper() for claim in CLAIMS]}


def run(seed, claim):
    """Return a claim's effects, one row a setting."""
    rows = globals()[claim.lower()](seed)
    return [{"setting": setting, "effect": effect} for setting, effect in rows]
