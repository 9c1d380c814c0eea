"""Links to the pages of ``cnnbook``: from the code of the chapters, and from names in their text.

sphinx-codeautolink does more: it follows variables and links other packages. It also reads the code
above each cell again, and more than doubled the time to build this book. Here a name leads
somewhere if the page imports it from ``cnnbook`` and the library documents it, such as
``ops.conv2d`` after ``from cnnbook import ops``.
"""

import ast
import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

NAME = r'<span class="n">(\w+)</span>'
DOTTED = re.compile(rf'(?<!\.</span>){NAME}(?:<span class="o">\.</span>{NAME})?')


def address_of(app: Sphinx, page: str, name: str) -> str | None:
    """Return where a name of the library is documented, as seen from ``page``; None if nowhere."""
    target = app.env.domaindata["py"]["objects"].get(f"cnnbook.{name}")
    if target is None:
        return None
    return f"{app.builder.get_relative_uri(page, target.docname)}#{target.node_id}"


def imports(code: str) -> Iterator[tuple[str, str]]:
    """Yield what a cell imports from ``cnnbook``: the name in the cell, that in the library."""
    try:
        tree = ast.parse(code)
    except SyntaxError:  # a shell command, or an error that is the lesson
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("cnnbook."):
            inside = node.module.removeprefix("cnnbook").removeprefix(".")
            for one in node.names:
                yield one.asname or one.name, f"{inside}.{one.name}".removeprefix(".")


def link_code(app: Sphinx, page: str, _template: str, context: dict[str, Any], tree: Any) -> None:
    """Link the names of the library in the highlighted code of a page."""
    if not tree:
        return
    blocks = [block.astext() for block in tree.findall(nodes.literal_block)]
    known = dict(pair for block in blocks for pair in imports(block))

    def linked(match: re.Match) -> str:
        first, second = match.groups()
        name = known.get(first)
        if name is None or (second is None and "." not in name):  # a module alone
            return match[0]
        if second and (address := address_of(app, page, f"{name}.{second}")):
            return f'<a class="code-link" href="{address}">{match[0]}</a>'
        if "." in name and (address := address_of(app, page, name)):
            end = match.end(1) - match.start() + len("</span>")
            return f'<a class="code-link" href="{address}">{match[0][:end]}</a>{match[0][end:]}'
        return match[0]

    if known:
        context["body"] = DOTTED.sub(linked, context["body"])


def link_text(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Link names of the library in the text of a page, written as code."""
    for literal in list(doctree.findall(nodes.literal)):
        name = literal.astext().removesuffix("()").removeprefix("cnnbook.")
        address = "." in name and address_of(app, page, name)
        if address and not isinstance(literal.parent, (nodes.reference, nodes.title)):
            link = nodes.reference("", "", internal=True, refuri=address)
            literal.replace_self(link)
            link += literal


def skip_fields(_app: Sphinx, _what: str, _name: str, member: object, *_: Any) -> bool | None:
    """Leave out what Python says of a named tuple's fields; the class describes them."""
    return True if type(member).__name__ == "_tuplegetter" else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Register what Sphinx is to do; Sphinx calls this."""
    app.connect("autodoc-skip-member", skip_fields)
    app.connect("doctree-resolved", link_text)
    app.connect("html-page-context", link_code)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
