"""Submissions written as text: cells of a notebook, each under a line ``# %% id``."""

import copy
import re
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from . import notebooks

_CELL = re.compile(r"^# %%\s+(\S+)\s*$", re.MULTILINE)
_POINTS = re.compile(r"^points\s+(\S+)\s+(\S+)\s*$", re.MULTILINE)
_SOLUTION = re.compile(
    r"^[ \t]*### (?:BEGIN|END) SOLUTION[ \t]*\n?|^[ \t]*### BEGIN HIDDEN TESTS.*?### END HIDDEN "
    r"TESTS[ \t]*\n?",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Submission:
    """A submission for the tests of an assignment.

    Attributes:
        name: Short name of the misconception.
        about: What the student believed.
        points: Points expected in test cells, where they are not full.
        mistakes: Names of mistakes that the tests must print.
        cells: Code of answer cells, where it is not the reference solution's.
    """

    name: str
    about: str
    points: dict[str, float]
    mistakes: tuple[str, ...]
    cells: dict[str, str]


def read(path: Path) -> Submission:
    """Return the submission in a file.

    The file begins with a docstring: what the student believed, then a line ``points CELL NUMBER``
    for every test cell that does not give full points, and ``mistake NAME`` for every mistake that
    a test must name. Cells follow.

    Raises:
        ValueError: If there is no docstring.
    """
    text = path.read_text(encoding="utf-8")
    found = re.match(r'"""(.*?)"""\n', text, re.DOTALL)
    if not found:
        raise ValueError(f"{path.name} must begin with a docstring: the misconception")
    header, parts = found.group(1), _CELL.split(text[found.end() :])
    cells = {name: code.strip("\n") for name, code in zip(parts[1::2], parts[2::2], strict=True)}
    about = re.split(r"^(?:points|mistake) ", header, maxsplit=1, flags=re.MULTILINE)[0]
    return Submission(
        name=path.stem.replace("_", " "),
        about=" ".join(about.split()),
        points={name: float(number) for name, number in _POINTS.findall(header)},
        mistakes=tuple(re.findall(r"^mistake (.+?)\s*$", header, re.MULTILINE)),
        cells=cells,
    )


def reference(source: NotebookNode) -> NotebookNode:
    """Return what a student would hand in who wrote the reference solution."""
    found = copy.deepcopy(source)
    for cell in found.cells:
        cell.source = _SOLUTION.sub("", cell.source).rstrip("\n")
    return found


def attacked(source: NotebookNode, attack: Submission) -> NotebookNode:
    """Return the submission in which every function asked for is the attack's.

    The code of its cell ``attack`` stands in every answer; where it defines ``attack``, all
    functions and classes of the assignment are that. An attack without such a cell changes what it
    names, and leaves the reference solution in the other answers.
    """
    if "attack" not in attack.cells:
        return written(source, attack)
    found, code = reference(source), attack.cells["attack"]
    answers = [cell for cell in found.cells if notebooks.role(cell) == "answer"]
    for cell in answers:
        names = re.findall(r"^(?:def|class) (\w+)", cell.source, re.MULTILINE)
        cell.source = code if cell is answers[0] else ""
        if "def attack" in code:
            cell.source += "".join(f"\n{name} = attack" for name in names)
    return found


def written(source: NotebookNode, submission: Submission) -> NotebookNode:
    """Return the reference solution with the submission's cells in place of its own.

    Raises:
        ValueError: If a cell of the submission is no answer of the assignment.
    """
    found = reference(source)
    answers = {notebooks.grade_id(c): c for c in found.cells if notebooks.role(c) == "answer"}
    for name, code in submission.cells.items():
        if name not in answers:
            raise ValueError(f"cell must be one of {sorted(answers)}, got {name!r}")
        answers[name].source = code
    return found
