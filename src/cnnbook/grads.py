"""Backward passes of ``cnnbook.ops``, derived by hand.

Each takes the gradient of the loss with respect to an operation's output and returns the gradients
with respect to its inputs. Two rules give them all. A linear operation's backward pass is its
transpose: ``windows`` turns into ``add_windows``, padding into cropping. A maximum hands its
gradient to the element that won.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from cnnbook._arguments import (
    IntOrPair,
    Padding,
    as_padding,
    as_pair,
    check_float_tensor,
    check_images,
    check_same_dtype,
    check_shape,
)
from cnnbook.geometry import conv_output_size, conv_transpose_output_size
from cnnbook.ops import (
    add_windows,
    check_conv_arguments,
    crop,
    pad,
    pool_arguments,
    pool_counts,
    windows,
)


class ConvGradients(NamedTuple):
    """Gradients of a loss with respect to a convolution's input, weight and bias."""

    x: Tensor
    weight: Tensor
    bias: Tensor


def _check_gradient(grad_z: Tensor, x: Tensor, shape: tuple[int, ...]) -> None:
    check_float_tensor("grad_z", grad_z)
    check_same_dtype("grad_z", grad_z, "x", x)
    check_shape("grad_z", grad_z, shape)


def conv2d_backward(
    grad_z: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: IntOrPair = 1,
    padding: Padding = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> ConvGradients:
    """Return the gradients of ``ops.conv2d``.

    With z[o, i, j] = bias[o] + Σ weight[o, c, p, q] · x[c, i·s + p·d, j·s + q·d]:

    - ∂L/∂weight[o, c, p, q] = Σ_{i,j} grad_z[o, i, j] · x[c, i·s + p·d, j·s + q·d]: a correlation
      of the input with the output's gradient.
    - ∂L/∂x stamps grad_z[o, i, j] · weight[o] onto the window (i, j): a transposed convolution.
    - ∂L/∂bias[o] = Σ_{i,j} grad_z[o, i, j].

    Args:
        grad_z: ∂L/∂z, (N, C_out, H_out, W_out).
        x: Images (N, C, H, W).
        weight: Kernels (C_out, C/groups, kH, kW).
        stride: As in ``ops.conv2d``.
        padding: As in ``ops.conv2d``.
        dilation: As in ``ops.conv2d``.
        groups: As in ``ops.conv2d``.

    Returns:
        Gradients of the shapes of ``x``, ``weight`` and the bias (C_out,).

    Raises:
        TypeError: If a tensor argument is none, or of a wrong dtype, or an int is expected.
        ValueError: If a rank, shape or channel count does not fit.

    Source: LeCun et al. (1998); derived in the book's section on the backward pass.
    """
    groups = check_conv_arguments(x, weight, groups)
    kernel, size = tuple(weight.shape[2:]), tuple(x.shape[2:])
    stride, dilation = as_pair("stride", stride, 1), as_pair("dilation", dilation, 1)
    height, width = conv_output_size(size, kernel, stride, padding, dilation)
    n, (out_channels, group_channels) = x.shape[0], weight.shape[:2]
    _check_gradient(grad_z, x, (n, out_channels, height, width))

    around = as_padding(padding, kernel, stride, dilation)
    padded = pad(x, around)
    patches = windows(padded, kernel, stride, dilation)
    patches = patches.reshape(n, groups, group_channels, height, width, *kernel)
    signal = grad_z.reshape(n, groups, out_channels // groups, height, width)
    kernels = weight.reshape(groups, out_channels // groups, group_channels, *kernel)

    grad_weight = torch.einsum("ngohw,ngchwpq->gocpq", signal, patches).reshape(weight.shape)
    stamps = torch.einsum("ngohw,gocpq->ngchwpq", signal, kernels)
    stamps = stamps.reshape(n, x.shape[1], height, width, *kernel)
    grad_x = crop(add_windows(stamps, tuple(padded.shape[2:]), stride, dilation), around)
    return ConvGradients(grad_x, grad_weight, grad_z.sum(dim=(0, 2, 3)))


def conv_transpose2d_backward(
    grad_z: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    output_padding: IntOrPair = 0,
    groups: int = 1,
    dilation: IntOrPair = 1,
) -> ConvGradients:
    """Return the gradients of ``ops.conv_transpose2d``; that for ``x`` is a plain convolution.

    Args:
        grad_z: ∂L/∂z, (N, C_out, H_out, W_out).
        x: Images (N, C, H, W).
        weight: Kernels (C, C_out/groups, kH, kW).
        stride: As in ``ops.conv_transpose2d``.
        padding: As in ``ops.conv_transpose2d``.
        output_padding: As in ``ops.conv_transpose2d``.
        groups: As in ``ops.conv_transpose2d``.
        dilation: As in ``ops.conv_transpose2d``.

    Returns:
        Gradients of the shapes of ``x``, ``weight`` and the bias (C_out,).

    Raises:
        TypeError: If a tensor argument is none, or of a wrong dtype, or an int is expected.
        ValueError: If a rank, shape or channel count does not fit.
    """
    check_images("x", x)
    check_images("grad_z", grad_z)
    # Read backwards, grad_z is the input of a convolution with these weights and x its output.
    groups = check_conv_arguments(grad_z, weight, groups)
    n, channels, height, width = x.shape
    group_channels, kernel = weight.shape[1], tuple(weight.shape[2:])
    stride, dilation = as_pair("stride", stride, 1), as_pair("dilation", dilation, 1)
    cut = as_pair("padding", padding, 0)
    out = conv_transpose_output_size((height, width), kernel, stride, cut, output_padding, dilation)
    check_shape("weight", weight, (channels, group_channels, *kernel))
    _check_gradient(grad_z, x, (n, group_channels * groups, *out))

    padded = pad(grad_z, ((cut[0], cut[0]), (cut[1], cut[1])))
    patches = windows(padded, kernel, stride, dilation)[:, :, :height, :width]
    patches = patches.reshape(n, groups, group_channels, height, width, *kernel)
    pixels = x.reshape(n, groups, channels // groups, height, width)
    kernels = weight.reshape(groups, channels // groups, group_channels, *kernel)

    grad_x = torch.einsum("ngohwpq,gcopq->ngchw", patches, kernels).reshape(x.shape)
    grad_weight = torch.einsum("ngchw,ngohwpq->gcopq", pixels, patches).reshape(weight.shape)
    return ConvGradients(grad_x, grad_weight, grad_z.sum(dim=(0, 2, 3)))


def max_pool2d_backward(
    grad_z: Tensor,
    x: Tensor,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """Return the gradient of ``ops.max_pool2d``: each window's gradient goes to its maximum.

    Among equal maxima the first in reading order takes all, as in PyTorch. Zeros left by a ReLU
    make such ties common.

    Args:
        grad_z: ∂L/∂z, (N, C, H_out, W_out).
        x: Images (N, C, H, W).
        kernel_size: As in ``ops.max_pool2d``.
        stride: As in ``ops.max_pool2d``.
        padding: As in ``ops.max_pool2d``.
        dilation: As in ``ops.max_pool2d``.
        ceil_mode: As in ``ops.max_pool2d``.

    Returns:
        ∂L/∂x, (N, C, H, W).

    Raises:
        TypeError: If a tensor argument is none, or of a wrong dtype, or an int is expected.
        ValueError: If a rank or shape does not fit, or an argument is out of range.
    """
    kernel, stride, around, dilation = pool_arguments(
        x, kernel_size, stride, padding, dilation, ceil_mode
    )
    padded = pad(x, around, -torch.inf)
    patches = windows(padded, kernel, stride, dilation)
    _check_gradient(grad_z, x, tuple(patches.shape[:4]))
    flat = patches.flatten(start_dim=4)
    routed = torch.zeros_like(flat)
    routed.scatter_(4, flat.argmax(dim=4, keepdim=True), grad_z[..., None])
    routed = routed.unflatten(4, kernel)
    return crop(add_windows(routed, tuple(padded.shape[2:]), stride, dilation), around)


def avg_pool2d_backward(
    grad_z: Tensor,
    x: Tensor,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Return the gradient of ``ops.avg_pool2d``: each window shares its gradient equally.

    Args:
        grad_z: ∂L/∂z, (N, C, H_out, W_out).
        x: Images (N, C, H, W); only their shape matters.
        kernel_size: As in ``ops.avg_pool2d``.
        stride: As in ``ops.avg_pool2d``.
        padding: As in ``ops.avg_pool2d``.
        ceil_mode: As in ``ops.avg_pool2d``.
        count_include_pad: As in ``ops.avg_pool2d``.

    Returns:
        ∂L/∂x, (N, C, H, W).

    Raises:
        TypeError: If a tensor argument is none, or of a wrong dtype, or an int is expected.
        ValueError: If a rank or shape does not fit, or an argument is out of range.
    """
    kernel, stride, around, _ = pool_arguments(x, kernel_size, stride, padding, 1, ceil_mode)
    counts = pool_counts(x, kernel, stride, padding, around, count_include_pad)
    _check_gradient(grad_z, x, (*x.shape[:2], *counts.shape[2:]))
    (top, bottom), (left, right) = around
    size = (x.shape[2] + top + bottom, x.shape[3] + left + right)
    shares = (grad_z / counts)[..., None, None].expand(*grad_z.shape, *kernel)
    return crop(add_windows(shares, size, stride), around)


def global_avg_pool2d_backward(grad_z: Tensor, x: Tensor) -> Tensor:
    """Return the gradient of ``ops.global_avg_pool2d``: every position gets 1/(H·W) of it.

    Args:
        grad_z: ∂L/∂z, (N, C, 1, 1).
        x: Images (N, C, H, W); only their shape matters.

    Returns:
        ∂L/∂x, (N, C, H, W).

    Raises:
        TypeError: If a tensor argument is none, or of a wrong dtype.
        ValueError: If a rank or shape does not fit.
    """
    check_images("x", x)
    _check_gradient(grad_z, x, (*x.shape[:2], 1, 1))
    return (grad_z / (x.shape[2] * x.shape[3])).expand_as(x)


def numerical_gradient(
    function: Callable[[Tensor], Tensor], x: Tensor, step: float = 1e-5
) -> Tensor:
    """Return the gradient of a scalar function by central differences, one entry at a time.

    The error is of order ``step``² from the third derivative and 1e-16/``step`` from rounding.

    Args:
        function: From a tensor like ``x`` to a tensor with one element.
        x: Where to differentiate; float64, any shape.
        step: Half the distance between the two evaluations.

    Returns:
        A tensor of the shape of ``x``.

    Raises:
        TypeError: If ``x`` is not of dtype float64.
        ValueError: If ``step`` is not positive.
    """
    check_float_tensor("x", x)
    if x.dtype != torch.float64:
        raise TypeError(f"x must have dtype float64, got {x.dtype}")
    if not step > 0:
        raise ValueError(f"step must be positive, got {step}")
    gradient = torch.zeros_like(x)
    for index in range(x.numel()):
        shift = torch.zeros_like(x)
        shift.view(-1)[index] = step
        difference = function(x + shift).item() - function(x - shift).item()
        gradient.view(-1)[index] = difference / (2 * step)
    return gradient
