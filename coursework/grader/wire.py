"""What crosses between grader and submission: plain data out of the sandbox, never a pickle.

The grader sends requests as pickles, for it trusts itself. What comes back was made by a
submission, so it is JSON followed by the bytes of its tensors, and nothing in it can run code. Both
sides import this file; inside the sandbox it lies beside ``runner.py``.
"""

import json
import math
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from cnnbook import marks

LIMIT = 64 * 2**20  # bytes of one message
_HEADER = struct.Struct("!II")  # lengths of the JSON and of the bytes after it
_PLAIN = (bool, int, float, str, type(None))


class Broken(Exception):
    """A message that no grader or runner would send."""


def send(channel: socket.socket, text: bytes, blob: bytes = b"") -> None:
    """Send one message."""
    channel.sendall(_HEADER.pack(len(text), len(blob)) + text + blob)


def receive(channel: socket.socket) -> tuple[bytes, bytes]:
    """Receive one message.

    Raises:
        Broken: If it is too long.
        EOFError: If the other side is gone.
    """
    text, blob = _HEADER.unpack(_exactly(channel, _HEADER.size))
    if text + blob > LIMIT:
        raise Broken(f"a message of {text + blob} bytes; at most {LIMIT} are allowed")
    return _exactly(channel, text), _exactly(channel, blob)


def _exactly(channel: socket.socket, size: int) -> bytes:
    parts = []
    while size:
        part = channel.recv(min(size, 1 << 20))
        if not part:
            raise EOFError("the other side is gone")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def encode(value: Any, keep: Callable[[Any], Any]) -> tuple[bytes, bytes]:
    """Return ``value`` as JSON and bytes.

    Args:
        value: Anything. Numbers, strings, containers, tensors, arrays and data frames travel as
            copies.
        keep: What to send in place of any other object.
    """
    blobs: list[bytes] = []
    text = json.dumps(_encode(value, keep, blobs))
    return text.encode(), b"".join(blobs)


def _encode(value: Any, keep: Callable[[Any], Any], blobs: list[bytes]) -> Any:
    def inner(part: Any) -> Any:
        return _encode(part, keep, blobs)

    if type(value) in _PLAIN:
        return value
    kept = keep(value)
    if kept is not None:
        return kept
    if isinstance(value, np.generic):
        return inner(value.item())
    if isinstance(value, Tensor | np.ndarray):
        return _encode_array(value, keep, blobs)
    if isinstance(value, pd.DataFrame):
        columns = [[inner(name), inner(value[name].tolist())] for name in value.columns]
        return {"kind": "frame", "columns": columns, "index": inner(value.index.tolist())}
    if isinstance(value, pd.Series):
        return {"kind": "series", "value": inner(value.tolist()), "index": inner(list(value.index))}
    if isinstance(value, dict):
        return {"kind": "dict", "value": [[inner(k), inner(v)] for k, v in value.items()]}
    for kind in (list, tuple, set):
        if isinstance(value, kind):
            return {"kind": kind.__name__, "value": [inner(part) for part in value]}
    if isinstance(value, torch.dtype):
        return str(value)
    return keep(_Opaque(value))


class _Opaque:
    """Marks an object that cannot travel, for ``keep``."""

    def __init__(self, value: Any) -> None:
        self.value = value


def opaque(value: Any) -> Any:
    """Return the object that cannot travel, or None if ``value`` can."""
    return value.value if isinstance(value, _Opaque) else None


def _encode_array(
    value: Tensor | np.ndarray, keep: Callable[[Any], Any], blobs: list[bytes]
) -> Any:
    is_tensor = isinstance(value, Tensor)
    array = value.detach().cpu().resolve_conj().resolve_neg().numpy() if is_tensor else value
    if array.dtype.kind not in "biufc":
        return keep(_Opaque(value))
    data = np.ascontiguousarray(array).tobytes()
    blobs.append(data)
    found = {
        "kind": "tensor" if is_tensor else "array",
        "dtype": array.dtype.str,
        "shape": list(array.shape),
        "bytes": len(data),
    }
    if is_tensor and value.is_leaf:
        found["requires_grad"] = value.requires_grad
        if value.grad is not None:
            found["grad"] = _encode_array(value.grad, keep, blobs)
    return found


def decode(text: bytes, blob: bytes, revive: Callable[[dict[str, Any]], Any]) -> Any:
    """Return what ``encode`` was given.

    Args:
        text: The JSON.
        blob: The bytes.
        revive: What to return for an object that did not travel.

    Raises:
        Broken: If the message is not one of ``encode``'s.
    """
    blobs = _Bytes(blob)
    try:
        return _decode(json.loads(text), blobs, revive)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as e:
        raise Broken(f"not a message: {type(e).__name__}: {e}") from None


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        if not 0 <= size <= len(self.data) - self.at:
            raise ValueError(f"{size} bytes are not there")
        self.at += size
        return self.data[self.at - size : self.at]


def _decode(value: Any, blobs: _Bytes, revive: Callable[[dict[str, Any]], Any]) -> Any:
    def inner(part: Any) -> Any:
        return _decode(part, blobs, revive)

    if isinstance(value, _PLAIN):
        return value
    kind = value["kind"]
    if kind == "dict":
        return {inner(k): inner(v) for k, v in value["value"]}
    if kind in ("list", "tuple", "set"):
        return {"list": list, "tuple": tuple, "set": set}[kind](inner(v) for v in value["value"])
    if kind == "frame":
        columns = {inner(name): inner(column) for name, column in value["columns"]}
        return pd.DataFrame(columns, index=inner(value["index"]))
    if kind == "series":
        return pd.Series(inner(value["value"]), index=inner(value["index"]))
    if kind in ("tensor", "array"):
        return _decode_array(value, blobs)
    return revive(value)


def _decode_array(value: dict[str, Any], blobs: _Bytes) -> Tensor | np.ndarray:
    dtype = np.dtype(str(value["dtype"]))
    shape = tuple(int(size) for size in value["shape"])
    if dtype.kind not in "biufc" or min(shape, default=0) < 0:
        raise ValueError(f"no array of {dtype} and shape {shape}")
    if math.prod(shape) * dtype.itemsize != value["bytes"]:
        raise ValueError(f"{value['bytes']} bytes for {dtype} and shape {shape}")
    array = np.frombuffer(blobs.take(value["bytes"]), dtype).reshape(shape).copy()
    if value["kind"] == "array":
        return array
    tensor = torch.from_numpy(array)
    if value.get("requires_grad") is True and tensor.is_floating_point():
        tensor.requires_grad_()
    if isinstance(value.get("grad"), dict):
        grad = _decode_array({**value["grad"], "kind": "tensor"}, blobs)
        if grad.shape != tensor.shape or grad.dtype != tensor.dtype:
            raise ValueError("a gradient of another shape or type")
        tensor.grad = grad.detach()
    return tensor


def things(*values: Any) -> Iterator[Tensor | np.ndarray | nn.Module]:
    """Yield the tensors, arrays and modules in nested lists, tuples and mappings, in order."""
    for value in values:
        if isinstance(value, Tensor | np.ndarray | nn.Module):
            yield value
        elif isinstance(value, list | tuple):
            yield from things(*value)
        elif isinstance(value, dict):
            yield from things(*value.values())


def leaves(*values: Any) -> Iterator[Tensor]:
    """Yield the tensors among ``things`` that ask for a gradient, and parameters of modules."""
    for thing in things(*values):
        if isinstance(thing, nn.Module):
            yield from (p for p in thing.parameters() if p.requires_grad)
        elif isinstance(thing, Tensor) and thing.requires_grad:
            yield thing


def holders(*values: Any) -> Iterator[Tensor]:
    """Yield what may carry a gradient, if it is a leaf: tensors among ``things``, parameters."""
    for thing in things(*values):
        if isinstance(thing, nn.Module):
            yield from thing.parameters()
        elif isinstance(thing, Tensor):
            yield thing


def outline(module: nn.Module) -> str:
    """Return what a module is made of; two of one outline can exchange states."""
    shapes = [f"{name} {tuple(value.shape)}" for name, value in module.state_dict().items()]
    return "\n".join([repr(module), *shapes])


def mirror(thing: Any, change: Any) -> None:
    """Do to a tensor, array or module here what a call did to its copy there.

    Raises:
        Broken: If the change does not fit: another shape, or a module of other layers.
    """
    if isinstance(thing, nn.Module):
        state, parameters = list(thing.state_dict().values()), list(thing.parameters())
        if change["outline"] != outline(thing):
            raise marks.Wrong("the layers of the network that was passed are others after the call")
        with torch.no_grad():
            for mine, theirs in zip(state, change["values"], strict=True):
                mine.copy_(_fitting(theirs, mine))
            for mine, theirs in zip(parameters, change["grads"], strict=True):
                mine.grad = None if theirs is None else _fitting(theirs, mine).detach()
        for mine, frozen in zip(parameters, change["frozen"], strict=True):
            mine.requires_grad_(not frozen)
        for module, mode in zip(thing.modules(), change["modes"], strict=True):
            module.training = bool(mode)
        here = marks.hooks(thing)
        for _ in range(min(int(change["hooks"]), here + 1000) - here):
            thing.register_forward_pre_hook(lambda *_: None)
    elif isinstance(thing, Tensor):
        with torch.no_grad():
            thing.copy_(_fitting(change, thing))
    else:
        thing[...] = change if np.shape(change) == thing.shape else _fitting(None, thing)


def _fitting(theirs: Any, mine: Tensor) -> Tensor:
    if not isinstance(theirs, Tensor) or theirs.shape != mine.shape:
        raise marks.Wrong("an argument has another shape after the call")
    return theirs.detach().to(mine.dtype)


class _Graph(torch.autograd.Function):
    """The submission's side of a graph, as one step of ours."""

    @staticmethod
    def forward(ctx, back, traced, outputs, *leaves):
        ctx.back = back
        ctx.mark_non_differentiable(
            *(t for t, flag in zip(outputs, traced, strict=True) if not flag)
        )
        ctx.leaves = len(leaves)
        return tuple(outputs)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, *grads):
        found = ctx.back(list(grads))
        return None, None, None, *(found if len(found) == ctx.leaves else [None] * ctx.leaves)


def traced(
    result: Any,
    flags: list[bool],
    leaves: list[Tensor],
    back: Callable[[list[Tensor | None]], list[Tensor | None]],
) -> Any:
    """Return ``result`` with its tensors tied to ``leaves``, through ``back``."""
    tensors = [t.detach() for t in things(result) if isinstance(t, Tensor)]
    if len(tensors) != len(flags):
        raise Broken("a graph of other tensors")
    anchors = leaves or [torch.zeros((), requires_grad=True)]

    def send_back(grads: list[Tensor | None]) -> list[Tensor | None]:
        found = back(grads)
        return found if leaves else [None]

    tied = iter(_Graph.apply(send_back, flags, tensors, *anchors))
    return _replaced(result, tied)


def _replaced(value: Any, tensors: Iterator[Tensor]) -> Any:
    if isinstance(value, Tensor):
        return next(tensors)
    if isinstance(value, list | tuple):
        return type(value)(_replaced(part, tensors) for part in value)
    if isinstance(value, dict):
        return {key: _replaced(part, tensors) for key, part in value.items()}
    return value
