"""What a teacher may want to look at: answers that reach past what they were given.

What an assignment withholds of PyTorch is watched inside the student's own process, so code that
sets out to evade the watch can. To do so it must reach for something out of the ordinary, and that
can be read off its source, from outside.
"""

import ast
import re
from collections.abc import Iterator

from nbformat import NotebookNode

from . import notebooks

USUAL = {
    *("abc", "collections", "contextlib", "copy", "dataclasses", "enum", "functools", "itertools"),
    *("math", "numbers", "operator", "random", "re", "statistics", "time", "types", "typing"),
    *("warnings", "cnnbook", "matplotlib", "numpy", "pandas", "torch"),
}
CALLS = {"__import__", "compile", "eval", "exec", "globals", "locals", "open", "vars"}
INNER = {"__builtins__", "__closure__", "__code__", "__dict__", "__globals__", "__subclasses__"}


def remarks(notebook: NotebookNode) -> list[str]:
    """Return what is unusual in a rebuilt submission, a line for each cell that has something."""
    lines = []
    for cell in notebooks.code_cells(notebook):
        name = notebooks.grade_id(cell)
        if notebooks.role(cell) == "answer" or not name:
            found = sorted(set(unusual(cell.source)))
            if found:
                lines.append(f"{name or 'a cell of their own'}: {', '.join(found)}")
    return lines


def unusual(source: str) -> Iterator[str]:
    """Yield what a cell does that its assignment is unlikely to ask for.

    That is: to import a package other than those of the book, to reach for inner parts of an
    object, to make names or code out of text, or to run a shell command.
    """
    code = re.sub(r"^\s*[!%].*$", "pass", source, flags=re.MULTILINE)
    if re.search(r"^\s*!|^\s*%%", source, flags=re.MULTILINE):
        yield "a command"
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute):
            names = _attribute(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            indirect = node.func.id == "getattr" and not _literal(node)
            if node.func.id in CALLS or indirect:
                yield f"{node.func.id}(…)"
        for name in names:
            parts = name.split(".")
            inner = any(p in INNER or re.match(r"_[^_]", p) for p in parts)
            strange = isinstance(node, ast.Import | ast.ImportFrom) and parts[0] not in USUAL
            if strange or inner or name == "cnnbook.marks":
                yield name


def _attribute(node: ast.Attribute) -> list[str]:
    owner = node.value.id if isinstance(node.value, ast.Name) else ""
    return [] if owner in ("self", "cls") else [f"{owner}.{node.attr}"]


def _literal(call: ast.Call) -> bool:
    return len(call.args) > 1 and isinstance(call.args[1], ast.Constant)
