"""Which of PyTorch's functions are layers, and a mode that shows each call of a forward pass."""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

# Axes of one image without a batch axis: (features,), (C, L), (C, H, W), (C, D, H, W).
WEIGHT_OPS = {
    "linear": 1,
    **{f"{name}{d}d": d + 1 for name in ("conv", "conv_transpose") for d in (1, 2, 3)},
}
NORMALIZATIONS = frozenset(
    ("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "local_response_norm")
)
# Elementwise functions, by the name under which PyTorch calls them (in place, with a final "_").
ACTIVATIONS: dict[str, Callable[..., Tensor]] = {
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "prelu": torch.prelu,
    "log_sigmoid": F.logsigmoid,
    **{
        name: getattr(F, name)
        for name in (
            *("leaky_relu", "relu6", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus"),
            *("hardswish", "hardsigmoid", "hardtanh", "softsign", "tanhshrink"),
            *("hardshrink", "softshrink"),
        )
    },
}
# Functions that may serve as an activation, and that nobody can tell from one that does not.
AMBIGUOUS = frozenset(
    ("clamp", "clamp_min", "clamp_max", "threshold", "rrelu", "glu", "maximum", "minimum", "where")
)
# Names of the modules in torch.nn that call one of them.
MODULE_NAMES = frozenset(name.replace("_", "") for name in ACTIVATIONS) | {
    "rrelu",
    "threshold",
    "glu",
}
# Questions about a tensor: they do not read its entries.
_METADATA = frozenset(
    ("__get__", "dim", "size", "stride", "numel", "ndimension", "element_size", "storage_offset")
)
_After = Callable[[object], None]


class Listener(Protocol):
    """What listens to the calls of a forward pass."""

    def before(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _After | None:
        """Look at a call of the function ``name``; return what shall see its result."""


class Watch(TorchFunctionMode):
    """Shows every function that a forward pass calls to those who listen, if any do.

    One mode serves all of them, so that they neither see each other's work nor depend on the order
    in which they leave.
    """

    def __init__(self) -> None:
        super().__init__()
        self._listeners: list[Listener] = []

    def add(self, listener: Listener) -> None:
        """Show what follows to ``listener`` also."""
        if listener not in self._listeners:
            if not self._listeners:
                self.__enter__()
            self._listeners.append(listener)

    def remove(self, listener: Listener) -> None:
        """Show ``listener`` nothing more; nothing happens if it does not listen."""
        if listener in self._listeners:
            self._listeners.remove(listener)
            if not self._listeners:
                self.__exit__(None, None, None)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        """Call ``func`` between the two looks of each listener."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in _METADATA:
            return func(*args, **kwargs)
        if not name.startswith("__"):
            name = name.rstrip("_")
        afters = [listener.before(name, args, kwargs) for listener in self._listeners]
        result = func(*args, **kwargs)
        for after in afters:
            if after is not None:
                after(result)
        return result


def tensors(values: Iterable[object]) -> Iterator[Tensor]:
    """Yield the tensors among arguments, also those in a list such as that of ``cat``."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from tensors(value)


def derivative(name: str, z: Tensor, options: list[Any], named: dict[str, Any]) -> Tensor:
    """Return φ′(z) by automatic differentiation, for an activation and its other arguments."""
    function = ACTIVATIONS[name]
    options = [value.detach() if isinstance(value, Tensor) else value for value in options]
    named = {k: v.detach() if isinstance(v, Tensor) else v for k, v in named.items()}
    with torch.inference_mode(False), torch.enable_grad():
        points = z.detach().clone().requires_grad_()
        # A second copy: the options may say that the function works in place.
        value = function(points.clone(), *options, **named)
        return torch.autograd.grad(value.sum(), points)[0]


def steepest(name: str, z: Tensor, options: list[Any], named: dict[str, Any]) -> float | Tensor:
    """Return max |φ′|; for PReLU that of each unit, shaped to stand beside ``z``."""
    if name != "prelu":
        return _steepest(name, tuple(options), tuple(sorted(named.items())))
    weight = (options[0] if options else named["weight"]).detach()
    steep = weight.abs().clamp(min=1)
    return steep.view(-1, *[1] * (z.ndim - 2)) if z.ndim > 1 else steep


@lru_cache(maxsize=64)
def _steepest(name: str, options: tuple[Any, ...], named: tuple[tuple[str, Any], ...]) -> float:
    far = 10.0 ** torch.arange(2, 7, dtype=torch.float64)
    line = torch.cat([-far, torch.linspace(-20, 20, 4001, dtype=torch.float64), far])
    return derivative(name, line, list(options), dict(named)).abs().max().item()
