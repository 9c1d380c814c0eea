"""``grads`` against autograd over generated shapes, and against finite differences."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import strategies
from cnnbook import grads, ops

TOLERANCE = {"rtol": 0.0, "atol": 1e-10}


def _autograd(function, inputs):
    """Return z, a random ∂L/∂z, and autograd's gradients with respect to ``inputs``."""
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    z = function(*leaves)
    grad_z = torch.randn(z.shape, generator=torch.Generator().manual_seed(0), dtype=z.dtype)
    return grad_z, torch.autograd.grad(z, leaves, grad_z)


@settings(**strategies.settings)
@given(
    case=strategies.convolutions(
        st.one_of(strategies.pairs(0, 3), st.sampled_from(["same", "valid"]))
    )
)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
def test_conv2d_backward_agrees_with_autograd(case):
    bias = torch.zeros(len(case.weight), dtype=torch.float64)
    grad_z, expected = _autograd(
        lambda *inputs: F.conv2d(*inputs, **case.options), (case.x, case.weight, bias)
    )
    found = grads.conv2d_backward(grad_z, case.x, case.weight, **case.options)
    torch.testing.assert_close(tuple(found), expected, **TOLERANCE)


@settings(**strategies.settings)
@given(case=strategies.transposed_convolutions())
def test_conv_transpose2d_backward_agrees_with_autograd(case):
    bias = torch.zeros(case.weight.shape[1] * case.options["groups"], dtype=torch.float64)
    grad_z, expected = _autograd(
        lambda *inputs: F.conv_transpose2d(*inputs, **case.options), (case.x, case.weight, bias)
    )
    found = grads.conv_transpose2d_backward(grad_z, case.x, case.weight, **case.options)
    torch.testing.assert_close(tuple(found), expected, **TOLERANCE)


@settings(**strategies.settings)
@given(case=strategies.poolings(dilated=True))
def test_max_pool2d_backward_agrees_with_autograd(case):
    # Dilated windows can fall between the pixels, wholly into the padding. PyTorch 2.13 then writes
    # the gradient out of bounds and may abort; ours has a test of its own below.
    assume(F.max_pool2d(case.x, **case.options).isfinite().all())
    grad_z, (expected,) = _autograd(lambda x: F.max_pool2d(x, **case.options), (case.x,))
    found = grads.max_pool2d_backward(grad_z, case.x, **case.options)
    torch.testing.assert_close(found, expected, **TOLERANCE)


@settings(**strategies.settings)
@given(case=strategies.poolings(dilated=False))
def test_avg_pool2d_backward_agrees_with_autograd(case):
    grad_z, (expected,) = _autograd(lambda x: F.avg_pool2d(x, **case.options), (case.x,))
    found = grads.avg_pool2d_backward(grad_z, case.x, **case.options)
    torch.testing.assert_close(found, expected, **TOLERANCE)


def test_max_pool2d_backward_of_a_window_that_sees_no_pixel_is_zero():
    x = torch.zeros(1, 1, 1, 1)
    options = {"kernel_size": 2, "padding": 1, "dilation": 2}
    assert ops.max_pool2d(x, **options).item() == -torch.inf
    assert grads.max_pool2d_backward(torch.ones(1, 1, 1, 1), x, **options).item() == 0.0


def test_global_avg_pool2d_backward_agrees_with_autograd():
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    grad_z, (expected,) = _autograd(lambda x: F.adaptive_avg_pool2d(x, 1), (x,))
    torch.testing.assert_close(grads.global_avg_pool2d_backward(grad_z, x), expected, **TOLERANCE)


def _generator(seed):
    return torch.Generator().manual_seed(seed)


CONV = {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": 2}
TRANSPOSED = {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2}
POOL = {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}


@pytest.mark.parametrize(
    ("forward", "backward", "shapes", "options"),
    [
        (ops.conv2d, grads.conv2d_backward, [(2, 4, 5, 6), (4, 2, 3, 2)], CONV),
        (ops.conv_transpose2d, grads.conv_transpose2d_backward, [(2, 4, 3, 3), (4, 2, 3, 3)],
         TRANSPOSED),
        (ops.max_pool2d, grads.max_pool2d_backward, [(2, 3, 6, 7)], POOL),
        (ops.avg_pool2d, grads.avg_pool2d_backward, [(2, 3, 6, 7)], POOL),
        (ops.global_avg_pool2d, grads.global_avg_pool2d_backward, [(2, 3, 4, 5)], {}),
    ],
)  # fmt: skip
def test_backward_agrees_with_finite_differences(forward, backward, shapes, options):
    inputs = [
        torch.randn(shape, generator=_generator(i), dtype=torch.float64)
        for i, shape in enumerate(shapes)
    ]
    grad_z = torch.randn(
        forward(*inputs, **options).shape, generator=_generator(9), dtype=torch.float64
    )
    found = backward(grad_z, *inputs, **options)
    found = tuple(found)[: len(inputs)] if isinstance(found, tuple) else (found,)
    for position, gradient in enumerate(found):

        def loss(tensor, position=position):
            arguments = [*inputs[:position], tensor, *inputs[position + 1 :]]
            return (forward(*arguments, **options) * grad_z).sum()

        numerical = grads.numerical_gradient(loss, inputs[position])
        torch.testing.assert_close(gradient, numerical, rtol=0, atol=1e-7)


def test_numerical_gradient_of_a_known_function_leaves_its_input_alone():
    x = torch.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=torch.float64)
    before = x.clone()
    torch.testing.assert_close(
        grads.numerical_gradient(lambda t: (t**3).sum(), x), 3 * x**2, rtol=0, atol=1e-7
    )
    assert torch.equal(x, before)


@pytest.mark.parametrize(
    ("x", "step", "error", "message"),
    [
        (torch.zeros(2), 1e-5, TypeError, "x must have dtype float64, got torch.float32"),
        (torch.zeros(2).double(), 0.0, ValueError, "step must be positive, got 0.0"),
    ],
)
def test_numerical_gradient_names_bad_arguments(x, step, error, message):
    with pytest.raises(error, match=message):
        grads.numerical_gradient(torch.sum, x, step)


X, W = torch.zeros(1, 4, 5, 5), torch.zeros(6, 4, 3, 3)

BAD_CALLS = [
    (lambda: grads.conv2d_backward(torch.zeros(1, 6, 3, 4), X, W), r"grad_z must .* \(1, 6"),
    (lambda: grads.conv2d_backward(torch.zeros(1, 6, 3, 3), X, W[:, :2]), "weight must have shape"),
    (lambda: grads.conv_transpose2d_backward(torch.zeros(1, 4, 7, 7), X, W), "weight must have"),
    (lambda: grads.conv_transpose2d_backward(torch.zeros(1, 4, 7, 7), X[0], W), "x must have 4"),
    (lambda: grads.conv_transpose2d_backward(torch.zeros(1, 6, 7, 6), X, W[:4].repeat(1, 2, 1, 1)
                                             [:, :6]), "grad_z must have shape"),
    (lambda: grads.max_pool2d_backward(X, X, 2), "grad_z must have shape"),
    (lambda: grads.avg_pool2d_backward(X, X, 2), "grad_z must have shape"),
    (lambda: grads.global_avg_pool2d_backward(X, X), "grad_z must have shape"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), BAD_CALLS)
def test_bad_shapes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_gradient_of_another_dtype_is_named():
    with pytest.raises(TypeError, match="grad_z must have the dtype of x"):
        grads.max_pool2d_backward(torch.zeros(1, 4, 2, 2).double(), X, 2)
    with pytest.raises(TypeError, match=r"grad_z must be a torch\.Tensor"):
        grads.max_pool2d_backward(None, X, 2)
