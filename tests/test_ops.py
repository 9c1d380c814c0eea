"""``ops`` against ``torch.nn.functional`` over generated shapes, in float64."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

import strategies
from cnnbook import ops

TOLERANCE = {"rtol": 0.0, "atol": 1e-10}


@pytest.mark.parametrize("method", sorted(ops.METHODS))
@settings(max_examples=60, deadline=None)
@given(
    case=strategies.convolutions(
        st.one_of(strategies.pairs(0, 3), st.sampled_from(["same", "valid"]))
    )
)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
def test_conv2d_agrees_with_pytorch(method, case):
    z = ops.conv2d(case.x, case.weight, case.bias, **case.options, method=method)
    expected = F.conv2d(case.x, case.weight, case.bias, **case.options)
    torch.testing.assert_close(z, expected, **TOLERANCE)


@settings(**strategies.settings)
@given(case=strategies.transposed_convolutions())
def test_conv_transpose2d_agrees_with_pytorch(case):
    z = ops.conv_transpose2d(case.x, case.weight, case.bias, **case.options)
    expected = F.conv_transpose2d(case.x, case.weight, case.bias, **case.options)
    torch.testing.assert_close(z, expected, **TOLERANCE)


@settings(**strategies.settings)
@given(case=strategies.poolings(dilated=True))
def test_max_pool2d_agrees_with_pytorch(case):
    expected = F.max_pool2d(case.x, **case.options)
    torch.testing.assert_close(ops.max_pool2d(case.x, **case.options), expected, **TOLERANCE)


@settings(**strategies.settings)
@given(case=strategies.poolings(dilated=False))
def test_avg_pool2d_agrees_with_pytorch(case):
    expected = F.avg_pool2d(case.x, **case.options)
    torch.testing.assert_close(ops.avg_pool2d(case.x, **case.options), expected, **TOLERANCE)


def test_global_avg_pool2d_agrees_with_pytorch():
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(ops.global_avg_pool2d(x), F.adaptive_avg_pool2d(x, 1), **TOLERANCE)


@settings(**strategies.settings)
@given(case=strategies.convolutions(strategies.pairs(0, 0)))
def test_add_windows_is_the_adjoint_of_windows(case):
    kernel = tuple(case.weight.shape[2:])
    stride, dilation = (
        (n, n) if isinstance(n, int) else n
        for n in (case.options["stride"], case.options["dilation"])
    )
    lifted = ops.windows(case.x, kernel, stride, dilation)
    patches = torch.randn(lifted.shape, dtype=torch.float64)
    added = ops.add_windows(patches, tuple(case.x.shape[2:]), stride, dilation)
    torch.testing.assert_close((lifted * patches).sum(), (case.x * added).sum(), **TOLERANCE)


def test_windows_is_a_view():
    x = torch.zeros(1, 1, 4, 4)
    assert ops.windows(x, (2, 2)).data_ptr() == x.data_ptr()


def test_windows_of_a_tensor_that_is_not_contiguous():
    x = torch.randn(2, 3, 6, 5).transpose(2, 3)
    torch.testing.assert_close(ops.windows(x, (2, 3)), ops.windows(x.contiguous(), (2, 3)))


def test_crop_undoes_pad():
    x = torch.randn(1, 2, 3, 4)
    around = ((1, 2), (0, 3))
    assert torch.equal(ops.crop(ops.pad(x, around), around), x)


def test_max_pool2d_pads_with_minus_infinity_not_zero():
    x = -torch.ones(1, 1, 2, 2)
    assert torch.equal(ops.max_pool2d(x, 2, padding=1), -torch.ones(1, 1, 2, 2))


def test_an_empty_batch_passes():
    x, weight = torch.zeros(0, 2, 5, 5), torch.zeros(3, 2, 3, 3)
    assert ops.conv2d(x, weight).shape == (0, 3, 3, 3)
    assert ops.max_pool2d(x, 2).shape == (0, 2, 2, 2)


X, W = torch.zeros(1, 4, 5, 5), torch.zeros(6, 4, 3, 3)

BAD_CALLS = [
    (lambda: ops.conv2d([1.0], W), TypeError, "x must be a torch.Tensor, got list"),
    (lambda: ops.conv2d(X.int(), W), TypeError, "x must have a floating-point dtype"),
    (lambda: ops.conv2d(X[0], W), ValueError, r"x must have 4 axes .* got shape \(4, 5, 5\)"),
    (lambda: ops.conv2d(X[:, :, :0], W), ValueError, "x must have no empty axis"),
    (lambda: ops.conv2d(X, W[0]), ValueError, "weight must have 4 axes"),
    (lambda: ops.conv2d(X, W.double()), TypeError, "weight must have the dtype of x"),
    (lambda: ops.conv2d(X, W[:, :3]), ValueError, r"weight must have shape .* C/groups = 4"),
    (lambda: ops.conv2d(X, W, groups=3), ValueError, "groups must divide the 4 channels"),
    (lambda: ops.conv2d(X, W[:5], groups=2), ValueError, "groups must divide .* the 5 of weight"),
    (lambda: ops.conv2d(X, W, groups=0), ValueError, "groups must be at least 1, got 0"),
    (lambda: ops.conv2d(X, W, groups=True), TypeError, "groups must be an integer, got True"),
    (lambda: ops.conv2d(X, W, [1.0]), TypeError, "bias must be a torch.Tensor"),
    (lambda: ops.conv2d(X, W, torch.zeros(5)), ValueError, r"bias must have shape \(6,\)"),
    (lambda: ops.conv2d(X, W, torch.zeros(6).double()), TypeError, "bias must have the dtype"),
    (lambda: ops.conv2d(X, W, stride=0), ValueError, "stride must be at least 1, got 0"),
    (lambda: ops.conv2d(X, W, stride=1.5), TypeError, "stride must be an integer or a pair"),
    (lambda: ops.conv2d(X, W, stride=(1, 2, 3)), ValueError, r"stride .* got \(1, 2, 3\)"),
    (lambda: ops.conv2d(X, W, padding=-1), ValueError, "padding must be at least 0, got -1"),
    (lambda: ops.conv2d(X, W, padding=(0, -1)), ValueError, r"padding\[1\] must be at least 0"),
    (lambda: ops.conv2d(X, W, padding="full"), ValueError, "padding must be .* got 'full'"),
    (lambda: ops.conv2d(X, W, 0 * W[:, 0, 0, 0], 2, "same"), ValueError, "needs stride 1"),
    (lambda: ops.conv2d(X, W, dilation=3), ValueError, "kernel_size 3 with dilation 3 spans 7"),
    (lambda: ops.conv2d(X, W, method="fft"), ValueError, r"method must be one of .* got 'fft'"),
    (lambda: ops.conv_transpose2d(X, W), ValueError, "with C = 4 channels of x"),
    (lambda: ops.conv_transpose2d(X, W[:4], groups=3), ValueError, "divisible by groups = 3"),
    (lambda: ops.conv_transpose2d(X, W[:4], torch.zeros(5)), ValueError, "bias must have shape"),
    (lambda: ops.conv_transpose2d(X, W[:4], padding=4), ValueError, "leaves nothing"),
    (lambda: ops.conv_transpose2d(X, W[:4], output_padding=1), ValueError, "output_padding must"),
    (lambda: ops.max_pool2d(X, 0), ValueError, "kernel_size must be at least 1, got 0"),
    (lambda: ops.max_pool2d(X, 2, padding=2), ValueError, "padding must be at most half"),
    (lambda: ops.max_pool2d(X, 6), ValueError, "more than the padded input of 5"),
    (lambda: ops.max_pool2d(X[0], 2), ValueError, "x must have 4 axes"),
    (lambda: ops.avg_pool2d(X, 2, stride="1"), TypeError, "stride must be an integer"),
    (lambda: ops.avg_pool2d(X, (2, 2.0)), TypeError, r"kernel_size\[1\] must be an integer"),
    (lambda: ops.global_avg_pool2d(X[0]), ValueError, "x must have 4 axes"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD_CALLS)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
