"""The coursework's recorded tables in the teacher's guide: ``{coursework} assignments``, ``speed``.

The numbers come from ``coursework/measured.csv`` and ``speed.csv``, which ``make
measure-coursework`` writes.
"""

import csv
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

FILES = {"assignments": "measured.csv", "speed": "speed.csv"}


def number(text: str) -> str:
    """Return a recorded number without idle decimals."""
    return f"{float(text):g}"


def assignments(rows: list[dict[str, str]]) -> list[list[str]]:
    """Return the table of assignments: a header and a row each, all as Markdown."""
    head = ["Assignment", "points", "by hand", "minutes", "runs in", "reference", "caught"]
    table = [[*head, "survived"]]
    for row in rows:
        points, hand = float(row["points"]), float(row["by hand"])
        table.append(
            [
                f"[{row['title']}](/{row['chapter']}) (`{row['assignment']}`)",
                number(row["points"]),
                number(row["by hand"]),
                number(row["minutes"]),
                f"{float(row['seconds']):.0f} s",
                f"{number(row['reference'])} of {points - hand:g}",
                f"{number(row['caught'])} of {number(row['wrong'])}",
                f"{number(row['survived'])} of {number(row['attacks'])}",
            ]
        )
    return table


def speed(rows: list[dict[str, str]]) -> list[list[str]]:
    """Return the table of ways to grade a class."""
    table = [["Graded by", "submissions", "processes", "seconds", "times as fast"]]
    for row in rows:
        seconds, ratio = float(row["seconds"]), float(row["ratio"])
        counts = [row["way"], row["submissions"], row["workers"]]
        table.append([*counts, f"{seconds:.0f}", f"{ratio:.1f}"])
    return table


class Coursework(SphinxDirective):
    """``{coursework} assignments`` or ``{coursework} speed``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        kind = self.arguments[0]
        if kind not in FILES:
            raise self.error(f"coursework: expected one of {sorted(FILES)}, got {kind!r}")
        path = Path(self.env.srcdir) / "coursework" / FILES[kind]
        self.env.note_dependency(str(path))
        with path.open(encoding="utf-8", newline="") as file:
            head, *rows = {"assignments": assignments, "speed": speed}[kind](
                list(csv.DictReader(file))
            )
        lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive; Sphinx calls this."""
    app.add_directive("coursework", Coursework)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
