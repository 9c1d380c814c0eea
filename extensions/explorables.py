"""A directive for what the reader can move: ``{explorable} name``, with its caption as content.

The part that moves is a script of its own, ``static/explorables/<name>.js``, the twin of a function
of ``cnnbook``; pages without an explorable load none. Without JavaScript a sentence says which
figure of the page shows the same.
"""

from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

FOLDER = Path(__file__).parent / "static"
SCRIPTS = FOLDER / "explorables"


class explorable(nodes.General, nodes.Element):
    """The place of an explorable; its children are the caption."""


class Explorable(SphinxDirective):
    """``{explorable} name``: options ``label`` (its title) and ``figure`` (a figure like it)."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar = {
        "label": directives.unchanged_required,
        "figure": directives.unchanged_required,
    }

    def run(self) -> list[nodes.Node]:
        """Return the place, with its caption and what stands there without JavaScript."""
        name = self.arguments[0]
        if not (SCRIPTS / f"{name}.js").is_file():
            known = ", ".join(
                sorted(path.stem for path in SCRIPTS.glob("*.js") if path.stem != "base")
            )
            raise self.error(f"explorable must be one of {known}, got {name}")
        if missing := [key for key in ("label", "figure") if key not in self.options]:
            raise self.error(f"explorable {name} needs the option {' and '.join(missing)}")
        place = explorable(name=name, label=self.options["label"])
        place["ids"].append(f"explorable-{name}")
        caption, instead = nodes.container(classes=["caption-text"]), nodes.container()
        instead["classes"].append("without-script")
        self.state.nested_parse(self.content, self.content_offset, caption)
        text = (
            f"This part moves with JavaScript. {{numref}}`{self.options['figure']}` shows it still."
        )
        instead += self.parse_text_to_nodes(text)
        place += [instead, caption]
        return [place]


def visit(writer: Any, node: explorable) -> None:
    """Open the place."""
    writer.body.append(
        f'<div class="explorable" id="{node["ids"][0]}" data-explorable="{node["name"]}" '
        f'role="group" aria-label="{writer.attval(node["label"])}">'
        f'<p class="explorable-title">{writer.encode(node["label"])}</p>'
    )


def depart(writer: Any, node: explorable) -> None:
    """Close it."""
    writer.body.append("</div>")


def skip(_writer: Any, _node: explorable) -> None:
    """Leave the place out where nothing can move."""
    raise nodes.SkipNode


def load(app: Sphinx, _page: str, _template: str, _context: dict[str, Any], doctree: Any) -> None:
    """Load the scripts of the explorables of a page, and no others."""
    names = [node["name"] for node in doctree.findall(explorable)] if doctree else []
    for name in ["base", *dict.fromkeys(names)] if names else []:
        for script in (f"{name}-data.js", f"{name}.js"):
            if (SCRIPTS / script).is_file():
                app.add_js_file(f"explorables/{script}")
    if names:
        app.add_css_file("explorables/explorables.css")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive; Sphinx calls this."""
    app.add_node(explorable, html=(visit, depart), latex=(skip, None), text=(skip, None))
    app.add_directive("explorable", Explorable)
    app.connect("config-inited", lambda _, config: config.html_static_path.append(str(FOLDER)))
    app.connect("html-page-context", load)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
