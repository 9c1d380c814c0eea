"""Search that finds, for a term of the glossary, first the section that its definition names.

Sphinx ranks what an index calls its main entry above all else, and for a term that is the glossary.
"""

from pathlib import PurePosixPath
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

GLOSSARY = "chapters/reference/glossary"


def note_terms(app: Sphinx, doctree: nodes.document) -> None:
    """Note for each term of the glossary the page and the anchor that its definition names last."""
    if app.env.docname != GLOSSARY:
        return
    app.env.terms = []
    for item in doctree.findall(nodes.definition_list_item):
        (index,) = item.findall(addnodes.index)
        links = [
            link
            for link in item.findall(addnodes.pending_xref)
            if link["reftype"] == "myst" or link["refdomain"] == "doc"
        ]
        if links:
            term, own = index["entries"][0][1:3]
            app.env.terms.append((term, own, links[-1]["reftarget"]))


def page_of(app: Sphinx, target: str) -> tuple[str, str]:
    """Return the page and the anchor of a link's target, which may be a page or a label."""
    if target in app.env.all_docs:
        return target, ""
    labels = app.env.domaindata["std"]["anonlabels"]
    if target in labels:
        return labels[target]
    beside = PurePosixPath(GLOSSARY).parent / target
    return (str(beside), "") if str(beside) in app.env.all_docs else ("", "")


def rank_terms(app: Sphinx) -> list:
    """Make these sections the main entries of the terms, before Sphinx writes its search index."""
    indexer = getattr(app.builder, "indexer", None)
    if indexer is None:
        return []
    entries: dict[str, list[tuple[str, str, str]]] = {GLOSSARY: []}
    for term, own, target in getattr(app.env, "terms", []):
        page, anchor = page_of(app, target)
        if page:
            entries.setdefault(page, []).append((term, anchor, "main"))
        entries[GLOSSARY].append((term, own, "" if page else "main"))
    # Of these, an incremental build keeps those of the pages it writes anew.
    indexer._index_entries = entries
    return []


def setup(app: Sphinx) -> dict[str, Any]:
    """Register what Sphinx is to do; Sphinx calls this."""
    app.connect("doctree-read", note_terms)
    app.connect("html-collect-pages", rank_terms)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}
