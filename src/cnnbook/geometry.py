"""Sizes: what a stack of convolutions and poolings makes of an image, and what each unit sees.

Notation along one axis: input size n, kernel k, stride s, padding p on both sides, dilation d.
"""

import math
from collections.abc import Iterator

import pandas as pd
import torch
from torch import Tensor, nn

from cnnbook._arguments import (
    IntOrPair,
    Padding,
    as_int,
    as_padding,
    as_pair,
    check_images,
    output_size,
)


def conv_output_size(
    size: IntOrPair,
    kernel_size: IntOrPair,
    stride: IntOrPair = 1,
    padding: Padding = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
) -> int | tuple[int, int]:
    """Return the output size of a convolution or pooling, ⌊(n + 2p − d(k−1) − 1)/s⌋ + 1.

    With ``ceil_mode`` (poolings only) the division rounds up, but a last window that would start
    beyond the input and its leading padding is dropped, as PyTorch does.

    Args:
        size: Input size in pixels: n, or (H, W).
        kernel_size: Kernel size in pixels.
        stride: Step of the window in pixels.
        padding: Pixels added on each side, or ``"same"`` or ``"valid"``.
        dilation: Distance in pixels between neighbouring kernel taps.
        ceil_mode: Whether to round up.

    Returns:
        An int if ``size`` is an int (the arguments' vertical entries count), else (H_out, W_out).

    Raises:
        TypeError: If an argument is no integer or pair of integers.
        ValueError: If an argument is out of range, or the kernel exceeds the padded input.

    Source: Dumoulin & Visin (2016), relationship 15; ``ceil_mode`` after PyTorch.
    """
    sizes = as_pair("size", size, 1)
    kernels = as_pair("kernel_size", kernel_size, 1)
    strides = as_pair("stride", stride, 1)
    dilations = as_pair("dilation", dilation, 1)
    paddings = as_padding(padding, kernels, strides, dilations)
    outputs = output_size(sizes, kernels, strides, paddings, dilations, ceil_mode)
    return outputs[0] if isinstance(size, int) else outputs


def conv_transpose_output_size(
    size: IntOrPair,
    kernel_size: IntOrPair,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    output_padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
) -> int | tuple[int, int]:
    """Return the output size of a transposed convolution, (n−1)s − 2p + d(k−1) + 1 + extra.

    Args:
        size: Input size in pixels: n, or (H, W).
        kernel_size: Kernel size in pixels.
        stride: Distance in the output between the stamps of neighbouring input pixels.
        padding: Pixels cut from each side of the output.
        output_padding: Pixels added at the bottom and right only; smaller than the stride or the
            dilation. It chooses between the s input sizes that a strided convolution maps to n.
        dilation: Distance in pixels between neighbouring kernel taps.

    Returns:
        An int if ``size`` is an int (the arguments' vertical entries count), else (H_out, W_out).

    Raises:
        TypeError: If an argument is no integer or pair of integers.
        ValueError: If an argument is out of range, or nothing would be left of the output.

    Source: Dumoulin & Visin (2016), relationship 14; dilation, output padding after PyTorch.
    """
    axes = zip(
        as_pair("size", size, 1),
        as_pair("kernel_size", kernel_size, 1),
        as_pair("stride", stride, 1),
        as_pair("padding", padding, 0),
        as_pair("output_padding", output_padding, 0),
        as_pair("dilation", dilation, 1),
        strict=True,
    )
    outputs = []
    for n, k, s, p, extra, d in axes:
        if extra >= max(s, d):
            raise ValueError(
                f"output_padding must be smaller than stride {s} or dilation {d}, got {extra}"
            )
        out = (n - 1) * s - 2 * p + d * (k - 1) + 1 + extra
        if out < 1:
            raise ValueError(f"padding {p} leaves nothing of the output: size {out}")
        outputs.append(out)
    return outputs[0] if isinstance(size, int) else (outputs[0], outputs[1])


# Layers that act on each position by itself leave the receptive field as it is.
_POINTWISE = (
    nn.Identity,
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.SELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Softplus,
    nn.Hardswish,
    nn.Sigmoid,
    nn.Tanh,
    nn.Dropout,
    nn.Dropout2d,
    nn.BatchNorm2d,
)
_WINDOWED = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
_WHOLE_IMAGE = (nn.Flatten, nn.Linear, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)


def _layers(model: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield (name, layer) for the leaves of nested ``nn.Sequential`` containers, in order."""
    if not isinstance(model, nn.Sequential):
        yield prefix or type(model).__name__, model
        return
    for name, child in model.named_children():
        yield from _layers(child, f"{prefix}.{name}" if prefix else name)


def _window(layer: nn.Module) -> tuple[tuple[int, int], ...]:
    """Return kernel, stride, leading padding and dilation of a windowed layer, as pairs."""
    kernel = as_pair("kernel_size", layer.kernel_size, 1)
    stride = as_pair("stride", layer.stride, 1)
    dilation = as_pair("dilation", getattr(layer, "dilation", 1), 1)
    (top, _), (left, _) = as_padding(layer.padding, kernel, stride, dilation)
    return kernel, stride, (top, left), dilation


def receptive_field(model: nn.Module) -> pd.DataFrame:
    """Return what one unit of each layer sees of the input image.

    Through a layer with kernel k, stride s, padding p and dilation d,
    ``field += (k−1)·d·jump``, ``offset += ((k−1)·d/2 − p)·jump`` and then ``jump *= s``.

    Args:
        model: An ``nn.Sequential``, nested at will, of convolutions, max or average poolings and
            pointwise layers. From a flattening, linear or adaptive-pooling layer on, every unit
            sees the whole image: the field is infinite, jump and offset are undefined (NaN).

    Returns:
        One row per layer with the columns ``layer`` (its name in the model), ``kind`` (its class)
        and, in input pixels along each axis, ``field_h``, ``field_w`` (size of the receptive
        field), ``jump_h``, ``jump_w`` (distance between the fields of neighbouring units) and
        ``offset_h``, ``offset_w`` (centre of the first unit's field, counted from the centre of
        the first pixel).

    Raises:
        TypeError: If a layer is of another kind, so that the answer would be a guess.

    Source: Araujo, Norris & Sim (2019), equations 2 to 5, counted from pixel centres.
    """
    field, jump, offset = [1.0, 1.0], [1.0, 1.0], [0.0, 0.0]
    rows = []
    for name, layer in _layers(model):
        if isinstance(layer, _WINDOWED):
            for axis, (k, s, p, d) in enumerate(zip(*_window(layer), strict=True)):
                field[axis] += (k - 1) * d * jump[axis]
                offset[axis] += ((k - 1) * d / 2 - p) * jump[axis]
                jump[axis] *= s
        elif isinstance(layer, _WHOLE_IMAGE):
            field, jump, offset = [math.inf] * 2, [math.nan] * 2, [math.nan] * 2
        elif not isinstance(layer, _POINTWISE):
            raise TypeError(
                f"model has the layer {name} of type {type(layer).__name__}; receptive_field knows "
                "nn.Sequential of Conv2d, MaxPool2d, AvgPool2d and pointwise layers"
            )
        rows.append((name, type(layer).__name__, *field, *jump, *offset))
    quantities = [f"{what}_{axis}" for what in ("field", "jump", "offset") for axis in "hw"]
    return pd.DataFrame(rows, columns=["layer", "kind", *quantities])


def effective_receptive_field(
    model: nn.Module,
    x: Tensor,
    unit: tuple[int, int] | None = None,
    power: float = 1.0,
) -> Tensor:
    """Return how strongly each input pixel moves one output position: ``|∂y/∂x|``, averaged.

    The model is run in evaluation mode and left in the mode, with the gradients, that it had.

    Args:
        model: Any module from (N, C, H, W) to (N, C′, H′, W′).
        x: Input images (N, C, H, W); the average runs over N and C.
        unit: The output position (row, column); the centre one by default. The gradient is that of
            the sum over output channels.
        power: Exponent of ``|∂y/∂x|`` before averaging: 1 for the mean, 2 for the mean square.

    Returns:
        A map (H, W), in float64, that sums to 1.

    Raises:
        TypeError: If ``x`` is no floating-point tensor.
        ValueError: If ``x`` has not 4 axes, ``unit`` lies outside the output, the output has not 4
            axes, or no input pixel has any influence.

    Source: Luo, Li, Urtasun & Zemel (2016), section 2.
    """
    check_images("x", x)
    modes = [(layer, layer.training) for layer in model.modules()]
    inputs = x.detach().requires_grad_()
    model.eval()
    try:
        y = model(inputs)
    finally:
        for layer, mode in modes:
            layer.training = mode
    if y.ndim != 4:
        raise ValueError(f"model must return 4 axes (N, C, H, W), got shape {tuple(y.shape)}")
    height, width = y.shape[2:]
    row, column = (height // 2, width // 2) if unit is None else as_pair("unit", unit, 0)
    if row >= height or column >= width:
        raise ValueError(f"unit must lie within the output {height}×{width}, got {(row, column)}")
    (gradient,) = torch.autograd.grad(y[:, :, row, column].sum(), inputs)
    influence = gradient.double().abs().pow(power).mean(dim=(0, 1))
    if influence.sum() == 0:
        raise ValueError(f"unit {(row, column)} does not depend on x: its gradient is zero")
    return influence / influence.sum()


def spread(influence: Tensor) -> tuple[float, float]:
    """Return the standard deviations, in pixels, of a map read as a probability (rows, columns).

    Args:
        influence: A non-negative map (H, W), such as ``effective_receptive_field`` returns.

    Raises:
        ValueError: If the map has not 2 axes, a negative entry, or the sum 0.
    """
    if influence.ndim != 2 or bool((influence < 0).any()) or influence.sum() == 0:
        raise ValueError("influence must be a non-negative map (H, W) with a positive sum")
    weights = influence.double() / influence.double().sum()
    deviations = []
    for axis in (1, 0):
        marginal = weights.sum(dim=axis)
        position = torch.arange(len(marginal), dtype=torch.float64)
        centre = (marginal * position).sum()
        deviations.append(math.sqrt((marginal * (position - centre) ** 2).sum()))
    return deviations[0], deviations[1]


def parameter_count(model: nn.Module) -> int:
    """Return the number of trainable scalars of ``model``, shared ones counted once."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def multiply_adds(
    size: IntOrPair,
    in_channels: int,
    out_channels: int,
    kernel_size: IntOrPair,
    stride: IntOrPair = 1,
    padding: Padding = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> int:
    """Return the multiply-adds of a convolution on one image, C_out·H_out·W_out·fan_in.

    Products with padding zeros count, as they do in every library that computes them.

    Args:
        size: Input size in pixels, n or (H, W).
        in_channels: C_in.
        out_channels: C_out.
        kernel_size: Kernel size in pixels.
        stride: Step of the window in pixels.
        padding: As in ``conv_output_size``.
        dilation: Distance in pixels between neighbouring kernel taps.
        groups: Number of groups; fan_in = C_in/groups · kH · kW.

    Raises:
        TypeError: If an argument is no integer or pair of integers.
        ValueError: If an argument is out of range, or ``groups`` does not divide both channels.
    """
    c_in = as_int("in_channels", in_channels, 1)
    c_out = as_int("out_channels", out_channels, 1)
    g = as_int("groups", groups, 1)
    if c_in % g or c_out % g:
        raise ValueError(f"groups must divide in_channels {c_in} and out_channels {c_out}, got {g}")
    sizes = as_pair("size", size, 1)
    kernel_h, kernel_w = as_pair("kernel_size", kernel_size, 1)
    height, width = conv_output_size(sizes, (kernel_h, kernel_w), stride, padding, dilation)
    return c_out * height * width * (c_in // g) * kernel_h * kernel_w
