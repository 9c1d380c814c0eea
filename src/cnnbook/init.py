"""Initialisation schemes, each for a whole network.

Every function changes the weight layers of any ``nn.Module`` in place, in the order of
``model.modules()``, and returns the model. A weight layer is a dense or convolutional one that is
not transposed; its biases become 0 unless the scheme says otherwise, and its weight has the matrix
form (C_out, fan_in), fan_in = C_in/groups · kH · kW, and is drawn whether it requires a gradient or
not. What belongs to no weight layer, such as a batch norm's scale, stays as it is. Draws come from
``generator``, by default PyTorch's global one.

Every scheme raises a ``ValueError``, before anything changes, where a weight is empty or not
floating point, or where weight norm, pruning or the like computes a weight or bias from others.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from cnnbook._arguments import as_choice, as_int, as_real

WeightLayer: TypeAlias = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d
_Model = TypeVar("_Model", bound=nn.Module)

# Lu et al. (2020), section 3.2: the standard deviation times √fan_in that makes E z² the same
# from layer to layer when one entry of each row, bias included, is drawn from Beta(2, 1).
ASYMMETRIC_SCALE = 0.6007


def weight_layers(model: nn.Module) -> list[WeightLayer]:
    """Return the dense and convolutional layers of a model, in the order of ``model.modules()``.

    Raises:
        TypeError: If ``model`` is no ``nn.Module``.
        ValueError: If it has none, or one whose weight is not yet there.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be an nn.Module, got {type(model).__name__}")
    layers = [part for part in model.modules() if isinstance(part, WeightLayer)]
    if not layers:
        raise ValueError(
            f"model must have a dense or convolutional layer that is not transposed, got {model!r}"
        )
    for layer in layers:
        # Not layer.weight, which a parametrisation would compute, and spectral norm change by it.
        if isinstance(layer._parameters.get("weight"), nn.parameter.UninitializedParameter):
            raise ValueError(f"model must have been called once, since it holds {layer!r}")
    return layers


def he_(
    model: _Model,
    *,
    distribution: str = "normal",
    mode: Literal["fan_in", "fan_out"] = "fan_in",
    slope: float = 0.0,
    generator: torch.Generator | None = None,
) -> _Model:
    """Initialise by He: weights of variance 2/((1 + slope²) fan), biases 0.

    Args:
        model: Any module.
        distribution: ``"normal"``, or ``"uniform"`` in ±√(3 variance).
        mode: ``"fan_in"`` keeps E z² from layer to layer on the way forward, ``"fan_out"``
            (C_out/groups · kH · kW) that of gradients on the way back.
        slope: Slope of the activation at negative z: 0 for ReLU.
        generator: Source of the draws.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If one has a value that is not allowed, or ``model`` no weight layer.

    Source: He, Zhang, Ren & Sun (2015), equations 10, 14 and 15.
    """
    gain = math.sqrt(2 / (1 + as_real("slope", slope) ** 2))
    place = as_choice("mode", mode, {"fan_in": 0, "fan_out": 1}, "a string")
    return _drawn(model, distribution, generator, lambda fans: gain / math.sqrt(fans[place]))


def xavier_(
    model: _Model,
    *,
    distribution: str = "normal",
    gain: float = 1.0,
    generator: torch.Generator | None = None,
) -> _Model:
    """Initialise by Glorot ("Xavier"): variance 2 gain²/(fan_in + fan_out), biases 0.

    Args:
        model: Any module.
        distribution: ``"normal"``, or ``"uniform"`` in ±gain √(6/(fan_in + fan_out)).
        gain: Factor for the activation, above 0.
        generator: Source of the draws.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If one has a value that is not allowed, or ``model`` no weight layer.

    Source: Glorot & Bengio (2010), equations 12 and 16.
    """
    factor = as_real("gain", gain, above=0)
    return _drawn(model, distribution, generator, lambda fans: factor * math.sqrt(2 / sum(fans)))


def lecun_(
    model: _Model, *, distribution: str = "normal", generator: torch.Generator | None = None
) -> _Model:
    """Initialise by LeCun: weights of variance 1/fan_in, biases 0.

    Args:
        model: Any module.
        distribution: ``"normal"``, or ``"uniform"`` in ±√(3/fan_in).
        generator: Source of the draws.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If one has a value that is not allowed, or ``model`` no weight layer.

    Source: LeCun, Bottou, Orr & Müller (1998), equation 16.
    """
    return _drawn(model, distribution, generator, lambda fans: 1 / math.sqrt(fans[0]))


def gaussian_(
    model: _Model,
    sigma_w2: float,
    sigma_b2: float = 0.0,
    *,
    generator: torch.Generator | None = None,
) -> _Model:
    """Initialise as mean-field theory counts: weights N(0, σ_w²/fan_in), biases N(0, σ_b²).

    Args:
        model: Any module.
        sigma_w2: σ_w², not negative.
        sigma_b2: σ_b², not negative.
        generator: Source of the draws.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If one is out of range, or ``model`` has no weight layer.

    Source: Poole et al. (2016), section 2.
    """
    w, b = as_real("sigma_w2", sigma_w2, least=0), as_real("sigma_b2", sigma_b2, least=0)
    _drawn(model, "normal", generator, lambda fans: math.sqrt(w / fans[0]))
    if b:
        for layer in weight_layers(model):
            if layer.bias is not None:
                nn.init.normal_(layer.bias, std=math.sqrt(b), generator=generator)
    return model


def pytorch_(model: _Model, *, generator: torch.Generator | None = None) -> _Model:
    """Initialise as PyTorch does by default: weights and biases uniform in ±1/√fan_in.

    Args:
        model: Any module.
        generator: Source of the draws.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``model`` has no weight layer.

    Source: ``torch.nn.Linear.reset_parameters``; weights have variance 1/(3 fan_in).
    """
    for layer in _start(model, generator):
        nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
        if layer.bias is not None:
            limit = 1 / math.sqrt(_fans(layer)[0])
            nn.init.uniform_(layer.bias, -limit, limit, generator=generator)
    return model


def orthogonal_(
    model: _Model, *, gain: float = 1.0, generator: torch.Generator | None = None
) -> _Model:
    """Initialise with orthogonal matrices: gain times orthonormal rows or columns, biases 0.

    Of a convolution it is the matrix (C_out, fan_in) that is orthogonal, and not the convolution:
    that maps images with singular values between about 0 and 2 (see ``delta_orthogonal_``). With
    groups, each group has a matrix of its own.

    Args:
        model: Any module.
        gain: Factor for the activation, above 0.
        generator: Source of the draws.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``gain`` is not positive, or ``model`` has no weight layer.

    Source: Saxe, McClelland & Ganguli (2014), section 3.
    """
    factor = as_real("gain", gain, above=0)
    for layer in _start(model, generator):
        for part in layer.weight.detach().chunk(_groups(layer)):
            part.copy_(_orthogonal(part, factor, generator))
        _zero_bias(layer)
    return model


def delta_orthogonal_(
    model: _Model, *, gain: float = 1.0, generator: torch.Generator | None = None
) -> _Model:
    """Initialise convolutions with kernels 0 but for an orthogonal centre tap; biases 0.

    All singular values of a stride-1 convolution with circular padding, as a map of images, are
    then ``gain``. Dense layers become orthogonal.

    Args:
        model: Any module, whose convolutions have odd kernel sizes and, per group, at least as many
            channels coming out as going in. The last dense layer may have fewer.
        gain: Factor for the activation, above 0.
        generator: Source of the draws.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``gain`` is not positive, ``model`` has no weight layer, or a convolution has
            an even kernel or fewer channels coming out than going in. Nothing is changed then.

    Source: Xiao et al. (2018), algorithm 1.
    """
    factor = as_real("gain", gain, above=0)
    layers = _start(model, generator)
    for layer in layers:
        out, before, *kernel = layer.weight.shape
        if any(size % 2 == 0 for size in kernel):
            raise ValueError(f"model must have odd kernels only, to have a centre, got {layer!r}")
        if kernel and out // _groups(layer) < before:
            raise ValueError(
                "model must have no convolution with fewer channels coming out than going in, "
                f"got {layer!r}"
            )
    for layer in layers:
        _, _, *kernel = layer.weight.shape
        centre = (slice(None), slice(None), *(size // 2 for size in kernel))
        for part in layer.weight.detach().zero_().chunk(_groups(layer)):
            part[centre] = _orthogonal(part[centre], factor, generator)
        _zero_bias(layer)
    return model


def asymmetric_(model: _Model, *, generator: torch.Generator | None = None) -> _Model:
    """Initialise by randomised asymmetric initialisation, which makes born-dead units rarer.

    Each unit draws its weights and bias from N(0, 0.6007²/fan_in), then one of them, chosen at
    random, from Beta(2, 1), which is positive. (Without a bias it is one of the weights.)

    Args:
        model: Any module.
        generator: Source of the draws.

    Raises:
        TypeError: If ``model`` is no module.
        ValueError: If ``model`` has no weight layer.

    Source: Lu, Shin, Su & Karniadakis (2020), section 3.2.
    """
    for layer in _start(model, generator):
        rows = layer.weight.detach().flatten(1)
        entries = rows.shape[1] + (layer.bias is not None)
        both = rows.new_empty(len(rows), entries)
        nn.init.normal_(both, std=ASYMMETRIC_SCALE / math.sqrt(rows.shape[1]), generator=generator)
        chosen = torch.randint(entries, (len(rows), 1), generator=generator, device=both.device)
        uniform = torch.empty_like(both[:, :1]).uniform_(generator=generator)
        both.scatter_(1, chosen, uniform.sqrt())  # the distribution function of Beta(2, 1) is x²
        with torch.no_grad():
            layer.weight.copy_(both[:, : rows.shape[1]].reshape(layer.weight.shape))
            if layer.bias is not None:
                layer.bias.copy_(both[:, -1])
    return model


def lsuv_(
    model: _Model,
    x: Tensor,
    *,
    tolerance: float = 0.1,
    attempts: int = 10,
    generator: torch.Generator | None = None,
) -> _Model:
    """Initialise by layer-sequential unit variance: orthonormal, then scaled by what goes through.

    Layer by layer, in the order in which the forward pass calls them, the weights are divided by
    the standard deviation of the layer's output for ``x``, until its variance is 1. The model runs
    in evaluation mode, a normalisation layer thus with the statistics that it has; its mode is put
    back.

    Args:
        model: Any module that can be called with ``x``.
        x: A batch of inputs, of whatever shape the model takes.
        tolerance: Largest difference of the variance from 1, above 0.
        attempts: How often a layer is scaled at most. Once is enough where a layer's output does
            not depend on what comes behind it.
        generator: Source of the draws.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If one is out of range, ``model`` has no weight layer, or two that share one
            weight, or a layer's output has no variance, or none that comes within ``tolerance``.
            The model is left as it was.

    Source: Mishkin & Matas (2016), algorithm 1.
    """
    near = as_real("tolerance", tolerance, above=0)
    most = as_int("attempts", attempts, 1)
    if not isinstance(x, Tensor):
        raise TypeError(f"x must be a torch.Tensor, got {type(x).__name__}")
    layers = _start(model, generator)
    owners: dict[Tensor, WeightLayer] = {}
    for layer in layers:
        if owners.setdefault(layer.weight, layer) is not layer:
            raise ValueError(
                "model must have a weight for each layer, as one cannot give two outputs variance "
                f"1, but {_name(model, owners[layer.weight])} and {_name(model, layer)} share one"
            )
    before = [parameter.detach().clone() for layer in layers for parameter in layer.parameters()]
    modes = {part: part.training for part in model.modules()}
    try:
        model.eval()
        orthogonal_(model, generator=generator)
        for layer in _called(model, layers, x):
            for _ in range(most):
                variance = _output_variance(model, layer, x)
                if abs(variance - 1) <= near:
                    break
                if not (math.isfinite(variance) and variance > 0):
                    raise ValueError(
                        "x must give every layer an output that varies, but that of "
                        f"{_name(model, layer)} has variance {variance}"
                    )
                with torch.no_grad():
                    layer.weight /= math.sqrt(variance)
            else:
                variance = _output_variance(model, layer, x)
                if not abs(variance - 1) <= near:
                    raise ValueError(
                        f"attempts must suffice for variance 1, but after {most} the output of "
                        f"{_name(model, layer)} has {variance:.3g}"
                    )
    except BaseException:
        parameters = (parameter for layer in layers for parameter in layer.parameters())
        with torch.no_grad():
            for parameter, value in zip(parameters, before, strict=True):
                parameter.copy_(value)
        raise
    finally:
        for part, mode in modes.items():
            part.training = mode
    return model


def fixup_(
    model: _Model,
    blocks: type[nn.Module] | tuple[type[nn.Module], ...],
    *,
    generator: torch.Generator | None = None,
) -> _Model:
    """Initialise a residual network without normalisation so that depth costs nothing at first.

    He's weights everywhere, biases 0. In each block of L, whose branch has m weight layers, those
    but the last are multiplied by L^(−1/(2m − 2)), and the last one is set to zero, so that the
    block begins as the identity; so is the network's last weight layer, in the order of
    ``model.modules()``. These are rules 1 and 2 of the paper. Rule 3 adds scalar biases and a scale
    to the network, which no initialisation can.

    Args:
        model: Any module with residual blocks.
        blocks: Their class or classes, such as ``models.Residual`` or torchvision's
            ``(BasicBlock, Bottleneck)``. A part of a block named ``downsample`` or ``shortcut``
            belongs to the skip.
        generator: Source of the draws.

    Raises:
        TypeError: If ``blocks`` is not a class or a tuple of classes.
        ValueError: If ``model`` has no block of these classes with a weight layer in its branch,
            or one that lies in another.

    Source: Zhang, Dauphin & Ma (2019), section 3.
    """
    classes = blocks if isinstance(blocks, tuple) else (blocks,)
    if not classes or not all(isinstance(c, type) and issubclass(c, nn.Module) for c in classes):
        raise TypeError(f"blocks must be a class of modules or a tuple of such, got {blocks!r}")
    layers = _start(model, generator)
    found = [part for part in model.modules() if isinstance(part, classes)]
    for block in found:
        for part in block.modules():
            if part is not block and isinstance(part, classes):
                raise ValueError(
                    "blocks must not lie in one another, but "
                    f"{_name(model, part)} lies in {_name(model, block)}"
                )
    branches = [branch for branch in map(_branch, found) if branch]
    if not branches:
        names = ", ".join(c.__name__ for c in classes)
        raise ValueError(f"model must have a block of class {names} with a weight layer in it")
    he_(model, generator=generator)
    with torch.no_grad():
        for *inner, last in branches:
            for layer in inner:
                layer.weight *= len(branches) ** (-1 / (2 * len(inner)))
            last.weight.zero_()
        layers[-1].weight.zero_()
    return model


def _branch(block: nn.Module) -> list[WeightLayer]:
    """Return the weight layers of a residual block that are not part of its skip."""

    def walk(part: nn.Module) -> Iterator[WeightLayer]:
        if isinstance(part, WeightLayer):
            yield part
        for name, child in part.named_children():
            if name not in ("downsample", "shortcut"):
                yield from walk(child)

    return list(walk(block))


def _drawn(
    model: _Model,
    distribution: str,
    generator: torch.Generator | None,
    std: Callable[[tuple[int, int]], float],
) -> _Model:
    """Draw weights of mean 0 and a spread that depends on (fan_in, fan_out); zero the biases."""
    draw = as_choice("distribution", distribution, _DRAWS, "a string")
    for layer in _start(model, generator):
        draw(layer.weight, std(_fans(layer)), generator)
        _zero_bias(layer)
    return model


def _normal(weight: Tensor, std: float, generator: torch.Generator | None) -> None:
    nn.init.normal_(weight, std=std, generator=generator)


def _uniform(weight: Tensor, std: float, generator: torch.Generator | None) -> None:
    limit = math.sqrt(3) * std
    nn.init.uniform_(weight, -limit, limit, generator=generator)


_DRAWS = {"normal": _normal, "uniform": _uniform}


def _orthogonal(like: Tensor, gain: float, generator: torch.Generator | None) -> Tensor:
    """Draw for a weight of any strides and precision: contiguous, as QR is for float32 and up."""
    dtype = torch.promote_types(like.dtype, torch.float32)
    matrix = torch.empty(like.shape, dtype=dtype, device=like.device)
    return nn.init.orthogonal_(matrix, gain, generator=generator)


def _fans(layer: WeightLayer) -> tuple[int, int]:
    """Return fan_in and fan_out: weights that reach an output, and that an input reaches."""
    out, before, *kernel = layer.weight.shape
    return before * math.prod(kernel), out // _groups(layer) * math.prod(kernel)


def _groups(layer: WeightLayer) -> int:
    return getattr(layer, "groups", 1)


def _zero_bias(layer: WeightLayer) -> None:
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def _start(model: nn.Module, generator: object) -> list[WeightLayer]:
    """Return the weight layers, after a look at what all schemes take.

    Raises:
        TypeError: If ``model`` is no module, or ``generator`` no generator.
        ValueError: If ``model`` has no weight layer, or one that cannot be drawn: its weight is
            lazy, empty, not floating point, or computed from others, or its bias is computed.
    """
    if not (generator is None or isinstance(generator, torch.Generator)):
        raise TypeError(f"generator must be a torch.Generator or None, got {generator!r}")
    layers = weight_layers(model)
    for layer in layers:
        if not {"weight", "bias"} <= layer._parameters.keys():
            raise ValueError(
                "model must be initialised before weight norm, pruning or the like is put on, but "
                f"{_name(model, layer)} computes its weight or bias from other tensors: take that "
                "off, initialise, and put it on again"
            )
        weight = layer.weight
        if not weight.is_floating_point():
            raise ValueError(
                f"model must have floating-point weights, got {weight.dtype} in "
                f"{_name(model, layer)}"
            )
        if not weight.numel():
            raise ValueError(
                f"model must have no empty weight, got shape {tuple(weight.shape)} in "
                f"{_name(model, layer)}"
            )
    return layers


def _name(model: nn.Module, part: nn.Module) -> str:
    """Return the name that a message gives to a part of the model, or to the model itself."""
    return next(name for name, other in model.named_modules() if other is part) or "the model"


def _called(model: nn.Module, layers: list[WeightLayer], x: Tensor) -> list[WeightLayer]:
    """Return the layers that the forward pass calls, in the order of their first call."""
    order: dict[WeightLayer, None] = {}

    def note(layer: nn.Module, *_: Any) -> None:
        order.setdefault(layer)

    _with_hooks(model, layers, note, x)
    return list(order)


def _output_variance(model: nn.Module, layer: WeightLayer, x: Tensor) -> float:
    """Return the variance of what a layer gives for ``x``, over all calls and entries."""
    outputs: list[Tensor] = []
    _with_hooks(model, [layer], lambda _layer, _args, z: outputs.append(z.flatten()), x)
    return torch.cat(outputs).double().var(correction=0).item()


def _with_hooks(
    model: nn.Module, layers: list[WeightLayer], see: Callable[..., None], x: Tensor
) -> None:
    handles = [layer.register_forward_hook(see) for layer in layers]
    try:
        with torch.no_grad():
            model(x)
    finally:
        for handle in handles:
            handle.remove()
