"""Convolution and pooling written out, with PyTorch's semantics.

All of them are one movement. Pad the image, lift it into windows (``windows``), and reduce each
window: a weighted sum is a convolution, a maximum or a mean is a pooling. The adjoint movement,
adding windows back where they came from (``add_windows``), is the transposed convolution, and it
is all that the backward passes of ``cnnbook.grads`` need.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnbook._arguments import (
    IntOrPair,
    Padding,
    as_int,
    as_padding,
    as_pair,
    check_float_tensor,
    check_images,
    check_same_dtype,
    check_shape,
)
from cnnbook.geometry import conv_output_size, conv_transpose_output_size

Pair = tuple[int, int]


def pad(x: Tensor, padding: tuple[Pair, Pair], value: float = 0.0) -> Tensor:
    """Return ``x`` (N, C, H, W) with ((top, bottom), (left, right)) pixels of ``value`` around."""
    (top, bottom), (left, right) = padding
    return F.pad(x, (left, right, top, bottom), value=value)


def crop(x: Tensor, padding: tuple[Pair, Pair]) -> Tensor:
    """Return ``x`` (N, C, H, W) without ((top, bottom), (left, right)) pixels: undoes ``pad``."""
    (top, bottom), (left, right) = padding
    height, width = x.shape[2:]
    return x[:, :, top : height - bottom, left : width - right]


def windows(x: Tensor, kernel_size: Pair, stride: Pair = (1, 1), dilation: Pair = (1, 1)) -> Tensor:
    """Return every window of ``x``, as a view that copies nothing.

    Args:
        x: Images (N, C, H, W), padded already.
        kernel_size: (kH, kW) in pixels.
        stride: Step of the window in pixels.
        dilation: Distance in pixels between neighbouring taps.

    Returns:
        A view (N, C, H_out, W_out, kH, kW) with
        ``view[n, c, i, j, p, q] = x[n, c, i*stride + p*dilation, j*stride + q*dilation]``.

    Raises:
        ValueError: If the window exceeds the image.
    """
    height, width = conv_output_size(tuple(x.shape[2:]), kernel_size, stride, 0, dilation)
    along_n, along_c, along_h, along_w = x.stride()
    return x.as_strided(
        (*x.shape[:2], height, width, *kernel_size),
        (
            along_n,
            along_c,
            along_h * stride[0],
            along_w * stride[1],
            along_h * dilation[0],
            along_w * dilation[1],
        ),
    )


def add_windows(
    patches: Tensor, size: Pair, stride: Pair = (1, 1), dilation: Pair = (1, 1)
) -> Tensor:
    """Add each patch to the place that ``windows`` took it from: the adjoint of ``windows``.

    Args:
        patches: (N, C, H_out, W_out, kH, kW).
        size: (H, W) of the image to add into.
        stride: Step of the window in pixels.
        dilation: Distance in pixels between neighbouring taps.

    Returns:
        Images (N, C, H, W), with ⟨windows(x), patches⟩ = ⟨x, add_windows(patches)⟩ for every x.
    """
    n, c, height, width, kernel_h, kernel_w = patches.shape
    image = patches.new_zeros(n, c, *size)
    for p in range(kernel_h):
        for q in range(kernel_w):
            top, left = p * dilation[0], q * dilation[1]
            rows = slice(top, top + (height - 1) * stride[0] + 1, stride[0])
            columns = slice(left, left + (width - 1) * stride[1] + 1, stride[1])
            image[:, :, rows, columns] += patches[..., p, q]
    return image


def _conv2d_loops(padded: Tensor, weight: Tensor, stride: Pair, dilation: Pair) -> Tensor:
    """Sum the products one by one; only the batch axis is left to PyTorch."""
    out_channels, group_channels, kernel_h, kernel_w = weight.shape
    groups = padded.shape[1] // group_channels
    height, width = conv_output_size(
        tuple(padded.shape[2:]), (kernel_h, kernel_w), stride, 0, dilation
    )
    z = padded.new_zeros(padded.shape[0], out_channels, height, width)
    for o in range(out_channels):
        first = o // (out_channels // groups) * group_channels  # first channel of o's group
        for i in range(height):
            for j in range(width):
                for c in range(group_channels):
                    for p in range(kernel_h):
                        for q in range(kernel_w):
                            row = i * stride[0] + p * dilation[0]
                            column = j * stride[1] + q * dilation[1]
                            pixel = padded[:, first + c, row, column]
                            z[:, o, i, j] += weight[o, c, p, q] * pixel
    return z


def _conv2d_im2col(padded: Tensor, weight: Tensor, stride: Pair, dilation: Pair) -> Tensor:
    """Lay the windows out as the columns of a matrix, and multiply once per group."""
    out_channels, group_channels, kernel_h, kernel_w = weight.shape
    n, channels = padded.shape[:2]
    groups = channels // group_channels
    patches = windows(padded, (kernel_h, kernel_w), stride, dilation)
    height, width = patches.shape[2:4]
    fan_in = group_channels * kernel_h * kernel_w
    # (N, C, H, W, kH, kW) -> (N, groups, fan_in, H·W)
    columns = patches.permute(0, 1, 4, 5, 2, 3).reshape(n, groups, fan_in, height * width)
    rows = weight.reshape(groups, out_channels // groups, fan_in)
    return (rows @ columns).reshape(n, out_channels, height, width)


METHODS: dict[str, Callable[[Tensor, Tensor, Pair, Pair], Tensor]] = {
    "loops": _conv2d_loops,
    "im2col": _conv2d_im2col,
}


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: IntOrPair = 1,
    padding: Padding = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
    method: str = "im2col",
) -> Tensor:
    """Convolve images with kernels (cross-correlation, as every deep-learning library does).

    z[n, o, i, j] = bias[o] + Σ_{c,p,q} weight[o, c, p, q] · x[n, c₀+c, i·s + p·d, j·s + q·d],
    with x padded by zeros and c₀ the first input channel of the group of o.

    Args:
        x: Images (N, C, H, W).
        weight: Kernels (C_out, C/groups, kH, kW).
        bias: One number per output channel, (C_out,).
        stride: Step of the window in pixels, int or pair.
        padding: Zeros added on each side in pixels, int or pair; ``"valid"`` is none, ``"same"``
            keeps the size (stride 1 only; an odd pixel goes to the bottom and right).
        dilation: Distance in pixels between neighbouring taps, int or pair.
        groups: Number of groups that the channels fall into; each convolves by itself.
        method: ``"loops"``, six plain loops for reading, or ``"im2col"``, one matrix product.

    Returns:
        Pre-activations (N, C_out, H_out, W_out).

    Raises:
        TypeError: If a tensor argument is none, or of a wrong dtype, or an int is expected.
        ValueError: If a rank, shape, channel count or ``method`` does not fit, or the kernel
            exceeds the padded input.

    Source: LeCun et al. (1998), section II; semantics of ``torch.nn.functional.conv2d``.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {sorted(METHODS)}, got {method!r}")
    groups = check_conv_arguments(x, weight, groups)
    if bias is not None:
        check_bias(bias, x, weight.shape[0])
    kernel = tuple(weight.shape[2:])
    stride, dilation = as_pair("stride", stride, 1), as_pair("dilation", dilation, 1)
    around = as_padding(padding, kernel, stride, dilation)
    conv_output_size(tuple(x.shape[2:]), kernel, stride, padding, dilation)  # the kernel fits
    z = METHODS[method](pad(x, around), weight, stride, dilation)
    return z if bias is None else z + bias[:, None, None]


def conv_transpose2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    output_padding: IntOrPair = 0,
    groups: int = 1,
    dilation: IntOrPair = 1,
) -> Tensor:
    """Stamp each kernel, scaled by each input pixel, onto the output: the transpose of ``conv2d``.

    Args:
        x: Images (N, C, H, W).
        weight: Kernels (C, C_out/groups, kH, kW); the first axis belongs to the *input*.
        bias: One number per output channel, (C_out,).
        stride: Distance in the output between neighbouring stamps in pixels, int or pair.
        padding: Pixels cut from each side of the output, int or pair.
        output_padding: Pixels that the output has more at the bottom and right, int or pair.
        groups: Number of groups that the channels fall into.
        dilation: Distance in pixels between neighbouring taps, int or pair.

    Returns:
        Images (N, C_out, H_out, W_out).

    Raises:
        TypeError: If a tensor argument is none, or of a wrong dtype, or an int is expected.
        ValueError: If a rank, shape or channel count does not fit, or nothing would be left.

    Source: Dumoulin & Visin (2016), chapter 4; semantics of
        ``torch.nn.functional.conv_transpose2d``.
    """
    check_images("x", x)
    check_images("weight", weight)
    check_same_dtype("weight", weight, "x", x)
    groups = as_int("groups", groups, 1)
    in_channels, group_channels, kernel_h, kernel_w = weight.shape
    if in_channels != x.shape[1] or in_channels % groups:
        raise ValueError(
            f"weight must have shape (C, C_out/groups, kH, kW) with C = {x.shape[1]} channels of x "
            f"and C divisible by groups = {groups}, got shape {tuple(weight.shape)}"
        )
    out_channels = group_channels * groups
    if bias is not None:
        check_bias(bias, x, out_channels)
    kernel = (kernel_h, kernel_w)
    stride, dilation = as_pair("stride", stride, 1), as_pair("dilation", dilation, 1)
    cut, extra = as_pair("padding", padding, 0), as_pair("output_padding", output_padding, 0)
    n, _, height, width = x.shape
    out = conv_transpose_output_size((height, width), kernel, stride, cut, extra, dilation)

    pixels = x.reshape(n, groups, in_channels // groups, height, width)
    kernels = weight.reshape(groups, in_channels // groups, group_channels, *kernel)
    stamps = torch.einsum("ngchw,gcopq->ngohwpq", pixels, kernels)
    stamps = stamps.reshape(n, out_channels, height, width, *kernel)
    around = ((cut[0], cut[0]), (cut[1], cut[1]))
    full = (out[0] + 2 * cut[0], out[1] + 2 * cut[1])
    z = crop(add_windows(stamps, full, stride, dilation), around)
    return z if bias is None else z + bias[:, None, None]


def max_pool2d(
    x: Tensor,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """Return the maximum of each window.

    Args:
        x: Images (N, C, H, W).
        kernel_size: Window size in pixels, int or pair.
        stride: Step of the window in pixels, int or pair; the window size by default.
        padding: Pixels of −∞ added on each side, at most half the window.
        dilation: Distance in pixels between neighbouring taps, int or pair.
        ceil_mode: Whether a last, partly filled window counts.

    Returns:
        Images (N, C, H_out, W_out).

    Raises:
        TypeError: If ``x`` is no floating-point tensor, or an int is expected.
        ValueError: If the rank of ``x`` is not 4 or an argument is out of range.

    Source: semantics of ``torch.nn.functional.max_pool2d``.
    """
    kernel, stride, around, dilation = pool_arguments(
        x, kernel_size, stride, padding, dilation, ceil_mode
    )
    return windows(pad(x, around, -torch.inf), kernel, stride, dilation).amax(dim=(4, 5))


def avg_pool2d(
    x: Tensor,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Return the mean of each window.

    Args:
        x: Images (N, C, H, W).
        kernel_size: Window size in pixels, int or pair.
        stride: Step of the window in pixels, int or pair; the window size by default.
        padding: Zeros added on each side in pixels, at most half the window.
        ceil_mode: Whether a last, partly filled window counts.
        count_include_pad: Whether the zeros of ``padding`` count in the mean. Pixels that only
            ``ceil_mode`` reaches never do.

    Returns:
        Images (N, C, H_out, W_out).

    Raises:
        TypeError: If ``x`` is no floating-point tensor, or an int is expected.
        ValueError: If the rank of ``x`` is not 4 or an argument is out of range.

    Source: semantics of ``torch.nn.functional.avg_pool2d``.
    """
    kernel, stride, around, _ = pool_arguments(x, kernel_size, stride, padding, 1, ceil_mode)
    counts = pool_counts(x, kernel, stride, padding, around, count_include_pad)
    return windows(pad(x, around), kernel, stride).sum(dim=(4, 5)) / counts


def global_avg_pool2d(x: Tensor) -> Tensor:
    """Return the mean of each channel over all its positions, (N, C, H, W) → (N, C, 1, 1).

    Raises:
        TypeError: If ``x`` is no floating-point tensor.
        ValueError: If the rank of ``x`` is not 4.

    Source: Lin, Chen & Yan (2014), section 3.2; ``torch.nn.AdaptiveAvgPool2d(1)``.
    """
    check_images("x", x)
    return x.mean(dim=(2, 3), keepdim=True)


def check_conv_arguments(x: Tensor, weight: Tensor, groups: int) -> int:
    """Check that ``x``, ``weight`` and ``groups`` of a convolution fit, and return ``groups``.

    Raises:
        TypeError: If a tensor is none, or of a wrong dtype, or ``groups`` is no integer.
        ValueError: If a rank, shape or channel count does not fit.
    """
    check_images("x", x)
    check_images("weight", weight)
    check_same_dtype("weight", weight, "x", x)
    groups = as_int("groups", groups, 1)
    channels, (out_channels, group_channels) = x.shape[1], weight.shape[:2]
    if channels % groups or out_channels % groups:
        raise ValueError(
            f"groups must divide the {channels} channels of x and the {out_channels} of weight, "
            f"got {groups}"
        )
    if group_channels * groups != channels:
        raise ValueError(
            f"weight must have shape (C_out, C/groups, kH, kW) with C/groups = "
            f"{channels // groups}, got shape {tuple(weight.shape)}"
        )
    return groups


def check_bias(bias: Tensor, x: Tensor, out_channels: int) -> None:
    """Check that ``bias`` has one number per output channel, in the dtype of ``x``.

    Raises:
        TypeError: If it is no tensor of the dtype of ``x``.
        ValueError: If its shape is not (C_out,).
    """
    check_float_tensor("bias", bias)
    check_same_dtype("bias", bias, "x", x)
    check_shape("bias", bias, (out_channels,))


def pool_arguments(
    x: Tensor,
    kernel_size: IntOrPair,
    stride: IntOrPair | None,
    padding: IntOrPair,
    dilation: IntOrPair,
    ceil_mode: bool,
) -> tuple[Pair, Pair, tuple[Pair, Pair], Pair]:
    """Check a pooling's arguments and return (kernel, stride, padding of each side, dilation).

    The trailing padding is what the last window needs: less than ``padding`` where it ends early,
    more where ``ceil_mode`` carries it over the edge.

    Raises:
        TypeError: If ``x`` is no floating-point tensor, or an int is expected.
        ValueError: If the rank of ``x`` is not 4 or an argument is out of range.
    """
    check_images("x", x)
    kernel = as_pair("kernel_size", kernel_size, 1)
    steps = kernel if stride is None else as_pair("stride", stride, 1)
    before, taps = as_pair("padding", padding, 0), as_pair("dilation", dilation, 1)
    if 2 * before[0] > kernel[0] or 2 * before[1] > kernel[1]:
        raise ValueError(f"padding must be at most half of kernel_size {kernel}, got {before}")
    size = tuple(x.shape[2:])
    out = conv_output_size(size, kernel, steps, before, taps, ceil_mode)
    around = tuple(
        (b, max(b, (o - 1) * s + d * (k - 1) + 1 - n - b))
        for b, o, s, d, k, n in zip(before, out, steps, taps, kernel, size, strict=True)
    )
    return kernel, steps, around, taps


def pool_counts(
    x: Tensor,
    kernel: Pair,
    stride: Pair,
    padding: IntOrPair,
    around: tuple[Pair, Pair],
    count_include_pad: bool,
) -> Tensor:
    """Return how many pixels each window of an average pooling counts, (1, 1, H_out, W_out)."""
    counted = x.new_ones(1, 1, *x.shape[2:])
    vertical, horizontal = as_pair("padding", padding, 0)
    own = ((vertical, vertical), (horizontal, horizontal))
    beyond = tuple(
        (0, full[1] - mine[1]) for full, mine in zip(around, own, strict=True)
    )  # what only ceil_mode reaches
    counted = pad(counted, own, 1.0 if count_include_pad else 0.0)
    return windows(pad(counted, beyond), kernel, stride).sum(dim=(4, 5))
