"""Recipes of recorded experiments: hashed by what makes their results, run as they were hashed."""

import ast
import functools
import importlib.util
import io
import itertools
import sys
import tokenize
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnbook._files import sha256

# Settings of a recipe that do not change its table, and those that do not change what a run gives.
_JUDGING = frozenset({"TOLERANCES", "EXACT", "FREE", "MAY_FAIL"})
_CHOOSING = _JUDGING | {"GRID", "SEEDS"}


@dataclass(frozen=True)
class Recipe:
    """A recipe's function as a value that can be sent to another process, which loads the file.

    Attributes:
        path: The file, absolute.
        sha256: Hash of all that makes the table.
        code: Hash of all that makes one run.
    """

    path: str
    sha256: str
    code: str

    def __call__(self, **arguments: Any) -> object:
        return self.module.run(**arguments)

    @property
    def module(self) -> types.ModuleType:
        """The recipe as a module.

        Raises:
            ImportError: If its text is not what it was, or cannot be run.
        """
        file = Path(self.path)
        texts = _texts(file)
        if _hash(texts, file.stem, _JUDGING) != self.sha256:
            raise ImportError(f"{file} was changed while it ran; run it again")
        return _executed(file, tuple(sorted(texts.items())))


def read(path: Path) -> Recipe:
    """Hash a recipe, without running it.

    Raises:
        ImportError: If it, or a file that it takes from, cannot be read.
    """
    texts = _texts(path)
    hashes = (_hash(texts, path.stem, left_out) for left_out in (_JUDGING, _CHOOSING))
    return Recipe(str(path.absolute()), *hashes)


def _texts(path: Path) -> dict[str, str]:
    """Return the texts of a recipe and of the files beside it that it takes from, by name."""
    texts: dict[str, str] = {}
    pending = [path.stem]
    while pending:
        name = pending.pop()
        if name not in texts:
            file = path.with_name(f"{name}.py")
            try:
                texts[name] = file.read_text(encoding="utf-8")
                pending += _helpers(texts[name], file)
            except (OSError, SyntaxError, UnicodeDecodeError) as error:
                raise ImportError(f"{file} cannot be read ({error})") from error
    return texts


def _helpers(text: str, file: Path) -> Iterator[str]:
    """Yield the names of the files beside this one that it imports from."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        module = getattr(node, "module", None)
        names = [module] if module else [alias.name for alias in node.names]
        if getattr(node, "level", 0) == 1:
            yield from names
            continue
        for name in names:
            beside = file.with_name(f"{name}.py")
            if beside.is_file() and not importlib.util.find_spec(name):
                raise ImportError(
                    f"{file} imports {name}, which stands beside it: write from .{name} import ..."
                )


def _hash(texts: Mapping[str, str], recipe: str, left_out: frozenset[str]) -> str:
    own = _essence(texts[recipe], left_out)
    helpers = sorted(texts.keys() - {recipe})
    return sha256(own, *itertools.chain(*((n, _essence(texts[n], frozenset())) for n in helpers)))


def _essence(text: str, left_out: frozenset[str]) -> str:
    """Return a module's text without comments, blank lines, docstring and some assignments.

    An assignment stays if its name is read anywhere else in the module.
    """
    tree = ast.parse(text)
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    free = left_out - {node.id for node in names if isinstance(node.ctx, ast.Load)}
    dropped: set[int] = set()
    kept: set[int] = set()
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        idle = all(isinstance(target, ast.Name) and target.id in free for target in targets)
        docstring = node is tree.body[0] and ast.get_docstring(tree) is not None
        (dropped if idle or docstring else kept).update(range(node.lineno, node.end_lineno + 1))
    lines = text.split("\n")
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        row, column = token.start
        if token.type == tokenize.COMMENT:
            lines[row - 1] = lines[row - 1][:column].rstrip()
        elif token.type == tokenize.NL and not lines[row - 1].strip():
            dropped.add(row)
    return "\n".join(
        line for row, line in enumerate(lines, 1) if row not in dropped - kept
    ).rstrip()


@functools.lru_cache(maxsize=64)
def _executed(file: Path, items: tuple[tuple[str, str], ...]) -> types.ModuleType:
    """Execute the very texts that were hashed, as modules of a package that no file can shadow."""
    texts = dict(items)
    package = f"_cnnbook_experiment_{sha256(str(file), *itertools.chain(*items))[:16]}"
    sys.modules[package] = types.ModuleType(package)
    sys.modules[package].__path__ = []

    def execute(name: str) -> types.ModuleType:
        beside = file.with_name(f"{name}.py")
        module = types.ModuleType(f"{package}.{name}")
        module.__package__, module.__file__ = package, str(beside)
        sys.modules[module.__name__] = module
        setattr(sys.modules[package], name, module)
        for helper in _helpers(texts[name], beside):
            if f"{package}.{helper}" not in sys.modules:
                execute(helper)
        exec(compile(texts[name], str(beside), "exec"), module.__dict__)
        return module

    try:
        return execute(file.stem)
    except Exception as error:
        for name in [name for name in sys.modules if name.startswith(package)]:
            del sys.modules[name]
        raise ImportError(f"{file} cannot be run ({type(error).__name__}: {error})") from error
