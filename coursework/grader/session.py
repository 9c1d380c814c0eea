"""Running a submission: its own cells in the sandbox, the tests here.

A test cell is trusted code. It runs in the grader's process, with the grader's PyTorch; the names
that it takes from the submission are stand-ins, which ask the sandbox. So a submission can reach
neither the tests nor the checker, and what it does to its own process changes only its answers.
"""

import ast
import builtins
import contextlib
import io
import os
import re
import threading
import traceback
import warnings
from collections.abc import Iterator
from typing import Any

import nbformat
import torch
from nbformat import NotebookNode

from cnnbook import marks

from . import notebooks
from .sandbox import Limits, Lost, Remote, Sandbox

SHOWN = ("text/plain", "image/png", "image/jpeg")
_ONE_AT_A_TIME = threading.Lock()  # the environment and standard output belong to one run


class Missing:
    """Stands for a name that the submission does not define."""

    def __init__(self, name: str, reason: str = "") -> None:
        self._name = name
        self._reason = reason

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise self._wrong()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise self._wrong()

    def __getitem__(self, key: Any) -> Any:
        raise self._wrong()

    def __iter__(self) -> Any:
        raise self._wrong()

    def __len__(self) -> int:
        raise self._wrong()

    def __repr__(self) -> str:
        return f"{self._name}, which is not defined"

    def _wrong(self) -> marks.Wrong:
        said = f"{self._name} is not defined"
        if self._reason:
            return marks.Wrong(f"{said}: its cell stopped with {self._reason}")
        return marks.Wrong(said, marks.NOT_WRITTEN)


def run(
    notebook: NotebookNode,
    student: str,
    *,
    limits: Limits | None = None,
    isolated: bool = True,
) -> NotebookNode:
    """Run a rebuilt submission in place; return it, with outputs.

    Args:
        notebook: From ``notebooks.rebuild``.
        student: Whose work it is.
        limits: What it may use.
        isolated: False runs it without walls, for code that you trust.

    Raises:
        Unavailable: If there is no sandbox on this machine.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    stopped: dict[str, str] = {}  # names whose cells failed, and why
    count = 0
    withheld = notebooks.withheld(notebook) if isolated else []
    with _ONE_AT_A_TIME, _identity(student):
        try:
            sandbox = Sandbox(student, withheld, limits, isolated)
        except Lost as lost:
            sandbox, reason = None, str(lost)
        with sandbox or contextlib.nullcontext():
            for cell in notebooks.code_cells(notebook):
                count += 1
                cell.execution_count = count
                if notebooks.role(cell) == "test":
                    cell.outputs = _test(cell, names, stopped, sandbox, count)
                    continue
                if notebooks.GIVEN in cell.metadata.get("tags", []):
                    _give(cell, names)
                if sandbox is None:
                    cell.outputs = [_error("Lost", reason)]
                    continue
                try:
                    cell.outputs = _outputs(sandbox.request("cell", cell.source))
                except Exception as lost:
                    cell.outputs = [_error(type(lost).__name__, str(lost))]
                stopped.update(_stopped(cell))
    return notebook


@contextlib.contextmanager
def _identity(student: str) -> Iterator[None]:
    before = os.environ.get(marks.STUDENT)
    os.environ[marks.STUDENT] = student
    try:
        yield
    finally:
        if before is None:
            del os.environ[marks.STUDENT]
        else:
            os.environ[marks.STUDENT] = before


def _stopped(cell: NotebookNode) -> dict[str, str]:
    """Return the names that a cell would have defined, had it not failed, and how it did."""
    errors = [output for output in cell.outputs if output.output_type == "error"]
    if not errors or errors[0].ename == "NotImplementedError":
        return {}
    made = re.findall(r"^(?:def |class |)(\w+)(?= *=[^=]|\(|:)", cell.source, re.MULTILINE)
    return dict.fromkeys(made, f"{errors[0].ename}: {errors[0].evalue[:200]}")


def _give(cell: NotebookNode, names: dict[str, Any]) -> None:
    """Run a given cell here too, for the tests; what it prints is the sandbox's to show."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        exec(compile(cell.source, "<given>", "exec"), names)


def _test(
    cell: NotebookNode,
    names: dict[str, Any],
    stopped: dict[str, str],
    sandbox: Sandbox | None,
    count: int,
) -> list[NotebookNode]:
    tree = ast.parse(cell.source)
    borrowed = sorted(_free(tree) - set(names))
    names.update({name: _submitted(name, sandbox, stopped.get(name, "")) for name in borrowed})
    last = ast.Expression(tree.body.pop().value) if _is_value(tree) else None
    printed, outputs, value = io.StringIO(), [], None
    try:
        with contextlib.redirect_stdout(printed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(tree, "<test>", "exec"), names)
            if last is not None:
                value = eval(compile(last, "<test>", "eval"), names)
    except Exception as error:
        outputs.append(_error(type(error).__name__, str(error), traceback.format_exc()))
    finally:
        torch.set_grad_enabled(True)
        for name in borrowed:
            names.pop(name, None)  # the next cell asks again
    if printed.getvalue():
        outputs.insert(0, nbformat.v4.new_output("stream", name="stdout", text=printed.getvalue()))
    if value is not None:
        data = {"text/plain": repr(value)}
        outputs.append(nbformat.v4.new_output("execute_result", data=data, execution_count=count))
    return outputs


def _is_value(tree: ast.Module) -> bool:
    return bool(tree.body) and isinstance(tree.body[-1], ast.Expr)


def _free(tree: ast.Module) -> set[str]:
    """Return the names that a cell uses and does not make itself."""
    used, made = set(), set(dir(builtins))
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else made).add(node.id)
        elif isinstance(node, ast.arg):
            made.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            made.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            made |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ExceptHandler) and node.name:
            made.add(node.name)
    return used - made


def _submitted(name: str, sandbox: Sandbox | None, stopped: str) -> Any:
    """Return what the submission calls ``name``: a value, or a stand-in for an object."""
    if sandbox is None:
        return Missing(name, stopped)
    try:
        value = sandbox.request("get", Remote(sandbox, ("name", name)))
    except NameError:
        return Missing(name, stopped)
    except Exception:
        return Remote(sandbox, ("name", name))
    return Remote(sandbox, ("name", name), name) if isinstance(value, Remote) else value


def _outputs(found: Any) -> list[NotebookNode]:
    """Return a cell's outputs, of the kinds that a notebook may have, and no others."""
    outputs = []
    for output in found if isinstance(found, list) else []:
        kind = output.get("output_type")
        fields = {
            "stream": ("name", "text"),
            "display_data": ("data", "metadata"),
            "error": ("ename", "evalue", "traceback"),
        }.get(kind, ())
        if kind == "display_data" and isinstance(output.get("data"), dict):
            # No HTML and no scripts: a teacher's browser shows this.
            output["data"] = {k: v for k, v in output["data"].items() if k in SHOWN}
        candidate = nbformat.from_dict({"output_type": kind, **{k: output.get(k) for k in fields}})
        try:
            nbformat.validate(candidate, ref="output", version=4)
        except nbformat.ValidationError:
            continue
        outputs.append(candidate)
    return outputs


def _error(name: str, message: str, trace: str = "") -> NotebookNode:
    return nbformat.v4.new_output(
        "error", ename=name, evalue=message, traceback=[trace or f"{name}: {message}"]
    )
