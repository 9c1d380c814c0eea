"""Seconds to build the pages: from nothing, after one word was changed, and with nothing changed.

Each run has a fresh copy of the book. The word is added to a page of text and to a notebook, one
after the other; the notebook is not executed again.

Run it on a machine that does nothing else: ``make bench``.
"""

import json

from ._book import build, copied

SEEDS = range(5)
GRID = [{"pages": "all"}]
FREE = ("nothing", "text", "notebook", "unchanged")


def run(seed, pages):
    """Build and rebuild a copy."""
    with copied() as book:
        found = {"nothing": build(book)}
        text = book / "chapters/reference/faq.md"
        text.write_text(text.read_text() + "\nIndeed.\n")
        found["text"] = build(book)
        notebook = book / "chapters/pooling/pooling.ipynb"
        content = json.loads(notebook.read_text())
        content["cells"][0]["source"] += ["\n", "\n", "Indeed."]
        notebook.write_text(json.dumps(content))
        found["notebook"] = build(book)
        found["unchanged"] = build(book)
    return found
