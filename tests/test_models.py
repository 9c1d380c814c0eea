"""``models``: names, sizes, parameter counts, initialisation, skips."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cnnbook import models
from cnnbook.activations import leaky_relu
from cnnbook.geometry import conv_output_size, parameter_count, receptive_field
from cnnbook.models import Residual, a_net, b_net, c_net, conv_stack, d_layer, dense_stack
from cnnbook.repro import generator


def _names(model):
    layers = model.named_modules()
    return " ".join(name for name, layer in layers if not isinstance(layer, nn.Sequential))


def _weights(model):
    return [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]


def _same(model, other):
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    return all(torch.equal(p, q) for p, q in pairs)


# The articles' networks


def test_parameter_counts_are_the_articles():
    with torch.device("meta"):  # 178 MB else
        a = a_net()
    assert parameter_count(a) == 44_401_226
    assert parameter_count(a.dense1) == 44_302_848 == (26 * 26 * 128 + 1) * 512
    assert parameter_count(b_net()) == 93_322
    assert parameter_count(c_net()) == 118_282 == 785 * 128 + 129 * 128 + 129 * 10
    assert models.e_net is b_net


def test_layers_have_readable_names():
    assert _names(b_net()) == (
        "conv1 relu1 pool1 conv2 relu2 pool2 conv3 relu3 flatten dense1 relu4 dense2"
    )
    assert _names(a_net(22, activation="tanh", dropout=0.5)) == (
        "conv1 tanh1 pool1 conv2 tanh2 pool2 conv3 tanh3 pool3 flatten dense1 tanh4 dropout1 dense2"
    )
    assert _names(c_net(dropout=0.2)) == (
        "flatten dense1 relu1 dropout1 dense2 relu2 dropout2 dense3"
    )


@pytest.mark.parametrize("net", [a_net, b_net])
def test_sizes_follow_the_geometry_down_to_the_smallest(net):
    least = 22 if net is a_net else 18
    for size in (least, least + 1, (least, 31)):
        model, shape = net(size, 2, 3), size
        for layer in model:
            if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
                shape = conv_output_size(shape, layer.kernel_size, layer.stride)
        height, width = shape if isinstance(shape, tuple) else (shape, shape)
        assert model.dense1.in_features == height * width * model.conv3.out_channels
        image = (size, size) if isinstance(size, int) else size
        assert model(torch.zeros(2, 2, *image)).shape == (2, 3)
    for size in (least - 1, (least, least - 1)):
        with pytest.raises(ValueError, match=rf"size.* must be at least {least}, got {least - 1}"):
            net(size)


@pytest.mark.parametrize(
    "model",
    [a_net(22), b_net(), c_net(), dense_stack(9, 4, 3), conv_stack(1, 4, 3)],
    ids=["a", "b", "c", "dense", "conv"],
)
def test_logits_come_out_and_activations_are_modules_of_their_own(model):
    assert isinstance(model[-1], nn.Linear) and model[-1].out_features == 10
    relus = [layer for layer in model if isinstance(layer, nn.ReLU)]
    assert len({id(layer) for layer in relus}) == len(_weights(model)) - 1
    assert not any(layer.inplace for layer in relus)


@pytest.mark.parametrize("net", [b_net, c_net])
def test_article_networks_start_as_pytorch_starts_them(net):
    torch.manual_seed(3)
    model = net()
    torch.manual_seed(3)
    for layer in _weights(model):
        if isinstance(layer, nn.Linear):
            fresh = nn.Linear(layer.in_features, layer.out_features)
        else:
            fresh = nn.Conv2d(layer.in_channels, layer.out_channels, 3)
        assert _same(layer, fresh)


def test_c_net_takes_rows_and_images():
    model = c_net(12, 4)
    x = torch.rand(3, 1, 3, 4)
    assert model(x).shape == (3, 4)
    assert torch.equal(model(x), model(x.flatten(1)))


def test_an_activation_may_be_an_object():
    model = b_net(activation=leaky_relu(0.3))
    assert model.leaky_relu4.negative_slope == 0.3
    assert conv_stack(1, 4, 3, activation=leaky_relu(0.3)).leaky_relu2.negative_slope == 0.3
    assert parameter_count(b_net(activation="prelu")) == 93_322 + 4


def test_dropout_has_its_probability():
    assert b_net(dropout=0.3).dropout1.p == 0.3
    assert c_net(dropout=0.4).dropout2.p == 0.4


@pytest.mark.parametrize(
    ("padding", "shape"), [(0, (2, 5, 3, 2)), ((1, 2), (2, 5, 4, 4)), ("valid", (2, 5, 3, 2))]
)
def test_d_layer_is_convolution_norm_activation(padding, shape):
    layer = d_layer(3, 5, (3, 4), 2, padding, activation="tanh")
    x = torch.randn(2, 3, 8, 7)
    assert _names(layer) == "conv norm tanh"
    assert layer(x).shape == shape
    assert torch.equal(layer(x), torch.tanh(layer.norm(layer.conv(x))))
    assert isinstance(layer.norm, nn.BatchNorm2d)
    assert isinstance(d_layer(1, 1, 1).relu, nn.ReLU)


# Stacks


def test_layers_of_a_stack_are_numbered_by_depth():
    options = {"normalization": "batch", "dropout": 0.1}
    assert _names(dense_stack(9, 4, 3, **options)) == (
        "flatten dense1 norm1 relu1 dropout1 dense2 norm2 relu2 dropout2 dense3"
    )
    assert _names(conv_stack(1, 4, 4, residual=2, **options)) == (
        "conv1 block1.norm1 block1.relu1 block1.dropout1 block1.conv2 block1.norm2 "
        "block1.relu2 block1.dropout2 block1.conv3 norm3 relu3 dropout3 pool flatten dense4"
    )
    assert _names(dense_stack(9, 4, 4, residual=1)) == (
        "flatten dense1 block1.relu1 block1.dense2 block2.relu2 block2.dense3 relu3 dense4"
    )
    assert _names(conv_stack(1, 4, 1)) == "pool flatten dense1"
    assert _names(conv_stack(1, 4, 2, flatten_size=3)) == "conv1 relu1 flatten dense2"


@given(
    st.integers(1, 5),
    st.lists(st.integers(1, 5), max_size=4),
    st.integers(1, 4),
    st.booleans(),
    st.sampled_from([None, 3, (2, 4)]),
)
def test_depth_width_and_parameters_are_as_asked(inputs, widths, outputs, bias, flatten_size):
    depth = len(widths) + 1
    sizes = [inputs, *widths]
    dense = dense_stack(inputs, widths, depth, outputs, bias=bias)
    assert [layer.in_features for layer in _weights(dense)] == sizes
    assert dense(torch.zeros(2, inputs)).shape == (2, outputs)
    expected = sum(n * m for n, m in zip(sizes, [*widths, outputs], strict=True))
    assert parameter_count(dense) == expected + bias * (sum(widths) + outputs)

    conv = conv_stack(inputs, widths, depth, outputs, bias=bias, flatten_size=flatten_size)
    height, width = (2, 4) if flatten_size == (2, 4) else (3, 3)
    positions = 1 if flatten_size is None else height * width
    assert conv(torch.zeros(2, inputs, height, width)).shape == (2, outputs)
    expected = sum(9 * n * m for n, m in zip(sizes, widths, strict=False))
    expected += sizes[-1] * positions * outputs
    assert parameter_count(conv) == expected + bias * (sum(widths) + outputs)


def test_dense_stack_takes_images():
    assert dense_stack(12, 4, 2)(torch.zeros(3, 1, 3, 4)).shape == (3, 10)


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_padding_keeps_the_size_and_is_the_one_named(kernel_size):
    zeros = conv_stack(2, 3, 3, kernel_size=kernel_size, bias_value=0.0)
    x = torch.randn(1, 2, 6, 7)
    assert zeros[:-3](x).shape == (1, 3, 6, 7)
    circular = conv_stack(2, 3, 3, kernel_size=kernel_size, padding="circular")
    shifted = circular[:-3](x.roll((1, 2), (2, 3)))
    torch.testing.assert_close(shifted, circular[:-3](x).roll((1, 2), (2, 3)))
    if kernel_size > 1:
        assert not torch.allclose(zeros[:-3](x.roll(1, 3)), zeros[:-3](x).roll(1, 3))


def test_the_head_averages_or_reads_every_position():
    x = torch.randn(2, 1, 4, 4)
    pooled = conv_stack(1, 3, 2)
    expected = pooled.dense2(torch.relu(pooled.conv1(x)).mean((2, 3)))
    torch.testing.assert_close(pooled(x), expected)
    flat = conv_stack(1, 3, 2, flatten_size=4)
    assert torch.equal(flat(x), flat.dense2(torch.relu(flat.conv1(x)).flatten(1)))


@pytest.mark.parametrize("stack", [dense_stack, conv_stack])
def test_normalization_may_be_a_function_of_the_units(stack):
    model = stack(2, [6, 8], 3, normalization=lambda units: nn.GroupNorm(2, units))
    assert [(norm.num_groups, norm.num_channels) for norm in (model.norm1, model.norm2)] == [
        (2, 6),
        (2, 8),
    ]


@pytest.mark.parametrize("stack", [dense_stack, conv_stack])
@pytest.mark.parametrize("normalization", ["batch", "layer"])
def test_normalization_is_over_the_batch_or_the_layer(stack, normalization):
    model = stack(2, 6, 3, normalization=normalization)
    shape = (64, 6) if stack is dense_stack else (16, 6, 5, 5)
    z = 5 + 3 * torch.randn(shape, generator=generator(1))
    over = [0, *range(2, z.ndim)] if normalization == "batch" else list(range(1, z.ndim))
    variance, mean = torch.var_mean(z, over, correction=0, keepdim=True)
    expected = (z - mean) / (variance + 1e-5).sqrt()
    for norm in (model.norm1, model.norm2):
        torch.testing.assert_close(norm(z), expected, rtol=1e-4, atol=1e-4)


# Initialisation


@pytest.mark.parametrize("init", ["he", "xavier", "lecun", "pytorch"])
@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_named_initialisations_have_their_variance_and_bias(init, kind):
    own = generator(7)
    if kind == "dense":
        layer = dense_stack(300, 100, 3, init=init, generator=own).dense1
        fan_in, fan_out = 300, 100
    else:
        layer = conv_stack(30, 60, 3, init=init, generator=own).conv1
        fan_in, fan_out = 9 * 30, 9 * 60
    variance = {
        "he": 2 / fan_in,
        "xavier": 2 / (fan_in + fan_out),
        "lecun": 1 / fan_in,
        "pytorch": 1 / (3 * fan_in),
    }[init]
    weight = layer.weight.detach()
    assert weight.var().item() == pytest.approx(variance, rel=0.05)  # 16,200 entries at least
    kurtosis = (weight**4).mean() / (weight**2).mean() ** 2
    assert kurtosis.item() == pytest.approx(1.8 if init == "pytorch" else 3, rel=0.05)
    if init == "pytorch":
        limit = fan_in**-0.5
        assert 0.9 * limit < layer.bias.abs().max() <= limit
    else:
        assert not layer.bias.any()


@pytest.mark.parametrize(("init", "factor"), [("he", 1), ("xavier", 1 / 2), ("pytorch", 1 / 6)])
def test_second_moment_changes_by_the_factor_of_theory(init, factor):
    # He et al. (2015), equation 8: a ReLU layer multiplies E z² by n·Var(w)/2.
    own = generator(11)
    model = dense_stack(256, 256, 21, init=init, bias_value=0.0, generator=own).double()
    x = torch.randn(500, 256, generator=own).double()
    moments = []
    for name, layer in model[:-1].named_children():
        x = layer(x)
        if name.startswith("dense"):
            moments.append(x.pow(2).mean().item())
    assert len(moments) == 20
    assert (moments[-1] / moments[0]) ** (1 / 19) == pytest.approx(factor, rel=0.05)


def test_pytorch_is_what_pytorch_does():
    torch.manual_seed(5)
    model = dense_stack(7, 5, 3, 4, init="pytorch")
    conv = conv_stack(2, 5, 3, 4, init="pytorch", kernel_size=5)
    after = torch.rand(1)
    torch.manual_seed(5)
    layers = [nn.Linear(7, 5), nn.Linear(5, 5), nn.Linear(5, 4)]
    convs = [nn.Conv2d(2, 5, 5), nn.Conv2d(5, 5, 5), nn.Linear(5, 4)]
    assert _same(model, nn.Sequential(*layers)) and _same(conv, nn.Sequential(*convs))
    assert torch.equal(torch.rand(1), after)


@pytest.mark.parametrize("init", ["he", "xavier", "lecun", "pytorch", nn.Module.eval])
@pytest.mark.parametrize("stack", [dense_stack, conv_stack])
def test_a_seed_gives_the_network_and_a_generator_leaves_the_global_one_alone(init, stack):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = stack(3, 4, 4, init=init, generator=generator(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert _same(first, stack(3, 4, 4, init=init, generator=generator(2)))
    assert not _same(first, stack(3, 4, 4, init=init, generator=generator(3)))
    torch.manual_seed(2)  # the same stream
    assert _same(first, stack(3, 4, 4, init=init))


@pytest.mark.parametrize("stack", [dense_stack, conv_stack])
@pytest.mark.parametrize("normalization", [None, "batch"])
def test_plain_and_residual_draw_the_same_weights(stack, normalization):
    plain, single, double = (
        stack(3, 4, 8, residual=span, normalization=normalization, generator=generator(1))
        for span in (0, 1, 2)
    )
    assert _same(plain, single) and _same(plain, double)
    assert sum(isinstance(layer, Residual) for layer in single) == 6
    assert sum(isinstance(layer, Residual) for layer in double) == 3


def test_a_function_initialises_in_place_after_pytorch():
    seen = []

    def ones(model):
        seen.append([parameter.clone() for parameter in model.parameters()])
        nn.init.ones_(model.dense1.weight)

    model = dense_stack(3, 4, 2, init=ones, generator=generator(4))
    expected = dense_stack(3, 4, 2, init="pytorch", generator=generator(4))
    assert all(torch.equal(a, b) for a, b in zip(seen[0], expected.parameters(), strict=True))
    assert bool((model.dense1.weight == 1).all())
    assert torch.equal(model.dense2.weight, expected.dense2.weight)


@pytest.mark.parametrize("init", ["he", "pytorch", lambda model: nn.init.ones_(model[-1].bias)])
def test_bias_value_sets_hidden_biases_only(init):
    for stack in (dense_stack, conv_stack):
        model = stack(3, 4, 4, residual=1, init=init, bias_value=-3, generator=generator(1))
        expected = stack(3, 4, 4, residual=1, init=init, generator=generator(1))
        layers, unchanged = _weights(model), _weights(expected)
        assert all(bool((layer.bias == -3).all()) for layer in layers[:-1])
        assert torch.equal(layers[-1].bias, unchanged[-1].bias)
        for layer, other in zip(layers, unchanged, strict=True):
            assert torch.equal(layer.weight, other.weight)


# Skips


def test_a_residual_block_adds_its_input():
    x = torch.randn(5, 3)
    block = Residual(nn.Linear(3, 3), nn.Tanh())
    assert torch.equal(block(x), x + torch.tanh(block[0](x)))


@pytest.mark.parametrize("normalization", [None, "batch"])
def test_blocks_without_weights_are_the_identity(normalization):
    model = conv_stack(2, 3, 6, residual=2, normalization=normalization)
    for block in (model.block1, model.block2):
        nn.init.zeros_(block[-1].weight)
    x = torch.randn(4, 2, 5, 5)
    assert torch.equal(model[:3](x), model.conv1(x))


def test_receptive_field_of_a_residual_network_is_that_of_the_plain_one():
    fields = [
        receptive_field(conv_stack(1, 2, 6, residual=span))["field_h"].tolist() for span in (0, 2)
    ]
    assert fields[0] == fields[1] and fields[0][8] == 11


def test_batch_norm_explodes_gradients_of_a_plain_network_not_of_a_residual_one():
    # Yang et al. (2019): squared norms grow by π/(π − 1) a layer towards the input.
    def growth(residual):
        own = generator(3)
        model = dense_stack(200, 200, 26, normalization="batch", residual=residual, generator=own)
        x = torch.randn(128, 200, generator=own)
        (model(x) * torch.randn(128, 10, generator=own)).sum().backward()
        norms = [layer.weight.grad.norm().item() ** 2 for layer in _weights(model)]
        return (norms[3] / norms[18]) ** (1 / 15)

    assert growth(0) == pytest.approx(math.pi / (math.pi - 1), rel=0.06)
    assert growth(2) < 1.2


def test_a_thousand_layers_are_built_and_run():
    model = conv_stack(1, 4, 1000, activation="tanh", padding="circular", normalization=None)
    assert model(torch.randn(2, 1, 4, 4)).shape == (2, 10)
    assert model.conv999.out_channels == 4 and model.dense1000.in_features == 4


# Bad input

BAD_CALLS = [
    (lambda: a_net(224.0), TypeError, "size must be an integer or a pair of integers"),
    (lambda: a_net(channels=0), ValueError, "channels must be at least 1, got 0"),
    (lambda: b_net(classes=0), ValueError, "classes must be at least 1, got 0"),
    (lambda: b_net(activation="ReLU"), ValueError, "activation must be an Activation or one of"),
    (lambda: b_net(activation=nn.ReLU()), TypeError, r"hardswish, got ReLU\(\)"),
    (lambda: b_net(activation=["relu"]), TypeError, r"hardswish, got \['relu'\]"),
    (lambda: b_net(dropout=1), ValueError, r"dropout must be at least 0 and below 1, got 1\.0"),
    (lambda: b_net(dropout=-0.1), ValueError, r"dropout must be .* got -0\.1"),
    (lambda: b_net(dropout=math.nan), ValueError, "dropout must be finite, got nan"),
    (lambda: b_net(dropout="0.5"), TypeError, "dropout must be a number, got '0.5'"),
    (lambda: b_net(dropout=True), TypeError, "dropout must be a number, got True"),
    (lambda: c_net(0), ValueError, "inputs must be at least 1, got 0"),
    (lambda: c_net(classes=0), ValueError, "classes must be at least 1, got 0"),
    (lambda: c_net(activation="x"), ValueError, "activation must be"),
    (lambda: d_layer(0, 1, 3), ValueError, "in_channels must be at least 1, got 0"),
    (lambda: d_layer(1, 0, 3), ValueError, "out_channels must be at least 1, got 0"),
    (lambda: d_layer(1, 1, 0), ValueError, "kernel_size must be at least 1, got 0"),
    (lambda: d_layer(1, 1, 3, 0), ValueError, "stride must be at least 1, got 0"),
    (lambda: d_layer(1, 1, 3, 2, "same"), ValueError, 'padding "same" needs stride 1'),
    (lambda: d_layer(1, 1, 3, activation="x"), ValueError, "activation must be"),
    (lambda: dense_stack(0, 4, 3), ValueError, "inputs must be at least 1, got 0"),
    (lambda: dense_stack(3, 0, 3), ValueError, "width must be at least 1, got 0"),
    (lambda: dense_stack(3, "44", 3), TypeError, "width must be an integer, got '44'"),
    (lambda: dense_stack(3, [4, 0], 3), ValueError, r"width\[1\] must be at least 1, got 0"),
    (lambda: dense_stack(3, [4], 3), ValueError, r"each of the 2 hidden layers, got \[4\]"),
    (lambda: dense_stack(3, 4, 0), ValueError, "depth must be at least 1, got 0"),
    (lambda: dense_stack(3, 4, 3, 0), ValueError, "outputs must be at least 1, got 0"),
    (lambda: dense_stack(3, 4, 3, activation="x"), ValueError, "activation must be"),
    (lambda: dense_stack(3, 4, 3, dropout=2), ValueError, "dropout must be"),
    (lambda: dense_stack(3, 4, 3, bias=0), TypeError, "bias must be True or False, got 0"),
    (
        lambda: dense_stack(3, 4, 3, normalization="group"),
        ValueError,
        "normalization must be a function, None or one of batch, layer, got 'group'",
    ),
    (lambda: dense_stack(3, 4, 3, residual=True), TypeError, "residual must be an integer"),
    (lambda: dense_stack(3, 4, 3, residual=-1), ValueError, "residual must be at least 0"),
    (
        lambda: dense_stack(3, 4, 5, residual=2),
        ValueError,
        "depth must be 2 more than a multiple of residual 2, got 5",
    ),
    (lambda: dense_stack(3, 4, 2, residual=2), ValueError, "depth must be .* got 2"),
    (lambda: dense_stack(3, 4, 1, residual=1), ValueError, "depth must be .* got 1"),
    (
        lambda: dense_stack(3, [4, 4, 5], 4, residual=1),
        ValueError,
        r"width must be the same in all layers with residual, got \[4, 4, 5\]",
    ),
    (lambda: dense_stack(3, 4, 3, init="He"), ValueError, "init must be a function or one of he"),
    (lambda: dense_stack(3, 4, 3, init=None), TypeError, "init must be .* got None"),
    (lambda: dense_stack(3, 4, 3, generator=0), TypeError, "generator must be a torch.Generator"),
    (lambda: dense_stack(3, 4, 3, bias_value="1"), TypeError, "bias_value must be a number"),
    (lambda: dense_stack(3, 4, 3, bias_value=math.inf), ValueError, "bias_value must be finite"),
    (
        lambda: dense_stack(3, 4, 3, bias=False, bias_value=0.0),
        ValueError,
        "bias_value must be None without biases",
    ),
    (lambda: conv_stack(0, 4, 3), ValueError, "channels must be at least 1, got 0"),
    (lambda: conv_stack(1, 4, 3, 0), ValueError, "outputs must be at least 1, got 0"),
    (lambda: conv_stack(1, 4, 3, bias=None), TypeError, "bias must be True or False"),
    (lambda: conv_stack(1, 4, 3, kernel_size=2), ValueError, "kernel_size must be odd"),
    (lambda: conv_stack(1, 4, 3, padding="same"), ValueError, 'padding must be "zeros" or'),
    (lambda: conv_stack(1, 4, 3, flatten_size=0), ValueError, "flatten_size must be at least 1"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD_CALLS)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


# ---------------------------------------------------------------- circular convolution


@given(
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.sampled_from([(1, 1), (3, 3), (5, 3), (1, 5)]),
    st.booleans(),
    st.integers(1, 3),
)
@settings(deadline=None)
def test_circular_convolution_is_that_of_pytorch(size, kernel, bias, images):
    padding = (kernel[0] // 2, kernel[1] // 2)
    if padding[0] > size[0] or padding[1] > size[1]:
        return  # PyTorch's padding wraps once at most
    options = {"padding": padding, "padding_mode": "circular", "bias": bias}
    reference = nn.Conv2d(2, 3, kernel, **options).double()
    ours = models.CircularConv2d(2, 3, kernel, **options).double()
    ours.load_state_dict(reference.state_dict())
    x = torch.randn(images, 2, *size, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(images, 3, *size, dtype=torch.float64)
    results = []
    for layer in (reference, ours):
        z = layer(x)
        results.append([z, *torch.autograd.grad((z * weights).sum(), [x, *layer.parameters()])])
    torch.testing.assert_close(results[0], results[1], rtol=1e-10, atol=1e-10)


def test_a_stack_takes_the_class_of_its_convolutions():
    options = {"padding": "circular", "activation": "tanh"}
    plain = conv_stack(1, 4, 5, **options, generator=generator(0))
    fast = conv_stack(1, 4, 5, **options, conv=models.CircularConv2d, generator=generator(0))
    assert isinstance(fast.conv3, models.CircularConv2d)
    x = torch.randn(3, 1, 4, 4, generator=generator(1))
    torch.testing.assert_close(plain(x), fast(x))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel_size": 2, "padding": 1}, "kernel_size must be odd.*got"),
        ({"kernel_size": 3, "padding": 0}, r"padding must be half of kernel_size \(3, 3\), got 0"),
        (
            {"kernel_size": 3, "padding": 1, "padding_mode": "zeros"},
            "padding_mode must be \"circular\", got 'zeros'",
        ),
    ],
)
def test_circular_convolution_names_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        models.CircularConv2d(1, 1, **options)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((1, 4, 4), "x must have 4 axes"), ((1, 3, 4, 4), "must have 1 channels")],
)
def test_circular_convolution_takes_images_of_its_channels_only(shape, message):
    with pytest.raises(ValueError, match=message):
        models.CircularConv2d(1, 1, 3, padding=1)(torch.zeros(shape))
