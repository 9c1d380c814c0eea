"""What running a submission gave, kept until the submission or the assignment changes.

A batch that was interrupted goes on from here.
"""

import hashlib
import json
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from cnnbook import marks

from . import notebooks

FOLDER = ".results"


@cache
def _grader() -> str:
    """Return a hash of the code that grades."""
    files = [*sorted(Path(__file__).parent.glob("*.py")), Path(marks.__file__)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def key(student: str, notebook: NotebookNode) -> str:
    """Return what tells whether a result is still that of this notebook."""
    cells = [[cell.cell_type, notebooks.grade_id(cell), cell.source] for cell in notebook.cells]
    text = json.dumps([student, cells, notebooks.withheld(notebook), _grader()])
    return hashlib.sha256(text.encode()).hexdigest()


def path(course: Path, assignment: str, student: str) -> Path:
    """Return where a submission's result lies."""
    return course / FOLDER / assignment / f"{student}.json"


def save(course: Path, assignment: str, student: str, found: dict[str, Any]) -> None:
    """Write a result, whole or not at all.

    Args:
        course: The course's folder.
        assignment: Its name.
        student: Whose work it is.
        found: ``key``, and ``outputs``: those of each code cell, in order.
    """
    target = path(course, assignment, student)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", dir=target.parent, suffix=".part", delete=False, encoding="utf-8"
    ) as file:
        json.dump(found, file)
    os.replace(file.name, target)


def fill(course: Path, assignment: str, student: str, notebook: NotebookNode) -> bool:
    """Give a rebuilt notebook its outputs, if they are known; say whether they were."""
    try:
        found = json.loads(path(course, assignment, student).read_text(encoding="utf-8"))
        if found["key"] != key(student, notebook):
            return False
        cells = list(notebooks.code_cells(notebook))
        for count, (cell, outputs) in enumerate(zip(cells, found["outputs"], strict=True), 1):
            cell.outputs = [nbformat.from_dict(output) for output in outputs]
            cell.execution_count = count
    except (OSError, ValueError, KeyError):
        return False
    return True
