"""After grading: points for a learning management system, and which mistakes a class makes."""

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from nbgrader.api import Gradebook

from cnnbook import marks

from . import notebooks

_PART = re.compile(r"^([✓✗]) ([\d.e+-]+) of ([\d.e+-]+)  (.*)$")
_MISTAKE = "    mistake: "


@dataclass
class Part:
    """How a class fared in one part of a test.

    Attributes:
        passed: Submissions that got its points.
        failed: Those that did not.
        mistakes: How many of these made each known mistake.
    """

    passed: int = 0
    failed: int = 0
    mistakes: Counter[str] = field(default_factory=Counter)


def points(course: Path, assignment: str | None = None) -> pd.DataFrame:
    """Return one row a student: login, names, and a column of points for each assignment.

    Args:
        course: The course's folder, with its gradebook.
        assignment: Only this one.

    Raises:
        FileNotFoundError: If there is no gradebook.
        KeyError: If there is no such assignment in it.
    """
    path = course / "gradebook.db"
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: release an assignment first")
    rows: dict[str, dict[str, object]] = {}
    with Gradebook(f"sqlite:///{path}") as book:
        names = sorted(found.name for found in book.assignments)
        if assignment is not None and assignment not in names:
            raise KeyError(f"assignment must be one of {names}, got {assignment!r}")
        for student in book.students:
            rows[student.id] = {
                "student": student.id,
                "last name": student.last_name or "",
                "first name": student.first_name or "",
                "email": student.email or "",
            }
        for name in [assignment] if assignment else names:
            for submission in book.assignment_submissions(name):
                rows[submission.student.id][name] = round(submission.score, 4)
    return pd.DataFrame(list(rows.values()))


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write points as a CSV that a learning management system takes.

    Moodle's import lets you match columns; Canvas wants its own (``canvas``). Text that a
    spreadsheet would take for a formula gets an apostrophe before it.
    """
    safe = table.map(_disarmed)
    part = path.with_suffix(".part")
    safe.to_csv(part, index=False, quoting=csv.QUOTE_MINIMAL)
    part.replace(path)


def canvas(table: pd.DataFrame, maxima: dict[str, float]) -> pd.DataFrame:
    """Return the table of ``points`` with Canvas's columns and its row of possible points."""
    work = [name for name in table.columns if name in maxima]
    names = (table["last name"] + ", " + table["first name"]).str.strip(", ")
    found = pd.DataFrame(
        {
            "Student": names.where(names != "", table["student"]),
            "ID": "",
            "SIS Login ID": table["student"],
            "Section": "",
        }
    )
    top = {"Student": "    Points Possible", "ID": "", "SIS Login ID": "", "Section": ""}
    found[work] = table[work]
    return pd.concat([pd.DataFrame([top | {name: maxima[name] for name in work}]), found])


def maxima(course: Path) -> dict[str, float]:
    """Return the most points that each assignment gives."""
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        return {found.name: found.max_score for found in book.assignments}


def _disarmed(value: object) -> object:
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value


def _parts(printed: str) -> Iterator[tuple[str, bool, str | None]]:
    """Yield title, success and mistake of each part in what a test cell printed."""
    title, passed, mistake = None, False, None
    for line in printed.splitlines():
        found = _PART.match(line)
        if found:
            if title is not None:
                yield title, passed, mistake
            title, passed, mistake = found[4], found[1] == "✓", None
        elif line.startswith(_MISTAKE):
            mistake = line[len(_MISTAKE) :]
    if title is not None:
        yield title, passed, mistake


def misconceptions(course: Path, assignment: str) -> dict[tuple[str, str], Part]:
    """Return, for each part of each test, how many failed and by which mistake. No names.

    Raises:
        FileNotFoundError: If nothing of the assignment is graded.
    """
    folders = sorted(course.glob(f"autograded/*/{assignment}"))
    if not folders:
        raise FileNotFoundError(f"nothing is graded for {assignment!r} in {course / 'autograded'}")
    found: dict[tuple[str, str], Part] = defaultdict(Part)
    for path in (path for folder in folders for path in sorted(folder.glob("*.ipynb"))):
        for cell in notebooks.code_cells(notebooks.read(path)):
            if notebooks.role(cell) != "test":
                continue
            printed = "".join(
                output.text for output in cell.outputs if output.output_type == "stream"
            )
            for title, passed, mistake in _parts(printed):
                part = found[notebooks.grade_id(cell), title]
                part.passed += passed
                part.failed += not passed
                if mistake:
                    part.mistakes[mistake] += 1
    return dict(found)


def as_text(assignment: str, parts: dict[tuple[str, str], Part]) -> str:
    """Return the summary for a teacher, the hardest part first."""
    out = io.StringIO()
    print(f"{assignment}: what the class got wrong", file=out)
    missed = sorted((part for part in parts.items() if part[1].failed), key=lambda p: -p[1].failed)
    for (test, title), part in missed:
        print(f"{part.failed:5d} of {part.failed + part.passed}  {title}  [{test}]", file=out)
        for mistake, count in part.mistakes.most_common():
            name = "nothing written" if mistake == marks.NOT_WRITTEN else mistake
            print(f"        {count:5d}  {name}", file=out)
    if not missed:
        print("    nothing: every part was passed by all", file=out)
    return out.getvalue().rstrip()
