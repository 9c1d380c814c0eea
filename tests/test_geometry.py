"""``geometry`` against what PyTorch really does to images and gradients."""

import math

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from torch import nn

import strategies
from cnnbook import geometry


@settings(**strategies.settings)
@given(case=strategies.convolutions())
def test_conv_output_size_is_pytorchs(case):
    z = F.conv2d(case.x, case.weight, **case.options)
    options = {name: case.options[name] for name in ("stride", "padding", "dilation")}
    found = geometry.conv_output_size(
        tuple(case.x.shape[2:]), tuple(case.weight.shape[2:]), **options
    )
    assert found == tuple(z.shape[2:])


@settings(**strategies.settings)
@given(case=strategies.poolings(dilated=True))
def test_pool_output_size_is_pytorchs(case):
    z = F.max_pool2d(case.x, **case.options)
    options = case.options | {"stride": case.options["stride"] or case.options["kernel_size"]}
    assert geometry.conv_output_size(tuple(case.x.shape[2:]), **options) == tuple(z.shape[2:])


@settings(**strategies.settings)
@given(case=strategies.transposed_convolutions())
def test_conv_transpose_output_size_is_pytorchs(case):
    z = F.conv_transpose2d(case.x, case.weight, **case.options)
    options = {name: value for name, value in case.options.items() if name != "groups"}
    found = geometry.conv_transpose_output_size(
        tuple(case.x.shape[2:]), tuple(case.weight.shape[2:]), **options
    )
    assert found == tuple(z.shape[2:])


def test_an_int_size_gives_an_int():
    assert geometry.conv_output_size(28, 3) == 26
    assert geometry.conv_output_size(28, 3, padding="same") == 28
    assert geometry.conv_output_size(28, 3, padding="valid") == 26
    assert geometry.conv_output_size(7, 2, stride=2, ceil_mode=True) == 4
    assert geometry.conv_transpose_output_size(14, 3, stride=2, padding=1, output_padding=1) == 28


def _seen(model, size, unit):
    """Return the rows and columns of the input that ``unit`` of a linear model depends on."""
    x = torch.zeros(1, 2, size, size, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(model(x)[0, :, unit, unit].sum(), x)
    touched = gradient[0].sum(dim=0) != 0
    return [torch.nonzero(touched.any(dim=axis)).flatten() for axis in (1, 0)]


LINEAR = nn.Sequential(
    nn.Sequential(nn.Conv2d(2, 3, (3, 5), stride=(2, 1), padding=(1, 0)), nn.Identity()),
    nn.AvgPool2d(2, stride=2, padding=1),
    nn.Conv2d(3, 2, 3, dilation=(1, 2), padding="same"),
    nn.Conv2d(2, 2, (1, 2), stride=2),
)


def test_receptive_field_is_what_the_gradient_reaches():
    model = LINEAR.double()
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1.0)  # so that no two paths cancel
    last = geometry.receptive_field(model).iloc[-1]
    unit = 4  # far enough from every edge to see only real pixels
    for axis, seen in zip("hw", _seen(model, 91, unit), strict=True):
        assert len(seen) == last[f"field_{axis}"]
        assert seen.double().mean() == last[f"offset_{axis}"] + unit * last[f"jump_{axis}"]


def test_receptive_field_names_its_rows_and_columns():
    table = geometry.receptive_field(LINEAR)
    assert list(table["layer"]) == ["0.0", "0.1", "1", "2", "3"]
    assert list(table["kind"]) == ["Conv2d", "Identity", "AvgPool2d", "Conv2d", "Conv2d"]
    quantities = ["field_h", "field_w", "jump_h", "jump_w", "offset_h", "offset_w"]
    assert list(table.columns) == ["layer", "kind", *quantities]


# Araujo, Norris & Sim (2019), table 1: AlexNet's and VGG-16's last pooling.
@pytest.mark.parametrize(("name", "field", "jump"), [("alexnet", 195, 32), ("vgg16", 212, 32)])
def test_receptive_field_of_torchvision_networks(name, field, jump):
    from torchvision import models

    features = getattr(models, name)(weights=None).features
    last = geometry.receptive_field(features).iloc[-1]
    assert (last["field_h"], last["field_w"]) == (field, field)
    assert (last["jump_h"], last["jump_w"]) == (jump, jump)


def test_from_a_flattening_layer_on_a_unit_sees_everything():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    table = geometry.receptive_field(model)
    assert list(table["field_h"]) == [3, 3, math.inf, math.inf]
    assert table["jump_w"].isna().tolist() == [False, False, True, True]
    assert isinstance(table, pd.DataFrame)


def test_a_single_layer_is_a_model():
    assert geometry.receptive_field(nn.Conv2d(1, 1, 5)).loc[0, "field_h"] == 5


def test_receptive_field_refuses_to_guess():
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Upsample(scale_factor=2))
    with pytest.raises(TypeError, match="the layer 1 of type Upsample"):
        geometry.receptive_field(model)


def _uniform_stack(depth, kernel):
    model = nn.Sequential(*[nn.Conv2d(1, 1, kernel, bias=False) for _ in range(depth)]).double()
    for layer in model:
        nn.init.constant_(layer.weight, 1 / kernel**2)
    return model


@pytest.mark.parametrize(("depth", "kernel"), [(5, 3), (10, 3), (3, 5)])
def test_effective_receptive_field_of_uniform_kernels(depth, kernel):
    # Luo et al. (2016), section 2.2: std = √(depth·(k² − 1)/12).
    x = torch.zeros(1, 1, 41, 41, dtype=torch.float64)
    influence = geometry.effective_receptive_field(_uniform_stack(depth, kernel), x)
    expected = math.sqrt(depth * (kernel**2 - 1) / 12)
    assert geometry.spread(influence) == pytest.approx((expected, expected), abs=1e-12)
    assert influence.sum().item() == pytest.approx(1)


def test_effective_receptive_field_of_a_chosen_unit_and_power():
    model = nn.Conv2d(1, 1, 2, bias=False)
    model.weight.data = torch.tensor([[[[1.0, 3.0], [0.0, 0.0]]]])
    influence = geometry.effective_receptive_field(model, torch.zeros(1, 1, 4, 4), (1, 2), power=2)
    expected = torch.zeros(4, 4, dtype=torch.float64)
    expected[1, 2:] = torch.tensor([0.1, 0.9])
    torch.testing.assert_close(influence, expected)


def test_effective_receptive_field_leaves_the_model_alone():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU())
    for parameter in model.parameters():
        nn.init.constant_(parameter, 0.5)
    x = torch.rand(3, 1, 7, 7)
    model[1].eval()  # a frozen statistic in a network that trains
    state = {name: value.clone() for name, value in model.state_dict().items()}
    geometry.effective_receptive_field(model, x)
    assert [layer.training for layer in model.modules()] == [True, True, False, True]
    assert not x.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())


def test_counts():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=4))
    model[0].bias.requires_grad_(False)
    assert geometry.parameter_count(model) == 8 * 3 * 9 + 8 * 2 * 9 + 8
    # 8 channels of 5×3 positions, each the sum of 2 channels · 3 · 3 products.
    assert geometry.multiply_adds((10, 6), 8, 8, 3, stride=2, padding=1, groups=4) == 8 * 15 * 18


BAD_CALLS = [
    (lambda: geometry.conv_output_size(0, 3), "size must be at least 1, got 0"),
    (lambda: geometry.conv_output_size(2, 3), "kernel_size 3 with dilation 1 spans 3 pixels"),
    (lambda: geometry.conv_transpose_output_size(1, 2, padding=1), "padding 1 leaves nothing"),
    (lambda: geometry.conv_transpose_output_size(4, 2, output_padding=1), "output_padding must be"),
    (lambda: geometry.multiply_adds(8, 3, 8, 3, groups=2), "groups must divide in_channels 3"),
    (lambda: geometry.spread(torch.zeros(3, 3)), "influence must be a non-negative map"),
    (lambda: geometry.spread(torch.ones(3)), "influence must be a non-negative map"),
    (lambda: geometry.spread(torch.tensor([[2.0, -1.0]])), "influence must be a non-negative map"),
    (lambda: geometry.effective_receptive_field(nn.Flatten(), torch.ones(1, 1, 2, 2)), "4 axes"),
    (
        lambda: geometry.effective_receptive_field(nn.Identity(), torch.ones(1, 1, 2, 2), (2, 0)),
        r"unit must lie within the output 2×2, got \(2, 0\)",
    ),
    (
        lambda: geometry.effective_receptive_field(
            nn.Sequential(nn.Conv2d(1, 1, 1), nn.Threshold(9.0, 0.0)), torch.zeros(1, 1, 2, 2)
        ),
        r"unit \(1, 1\) does not depend on x",
    ),
]


@pytest.mark.parametrize(("call", "message"), BAD_CALLS)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
