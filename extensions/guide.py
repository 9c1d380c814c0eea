"""How long a section takes, and the map of the book: ``{bookmap}``.

Running was timed when the notebook was executed (``scripts/execute.py``). Reading is estimated from
what there is to read, at the pace below; exercises and quizzes are work and not counted.

A chapter names the chapters it builds on in the front matter of its index, as ``needs``. The map
shows them as arcs and in words.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

# Words a minute of a text with formulas, and seconds for each line of code, formula and figure.
WORDS, LINE, FORMULA, FIGURE = 180, 3, 15, 20
WORK = ("exercise_node", "solution_node", "exercise_enumerable_node", "explorable")
ROW = 40  # height of a chapter in the map, in the units of its drawing


def is_work(node: nodes.Node) -> bool:
    """Whether a node holds something to do rather than to read."""
    return type(node).__name__ in WORK or "quiz" in getattr(node, "attributes", {}).get(
        "classes", []
    )


def reading(node: nodes.Node) -> float:
    """Return the seconds it takes to read a node and what is in it."""
    if is_work(node) or isinstance(node, nodes.raw):
        return 0
    if isinstance(node, nodes.image):
        return FIGURE if "on-dark" not in node["classes"] else 0
    if isinstance(node, nodes.math_block):
        return FORMULA
    if isinstance(node, nodes.literal_block):
        return LINE * len(node.astext().splitlines())
    if isinstance(node, nodes.Text):
        return 60 / WORDS * len(node.split())
    return sum(map(reading, node.children))


def spoken(seconds: float) -> str:
    """Return a time in the units that suit it."""
    if seconds < 60:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(5 * round(minutes / 5), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def running(app: Sphinx, page: str) -> float | None:
    """Return the seconds that a page's notebook took; None if it has none, or was not timed."""
    path = Path(app.env.doc2path(page))
    if path.suffix != ".ipynb":
        return None
    return json.loads(path.read_text(encoding="utf-8"))["metadata"].get("seconds")


def line(read: float, run: float | None) -> str:
    """Return the sentence on how long something takes."""
    return f"{spoken(max(read, 60))} to read" + (f", {spoken(run)} to run" if run else "")


def note_times(app: Sphinx, doctree: nodes.document) -> None:
    """Note how long a page takes, and say so under the title of a notebook."""
    page = app.env.docname
    times = app.env.__dict__.setdefault("times", {})
    read, run = times[page] = reading(doctree), running(app, page)
    if run is not None:
        title = next(doctree.findall(nodes.title))
        # Raw, so that no summary of the page begins with it.
        said = nodes.raw("", f'<p class="times">{line(read, run)}</p>', format="html")
        title.parent.insert(1, said)


def forget(_app: Sphinx, env: Any, page: str) -> None:
    """Forget a page that is read anew."""
    env.__dict__.setdefault("times", {}).pop(page, None)


def chapters(source: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Yield each chapter's part, page and sections, in the order of ``_toc.yml``."""
    for part in yaml.safe_load((source / "_toc.yml").read_text(encoding="utf-8"))["parts"]:
        for chapter in part["chapters"]:
            sections = [section["file"] for section in chapter.get("sections", [])]
            if sections and "/api/" not in chapter["file"]:
                yield part["caption"], chapter["file"], sections


class bookmap(nodes.General, nodes.Element):
    """The place of the map."""


class BookMap(SphinxDirective):
    """``{bookmap}``, without arguments."""

    def run(self) -> list[nodes.Node]:
        """Return the place; what stands there is known when all pages have been read."""
        self.env.note_dependency(str(Path(self.env.srcdir) / "_toc.yml"))
        return [bookmap()]


def arcs(edges: list[tuple[int, int]], rows: int) -> str:
    """Return the drawing of which row builds on which: an arc to the left for each."""
    paths = ""
    for one, two in edges:
        top, bottom, left = ROW * (one + 0.5), ROW * (two + 0.5), 46 - 14 - 46 * (two - one) / rows
        paths += f'<path d="M46 {top} C{left:.1f} {top} {left:.1f} {bottom} 46 {bottom}"/>'
    dots = "".join(f'<path class="dot" d="M46 {ROW * (row + 0.5)} h0"/>' for row in range(rows))
    size = f'viewBox="0 0 50 {ROW * rows}" preserveAspectRatio="none"'
    return f'<svg {size} aria-hidden="true">{paths}{dots}</svg>'


def draw_map(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Put the map in its place."""
    for place in list(doctree.findall(bookmap)):
        env, rows, edges = app.env, "", []
        listed = list(chapters(Path(app.srcdir)))
        order = {Path(index).parent.name: row for row, (_, index, _) in enumerate(listed)}
        name = {key: env.titles[listed[row][1]].astext() for key, row in order.items()}
        before = None
        for row, (part, index, sections) in enumerate(listed):
            needs = json.loads(env.metadata[index].get("needs", "[]"))
            if unknown := [need for need in needs if order.get(need, row) >= row]:
                raise ValueError(f"{index}: needs must be chapters before it, got {unknown}")
            edges += [(order[need], row) for need in needs]
            times = [env.times[section] for section in sections]
            read, run = sum(time[0] for time in times), sum(time[1] or 0 for time in times)
            count = f"{len(sections)} section{'s' * (len(sections) > 1)}"
            builds = ", ".join(name[need] for need in needs)
            rows += (
                f'<li><a href="{app.builder.get_relative_uri(page, index)}">'
                f"{env.titles[index].astext()}</a>"
                f'<span class="map-part">{part if part != before else ""}</span>'
                f"<br/>{count}: {line(read, run)}"
                f"{'<br/>builds on ' + builds if builds else ''}</li>"
            )
            before = part
        drawing = arcs(edges, len(listed))
        html = f'<div class="book-map" style="--rows: {len(listed)}">{drawing}<ul>{rows}</ul></div>'
        place.replace_self(nodes.raw("", html, format="html"))


def pages_with_map(app: Sphinx, _env: Any) -> list[str]:
    """Write the first page anew, whatever was read anew: it tells the times of all."""
    return [app.config.root_doc]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register what Sphinx is to do; Sphinx calls this."""
    app.add_node(bookmap)
    app.add_directive("bookmap", BookMap)
    app.connect("doctree-read", note_times)
    app.connect("env-purge-doc", forget)
    app.connect("env-updated", pages_with_map)
    app.connect("doctree-resolved", draw_map)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}
