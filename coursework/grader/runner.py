"""Inside the sandbox: runs a submission's cells and calls its functions at the grader's request.

Nothing that this process says is believed beyond its being data: whatever a submission does to
PyTorch, to this file or to the channel, it can only change its own answers.
"""

import contextlib
import io
import os
import pickle
import resource
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import torch
import wire
from IPython.core.displayhook import DisplayHook
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from torch import Tensor, nn
from traitlets import Type

from cnnbook import marks

OUTPUT = 20_000  # characters kept of what one cell prints


class _Hook(DisplayHook):
    """Shows the value of a cell's last line as a notebook does, not as a terminal."""

    def write_output_prompt(self) -> None:
        pass

    def write_format_data(self, format_dict: dict, md_dict: dict | None = None) -> None:
        self.shell.display_pub.publish(format_dict, md_dict)


class _Shell(InteractiveShell):
    displayhook_class = Type(_Hook)


class Session:
    """The submission's names, the objects that stay here, and the graphs of open calls."""

    def __init__(self) -> None:
        self.shell = _Shell.instance()
        self.shell.showtraceback = lambda *args, **kwargs: None
        self.shell.showsyntaxerror = lambda *args, **kwargs: None
        self.shell.history_manager.enabled = False
        self.shell.enable_gui = lambda gui=None: None  # asked for by figures in cells
        self.objects: list[Any] = []
        self.arguments: list[Any] = []
        self.changes: dict[int, Any] = {}  # of a call that failed
        self.graphs: list[tuple[list[Tensor], list[Tensor]]] = []

    def cell(self, source: str) -> list[dict[str, Any]]:
        """Run one cell and return its outputs."""
        with capture_output() as captured:
            result = self.shell.run_cell(source, store_history=True)
        outputs = []
        for name, text in (("stdout", captured.stdout), ("stderr", captured.stderr)):
            if text:
                outputs.append({"output_type": "stream", "name": name, "text": _cut(text)})
        for shown in captured.outputs:
            data = {k: _cut(v) if k.startswith("text/") else v for k, v in shown.data.items()}
            if all(isinstance(value, str) for value in data.values()):
                outputs.append({"output_type": "display_data", "data": data, "metadata": {}})
        error = result.error_before_exec or result.error_in_exec
        if error is not None:
            lines = traceback.format_exception(error)
            keep = [line for line in lines if "/IPython/" not in line and "runner.py" not in line]
            outputs.append(
                {
                    "output_type": "error",
                    "ename": type(error).__name__,
                    "evalue": _cut(str(error)),
                    "traceback": [_cut("".join(keep))],
                }
            )
        return outputs

    def get(self, value: Any) -> Any:
        """Return what the grader's request named."""
        return value

    def call(
        self,
        target: Any,
        args: tuple,
        kwargs: dict,
        grads: list[Tensor | None],
        operators: tuple[str, ...],
        grad: bool,
    ) -> Any:
        """Call the submission's ``target``.

        Returns:
            The result, what changed among the arguments, and, for what asks for gradients, the
            number of the call's graph and which tensors of the result belong to it.
        """
        passed = list(wire.things(args, kwargs))
        for leaf, gradient in zip(wire.holders(args, kwargs), grads, strict=True):
            leaf.grad = gradient  # pickles leave it behind
        before = [_snapshot(thing) for thing in passed]
        leaves = list(wire.leaves(args, kwargs))
        try:
            with torch.set_grad_enabled(grad), self._withheld(operators):
                result = target(*args, **kwargs)
        except BaseException:
            self.changes = self._changes(passed, before)
            raise
        self.arguments = passed
        outputs = [t for t in wire.things(result) if isinstance(t, Tensor)]
        traced = [t.requires_grad and not t.is_leaf for t in outputs]
        if any(traced):
            self.graphs.append((leaves, outputs))
        return {
            "result": result,
            "changes": self._changes(passed, before),
            "traced": traced,
            "graph": len(self.graphs) - 1,
        }

    def backward(
        self, graph: int, grads: list[Tensor | None], operators: tuple[str, ...]
    ) -> list[Tensor | None]:
        """Send gradients back through the graph of a call; return those of its leaves."""
        leaves, outputs = self.graphs[graph]
        pairs = [
            (t, g) for t, g in zip(outputs, grads, strict=True) if t.requires_grad and g is not None
        ]
        for leaf in leaves:
            leaf.grad = None
        if pairs:
            with self._withheld(operators):
                torch.autograd.backward(*map(list, zip(*pairs, strict=True)), retain_graph=True)
        return [None if leaf.grad is None else leaf.grad.clone() for leaf in leaves]

    @staticmethod
    def _changes(passed: list[Any], before: list[Any]) -> dict[int, Any]:
        return {
            i: _snapshot(thing)
            for i, (thing, old) in enumerate(zip(passed, before, strict=True))
            if isinstance(thing, nn.Module) or not marks.alike(_snapshot(thing), old)
        }

    @staticmethod
    def _withheld(operators: tuple[str, ...]) -> contextlib.AbstractContextManager[None]:
        return marks.without(*operators) if operators else contextlib.nullcontext()

    def keep(self, value: Any) -> Any:
        """Return what travels in place of an object: its number here."""
        for i, argument in enumerate(self.arguments):
            if value is argument:
                return {"kind": "argument", "index": i}
        value = wire.opaque(value)
        if value is None:
            return None
        self.objects.append(value)
        kind = type(value).__name__
        return {"kind": "remote", "id": len(self.objects) - 1, "type": kind}


SESSION: Session


class _Unpickler(pickle.Unpickler):
    def persistent_load(self, reference: tuple[str, Any]) -> Any:
        """Return what a grader's ``Remote`` stands for: a name, or an object by its number."""
        kind, key = reference
        if kind == "object":
            return SESSION.objects[key]
        try:
            return SESSION.shell.user_ns[key]
        except KeyError:
            raise NameError(f"{key} is not defined") from None


def _snapshot(thing: Any) -> Any:
    if isinstance(thing, nn.Module):
        return {
            "outline": wire.outline(thing),
            "values": [t.detach().clone() for t in thing.state_dict().values()],
            "grads": [None if p.grad is None else p.grad.clone() for p in thing.parameters()],
            "frozen": [not p.requires_grad for p in thing.parameters()],
            "modes": [m.training for m in thing.modules()],
            "hooks": marks.hooks(thing),
        }
    return thing.detach().clone() if isinstance(thing, Tensor) else np.array(thing)


def _cut(text: str) -> str:
    if len(text) <= OUTPUT:
        return text
    return f"{text[: OUTPUT // 2]}\n[… {len(text) - OUTPUT} characters …]\n{text[-OUTPUT // 2 :]}"


def _limit(memory: int, processes: int, disk: int, seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (disk, disk))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _late(signum: int, frame: Any) -> None:
    raise TimeoutError("it took too long and was stopped")


def _answer(request: bytes) -> Any:
    seconds = float(request[:8])
    signal.signal(signal.SIGALRM, _late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        kind, arguments = _Unpickler(io.BytesIO(request[8:])).load()
        if kind in ("cell", "get", "call", "backward"):
            return {"ok": getattr(SESSION, kind)(*arguments)}
        if kind == "attribute":
            return {"ok": getattr(*arguments)}
        if kind == "item":
            return {"ok": arguments[0][arguments[1]]}
        if kind == "list":
            return {"ok": list(arguments[0])}
        return {"ok": len(arguments[0])}
    except BaseException as error:
        return {
            "error": [kind.__name__ for kind in type(error).__mro__],
            "message": _cut(str(error)),
            "mistake": getattr(error, "mistake", None),
            "changes": SESSION.changes,
        }
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def main() -> None:
    """Serve requests until the grader hangs up."""
    global SESSION
    channel = socket.socket(fileno=int(sys.argv[1]))
    memory, processes, disk, seconds = map(int, sys.argv[2:6])
    os.chdir(os.environ["HOME"])
    torch.set_num_threads(1)
    SESSION = Session()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # nobody reads what follows
    if memory:
        _limit(memory, processes, disk, seconds)
    while True:
        try:
            text, _ = wire.receive(channel)
        except EOFError:
            return
        SESSION.arguments, SESSION.changes = [], {}
        with capture_output():
            answer = _answer(text)
        try:
            reply = wire.encode(answer, SESSION.keep)
        except BaseException as error:
            found = {"error": ["Exception"], "message": f"the result cannot be sent: {error}"}
            reply = wire.encode(found, SESSION.keep)
        if sum(map(len, reply)) > wire.LIMIT:
            found = {"error": ["Exception"], "message": "the result is too large"}
            reply = wire.encode(found, SESSION.keep)
        wire.send(channel, *reply)


if __name__ == "__main__":
    main()
