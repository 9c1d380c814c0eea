"""``probes``: tables against brute force, nothing disturbed, nothing left, bad input named."""

import copy
import gc
import io
import math
import random
import subprocess
import sys
import weakref

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.modules import module as nn_module
from torch.optim import optimizer as optim_module

from cnnbook import _kernels, models, probes
from cnnbook._calls import ACTIVATIONS
from cnnbook.probes import Census, Probe, measure, slope

# ---------------------------------------------------------------- helpers


def row(table, layer):
    return table.set_index("layer").loc[layer]


class Function(nn.Module):
    """A model that is one function of x, and of its parts by name."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.function(self, x)


def small(seed=0, inplace=False):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3),
        nn.BatchNorm2d(3),
        nn.ReLU(inplace=inplace),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(3 * 16, 5),
        nn.Tanh(),
        nn.Linear(5, 2),
    )


def batches(count=3, n=4, seed=1):
    g = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(n, 1, 6, 6, generator=g), torch.randint(0, 2, (n,), generator=g))
        for _ in range(count)
    ]


def registered():
    """How many hooks there are that see every module or optimiser, and modes."""
    return (
        len(nn_module._global_forward_hooks),
        len(nn_module._global_forward_pre_hooks),
        len(optim_module._global_optimizer_pre_hooks),
        len(optim_module._global_optimizer_post_hooks),
        torch._C._len_torch_function_stack(),
    )


def hooks_on(model):
    return sum(
        len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks)
        for m in model.modules()
    ) + sum(len(p._backward_hooks or ()) for p in model.parameters())


@pytest.fixture(autouse=True)
def nothing_stays():
    before = registered()
    yield
    assert registered() == before
    assert probes._watch._listeners == []
    assert Probe._alone is None


# ---------------------------------------------------------------- moments and shares, by NumPy


def _sigmoid(z):
    return 0.5 * (1 + np.tanh(z / 2))


def _cdf(z):
    return np.vectorize(lambda t: 0.5 * math.erfc(-t / math.sqrt(2)))(z)


def _exp(z):
    return np.exp(np.minimum(z, 0))


_A, _S = 1.6732632423543772, 1.0507009873554805
# φ, φ′ and max |φ′|, as the textbook has them; at a kink, PyTorch's choice.
FORMULAS = {
    "relu": (nn.ReLU(), lambda z: np.maximum(z, 0), lambda z: z > 0, 1),
    "sigmoid": (nn.Sigmoid(), _sigmoid, lambda z: _sigmoid(z) * _sigmoid(-z), 0.25),
    "tanh": (nn.Tanh(), np.tanh, lambda z: 1 - np.tanh(z) ** 2, 1),
    "prelu": (
        nn.PReLU(3),
        lambda z: np.where(z > 0, z, 0.25 * z),
        lambda z: np.where(z > 0, 1, 0.25),
        1,
    ),
    "log_sigmoid": (
        nn.LogSigmoid(),
        lambda z: -np.logaddexp(0, -z),
        lambda z: _sigmoid(-z),
        1,
    ),
    "leaky_relu": (
        nn.LeakyReLU(0.01),
        lambda z: np.where(z > 0, z, 0.01 * z),
        lambda z: np.where(z > 0, 1, 0.01),
        1,
    ),
    "relu6": (
        Function(lambda m, x: F.relu6(x, True)),
        lambda z: np.clip(z, 0, 6),
        lambda z: (z > 0) & (z < 6),
        1,
    ),
    "hardtanh": (
        nn.Hardtanh(-0.5, 2),
        lambda z: np.clip(z, -0.5, 2),
        lambda z: (z > -0.5) & (z < 2),
        1,
    ),
    "elu": (
        nn.ELU(2.0, inplace=True),
        lambda z: np.where(z > 0, z, 2 * (_exp(z) - 1)),
        lambda z: np.where(z > 0, 1, 2 * _exp(z)),
        2,
    ),
    "selu": (
        nn.SELU(),
        lambda z: _S * np.where(z > 0, z, _A * (_exp(z) - 1)),
        lambda z: _S * np.where(z > 0, 1, _A * _exp(z)),
        _S * _A,
    ),
    "celu": (
        nn.CELU(0.5),
        lambda z: np.where(z > 0, z, 0.5 * (_exp(2 * z) - 1)),
        lambda z: np.where(z > 0, 1, _exp(2 * z)),
        1,
    ),
    "gelu": (
        nn.GELU(),
        lambda z: z * _cdf(z),
        lambda z: _cdf(z) + z * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi),
        1.1289042,
    ),
    "silu": (
        nn.SiLU(),
        lambda z: z * _sigmoid(z),
        lambda z: _sigmoid(z) * (1 + z * _sigmoid(-z)),
        1.0998395,
    ),
    "mish": (
        nn.Mish(),
        lambda z: z * np.tanh(np.logaddexp(0, z)),
        lambda z: (
            np.tanh(np.logaddexp(0, z)) + z * _sigmoid(z) * (1 - np.tanh(np.logaddexp(0, z)) ** 2)
        ),
        1.0884913,
    ),
    "softplus": (nn.Softplus(), lambda z: np.logaddexp(0, z), _sigmoid, 1),
    "hardswish": (
        nn.Hardswish(),
        lambda z: z * np.clip(z + 3, 0, 6) / 6,
        lambda z: np.where(z < -3, 0, np.where(z < 3, z / 3 + 0.5, 1)),
        1.5,
    ),
    "hardsigmoid": (
        nn.Hardsigmoid(),
        lambda z: np.clip(z + 3, 0, 6) / 6,
        lambda z: (np.abs(z) < 3) / 6,
        1 / 6,
    ),
    "softsign": (nn.Softsign(), lambda z: z / (1 + abs(z)), lambda z: 1 / (1 + abs(z)) ** 2, 1),
    "tanhshrink": (nn.Tanhshrink(), lambda z: z - np.tanh(z), lambda z: np.tanh(z) ** 2, 1),
    "hardshrink": (
        nn.Hardshrink(),
        lambda z: np.where(abs(z) > 0.5, z, 0),
        lambda z: abs(z) > 0.5,
        1,
    ),
    "softshrink": (
        nn.Softshrink(),
        lambda z: np.sign(z) * np.maximum(abs(z) - 0.5, 0),
        lambda z: abs(z) > 0.5,
        1,
    ),
}


def test_every_activation_of_the_table_is_tested():
    assert set(FORMULAS) == set(ACTIVATIONS)


def identity_conv(units):
    """A convolution that gives back its input."""
    conv = nn.Conv1d(units, units, 1, groups=units, bias=False).double()
    nn.init.ones_(conv.weight)
    return conv


@given(
    name=st.sampled_from(sorted(FORMULAS)),
    sizes=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 40)), min_size=1, max_size=3),
    scale=st.sampled_from([0.1, 1.0, 5.0]),
    shifts=st.lists(st.sampled_from([-8.0, -2.0, 0.0, 0.3, 8.0]), min_size=3, max_size=3),
    tau=st.sampled_from([0.0, 0.025, 0.5, 2.0]),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=80)
def test_moments_and_shares_are_those_of_numpy(name, sizes, scale, shifts, tau, seed):
    module, phi, slope_of, steepest = FORMULAS[name]
    rng = np.random.default_rng(seed)
    parts = [
        rng.normal(0, scale, (n, 3, positions)) + np.array(shifts)[:, None]
        for n, positions in sizes
    ]
    model = nn.Sequential(identity_conv(3), copy.deepcopy(module).double())
    probe = Probe(model, tau=tau)
    with probe:
        for part in parts:
            model(torch.from_numpy(part))
    units, table = probe.units(), probe.table()

    z = np.concatenate([part.transpose(1, 0, 2).reshape(3, -1) for part in parts], axis=1)
    a, slopes = phi(z), np.abs(slope_of(z) * 1.0)
    # Derivatives that are zero only by rounding differ from one formula to another.
    close = ((slopes > 0) & (slopes < 1e-12)).any() or np.isclose(slopes, 0.05 * steepest).any()
    active = (slopes != 0).mean(1)
    expected = {
        "dead": active == 0,
        "sparse": (active > 0) & (active < 0.01),
        "saturated": (slopes < 0.05 * steepest).mean(1) > 0.95,
        "dormant": abs(a).mean(1) <= tau * abs(a).mean(),
    }
    assert table["activation"].tolist() == [name] and table["op"].tolist() == ["conv1d"]
    assert table["images"][0] == sum(n for n, _ in sizes)
    assert table["positions"][0] == z.shape[1] and (units["positions"] == z.shape[1]).all()
    for values, letter in ((z, "z"), (a, "a")):
        np.testing.assert_allclose(units[f"{letter}_mean"], values.mean(1), atol=1e-9)
        np.testing.assert_allclose(units[f"{letter}_std"], values.std(1), atol=1e-6)
        assert table[f"{letter}_mean"][0] == pytest.approx(values.mean(), abs=1e-9)
        assert table[f"{letter}_std"][0] == pytest.approx(values.std(), abs=1e-6)
    if not close:
        np.testing.assert_allclose(units["active"], active, atol=1e-12)
        flat = (slopes < 0.05 * steepest).mean(1)
        np.testing.assert_allclose(units["flat"], flat, atol=1e-12)
        assert table["flat"][0] == pytest.approx(flat.mean())
        for column, verdict in expected.items():
            assert units[column].tolist() == verdict.tolist(), column
            assert table[column][0] == pytest.approx(verdict.mean())
    assert table["nonfinite"][0] == 0


@pytest.mark.parametrize(
    ("active", "positions", "verdicts"),  # dead, sparse, saturated
    [
        (0, 200, (True, False, True)),
        (1, 200, (False, True, True)),
        (2, 200, (False, False, True)),  # 1 % is not under 1 %
        (9, 200, (False, False, True)),
        (10, 200, (False, False, False)),  # saturated at 95 % is not over 95 %
        (1, 20, (False, False, False)),
    ],
)
def test_the_edges_of_the_definitions(active, positions, verdicts):
    z = -torch.ones(1, 1, positions, dtype=torch.float64)
    z[0, 0, :active] = 1
    model = nn.Sequential(identity_conv(1), nn.ReLU())
    units = measure(model, [z], units=True)
    assert tuple(units.loc[0, ["dead", "sparse", "saturated"]]) == verdicts


def test_a_slope_at_the_edge_is_not_saturated():
    z = -torch.ones(1, 1, 4)
    for value, verdict in ((0.05, False), (0.0499, True)):
        model = nn.Sequential(identity_conv(1).float(), nn.LeakyReLU(value))
        assert measure(model, [z])["saturated"][0] == verdict


def test_zero_is_dead_for_relu_and_dormant_at_the_threshold():
    model = nn.Sequential(identity_conv(2), nn.ReLU())
    z = torch.tensor([[[0.0], [1.0]]], dtype=torch.float64)
    units = measure(model, [z], units=True)
    assert units["dead"].tolist() == [True, False]
    assert units["dormant"].tolist() == [True, False]
    z = torch.tensor([[[1.0], [3.0]]], dtype=torch.float64)  # mean 2, so the first is at one half
    assert measure(model, [z], units=True, tau=0.5)["dormant"].tolist() == [True, False]
    assert measure(model, [z], units=True, tau=0.49)["dormant"].tolist() == [False, False]


def test_each_prelu_unit_has_its_own_steepest_slope():
    model = nn.Sequential(identity_conv(2).float(), nn.PReLU(2))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([30.0, 0.01]))
    z = torch.cat([-torch.ones(1, 2, 8), torch.ones(1, 2, 2)], dim=2)
    assert measure(model, [z], units=True)["saturated"].tolist() == [False, False]
    assert measure(model, [-torch.ones(1, 2, 8)], units=True)["saturated"].tolist() == [False, True]


@pytest.mark.parametrize("images", [1, 255, 256, 600])
@pytest.mark.parametrize("shape", [(3, 5, 5), (2, 4, 2), (1, 1, 1)])
def test_active_positions_are_counted_over_many_images(images, shape):
    torch.manual_seed(0)
    x = torch.randn(images, *shape)
    x[:, 0] = x[:, 0].abs() + 1  # every position of every image
    units = measure(nn.ReLU(), [x[:3], x, x[:1]], units=True)
    every = torch.cat([x[:3], x, x[:1]])
    np.testing.assert_array_equal(units["active"], (every > 0).double().mean((0, 2, 3)))


# ---------------------------------------------------------------- torchvision, by brute force

# Non-zero derivative, by hand.
MOVES = {
    "ReLU": lambda z: z > 0,
    "Hardswish": lambda z: (z > -3) & (2 * z != -3),
    "Hardsigmoid": lambda z: z.abs() < 3,
}
TORCHVISION = {
    "alexnet": ("AlexNet", 63, {}),
    "vgg11": ("VGG", 32, {"init_weights": False}),
    "resnet18": ("ResNet", 32, {}),
    "densenet121": ("DenseNet", 32, {}),
    "mobilenet_v3_small": ("MobileNetV3", 32, {}),
}


def total_loss(output, y):
    return F.cross_entropy(output, y, reduction="sum")


def torchvision_model(name):
    from torchvision import models as vision

    torch.manual_seed(0)
    _, size, options = TORCHVISION[name]
    model = getattr(vision, name)(num_classes=5, **options).eval()
    with torch.no_grad():  # a third of the units before each activation dies
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.bias[::3] = -50
        if name in ("alexnet", "vgg11"):
            for module in list(model.modules()):
                if isinstance(module, nn.Conv2d):
                    module.bias[::3] = -50
    if name in ("alexnet", "vgg11"):  # frozen, as in transfer learning; and it is large
        next(m for m in model.classifier if isinstance(m, nn.Linear)).weight.requires_grad_(False)
    x = torch.randn(5, 3, size, size)
    return model, x, torch.arange(5)


def brute_force(model, x, y):
    """Every activation call in order: (z, a, φ′ ≠ 0, ∂L/∂z), over all images at once."""
    calls, flags, handles = [], [], []
    for module in model.modules():
        if hasattr(module, "inplace"):
            flags.append((module, module.inplace))
            module.inplace = False
        if type(module).__name__ in MOVES:

            def see(module, args, output):
                z = args[0]
                z.retain_grad()
                calls.append((z, output, MOVES[type(module).__name__](z.detach())))

            handles.append(module.register_forward_hook(see))
    if type(model).__name__ == "DenseNet":  # its last ReLU is a function

        def see_last(module, args, output):
            output.retain_grad()
            calls.append((output, output.clamp(min=0), output.detach() > 0))

        model.features.norm5.register_forward_hook(see_last)  # a copy is thrown away
        for module in model.modules():
            module.inplace = False
        original = F.relu
        F.relu = lambda value, inplace=False: original(value)
    try:
        total_loss(model(x), y).backward()
    finally:
        if type(model).__name__ == "DenseNet":
            F.relu = original
        for module, flag in flags:
            module.inplace = flag
        for handle in handles:
            handle.remove()
    return [(z.detach(), a.detach(), moves, z.grad) for z, a, moves in calls]


NAMES = {  # activation of some rows
    "alexnet": {"features.0": "relu", "classifier.1": "relu", "classifier.6": ""},
    "vgg11": {"features.0": "relu", "classifier.6": ""},
    "resnet18": {  # behind the sum, a shared module
        "conv1": "relu",
        "layer1.0.conv1": "relu",
        "layer1.0.conv2": "",
        "layer1.0.relu": "relu",
    },
    "densenet121": {"relu()": "relu", "features.denseblock1.denselayer1.relu1": "relu"},
    "mobilenet_v3_small": {
        "features.0.0": "hardswish",
        "features.1.block.1.fc1": "relu",
        "features.1.block.1.fc2": "hardsigmoid",
    },
}


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision_agrees_with_brute_force(name):
    model, x, y = torchvision_model(name)
    probe = Probe(model)
    with probe:
        for part in (slice(0, 2), slice(2, 5)):
            total_loss(model(x[part]), y[part]).backward()
    table, units = probe.table(), probe.units()
    assert probe.unseen == ()
    assert hooks_on(model) == 0
    activations = table.set_index("layer")["activation"]
    assert {layer: activations[layer] for layer in NAMES[name]} == NAMES[name]

    squares = dict.fromkeys(dict(model.named_parameters()), 0.0)  # of each backward pass
    for part in (slice(0, 2), slice(2, 5)):
        model.zero_grad()
        total_loss(model(x[part]), y[part]).backward()
        for key, p in model.named_parameters():
            mean = p.grad.double().square().mean().item() if p.requires_grad else math.nan
            squares[key] += mean / 2
    weights = table[table["op"] != ""]
    assert len(weights) == sum(isinstance(m, nn.Conv2d | nn.Linear) for m in model.modules())
    assert weights["depth"].tolist() == list(range(1, len(weights) + 1))
    for layer, value in weights.set_index("layer")["grad_weight"].items():
        assert value == pytest.approx(
            math.sqrt(squares[f"{layer}.weight"]), rel=1e-4, nan_ok=True
        ), layer

    model.zero_grad()
    calls = brute_force(model, x, y)
    rows = table[table["activation"] != ""].reset_index()
    assert len(rows) == len(calls)
    dead = 0
    for (z, a, moves, grad), expected in zip(calls, rows.to_dict("records"), strict=True):
        axes = (0, *range(2, z.ndim))
        layer = expected["layer"]
        assert expected["images"] == 5
        assert expected["units"] == z.shape[1]
        truth = ~moves.any(0) if z.ndim == 2 else ~moves.amax(axes)
        mine = units[units["layer"] == layer]
        assert mine["dead"].tolist() == truth.tolist(), layer
        assert expected["dead"] == pytest.approx(truth.double().mean().item())
        dead += int(truth.sum())
        for column, value in (
            ("z_mean", z.double().mean()),
            ("z_std", z.double().std(correction=0)),
            ("a_mean", a.double().mean()),
            ("a_std", a.double().std(correction=0)),
            ("grad_z", grad.double().square().mean().sqrt()),
        ):
            assert expected[column] == pytest.approx(value.item(), rel=2e-3, abs=1e-12), column
        np.testing.assert_allclose(
            mine["grad_z"], grad.double().square().mean(axes).sqrt(), rtol=2e-3, atol=1e-12
        )
    assert dead > 10


MEMORY = """
import resource, sys, torch, warnings
import torch.nn.functional as F
import cnnbook
from torchvision.models.resnet import BasicBlock, ResNet
from cnnbook.probes import measure
torch.manual_seed(0)
torch.set_num_threads(1)
def loader(images):
    for _ in range(images // 500):
        yield torch.randn(500, 3, 8, 8), torch.randint(0, 5, (500,))
measure(ResNet(BasicBlock, [1, 1, 1, 1], 5), loader(int(sys.argv[1])), loss=F.cross_entropy)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_images():
    few, many = (
        int(subprocess.check_output([sys.executable, "-c", MEMORY, str(images)], text=True))
        for images in (1_000, 10_000)
    )
    assert many < 1.1 * few


# ---------------------------------------------------------------- nothing is disturbed


def train(model, probe=None, steps=5):
    """Return all that a run leaves: parameters, buffers, gradients, outputs, random numbers."""
    torch.manual_seed(3)
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    outputs = []
    data = batches(steps, 8)

    def run():
        for x, y in data:
            optimizer.zero_grad()
            output = model(x)
            F.cross_entropy(output, y).backward()
            optimizer.step()
            outputs.append(output.detach())

    if probe is None:
        run()
    else:
        with probe:
            run()
    gradients = [p.grad for p in model.parameters()]
    return [*model.state_dict().values(), *gradients, *outputs, torch.rand(3)]


def same(left, right):
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        lambda model: Probe(model),
        lambda model: Probe(model, every=2),
        lambda model: Probe(model, only="eval"),
        lambda model: Probe(model, gradients=False),
        lambda model: Census(model, batches(2), every=2),
    ],
)
def test_a_run_is_the_same_bit_for_bit(make, inplace):
    plain = train(small(inplace=inplace))
    model = small(inplace=inplace)
    assert same(train(model, make(model)), plain)
    assert hooks_on(model) == 0


def test_a_run_with_fit_is_the_same_bit_for_bit():
    from cnnbook import train as training

    x, y = (
        torch.randn(32, 1, 6, 6, generator=torch.Generator().manual_seed(0)),
        torch.arange(32) % 2,
    )
    states = []
    for watch in (False, True):
        model = small()
        census = Census(model, [x[:9], x[9:]], every=3)
        probe = Probe(model, only="train")
        if watch:
            with census, probe:
                history = training.fit(model, (x, y), epochs=2, batch_size=8, lr=0.01, seed=0)
            assert list(census.states().columns) == [0, 3, 6, 8]
            assert set(probe.table()["images"]) == {64}
            assert probe.table()["update_ratio"].notna().any()
        else:
            history = training.fit(model, (x, y), epochs=2, batch_size=8, lr=0.01, seed=0)
        states.append([*model.state_dict().values(), torch.tensor(history.steps["loss"])])
    assert same(*states)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("where", ["forward", "block", "backward"])
def test_nothing_stays_after_an_exception(error, where):
    model = small()
    x, y = batches(1)[0]

    def fail(*_):
        raise error("stop")

    handle = model[4].register_forward_hook(fail) if where == "forward" else None
    with pytest.raises(error, match="stop"), Probe(model) as probe:  # noqa: PT012
        output = model(x)
        if where == "backward":
            output.register_hook(fail)
            output.sum().backward()
        fail()
    if handle is not None:
        handle.remove()
    assert hooks_on(model) == 0
    table = probe.table()
    F.cross_entropy(model(x), y).backward()
    pd.testing.assert_frame_equal(probe.table(), table)
    with probe:  # and it can be used again
        model(x)
    assert row(probe.table(), "7")["images"] == (4 if where == "forward" else 8)


def test_a_broken_call_does_not_shift_the_next():
    class Breaks(nn.Module):
        broken = True

        def forward(self, x):
            if self.broken:
                raise KeyboardInterrupt
            return x

    model = small().eval()
    model[4] = nn.Sequential(model[4], Breaks())
    x = batches(1)[0][0]
    with Probe(model) as probe:
        with pytest.raises(KeyboardInterrupt):
            model(x)
        Breaks.broken = False
        probe.reset()
        model(x)
    pd.testing.assert_frame_equal(probe.table(), measure(model, [x]))


def test_a_graph_kept_beyond_the_block_is_no_longer_measured():
    model = small()
    with Probe(model) as probe:
        output = model(batches(1)[0][0])
    table = probe.table()
    output.sum().backward()
    pd.testing.assert_frame_equal(probe.table(), table)
    assert table["grad_z"].isna().all() and table["grad_weight"].isna().all()


def test_measure_leaves_everything_as_it_was():
    model = small()
    model[1].eval()
    model.register_buffer("calls", torch.zeros(()))

    def count(module, *_):
        module.calls = module.calls + 1  # a buffer that is replaced, not changed

    handle = model.register_forward_hook(count)
    x, y = batches(1)[0]
    F.cross_entropy(model(x), y).backward()
    buffer = model.calls
    before = [
        t.clone() for t in (*model.state_dict().values(), *(p.grad for p in model.parameters()))
    ]
    gradients = [p.grad for p in model.parameters()]
    g = torch.Generator().manual_seed(0)
    data = torch.utils.data.TensorDataset(x, y)
    loader = torch.utils.data.DataLoader(data, 2, shuffle=True, generator=g)
    streams = [torch.get_rng_state(), g.get_state()]
    python, numpy = random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    modes = [m.training for m in model.modules()]
    for training in (False, True):
        measure(model, loader, loss=F.cross_entropy, training=training)
    with pytest.raises(RuntimeError, match="stop"):
        measure(model, loader, loss=lambda *_: (_ for _ in ()).throw(RuntimeError("stop")))
    handle.remove()
    assert same([torch.get_rng_state(), g.get_state()], streams)
    assert random.getstate() == python
    assert (np.random.get_state()[1] == numpy).all()  # noqa: NPY002
    assert [m.training for m in model.modules()] == modes
    assert all(p.grad is g for p, g in zip(model.parameters(), gradients, strict=True))
    assert model.calls is buffer
    after = [*model.state_dict().values(), *(p.grad for p in model.parameters())]
    assert same(after, before)


def test_training_mode_measures_batch_statistics():
    model = small()
    x = 3 + 5 * batches(1)[0][0]
    train_mode, eval_mode = measure(model, [x], training=True), measure(model, [x])
    assert train_mode["z_mean"][0] == pytest.approx(0, abs=1e-5)
    assert abs(eval_mode["z_mean"][0]) > 0.1


def test_copies_and_files_made_in_the_block_are_free_of_it():
    model = small()
    x = batches(1)[0][0]
    with Probe(model) as probe:
        F.cross_entropy(model(x), torch.zeros(4, dtype=torch.long)).backward()
        twin = copy.deepcopy(model)
        torch.save(model, io.BytesIO())
        twin(x)
    assert probe.table()["images"].unique().tolist() == [4]
    assert hooks_on(twin) == 0


def test_nothing_is_kept_alive():
    model = small()
    with Probe(model) as probe:
        output = model(batches(1)[0][0])
        alive = weakref.ref(output)
        del output
        gc.collect()
        assert alive() is None
    assert probe.table()["images"].tolist() == [4, 4, 4]

    def forward(m, x):  # nor within a pass, which would hold all layers at once
        z = m.fc(x)
        z.sum()
        alive = weakref.ref(z)
        del z
        gc.collect()
        assert alive() is None
        return x

    model = Function(forward, fc=nn.Linear(2, 2))
    with torch.no_grad():
        assert measure(model, [torch.ones(3, 2)])["images"].tolist() == [3]


# ---------------------------------------------------------------- what is measured when


def test_nested_probes_agree_and_measure_stays_out():
    model = small().eval()
    x, y = batches(1)[0]
    with Probe(model) as alone:
        F.cross_entropy(model(x), y).backward()
    with Probe(model) as outer, Probe(model) as inner, Probe(model[5]) as part:
        output = model(x)
        measure(model, [x, x])
        F.cross_entropy(output, y).backward()
    for probe in (outer, inner):
        pd.testing.assert_frame_equal(probe.table(), alone.table())
    assert part.table()["layer"].tolist() == ["Linear"]
    assert row(part.table(), "Linear")["grad_z"] == row(alone.table(), "5")["grad_z"]


def test_every_and_only():
    model = small()
    xs = [torch.randn(n, 1, 6, 6) for n in (1, 2, 4, 8, 16)]

    def images(**options):
        with Probe(model, **options) as probe:
            for i, x in enumerate(xs):
                model.train(i % 2 == 0)
                model(x if i % 2 else torch.cat([x, x]))
        return probe.table()["images"].unique().tolist()

    assert images() == [2 + 2 + 8 + 8 + 32]
    assert images(every=2) == [2 + 8 + 32]
    assert images(every=3) == [2 + 8]
    assert images(only="train") == [2 + 8 + 32]
    assert images(only="eval") == [10]
    assert images(only="eval", every=2) == [2]


def test_update_ratios_of_the_steps_that_are_due():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    other = nn.Linear(2, 2)  # a second model on the same optimiser
    x = torch.ones(1, 2)
    groups = [{"params": model[0].parameters(), "lr": 0.5}, {"params": other.parameters()}]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    second = torch.optim.SGD(model[1].parameters(), lr=0.25)
    expected = []
    with Probe(model, every=2) as probe:
        for i in range(4):
            optimizer.zero_grad(), second.zero_grad()
            (model(x).sum() + other(x).sum()).backward()
            before = [m.weight.detach().clone() for m in model]
            optimizer.step(), second.step()
            if i % 2 == 0:
                expected.append(
                    [
                        ((m.weight - b).norm() / b.norm()).item()
                        for m, b in zip(model, before, strict=True)
                    ]
                )
    ratios = probe.table()["update_ratio"]
    np.testing.assert_allclose(ratios, np.mean(expected, axis=0), rtol=1e-5)


def test_gradient_accumulation():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    xs = torch.randn(4, 5, 2)
    each = []
    with Probe(model, every=2) as probe:
        for x in xs:
            before = [p.grad.clone() if p.grad is not None else 0 for p in model.parameters()]
            model(x).mean().backward()
            each.append(model[0].weight.grad - before[0])
        start = model[0].weight.detach().clone()
        optimizer.step()
    first = probe.table().iloc[0]
    assert first["images"] == 10
    measured = torch.stack(each)[::2].square().mean().sqrt().item()
    assert first["grad_weight"] == pytest.approx(measured, rel=1e-5)
    ratio = ((model[0].weight - start).norm() / start.norm()).item()
    assert first["update_ratio"] == pytest.approx(ratio, rel=1e-5)


def test_a_weight_of_zeros_has_no_update_ratio():
    model = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(model.weight)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with Probe(model) as probe:
        model(torch.ones(1, 2)).sum().backward()
        optimizer.step()
    assert math.isnan(probe.table()["update_ratio"][0])


def test_without_gradients_there_are_none():
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with Probe(model, gradients=False) as probe:
        model(batches(1)[0][0]).sum().backward()
        optimizer.step()
    assert probe.table()[["grad_z", "grad_weight", "update_ratio"]].isna().all(axis=None)


def test_vanished_and_exploded_gradients_are_numbers():
    """A float32 square is 0 below 1e-23 and infinite above 1e19; the root mean square is not."""
    for scale in (1e-30, 1e25):
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        x = torch.randn(6, 4)
        with Probe(model) as probe:
            output = model(x)
            (output * scale).sum().backward()
        value = probe.table()["grad_z"][1]
        assert value == pytest.approx(scale, rel=1e-5)
        weight = model[1].weight.grad.double().square().mean().sqrt().item()
        assert probe.table()["grad_weight"][1] == pytest.approx(weight, rel=1e-5)


def test_large_values_are_finite():
    z = torch.full((2, 1, 64), 2e37)
    table = measure(nn.Sequential(identity_conv(1).float(), nn.ReLU()), [z, z])
    assert table["nonfinite"][0] == 0
    assert table["z_mean"][0] == pytest.approx(2e37, rel=1e-5)
    assert table["z_std"][0] < 1e35


# ---------------------------------------------------------------- kinds of models and inputs


def test_what_reads_z_does_not_part_it_from_its_activation():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU())
    nn.init.constant_(model[1].weight, 3)
    x, y = batches(1)[0]
    reads = []
    expected = measure(model, [(x, y)], loss=lambda output, y: output.square().sum())
    for module in model[:2]:
        module.register_forward_hook(lambda m, i, output: reads.append(output.abs().mean()))
    table = measure(model, [(x, y)], loss=lambda output, y: output.square().sum())
    assert reads
    pd.testing.assert_frame_equal(table, expected)
    with torch.no_grad():
        measured = measure(model, [x]).drop(columns=["grad_z", "grad_weight"])
    pd.testing.assert_frame_equal(measured, expected.drop(columns=["grad_z", "grad_weight"]))


@pytest.mark.parametrize("change", ["add", "set", "inplace function"])
def test_a_sum_in_place_is_not_z(change):
    def forward(m, x):
        z = m.fc(x)
        if change == "add":
            z += 100
        elif change == "set":
            z[:] = 100
        else:
            F.dropout(z, 0.0, inplace=True)
        return m.act(z)

    model = Function(forward, fc=nn.Linear(3, 2), act=nn.ReLU())
    table = measure(model, [torch.zeros(4, 3)])
    assert table["layer"].tolist() == ["fc", "act"]
    assert abs(table["z_mean"][0]) < 1
    if change != "inplace function":
        assert table["z_mean"][1] > 99
    assert table["op"].tolist() == ["linear", ""] and table["depth"].tolist() == [1, 1]


def test_shared_modules_and_shared_weights():
    model = Function(
        lambda m, x: m.last(m.fc(m.act(F.linear(m.act(m.fc(x)), m.fc.weight)))),
        fc=nn.Linear(3, 3),
        act=nn.ReLU(),
        last=nn.Sigmoid(),
    )
    with Probe(model) as probe:
        model(torch.randn(4, 3)).sum().backward()
    table = probe.table()
    assert table["layer"].tolist() == ["fc", "linear()", "fc#2"]
    assert table["activation"].tolist() == ["relu", "relu", "sigmoid"]
    total = model.fc.weight.grad.square().mean().sqrt().item()
    np.testing.assert_allclose(table["grad_weight"], total, rtol=1e-5)
    assert probe.unseen == ()


def test_two_activations_of_one_output():
    model = Function(
        lambda m, x: (lambda z: torch.tanh(z) * torch.sigmoid(z))(m.fc(x)), fc=nn.Linear(3, 2)
    )
    table = measure(model, [torch.randn(4, 3)])
    assert table["layer"].tolist() == ["fc", "sigmoid()"]
    assert table["activation"].tolist() == ["tanh", "sigmoid"]
    assert table["z_mean"][0] == table["z_mean"][1]


def test_a_model_without_activations_and_an_output_that_nothing_reads():
    table = measure(nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2)), [torch.randn(4, 3)])
    assert table["activation"].tolist() == ["", ""]
    assert table["images"].tolist() == [4, 4]
    columns = ["a_mean", "a_std", "dead", "sparse", "dormant", "saturated"]
    assert table[columns].isna().all(axis=None)
    assert table["z_mean"].notna().all() and (table["nonfinite"] == 0).all()


@pytest.mark.parametrize(
    ("layers", "shape", "units"),
    [
        ([nn.Conv1d(2, 3, 3), nn.ReLU()], (4, 2, 7), 3),
        ([nn.Conv3d(2, 3, 2), nn.ReLU()], (4, 2, 5, 4, 3), 3),
        ([nn.ConvTranspose2d(2, 3, 3, 2), nn.ReLU()], (4, 2, 5, 4), 3),
        ([nn.Conv2d(2, 3, 3), nn.GroupNorm(1, 3), nn.ReLU()], (4, 2, 5, 4), 3),
        ([nn.Conv2d(2, 3, 3), nn.InstanceNorm2d(3), nn.ELU()], (4, 2, 5, 4), 3),
        ([nn.Conv2d(2, 3, 3), nn.LocalResponseNorm(2), nn.ELU()], (4, 2, 5, 4), 3),
        ([nn.Linear(5, 3), nn.LayerNorm(3), nn.ReLU()], (4, 7, 5), 3),
        ([nn.Linear(5, 3), nn.RMSNorm(3), nn.GELU()], (4, 2, 7, 5), 3),
        ([nn.Linear(5, 3), nn.ReLU()], (4, 5), 3),
    ],
)
def test_layers_of_every_rank(layers, shape, units):
    torch.manual_seed(0)
    model, x = nn.Sequential(*layers), torch.randn(shape)
    table, frame = measure(model, [x, x]), measure(model, [x, x], units=True)
    z = model[:-1](x).detach()
    last = isinstance(layers[0], nn.Linear)
    z = z.movedim(-1 if last else 1, 0).flatten(1)
    a = model[-1](z)
    assert len(table) == 1 and table["units"][0] == units
    assert table["images"][0] == 8 and table["positions"][0] == 2 * z.shape[1]
    np.testing.assert_allclose(frame["z_mean"], z.mean(1), atol=1e-6)
    np.testing.assert_allclose(frame["a_std"], a.std(1, correction=0), atol=1e-5)
    if isinstance(layers[-1], nn.ReLU):
        np.testing.assert_allclose(frame["active"], (z > 0).double().mean(1), atol=1e-12)


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU()), (2, 5, 4)),
        (nn.Sequential(nn.Conv1d(2, 3, 3), nn.PReLU()), (2, 5)),
        (nn.Sequential(nn.Linear(4, 3), nn.Tanh()), (4,)),
    ],
)
def test_one_image_without_a_batch_axis(model, shape):
    x = torch.randn(shape)
    columns = ["units", "images", "positions", "z_mean", "a_std", "saturated"]
    alone, batched = measure(model, [x]), measure(model, [x[None]])
    pd.testing.assert_frame_equal(alone[columns], batched[columns], rtol=1e-5)


def test_an_activation_behind_something_else_knows_where_its_units_are():
    model = Function(
        lambda m, x: F.relu(m.conv((F.relu(m.fc(x) + 0)).movedim(-1, 1)) + 0),
        fc=nn.Linear(5, 3),
        conv=nn.Conv1d(3, 2, 1),
    )
    table = measure(model, [torch.randn(4, 7, 5)])
    assert table["layer"].tolist() == ["fc", "relu()", "conv", "relu()#2"]
    assert table["units"].tolist() == [3, 3, 2, 2]


def test_activations_without_a_unit_axis_are_unseen():
    model = Function(
        lambda m, x: torch.sigmoid(m.fc(x).squeeze(1)) + m.act(x.sum()),
        fc=nn.Linear(3, 1),
        act=nn.Tanh(),
    )
    table = measure(model, [torch.randn(4, 3)])
    assert table["layer"].tolist() == ["fc"]
    assert table.attrs["unseen"] == ("module act", "call sigmoid in Function", "call tanh in act")


def test_what_is_unseen_is_named():
    model = Function(
        lambda m, x: m.glu(m.fc(m.embed(x)).clamp(min=0)),
        embed=nn.Embedding(5, 4),
        fc=nn.Linear(4, 4),
        unused=nn.Conv2d(1, 2, 3),
        act=nn.LeakyReLU(),
        glu=nn.GLU(),
    )
    with Probe(model) as probe:
        model(torch.randint(0, 5, (3, 2))).sum().backward()
    table = probe.table()
    assert table["layer"].tolist() == ["fc"] and table["images"].tolist() == [3]
    assert probe.unseen == (
        "parameter embed.weight",
        "parameter unused.weight",
        "module act",
        "module glu",
        "call clamp in Function",
        "call glu in glu",
    )


def test_attention_is_unseen_and_what_surrounds_it_is_seen():
    torch.manual_seed(0)
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True)
    with Probe(model) as probe:
        model(torch.randn(2, 5, 8)).sum().backward()
    table = probe.table()
    assert table["activation"].tolist() == ["relu", ""]
    assert table["units"].tolist() == [16, 8]
    assert "parameter self_attn.in_proj_weight" in probe.unseen


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions(dtype):
    torch.manual_seed(0)
    model = models.b_net(20)
    x, y = torch.randn(6, 1, 20, 20), torch.arange(6)
    single = measure(model, [(x, y)], loss=F.cross_entropy)
    with torch.no_grad():
        model.relu2 = nn.GELU()
        gelu = measure(model, [(x, y)], loss=F.cross_entropy)
    model.relu2 = nn.ReLU()
    other = measure(model.to(dtype), [(x.to(dtype), y)], loss=F.cross_entropy)
    columns = ["z_mean", "z_std", "a_std", "grad_z", "grad_weight"]
    np.testing.assert_allclose(other[columns], single[columns], rtol=0.1, atol=5e-3)
    np.testing.assert_allclose(other["dead"], single["dead"], atol=0.02)
    model.relu2 = nn.GELU()
    other = measure(model, [(x.to(dtype), y)], loss=F.cross_entropy)
    np.testing.assert_allclose(other["saturated"], gelu["saturated"], atol=0.05)


def test_half_precision_counts_in_more():
    z = torch.full((2, 1, 3000), 1000, dtype=torch.float16)  # the sum is beyond float16
    table = measure(nn.ReLU(), [z])
    assert table["z_mean"][0] == 1000 and table["nonfinite"][0] == 0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("act", [nn.ReLU(), nn.Sigmoid()])
def test_units_that_are_not_finite_are_set_apart(value, act):
    model = nn.Sequential(identity_conv(3), act)
    z = torch.tensor([[[-20.0] * 8, [3.0] * 8, [-20.0] * 8]], dtype=torch.float64)
    z[0, 0, 3] = value
    units, table = measure(model, [z], units=True), measure(model, [z])
    assert units["nonfinite"].tolist() == [True, False, False]
    for column in ("dead", "sparse", "dormant", "saturated", "active"):
        assert units[column].isna().tolist() == [True, False, False]
    assert table["nonfinite"][0] == pytest.approx(1 / 3)
    if isinstance(act, nn.ReLU):
        assert table["dead"][0] == table["dormant"][0] == 0.5
    everywhere = measure(model, [torch.full((1, 3, 2), math.nan, dtype=torch.float64)])
    assert everywhere["nonfinite"][0] == 1 and math.isnan(everywhere["dead"][0])


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_without_autograd(context):
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(True), nn.Flatten(), nn.Linear(48, 4), nn.SiLU()
    )
    x, y = batches(1)[0]
    expected = measure(model, [(x, y)], loss=F.cross_entropy)
    with Probe(model) as probe:
        with context():
            model(x)
        model(x)  # and sums made in one mode go on in the other
    columns = ["z_mean", "z_std", "a_mean", "a_std", "dead", "dormant", "saturated"]
    pd.testing.assert_frame_equal(probe.table()[columns], expected[columns], rtol=1e-5)
    with context():
        inside = measure(model, [(x, y)], loss=F.cross_entropy)
    pd.testing.assert_frame_equal(inside, expected)


def test_channels_last_and_changing_sizes():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    xs = [torch.randn(n, 1, h, w) for n, h, w in ((2, 6, 6), (5, 9, 4), (1, 3, 3), (0, 5, 5))]
    expected = measure(model, xs)
    assert expected["images"][0] == 8
    assert expected["positions"][0] == 2 * 16 + 5 * 14 + 1
    z = torch.cat([model[0](x).detach().movedim(1, 0).flatten(1) for x in xs], dim=1)
    assert expected["z_std"][0] == pytest.approx(z.std(correction=0).item(), rel=1e-5)
    model.to(memory_format=torch.channels_last)
    other = measure(model, [x.to(memory_format=torch.channels_last) for x in xs])
    pd.testing.assert_frame_equal(other, expected, rtol=1e-5)


def test_a_batch_without_images():
    table = measure(nn.Sequential(nn.Linear(3, 2), nn.ReLU()), [torch.zeros(0, 3)])
    assert table["images"][0] == table["positions"][0] == 0
    assert table[["z_mean", "a_std", "dead", "dormant", "saturated"]].isna().all(axis=None)


def test_a_model_that_returns_a_tuple():
    model = Function(lambda m, x: (m.fc(x), x), fc=nn.Linear(3, 2))
    x, y = torch.randn(4, 3), torch.tensor([0, 1, 0, 1])
    assert measure(model, [(x, y, "more")])["images"][0] == 4
    with pytest.raises(
        TypeError, match="loss cannot take the model's output, a tuple; give a loss"
    ):
        measure(model, [(x, y)], loss=F.cross_entropy)
    table = measure(model, [[x, y]], loss=lambda output, y: F.cross_entropy(output[0], y))
    assert table["grad_z"].notna().all()


@pytest.mark.filterwarnings("ignore:Complex modules")
def test_complex_numbers_pass_by():
    model = Function(lambda m, x: m.fc(x + 0j).abs(), fc=nn.Linear(3, 2).to(torch.complex64))
    with Probe(model) as probe:
        model(torch.randn(4, 3))
    assert probe.table()["z_mean"].isna().all()


def test_a_model_that_calls_itself_is_called_once():
    model = Function(
        lambda m, x: m.fc(m(x[:, :1])) if x.shape[1] > 1 else m.fc(x), fc=nn.Linear(1, 1)
    )
    with Probe(model) as probe:
        model(torch.randn(4, 3))
        model(torch.randn(4, 3))
    assert probe.table()["layer"].tolist() == ["fc", "fc#2"]
    assert probe.table()["images"].tolist() == [8, 8]


def test_a_call_that_failed_is_over():
    def forward(m, x):
        if x.shape[0] == 1:
            raise RuntimeError("stop")
        return m.fc(x)

    model = Function(forward, fc=nn.Linear(1, 1))
    with Probe(model) as probe:
        with pytest.raises(RuntimeError, match="stop"):
            model(torch.ones(1, 1))
        assert torch._C._len_torch_function_stack() == 0
        model(torch.ones(4, 1))
    assert probe.table()["images"].tolist() == [4]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_compiled_and_scripted_models_are_refused():
    inner = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    scripted = torch.jit.script(inner)
    with pytest.raises(TypeError, match="model is scripted, and its calls cannot be seen"):
        Probe(scripted)
    holder = nn.Sequential(scripted, nn.Linear(2, 2))
    with Probe(holder) as probe:
        holder(torch.randn(3, 2))
    assert probe.table()["layer"].tolist() == ["1"]
    assert probe.unseen == ("parameter 0.0.weight",)
    with pytest.raises(TypeError, match="model is compiled, and"):
        Probe(torch.compile(inner, backend="eager"))
    with pytest.raises(TypeError, match="model is compiled in 0, and"):
        measure(nn.Sequential(torch.compile(inner, backend="eager")), [torch.randn(3, 2)])
    inner.compile(backend="eager")
    with pytest.raises(TypeError, match="model is compiled, and"):
        Census(inner, [torch.randn(3, 2)], every=1)


@pytest.mark.filterwarnings("ignore:Using `torch.compile:UserWarning")
def test_a_call_through_a_compiled_wrapper_is_not_measured():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    compiled = torch.compile(model, backend="eager")
    x = torch.randn(3, 2)
    with Probe(model) as probe:
        output = compiled(x)
        assert probe.table().empty
        assert probe.unseen == ("parameter 0.weight", "module 1")
        assert torch.equal(model(x), output)
    assert probe.table()["images"].tolist() == [3]
    assert list(Probe(model).units().columns) == list(probe.units().columns)


def test_the_columns_are_those_documented():
    with Probe(small()) as probe:
        pass
    assert list(probe.table().columns) == list(probes.COLUMNS)
    for column in probes.COLUMNS:
        assert column in probes.__doc__


# ---------------------------------------------------------------- bad input


def once(x, **options):
    return measure(nn.Linear(3, 2), x, **options)


FINE = (torch.randn(4, 3), torch.tensor([0, 1, 0, 1]))
BAD = [
    (lambda: Probe("net"), TypeError, "model must be a torch.nn.Module, got str"),
    (lambda: Probe(nn.ReLU(), every=0), ValueError, "every must be at least 1, got 0"),
    (lambda: Probe(nn.ReLU(), every=1.5), TypeError, "every must be an integer, got 1.5"),
    (lambda: Probe(nn.ReLU(), only="test"), ValueError, "only must be .* got 'test'"),
    (lambda: Probe(nn.ReLU(), tau=-1.0), ValueError, "tau must be finite and not negative"),
    (lambda: Probe(nn.ReLU(), tau=math.nan), ValueError, "tau must be finite and not negative"),
    (lambda: Probe(nn.ReLU(), tau="1"), TypeError, "tau must be a number, got '1'"),
    (lambda: Probe(nn.ReLU(), tau=True), TypeError, "tau must be a number, got True"),
    (lambda: measure(None, [FINE]), TypeError, "model must be a torch.nn.Module, got NoneType"),
    (lambda: once([]), ValueError, "loader must give at least one batch, got none"),
    (lambda: once([{"x": 1}]), TypeError, "a batch must be a tensor or begin with one, got dict"),
    (lambda: once([()]), TypeError, "a batch must be a tensor or begin with one, got tuple"),
    (lambda: once([FINE[0]], loss=F.cross_entropy), ValueError, r"a batch must be \(x, y\)"),
    (lambda: once([FINE], loss=lambda o, y: o), ValueError, r"scalar tensor, got shape \(4, 2\)"),
    (lambda: once([FINE], loss=lambda o, y: 1.0), ValueError, "scalar tensor, got float"),
    (
        lambda: measure(nn.Linear(3, 2).requires_grad_(False), [FINE], loss=F.cross_entropy),
        ValueError,
        "loss depends on no parameter",
    ),
    (lambda: once([FINE], loss=lambda o, y: o + "x"), TypeError, "unsupported operand"),
    (lambda: measure(nn.Flatten(), [FINE]), ValueError, "no activation .* unseen: nothing that"),
    (
        lambda: measure(nn.Embedding(3, 2), [FINE[1]]),
        ValueError,
        "model calls no weight layer and no activation .* unseen: parameter weight",
    ),
    (
        lambda: measure(nn.ReLU(), [torch.ones(2, 3), torch.ones(2, 4)]),
        ValueError,
        "layer ReLU had 3 units before and now has 4",
    ),
    (
        lambda: Census(nn.Linear(3, 2), [FINE], every=1).__enter__(),
        ValueError,
        "model calls no activation",
    ),
    (lambda: Census(nn.ReLU(), [], every=1).__enter__(), ValueError, "at least one batch"),
    (
        lambda: Census(nn.ReLU(), iter([FINE]), every=1),
        ValueError,
        "loader is read at every census",
    ),
    (lambda: Census(nn.ReLU(), [FINE], every=0), ValueError, "every must be at least 1"),
    (lambda: Census(1, [FINE], every=1), TypeError, "model must be"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_probe_is_attached_once():
    with Probe(nn.ReLU()) as probe, pytest.raises(RuntimeError, match="attached already"):
        probe.__enter__()


# ---------------------------------------------------------------- census


class OneUnit(nn.Module):
    """Two ReLU units whose bias the test moves."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(1, 2)
        nn.init.ones_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)

    def forward(self, x):
        return F.relu(self.fc(x))


# The biases before each step; x is in [0, 1], so that a unit below −1 is dead.
LIVES = [(0, -5), (0, -5), (-5, 0), (-5, -5), (0, math.nan), (-5, 0), (-5, 0)]


def live(every, loader=None):
    model = OneUnit()
    optimizer = torch.optim.SGD(model.parameters(), 0.0)
    other = torch.optim.SGD(nn.Linear(1, 1).parameters(), 0.0)  # its steps do not count

    def place(biases):
        with torch.no_grad():
            model.fc.bias.copy_(torch.tensor(biases))

    place(LIVES[0])
    x = torch.tensor([[0.1], [1.0]])
    with Census(model, loader or [x[:1], x[1:]], every=every) as census:
        for biases in LIVES[1:]:
            place(biases)
            other.step()
            optimizer.step()
    return census


def test_births_deaths_and_revivals():
    census = live(every=1)
    states = census.states()
    expected = [
        [math.nan if math.isnan(b) else b < -1 for b in unit] for unit in zip(*LIVES, strict=True)
    ]
    for unit, life in enumerate(expected):
        mine = states.loc[("fc", unit)]
        for step, dead in enumerate(life):
            assert pd.isna(mine[step]) if isinstance(dead, float) else mine[step] == dead
    table = census.table()
    assert table["step"].tolist() == list(range(7)) and set(table["layer"]) == {"fc"}
    assert table["units"].unique().tolist() == [2]
    assert table["dead"].tolist() == [0.5, 0.5, 0.5, 1, 0, 0.5, 0.5]
    assert table["born_dead"].tolist() == [0.5, 0.5, 0, 0, 0, 0, 0]
    assert table["killed"].tolist() == [0, 0, 0.5, 0.5, 0, 0.5, 0.5]
    assert table["deaths"].tolist() == [0, 0, 1, 1, 0, 1, 0]
    assert table["revivals"].tolist() == [0, 0, 1, 0, 1, 0, 0]
    units = census.units()
    assert units["unit"].tolist() == [0, 1]
    assert units["born_dead"].tolist() == [False, True]
    assert units["deaths"].tolist() == [2, 1]
    assert units["revivals"].tolist() == [1, 1]
    assert units["dead"].tolist() == [True, False]
    assert units["first_death"].tolist() == [2, 0]


def test_a_census_every_few_steps_and_at_the_end():
    assert list(live(every=4).states().columns) == [0, 4, 6]
    assert list(live(every=3).states().columns) == [0, 3, 6]
    assert live(every=100).table()["step"].tolist() == [0, 6]


def test_a_unit_that_is_never_finite_is_missing():
    model = OneUnit()
    nn.init.constant_(model.fc.bias, math.nan)
    with Census(model, [torch.ones(1, 1)], every=1) as census:
        pass
    table = census.table()
    assert table[["dead", "born_dead", "killed"]].isna().all(axis=None)
    assert table["deaths"].tolist() == [0]
    units = census.units()
    assert units["born_dead"].isna().all() and units["first_death"].isna().all()


def test_a_census_of_a_failed_block_is_not_completed():
    model = OneUnit()
    census = Census(model, [torch.ones(1, 1)], every=10)
    optimizer = torch.optim.SGD(model.parameters(), 0.0)
    with pytest.raises(RuntimeError, match="stop"), census:  # noqa: PT012
        optimizer.step()
        raise RuntimeError("stop")
    assert list(census.states().columns) == [0]
    with census:  # and it can be used again
        optimizer.step()
    assert list(census.states().columns) == [0, 1]


def test_a_census_inside_a_probe():
    model = small()
    with Probe(model) as probe, Census(model, batches(2), every=1):
        train(model, steps=2)
    assert probe.table()["images"].unique().tolist() == [16]


# ---------------------------------------------------------------- slope


def profile(values, ops=None):
    count = len(values)
    return pd.DataFrame(
        {
            "layer": [f"layer{i}" for i in range(count)],
            "op": ops or ["linear"] * count,
            "depth": range(1, count + 1),
            "grad_z": values,
        }
    )


def test_slope_of_exact_profiles():
    steep, r2 = slope(profile([1e-3, 1e-2, 1e-1, 1.0]))
    assert (steep, r2) == (pytest.approx(1), pytest.approx(1))
    steep, r2 = slope(profile([1.0, 1e-2, 1e-4]))
    assert (steep, r2) == (pytest.approx(-2), pytest.approx(1))
    flat, r2 = slope(profile([0.3, 0.3, 0.3]))
    assert flat == 0 and math.isnan(r2)
    # log10: 0, 1, 0 over depths 1, 2, 3 has no linear part
    assert slope(profile([1.0, 10.0, 1.0])) == (pytest.approx(0), pytest.approx(0))
    skips = profile(
        [1.0, 777.0, 1e-2, math.nan, 1e-4], ["linear", "", "linear", "linear", "linear"]
    )
    assert slope(skips)[0] == pytest.approx(-1)


@pytest.mark.parametrize(
    ("table", "column", "message"),
    [
        (profile([1.0, 2.0, 3.0]), "grad_a", "table has no column 'grad_a'; it has layer, op"),
        (profile([1.0, 2.0, 3.0]).drop(columns="depth"), "grad_z", "no column 'depth'"),
        (profile([1.0, 2.0, 3.0]), "layer", "column must hold numbers, got 'layer'"),
        (profile([1.0, 2.0, math.nan]), "grad_z", "at least three layers, got 2"),
        (profile([1.0, 0.0, 2.0]), "grad_z", "grad_z of layer layer1 is 0.0, which has no log"),
        (profile([1.0, -1.0, 2.0]), "grad_z", "grad_z of layer layer1 is -1.0"),
        (profile([1.0, math.inf, 2.0]), "grad_z", "grad_z of layer layer1 is inf"),
        (profile([1.0, 2.0, 3.0]).assign(depth=4), "grad_z", "layers of different depths"),
    ],
)
def test_slope_of_what_has_none(table, column, message):
    with pytest.raises(ValueError, match=message):
        slope(table, column)


def test_what_is_not_in_main_memory_is_measured_likewise(monkeypatch):
    def watched():
        model = small()
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        x, y = torch.randn(8, 1, 6, 6), torch.randint(0, 2, (8,))
        with Probe(model) as probe:
            for _ in range(2):
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
        return probe

    here = watched()
    monkeypatch.setattr(_kernels, "values", lambda tensor: tensor.detach())  # as on a GPU
    there = watched()
    pd.testing.assert_frame_equal(there.table(), here.table(), rtol=1e-6, atol=1e-9)
    pd.testing.assert_frame_equal(there.units(), here.units(), rtol=1e-6, atol=1e-9)
