"""The articles' networks, and plain and residual stacks of any depth.

All return logits, are ``nn.Sequential`` with a readable name for each layer, and give every
activation a module of its own, never in place, so that a hook sees z and a apart.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import chain, pairwise
from typing import TypeAlias

import torch
from torch import Tensor, nn

from cnnbook import init as schemes
from cnnbook._arguments import (
    IntOrPair,
    Padding,
    as_bool,
    as_choice,
    as_int,
    as_padding,
    as_pair,
    as_probability,
    as_real,
    check_callable,
    check_images,
)
from cnnbook.activations import Activation, as_activation
from cnnbook.geometry import conv_output_size

Init: TypeAlias = str | Callable[[nn.Module], object]
_Normalization: TypeAlias = str | Callable[[int], nn.Module] | None
_Layers: TypeAlias = list[tuple[str, nn.Module]]

_INITS = {
    "he": schemes.he_,
    "xavier": schemes.xavier_,
    "lecun": schemes.lecun_,
    "pytorch": schemes.pytorch_,
}
# One group over all channels is layer normalisation, for dense and convolutional layers alike.
_NORMS_1D = {"batch": nn.BatchNorm1d, "layer": partial(nn.GroupNorm, 1)}
_NORMS_2D = {"batch": nn.BatchNorm2d, "layer": partial(nn.GroupNorm, 1)}


def a_net(
    size: IntOrPair = 224,
    channels: int = 3,
    classes: int = 10,
    *,
    activation: str | Activation = "relu",
    dropout: float = 0.0,
) -> nn.Sequential:
    """Return article A's network: three times conv 3×3 and pool 2, dense 512, dense.

    It has 44,401,226 parameters by default. Weights are as PyTorch initialises them.

    Args:
        size: Image size in pixels, n or (H, W), at least 22.
        channels: Channels of the images.
        classes: Number of classes.
        activation: A name in ``ACTIVATIONS``, or an ``Activation``.
        dropout: Probability of zeroing an entry of the dense hidden layer.

    Returns:
        A network from images (N, channels, H, W) to logits (N, classes). Its layers: conv1, relu1
        (or the name of the activation), pool1, …, flatten, dense1, relu4, dropout1 (if any) and
        dense2.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If one is out of range, or the image too small for convolutions and poolings.

    Source: article A, which overwrites its input tensor and ends in a softmax.
    """
    widths, pools = (32, 64, 128), (True, True, True)
    return _image_net(size, channels, classes, widths, pools, 512, activation, dropout)


def b_net(
    size: IntOrPair = 28,
    channels: int = 1,
    classes: int = 10,
    *,
    activation: str | Activation = "relu",
    dropout: float = 0.0,
) -> nn.Sequential:
    """Return the network of articles B and E: conv, pool, conv, pool, conv, dense 64, dense.

    It has 93,322 parameters by default. Weights are as PyTorch initialises them.

    Args:
        size: Image size in pixels, n or (H, W), at least 18.
        channels: Channels of the images.
        classes: Number of classes.
        activation: A name in ``ACTIVATIONS``, or an ``Activation``.
        dropout: Probability of zeroing an entry of the dense hidden layer.

    Returns:
        A network from images (N, channels, H, W) to logits (N, classes), named as in ``a_net``.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If one is out of range, or the image too small for convolutions and poolings.

    Source: articles B and E, which end in a softmax.
    """
    widths, pools = (32, 64, 64), (True, True, False)
    return _image_net(size, channels, classes, widths, pools, 64, activation, dropout)


e_net = b_net


def c_net(
    inputs: int = 784,
    classes: int = 10,
    *,
    activation: str | Activation = "relu",
    dropout: float = 0.0,
) -> nn.Sequential:
    """Return article C's network: dense 128, dense 128, dense; 118,282 parameters by default.

    Weights are as PyTorch initialises them.

    Args:
        inputs: Features of an example.
        classes: Number of classes.
        activation: A name in ``ACTIVATIONS``, or an ``Activation``.
        dropout: Probability of zeroing an entry of a hidden layer.

    Returns:
        A network from (N, inputs), or images of as many entries, to logits (N, classes).

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If one is out of range.

    Source: article C, which feeds softmax outputs to a loss of logits.
    """
    outputs = as_int("classes", classes, 1)
    return dense_stack(
        inputs, 128, 3, outputs, activation=activation, dropout=dropout, init="pytorch"
    )


def d_layer(
    in_channels: int,
    out_channels: int,
    kernel_size: IntOrPair,
    stride: IntOrPair = 1,
    padding: Padding = 0,
    *,
    activation: str | Activation = "relu",
) -> nn.Sequential:
    """Return article D's layer: convolution, batch norm, activation.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Kernel size in pixels.
        stride: Step of the kernel in pixels.
        padding: Pixels added on each side, or ``"same"`` or ``"valid"``.
        activation: A name in ``ACTIVATIONS``, or an ``Activation``.

    Returns:
        conv, norm and the activation under its name, from (N, in_channels, H, W) to
        (N, out_channels, H_out, W_out).

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If one is out of range.

    Source: article D, whose activation works in place and so overwrites z.
    """
    n, m = as_int("in_channels", in_channels, 1), as_int("out_channels", out_channels, 1)
    kernel, steps = as_pair("kernel_size", kernel_size, 1), as_pair("stride", stride, 1)
    as_padding(padding, kernel, steps, (1, 1))
    phi = as_activation(activation)
    layers = [("conv", nn.Conv2d(n, m, kernel, steps, padding)), ("norm", nn.BatchNorm2d(m))]
    return _named([*layers, (phi.name, phi.module())])


class CircularConv2d(nn.Conv2d):
    """A convolution with circular padding that keeps the image's size, as one matrix product.

    The same map as ``nn.Conv2d`` with ``padding_mode="circular"``: every position gathers its
    window by index, and the weights, as a matrix, multiply the windows of all positions and images
    at once. On images of a few pixels that is two to three times as fast on a CPU. The images lie
    last in the memory of what it returns, so that a stack of such layers copies nothing between
    them. Probes do not see it, as it calls no convolution.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Kernel size in pixels, k or (kH, kW), odd.
        padding: Half the kernel size, rounded down, in each direction.
        padding_mode: ``"circular"``.
        bias: Whether there are biases.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If one has a value that is not allowed.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrPair,
        *,
        padding: IntOrPair,
        padding_mode: str = "circular",
        bias: bool = True,
    ) -> None:
        kernel = as_pair("kernel_size", kernel_size, 1)
        if not kernel[0] % 2 == kernel[1] % 2 == 1:
            raise ValueError(f"kernel_size must be odd, to keep the image's size, got {kernel}")
        if as_pair("padding", padding, 0) != (kernel[0] // 2, kernel[1] // 2):
            raise ValueError(f"padding must be half of kernel_size {kernel}, got {padding}")
        if padding_mode != "circular":
            raise ValueError(f'padding_mode must be "circular", got {padding_mode!r}')
        super().__init__(
            in_channels, out_channels, kernel, padding=padding, padding_mode=padding_mode, bias=bias
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of ``x`` (N, C_in, H, W), of shape (N, C_out, H, W).

        Raises:
            TypeError: If ``x`` is no floating-point tensor.
            ValueError: If it has another shape.
        """
        check_images("x", x)
        images, channels, height, width = x.shape
        if channels != self.in_channels:
            raise ValueError(f"x must have {self.in_channels} channels, got shape {tuple(x.shape)}")
        taps = _circular_taps(height, width, *self.kernel_size).to(x.device)
        windows = x.permute(1, 2, 3, 0).flatten(1, 2).index_select(1, taps)
        windows = windows.view(-1, height * width * images)
        weight = self.weight.flatten(1)
        z = (
            weight @ windows
            if self.bias is None
            else torch.addmm(self.bias[:, None], weight, windows)
        )
        return z.view(-1, height, width, images).permute(3, 0, 1, 2)


@cache
def _circular_taps(height: int, width: int, k_height: int, k_width: int) -> Tensor:
    """Return, for each tap and then each position, the position that the tap reads."""
    rows = torch.arange(height) + torch.arange(k_height)[:, None] - k_height // 2
    columns = torch.arange(width) + torch.arange(k_width)[:, None] - k_width // 2
    places = (rows % height)[:, None, :, None] * width + (columns % width)[:, None, :]
    return places.flatten()


class Residual(nn.Sequential):
    """Layers with an identity skip around them: x + f(x).

    It is still a chain to what only asks where the layers are, such as ``receptive_field``, whose
    answer the skip does not change.

    Source: He, Zhang, Ren & Sun (2016), "Deep residual learning for image recognition",
    equation 1.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return x + f(x), of the shape of ``x``."""
        return x + super().forward(x)


def dense_stack(
    inputs: int,
    width: int | Sequence[int],
    depth: int,
    outputs: int = 10,
    *,
    activation: str | Activation = "relu",
    normalization: _Normalization = None,
    residual: int = 0,
    dropout: float = 0.0,
    bias: bool = True,
    bias_value: float | None = None,
    init: Init = "he",
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """Return a dense network of any depth, plain or residual.

    Between two weight layers stand norm, activation and dropout. A residual block is the second
    weight layer with what stands before it, or ``residual`` such groups in a row ("pre-activation",
    with 2 the usual block). So plain and residual networks have the same layers in the same order
    and draw the same weights; only the skips differ.

    Args:
        inputs: Features of an example.
        width: Units of each hidden layer, or one number per hidden layer.
        depth: Number of weight layers, the output layer included.
        outputs: Number of outputs.
        activation: A name in ``ACTIVATIONS`` (``"identity"`` for a linear network), or an
            ``Activation``.
        normalization: ``"batch"``, ``"layer"``, a function from the number of units to a module,
            or None.
        residual: Weight layers in each block; 0 for a plain network. The first and last weight
            layers belong to no block.
        dropout: Probability of zeroing an entry behind each activation.
        bias: Whether weight layers have biases.
        bias_value: What the hidden layers' biases start from; None leaves it to ``init``.
        init: ``"he"``, ``"xavier"``, ``"lecun"``: normal weights of variance 2/fan_in,
            2/(fan_in + fan_out), 1/fan_in, and zero biases; ``"pytorch"``: both uniform in
            ±1/√fan_in; or a function that changes the network, initialised as by PyTorch, in place.
        generator: Where the weights are drawn from; by default PyTorch's global generator.

    Returns:
        A network from (N, inputs), or images of as many entries, to logits (N, outputs). Layers are
        numbered by depth: flatten, dense1, norm1, relu1, dropout1, dense2, …; those of a block are
        within block1, block2, ….

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If one is out of range, or the skips do not fit the layers.

    Source: for the block, He, Zhang, Ren & Sun (2016), "Identity mappings in deep residual
    networks", figure 4e; for ``init``, Glorot & Bengio (2010), equation 12, He et al. (2015),
    equation 10, LeCun et al. (1998), equation 16.
    """
    make = partial(nn.Linear, bias=as_bool("bias", bias))
    outputs = as_int("outputs", outputs, 1)
    sizes = _sizes("inputs", inputs, width, depth)
    with torch.random.fork_rng(devices=[]):  # what is drawn here is drawn again below
        hidden = _hidden("dense", make, sizes, activation, normalization, residual, dropout)
        model = _named(
            [("flatten", nn.Flatten()), *hidden, (f"dense{len(sizes)}", make(sizes[-1], outputs))]
        )
    return _initialize(model, init, bias_value, generator)


def conv_stack(
    channels: int,
    width: int | Sequence[int],
    depth: int,
    outputs: int = 10,
    *,
    kernel_size: int = 3,
    padding: str = "zeros",
    conv: Callable[..., nn.Conv2d] = nn.Conv2d,
    flatten_size: IntOrPair | None = None,
    activation: str | Activation = "relu",
    normalization: _Normalization = None,
    residual: int = 0,
    dropout: float = 0.0,
    bias: bool = True,
    bias_value: float | None = None,
    init: Init = "he",
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """Return a convolutional network of any depth, plain or residual, that keeps the image's size.

    It has depth − 1 convolutions of stride 1 and one dense layer.

    Args:
        channels: Channels of the images.
        width: Channels of each hidden layer, or one number per hidden layer.
        depth: Number of weight layers, the dense output layer included.
        outputs: Number of outputs.
        kernel_size: Kernel size in pixels, odd.
        padding: ``"zeros"`` or ``"circular"``.
        conv: Class of the convolutions; ``CircularConv2d`` is faster on tiny images.
        flatten_size: Image size in pixels, n or (H, W), for an output layer that reads all
            positions; by default it reads the global average.
        activation: As in ``dense_stack``, like all that follow.
        normalization: ``"batch"``, ``"layer"`` (over channels and positions), a function such as
            ``partial(nn.GroupNorm, 4)``, or None.
        residual: Weight layers in each block.
        dropout: Probability of zeroing an entry behind each activation.
        bias: Whether weight layers have biases.
        bias_value: What the convolutions' biases start from.
        init: A name, or a function.
        generator: Where the weights are drawn from.

    Returns:
        A network from images (N, channels, H, W) to logits (N, outputs). Layers are numbered by
        depth: conv1, norm1, relu1, dropout1, conv2, …, pool (without ``flatten_size``), flatten
        and last dense, with the depth as its number.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If one is out of range, or the skips do not fit the layers.
    """
    kernel = as_int("kernel_size", kernel_size, 1)
    if kernel % 2 == 0:
        raise ValueError(f"kernel_size must be odd, to keep the image's size, got {kernel}")
    if padding not in ("zeros", "circular"):
        raise ValueError(f'padding must be "zeros" or "circular", got {padding!r}')
    check_callable("conv", conv)
    bias = as_bool("bias", bias)
    make = partial(conv, kernel_size=kernel, padding=kernel // 2, padding_mode=padding, bias=bias)
    outputs = as_int("outputs", outputs, 1)
    sizes = _sizes("channels", channels, width, depth)
    head: _Layers = [("flatten", nn.Flatten())]
    positions = 1
    if flatten_size is None:
        head.insert(0, ("pool", nn.AdaptiveAvgPool2d(1)))
    else:
        positions = math.prod(as_pair("flatten_size", flatten_size, 1))
    with torch.random.fork_rng(devices=[]):
        hidden = _hidden("conv", make, sizes, activation, normalization, residual, dropout)
        dense = nn.Linear(sizes[-1] * positions, outputs, bias=bias)
        model = _named([*hidden, *head, (f"dense{len(sizes)}", dense)])
    return _initialize(model, init, bias_value, generator)


def _image_net(
    size: IntOrPair,
    channels: int,
    classes: int,
    widths: Sequence[int],
    pools: Sequence[bool],
    units: int,
    activation: str | Activation,
    dropout: float,
) -> nn.Sequential:
    """Return valid 3×3 convolutions, some with a 2×2 max pooling, and two dense layers."""
    least = 1
    for pooled in reversed(pools):
        least = (2 * least if pooled else least) + 2
    area = as_pair("size", size, least)
    n, classes = as_int("channels", channels, 1), as_int("classes", classes, 1)
    phi, p = as_activation(activation), as_probability("dropout", dropout)
    layers: _Layers = []
    for i, (width, pooled) in enumerate(zip(widths, pools, strict=True), 1):
        layers += [(f"conv{i}", nn.Conv2d(n, width, 3)), (f"{phi.name}{i}", phi.module())]
        n, area = width, conv_output_size(area, 3)
        if pooled:
            layers.append((f"pool{i}", nn.MaxPool2d(2)))
            area = conv_output_size(area, 2, stride=2)
    layers += [
        ("flatten", nn.Flatten()),
        ("dense1", nn.Linear(n * math.prod(area), units)),
        (f"{phi.name}{len(widths) + 1}", phi.module()),
        *([("dropout1", nn.Dropout(p))] if p else []),
        ("dense2", nn.Linear(units, classes)),
    ]
    return _named(layers)


def _hidden(
    kind: str,
    make: Callable[[int, int], nn.Module],
    sizes: Sequence[int],
    activation: str | Activation,
    normalization: _Normalization,
    residual: int,
    dropout: float,
) -> _Layers:
    """Return the layers before the head: weight layers, what stands between them, and skips."""
    phi, p = as_activation(activation), as_probability("dropout", dropout)
    norms = _NORMS_1D if kind == "dense" else _NORMS_2D
    if normalization is not None:
        norm = (
            normalization
            if callable(normalization)
            else as_choice("normalization", normalization, norms, "a function, None")
        )
    span = as_int("residual", residual, 0)

    # groups[0] is the first weight layer; groups[i] holds weight layer i + 1 and what precedes it.
    groups: list[_Layers] = [[]]
    for i, (n, m) in enumerate(pairwise(sizes), 1):
        groups[-1].append((f"{kind}{i}", make(n, m)))
        between: _Layers = [(f"{phi.name}{i}", phi.module())]
        if normalization is not None:
            between.insert(0, (f"norm{i}", norm(m)))
        if p:
            between.append((f"dropout{i}", nn.Dropout(p)))
        groups.append(between)
    if not span:
        return list(chain.from_iterable(groups))

    inner = groups[1:-1]
    if not inner or len(inner) % span:
        raise ValueError(
            f"depth must be 2 more than a multiple of residual {span}, got {len(sizes)}"
        )
    if len(set(sizes[1:])) > 1:
        raise ValueError(f"width must be the same in all layers with residual, got {sizes[1:]}")
    blocks = [
        (f"block{i // span + 1}", Residual(OrderedDict(chain.from_iterable(inner[i : i + span]))))
        for i in range(0, len(inner), span)
    ]
    return [*groups[0], *blocks, *groups[-1]]


def _initialize(
    model: nn.Sequential,
    init: Init,
    bias_value: float | None,
    generator: torch.Generator | None,
) -> nn.Sequential:
    """Initialise the weight layers in place, in the order of the signal, and return the model."""
    initialize = as_choice("init", "pytorch" if callable(init) else init, _INITS, "a function")
    initialize(model, generator=generator)
    if callable(init):
        init(model)
    if bias_value is not None:
        value = as_real("bias_value", bias_value)
        weight_layers = schemes.weight_layers(model)
        if weight_layers[-1].bias is None:
            raise ValueError(f"bias_value must be None without biases, got {value}")
        for layer in weight_layers[:-1]:
            nn.init.constant_(layer.bias, value)
    return model


def _named(layers: _Layers) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))


def _sizes(name: str, inputs: int, width: int | Sequence[int], depth: int) -> list[int]:
    """Return the features that enter each weight layer, ``depth`` numbers."""
    n, layers = as_int(name, inputs, 1), as_int("depth", depth, 1)
    if not isinstance(width, Sequence) or isinstance(width, str):
        return [n, *[as_int("width", width, 1)] * (layers - 1)]
    if len(width) != layers - 1:
        raise ValueError(
            f"width must have an entry for each of the {layers - 1} hidden layers, got {width}"
        )
    return [n, *(as_int(f"width[{i}]", units, 1) for i, units in enumerate(width))]
