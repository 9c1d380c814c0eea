"""A submission, put back into the shape of its assignment.

Only two things of a submitted notebook are believed: what the student wrote into the cells meant
for answers, and the cells that the student added. All others come from the source notebook, in its
order, whatever was edited, deleted, moved or duplicated.
"""

import copy
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

GIVEN = "given"  # tag of a locked cell whose names the tests need as well
MAX_BYTES = 20 * 2**20
MAX_CELLS = 1000


class Damaged(ValueError):
    """A submission that cannot be read as a notebook."""


def read(path: Path) -> NotebookNode:
    """Return the notebook in a file.

    Raises:
        Damaged: If it is missing, too large, or no valid notebook; the message names the file.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Damaged(f"{path.name} is larger than {MAX_BYTES >> 20} MiB")
        found = nbformat.read(path, as_version=4)
        nbformat.validate(found)
    except Damaged:
        raise
    except FileNotFoundError:
        raise Damaged(f"{path.name} is missing") from None
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise Damaged(f"{path.name} is not a notebook: {type(error).__name__}: {reason}") from None
    if len(found.cells) > MAX_CELLS:
        raise Damaged(f"{path.name} has {len(found.cells)} cells; at most {MAX_CELLS} are read")
    return found


def role(cell: NotebookNode) -> str:
    """Return what a cell of a source notebook is for.

    Returns:
        ``"test"`` (graded by running), ``"answer"`` (written by the student), ``"words"`` (an
        answer graded by hand), ``"locked"``, or ``""`` for all others.
    """
    found = cell.metadata.get("nbgrader", {})
    if found.get("solution"):
        return "words" if found.get("grade") else "answer"
    if found.get("grade"):
        return "test"
    return "locked" if found.get("locked") else ""


def grade_id(cell: NotebookNode) -> str:
    """Return nbgrader's name of a cell, or an empty string."""
    found = cell.metadata.get("nbgrader", {})
    name = found.get("grade_id", "") if isinstance(found, dict) else ""
    return name if isinstance(name, str) else ""


def rebuild(source: NotebookNode, submission: NotebookNode) -> NotebookNode:
    """Return ``source`` with the student's answers and added cells in it.

    Of several cells with one id, the first counts. An answer that was deleted is empty.
    """
    names = {grade_id(cell): role(cell) for cell in source.cells if grade_id(cell)}
    answers: dict[str, NotebookNode] = {}
    added: dict[str, list[NotebookNode]] = {}
    originals = {cell.source for cell in source.cells}
    behind = ""
    for cell in submission.cells:
        name = grade_id(cell)
        if name in names:
            behind = name
            if names[name] in ("answer", "words") and name not in answers:
                answers[name] = cell
        elif cell.source.strip() and cell.source not in originals:
            added.setdefault(behind, []).append(_plain(cell))
    cells = list(added.get("", []))
    for cell in source.cells:
        cell, name = copy.deepcopy(cell), grade_id(cell)
        if names.get(name) in ("answer", "words"):
            cell.source = answers[name].source if name in answers else ""
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        cells.append(cell)
        cells.extend(added.get(name, []) if name else [])
    found = copy.deepcopy(source)
    found.cells = cells
    return found


def _plain(cell: NotebookNode) -> NotebookNode:
    if cell.cell_type == "code":
        return nbformat.v4.new_code_cell(cell.source)
    return nbformat.v4.new_markdown_cell(cell.source)


def code_cells(notebook: NotebookNode) -> Iterator[NotebookNode]:
    """Yield the code cells, in order."""
    yield from (cell for cell in notebook.cells if cell.cell_type == "code")


def withheld(notebook: NotebookNode) -> list[str]:
    """Return the modules of ``cnnbook`` that a submission must do without."""
    return list(notebook.metadata.get("coursework", {}).get("withheld", []))
