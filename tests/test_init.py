"""``init``: every scheme against the property that defines it, on any module."""

import copy
import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

import cnnbook  # noqa: F401  (before torchvision)
from cnnbook import init, models
from cnnbook.repro import generator

PLAIN = {
    "he": init.he_,
    "xavier": init.xavier_,
    "lecun": init.lecun_,
    "gaussian": lambda model, **options: init.gaussian_(model, 1.7, 0.3, **options),
    "pytorch": init.pytorch_,
    "orthogonal": init.orthogonal_,
    "delta": init.delta_orthogonal_,
    "asymmetric": init.asymmetric_,
    "lsuv": lambda model, **options: init.lsuv_(model, torch.randn(64, 3, 6, 6), **options),
    "fixup": lambda model, **options: init.fixup_(model, models.Residual, **options),
}


@pytest.fixture(autouse=True)
def seeded():
    """Start every test from the same state of PyTorch's global generator."""
    torch.manual_seed(0)


def network():
    """Return a residual network with norms, as a model that every scheme can take."""
    return models.conv_stack(3, 8, 6, 5, residual=2, normalization="batch")


def big(groups=1, kind=nn.Conv2d):
    """Return a layer with enough weights for statistics."""
    return nn.Linear(300, 200) if kind is nn.Linear else kind(32, 64, 3, groups=groups)


def spread(weight):
    """Return the standard deviation, and four standard errors of it for a normal sample."""
    return weight.std().item(), 4 * weight.std().item() / math.sqrt(2 * weight.numel())


# ---------------------------------------------------------------- what all have in common


@pytest.mark.parametrize("scheme", PLAIN.values(), ids=PLAIN)
def test_a_seed_gives_the_same_network_and_another_seed_another_one(scheme):
    torch.manual_seed(0)
    one, two, three = network(), network(), network()
    for model, seed in ((one, 1), (two, 1), (three, 2)):
        torch.manual_seed(5)
        assert scheme(model, generator=generator(seed)) is model
    left, right, other = (model.state_dict() for model in (one, two, three))
    assert all(torch.equal(left[name], right[name]) for name in left)
    assert not torch.equal(left["conv1.weight"], other["conv1.weight"])


@pytest.mark.parametrize("scheme", PLAIN.values(), ids=PLAIN)
def test_only_weight_layers_change_and_without_a_generator_the_global_one_is_drawn_from(scheme):
    model = network().train()
    for norm in (part for part in model.modules() if isinstance(part, nn.BatchNorm2d)):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.running_mean)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        scheme(model)
        states.append(copy.deepcopy(model.state_dict()))
    assert all(torch.equal(states[0][name], states[1][name]) for name in before)
    changed = {name for name in before if not torch.equal(before[name], states[0][name])}
    assert changed and all(".norm" not in f".{name}" for name in changed)
    assert all(part.training for part in model.modules())
    assert not any(part._forward_hooks for part in model.modules())


@pytest.mark.parametrize("name", [name for name in PLAIN if name not in ("gaussian", "pytorch")])
def test_biases_start_at_zero(name):
    model = network()
    PLAIN[name](model)
    biases = [layer.bias for layer in init.weight_layers(model)]
    assert all((bias == 0).all() for bias in biases) != (name == "asymmetric")


@pytest.mark.parametrize("net", ["alexnet", "resnet18", "mobilenet_v3_small"])
def test_schemes_take_torchvision_networks(net):
    from torchvision import models as zoo

    model = getattr(zoo, net)(num_classes=4)
    for scheme in (init.he_, init.xavier_, init.orthogonal_, init.asymmetric_):
        before = [layer.weight.clone() for layer in init.weight_layers(model)]
        scheme(model)
        after = [layer.weight for layer in init.weight_layers(model)]
        assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_layers_without_bias_and_of_any_dimension():
    model = nn.Sequential(
        nn.Conv1d(4, 6, 3, bias=False), nn.Conv3d(4, 6, 3, bias=False), nn.Linear(4, 2, bias=False)
    )
    for name, scheme in PLAIN.items():
        if name not in ("lsuv", "fixup"):
            scheme(model)
            assert all((layer.weight != 0).any() for layer in model)


def test_the_layout_in_memory_does_not_change_what_is_drawn_orthogonally():
    x = torch.randn(16, 3, 6, 6)
    for scheme in (
        init.orthogonal_,
        init.delta_orthogonal_,
        lambda model, **options: init.lsuv_(model, x, **options),
    ):
        plain = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=2))
        last = copy.deepcopy(plain).to(memory_format=torch.channels_last)
        scheme(plain, generator=generator(0))
        scheme(last, generator=generator(0))
        for one, two in zip(init.weight_layers(plain), init.weight_layers(last), strict=True):
            assert torch.allclose(one.weight, two.weight, rtol=1e-5)
            assert two.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(name, dtype):
    model = models.dense_stack(8, 8, 4, residual=2).to(dtype)
    if name == "lsuv":
        init.lsuv_(model, torch.randn(64, 8, dtype=dtype), generator=generator(0))
    else:
        PLAIN[name](model, generator=generator(0))
    assert all(layer.weight.dtype == dtype for layer in init.weight_layers(model))
    if name in ("orthogonal", "delta"):
        values = torch.linalg.svdvals(model.dense1.weight.detach().double())
        assert torch.allclose(values, torch.ones(8).double(), atol=4 * torch.finfo(dtype).eps)


def weight_norm_of_old(layer):
    """Put on the hook that ``parametrizations.weight_norm`` has replaced."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return nn.utils.weight_norm(layer)


@pytest.mark.parametrize(
    "put_on",
    [
        parametrizations.weight_norm,
        parametrizations.orthogonal,
        parametrizations.spectral_norm,
        weight_norm_of_old,
        nn.utils.spectral_norm,
        lambda layer: prune.random_unstructured(layer, "weight", 0.5),
        lambda layer: prune.random_unstructured(layer, "bias", 0.5),
    ],
)
def test_computed_weights_are_refused_by_every_scheme_before_anything_changes(put_on):
    model = network()
    put_on(model.block1.conv3)
    before = copy.deepcopy(model.state_dict())
    for scheme in PLAIN.values():
        with pytest.raises(ValueError, match=r"but block1\.conv3 computes its .* and put it on"):
            scheme(model)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert len(init.weight_layers(model)) == len(init.weight_layers(network()))


def test_computed_weights_are_drawn_once_the_cause_is_gone():
    layer = parametrizations.weight_norm(nn.Linear(6, 6))
    init.he_(parametrize.remove_parametrizations(layer, "weight"), generator=generator(0))
    assert torch.equal(layer.weight, init.he_(nn.Linear(6, 6), generator=generator(0)).weight)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (torch.ones(4, 4, dtype=torch.int8), "floating-point weights, got torch.int8 in block1"),
        (
            torch.ones(4, 4, dtype=torch.complex64),
            "floating-point weights, got torch.complex64",
        ),
        (torch.ones(4, 0), r"no empty weight, got shape \(4, 0\) in block1"),
        (torch.ones(0, 4), r"no empty weight, got shape \(0, 4\) in block1"),
    ],
)
def test_weights_that_cannot_be_drawn_are_refused_before_anything_changes(weight, message):
    model = network()
    model.block1.conv3.weight = nn.Parameter(weight, requires_grad=False)
    before = copy.deepcopy(model.state_dict())
    for scheme in PLAIN.values():
        with pytest.raises(ValueError, match=message):
            scheme(model)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_weights_are_drawn_whether_they_require_gradients_or_not():
    for scheme in PLAIN.values():
        free, frozen = network(), network().requires_grad_(False)
        for model in (free, frozen):
            torch.manual_seed(1)
            scheme(model)
        for one, two in zip(init.weight_layers(free), init.weight_layers(frozen), strict=True):
            assert torch.equal(one.weight, two.weight) and not two.weight.requires_grad


# ---------------------------------------------------------------- variances


@pytest.mark.parametrize("kind", [nn.Linear, nn.Conv2d])
@pytest.mark.parametrize("distribution", ["normal", "uniform"])
@pytest.mark.parametrize(
    ("scheme", "variance"),
    [
        (init.he_, lambda fan_in, fan_out: 2 / fan_in),
        (lambda m, **o: init.he_(m, mode="fan_out", **o), lambda fan_in, fan_out: 2 / fan_out),
        (lambda m, **o: init.he_(m, slope=0.5, **o), lambda fan_in, fan_out: 2 / (1.25 * fan_in)),
        (init.xavier_, lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
        (
            lambda m, **o: init.xavier_(m, gain=3, **o),
            lambda fan_in, fan_out: 18 / (fan_in + fan_out),
        ),
        (init.lecun_, lambda fan_in, fan_out: 1 / fan_in),
    ],
)
def test_variance_and_distribution(kind, distribution, scheme, variance):
    layer = big(kind=kind)
    scheme(layer, distribution=distribution, generator=generator(0))
    area = 1 if kind is nn.Linear else 9
    std = math.sqrt(variance(layer.weight.shape[1] * area, layer.weight.shape[0] * area))
    found, error = spread(layer.weight.detach())
    assert found == pytest.approx(std, abs=error)
    draws = layer.weight.detach().flatten().double().numpy()
    shape = stats.norm(0, std) if distribution == "normal" else None
    shape = shape or stats.uniform(-math.sqrt(3) * std, 2 * math.sqrt(3) * std)
    assert stats.kstest(draws, shape.cdf).pvalue > 1e-3


@pytest.mark.parametrize("groups", [2, 32])
def test_groups_count_in_both_fans(groups):
    layer = big(groups)
    for mode, fan in (("fan_in", 32 // groups * 9), ("fan_out", 64 // groups * 9)):
        init.he_(layer, mode=mode, generator=generator(1))
        found, error = spread(layer.weight.detach())
        assert found == pytest.approx(math.sqrt(2 / fan), abs=error)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (init.he_, lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu")),
        (
            lambda m: init.he_(m, distribution="uniform", slope=0.2),
            lambda w: nn.init.kaiming_uniform_(w, 0.2),
        ),
        (init.xavier_, nn.init.xavier_normal_),
        (lambda m: init.xavier_(m, distribution="uniform"), nn.init.xavier_uniform_),
        (init.lecun_, lambda w: nn.init.kaiming_normal_(w, nonlinearity="linear")),
        (init.orthogonal_, nn.init.orthogonal_),
    ],
)
def test_pytorch_draws_the_same_bit_for_bit(ours, theirs):
    for layer in (nn.Linear(20, 30), nn.Conv2d(4, 6, 3)):
        torch.manual_seed(0)
        ours(layer)
        found = layer.weight.detach().clone()
        torch.manual_seed(0)
        theirs(layer.weight)
        assert torch.equal(found, layer.weight)


@pytest.mark.parametrize("make", [lambda: nn.Linear(20, 30), lambda: nn.Conv2d(4, 6, 3)])
def test_the_default_is_pytorchs_own_bit_for_bit(make):
    torch.manual_seed(0)
    fresh = make()
    torch.manual_seed(0)
    ours = init.pytorch_(copy.deepcopy(fresh))
    assert torch.equal(fresh.weight, ours.weight) and torch.equal(fresh.bias, ours.bias)


def test_mean_field_variances():
    layer = init.gaussian_(big(kind=nn.Linear), 1.5, 0.25, generator=generator(0))
    found, error = spread(layer.weight.detach())
    assert found == pytest.approx(math.sqrt(1.5 / 300), abs=error)
    found, error = spread(layer.bias.detach())
    assert found == pytest.approx(0.5, abs=error)
    assert (init.gaussian_(layer, 1.5).bias == 0).all()


# ---------------------------------------------------------------- orthogonality


def singular_values(layer, size):
    """Return those of a stride-1 circular convolution on images of a size (Sedghi et al. 2019)."""
    weight = layer.weight.detach().double()
    return torch.linalg.svdvals(torch.fft.fft2(weight, (size, size)).permute(2, 3, 0, 1))


@given(st.integers(1, 7), st.integers(1, 7), st.floats(0.1, 4))
@settings(max_examples=30, deadline=None)
def test_dense_layers_get_orthonormal_rows_or_columns(before, after, gain):
    for scheme in (init.orthogonal_, init.delta_orthogonal_):
        weight = scheme(nn.Linear(before, after), gain=gain).weight.detach().double()
        values = torch.linalg.svdvals(weight)
        assert torch.allclose(values, torch.full_like(values, gain), rtol=1e-5)


def test_groups_are_orthogonal_one_by_one():
    # More rows in all than columns: of one orthogonal matrix for all, the parts are not orthogonal.
    for kernel in (1, 3):
        layer = init.orthogonal_(nn.Conv2d(8, 24, kernel, groups=4), gain=2.0)
        for part in layer.weight.detach().double().chunk(4):
            values = torch.linalg.svdvals(part.flatten(1))
            assert torch.allclose(values, torch.full_like(values, 2.0), rtol=1e-5)
    layer = init.delta_orthogonal_(nn.Conv2d(8, 12, 3, groups=4))
    for part in layer.weight.detach().double().chunk(4):
        assert torch.allclose(torch.linalg.svdvals(part[:, :, 1, 1]), torch.ones(2).double())


def test_delta_orthogonal_keeps_every_image_and_a_flattened_orthogonal_kernel_does_not():
    layer = nn.Conv2d(16, 16, 3, padding=1, padding_mode="circular", bias=False)
    init.delta_orthogonal_(layer.double(), generator=generator(0))
    values = singular_values(layer, 8)
    assert torch.allclose(values, torch.ones_like(values), rtol=0, atol=1e-12)
    x = torch.randn(2, 16, 8, 8, dtype=torch.float64)
    assert torch.allclose(layer(x).square().sum((1, 2, 3)), x.square().sum((1, 2, 3)), rtol=1e-12)
    init.orthogonal_(layer, generator=generator(0))
    values = singular_values(layer, 8)
    assert values.min() < 0.1 and values.max() > 1.8
    init.lecun_(layer, generator=generator(0))
    assert singular_values(layer, 8).max() > 1.8


def test_delta_orthogonal_changes_nothing_when_it_refuses():
    for bad in (nn.Conv2d(4, 4, 2), nn.Conv2d(4, 3, 3), nn.Conv2d(8, 6, 3, groups=2)):
        model = nn.Sequential(nn.Conv2d(1, 4, 3), bad)
        before = copy.deepcopy(model.state_dict())
        with pytest.raises(ValueError, match="model must have"):
            init.delta_orthogonal_(model)
        assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


# ---------------------------------------------------------------- the other schemes


def test_asymmetric_rows():
    fan_in, units = 99, 5_000
    layer = init.asymmetric_(nn.Linear(fan_in, units), generator=generator(0))
    rows = torch.cat([layer.weight, layer.bias[:, None]], dim=1).detach().double()
    std, beta = init.ASYMMETRIC_SCALE / math.sqrt(fan_in), stats.beta(2, 1)
    large = rows > 5 * std  # of Gaussian entries, one in 3.5 million is
    assert large.sum(dim=1).max() == 1
    expected = units * beta.sf(5 * std)
    assert large.sum().item() == pytest.approx(expected, abs=4 * math.sqrt(units - expected))
    places = large.sum(dim=0).double().numpy()  # any entry may be chosen, the bias included
    assert stats.chisquare(places).pvalue > 1e-3
    mean = expected / (fan_in + 1)
    assert places[-1] == pytest.approx(mean, abs=5 * math.sqrt(mean))
    ranks = (beta.cdf(rows[large].numpy()) - beta.cdf(5 * std)) / beta.sf(5 * std)
    assert stats.kstest(ranks, "uniform").pvalue > 1e-3
    negative = rows[rows < 0].numpy()  # Gaussian entries only
    assert stats.kstest(negative, stats.halfnorm(0, std).cdf).pvalue < 1e-3
    assert stats.kstest(-negative, stats.halfnorm(0, std).cdf).pvalue > 1e-3


def test_asymmetric_conserves_the_second_moment():
    # The scale 0.6007 is for E z² of one layer to the next; width must be large for equality.
    model = models.dense_stack(50, 400, 8, bias=True, init=lambda m: init.asymmetric_(m))
    x = torch.randn(200, 50)
    found = []
    with torch.no_grad():
        for part in model:
            x = part(x)
            if isinstance(part, nn.ReLU):
                found.append(x.square().mean().item())
    assert max(found) / min(found) < 30  # neither vanishes nor explodes: 2^−7 would be 128


@pytest.mark.parametrize(
    "make",
    [
        lambda: models.conv_stack(3, 16, 8, 5, init="lecun"),
        lambda: models.conv_stack(3, 16, 8, 5, activation="tanh", residual=2),
        network,
    ],
)
def test_lsuv_gives_every_layer_unit_variance(make):
    model, x = make(), 3 + 2 * torch.randn(64, 3, 6, 6)
    random = torch.get_rng_state()
    init.lsuv_(model, x, tolerance=0.02, attempts=1, generator=generator(0))
    assert torch.equal(random, torch.get_rng_state())
    seen = {}
    for layer in init.weight_layers(model):
        layer.register_forward_hook(lambda m, _, z: seen.update({m: z.var(correction=0).item()}))
    model.eval()(x)
    assert list(seen.values()) == pytest.approx([1] * len(seen), abs=0.021)
    weight = init.weight_layers(model)[1].weight.detach().flatten(1).double()
    values = torch.linalg.svdvals(weight)
    assert torch.allclose(values, values[:1].expand_as(values), rtol=1e-5)  # orthogonal still


class Twice(nn.Module):
    """Calls one layer twice, and another one never."""

    def __init__(self):
        super().__init__()
        self.layer, self.idle = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        return self.layer(torch.relu(self.layer(x)))


def test_lsuv_with_shared_and_idle_layers():
    model = init.lsuv_(Twice(), torch.randn(500, 4), tolerance=0.01, attempts=50)
    z = model.layer(torch.randn(0, 4))
    assert z.shape == (0, 4)
    values = torch.linalg.svdvals(model.idle.weight.detach())
    assert torch.allclose(values, torch.ones(4), rtol=1e-5)


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)
        self.two.weight = self.one.weight

    def forward(self, x):
        return self.two(torch.relu(self.one(x)))


@pytest.mark.parametrize(
    ("make", "x", "options", "message"),
    [
        (lambda: nn.Linear(3, 3), 0.0, {}, "an output that varies, but that of the model has"),
        (lambda: nn.Linear(3, 3), math.nan, {}, "that of the model has variance nan"),
        (Twice, None, {"attempts": 1, "tolerance": 1e-9}, "attempts must suffice .* of layer has"),
        (lambda: nn.Linear(4, 4), None, {"tolerance": 0}, "tolerance must be"),
        (Tied, None, {}, "a weight for each layer, .* one and two share one"),
    ],
)
def test_lsuv_leaves_the_model_as_it_was_when_it_fails(make, x, options, message):
    model = make().train()
    before = copy.deepcopy(model.state_dict())
    batch = torch.randn(50, 4) if x is None else torch.full((5, 3), x)
    with pytest.raises(ValueError, match=message):
        init.lsuv_(model, batch, **options)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert model.training and not model._forward_hooks


@pytest.mark.parametrize("span", [1, 2, 3])
def test_fixup_starts_every_block_as_the_identity(span):
    model = models.dense_stack(6, 40, 2 + 3 * span, residual=span)
    init.fixup_(model, models.Residual, generator=generator(0))
    x = torch.randn(7, 40)
    blocks = [part for part in model if isinstance(part, models.Residual)]
    assert len(blocks) == 3 and all(torch.equal(block(x), x) for block in blocks)
    assert (model(torch.randn(7, 6)) == 0).all()
    plain = init.he_(copy.deepcopy(model), generator=generator(0))
    for block, other in zip(
        blocks,
        (part for part in plain if hasattr(part, "children") and isinstance(part, models.Residual)),
        strict=True,
    ):
        for layer, full in list(
            zip(init.weight_layers(block), init.weight_layers(other), strict=True)
        )[:-1]:
            scale = 3 ** (-1 / (2 * span - 2))
            assert torch.allclose(layer.weight, scale * full.weight, rtol=1e-6)


def test_fixup_knows_the_skips_of_torchvisions_blocks():
    from torchvision.models.resnet import BasicBlock, ResNet

    model = init.fixup_(ResNet(BasicBlock, [1, 1, 1, 1], 5), BasicBlock)
    blocks = [part for part in model.modules() if isinstance(part, BasicBlock)]
    assert all((block.conv2.weight == 0).all() for block in blocks)
    skips = [block.downsample[0] for block in blocks if block.downsample is not None]
    assert len(skips) == 3 and all((skip.weight != 0).all() for skip in skips)
    assert (model.fc.weight == 0).all()
    std = blocks[0].conv1.weight.std().item()
    assert std == pytest.approx(math.sqrt(2 / 576) * 4 ** (-1 / 2), rel=0.03)


def test_fixup_refuses_blocks_in_blocks_before_anything_changes():
    inner = models.Residual(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    model = nn.Sequential(nn.Linear(4, 4), models.Residual(nn.Linear(4, 4), inner))
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match=r"not lie in one another, but 1\.1 lies in 1$"):
        init.fixup_(model, models.Residual)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_fixup_does_not_explode_with_depth():
    x = torch.randn(100, 32)
    for blocks in (4, 64):
        model = models.dense_stack(32, 64, 2 + 2 * blocks, residual=2)
        init.fixup_(model, models.Residual)
        with torch.no_grad():
            hidden = model[:-1](x)
        assert hidden.square().mean().item() == pytest.approx(1.0, rel=0.3)


# ---------------------------------------------------------------- bad arguments


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: init.he_("net"), TypeError, "model must be an nn.Module, got str"),
        (lambda: init.he_(nn.ReLU()), ValueError, "model must have a dense or convolutional layer"),
        (lambda: init.he_(nn.ConvTranspose2d(1, 1, 1)), ValueError, "that is not transposed, got"),
        (lambda: init.he_(nn.LazyLinear(3)), ValueError, "model must have been called once"),
        (lambda: init.he_(nn.Linear(2, 2), mode="fan"), ValueError, "mode must be .* fan_out, got"),
        (lambda: init.he_(nn.Linear(2, 2), distribution="t"), ValueError, "distribution must be"),
        (lambda: init.he_(nn.Linear(2, 2), slope="0"), TypeError, "slope must be a number"),
        (lambda: init.he_(nn.Linear(2, 2), generator=3), TypeError, "generator must be"),
        (lambda: init.pytorch_(nn.Linear(2, 2), generator=3), TypeError, "generator must be"),
        (lambda: init.orthogonal_(nn.Linear(2, 2), generator=3), TypeError, "generator must be"),
        (lambda: init.delta_orthogonal_(nn.Linear(2, 2), generator=3), TypeError, "generator must"),
        (lambda: init.asymmetric_(nn.Linear(2, 2), generator=3), TypeError, "generator must be"),
        (lambda: init.xavier_(nn.Linear(2, 2), gain=0), ValueError, "gain must be"),
        (lambda: init.orthogonal_(nn.Linear(2, 2), gain=-1), ValueError, "gain must be"),
        (lambda: init.gaussian_(nn.Linear(2, 2), -1), ValueError, "sigma_w2 must be"),
        (lambda: init.gaussian_(nn.Linear(2, 2), 1, -1), ValueError, "sigma_b2 must be"),
        (lambda: init.lsuv_(nn.Linear(2, 2), [1.0]), TypeError, "x must be a torch.Tensor, got"),
        (lambda: init.lsuv_(nn.Linear(2, 2), torch.ones(3, 2), attempts=0), ValueError, "attempts"),
        (lambda: init.fixup_(nn.Linear(2, 2), "Residual"), TypeError, "blocks must be a class"),
        (lambda: init.fixup_(nn.Linear(2, 2), ()), TypeError, "blocks must be a class"),
        (lambda: init.fixup_(nn.Linear(2, 2), int), TypeError, "blocks must be a class"),
        (lambda: init.fixup_(nn.Linear(2, 2), nn.ReLU), ValueError, "a block of class ReLU"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
