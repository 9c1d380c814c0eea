"""Name the public repository of the book, or none: python scripts/repository.py URL [--branch NAME]

    python scripts/repository.py https://github.com/owner/name
    python scripts/repository.py none

In ``_config.yml`` the address makes the launch buttons appear. Every notebook gets a hidden first
cell that fetches the book when it runs on Colab, which opens a notebook without anything beside it;
anywhere else the cell does nothing. ``none`` takes both away again.
"""

import argparse
import re
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
CELL_ID = "colab"
CELL = """\
# @title Fetch the book, on Colab only
import os
import subprocess
import sys

if "google.colab" in sys.modules:
    book = "/content/book"
    if not os.path.isdir(book):
        clone = ["git", "clone", "-q", "--depth=1", "--branch={branch}", "{url}", book]
        subprocess.run(clone, check=True)
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "myst-nb"], check=True)
    sys.path.insert(0, book + "/src")
    os.chdir(book + "/{folder}")
"""
HIDDEN = {"cellView": "form", "jupyter": {"source_hidden": True}, "tags": ["remove-cell"]}
SETTING = re.compile(r"^(repository:\n  url: ).*\n(  branch: ).*$", re.MULTILINE)


def name_in_config(text: str, url: str, branch: str) -> str:
    """Return the text of ``_config.yml`` with the repository named; "" for none.

    Raises:
        ValueError: If the text has no place for it.
    """
    named, places = SETTING.subn(rf"\g<1>{url or chr(34) * 2}\n\g<2>{branch}", text)
    if places != 1:
        raise ValueError(f"_config.yml must have one repository with url and branch, got {places}")
    return named


def with_cell(notebook: nbformat.NotebookNode, folder: str, url: str, branch: str) -> None:
    """Give a notebook the hidden cell, renew it, or take it away if ``url`` is empty."""
    cells = [cell for cell in notebook.cells if cell.id != CELL_ID]
    if url:
        source = CELL.format(url=url, branch=branch, folder=folder).rstrip("\n")
        cell = nbformat.v4.new_code_cell(source, id=CELL_ID, metadata=HIDDEN)
        first = next(k for k, cell in enumerate(cells) if cell.cell_type == "code")
        cells.insert(first, cell)
    notebook.cells = cells
    for count, cell in enumerate([cell for cell in cells if cell.cell_type == "code"], 1):
        cell.execution_count = count
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count


def name_repository(root: Path, url: str, branch: str) -> int:
    """Name the repository everywhere under ``root``; return the number of notebooks written."""
    config = root / "_config.yml"
    named = name_in_config(config.read_text(encoding="utf-8"), url, branch)
    notebooks = {}
    for path in sorted((root / "chapters").rglob("*.ipynb")):
        if ".ipynb_checkpoints" not in path.parts:
            notebooks[path] = nbformat.read(path, as_version=4)
            with_cell(notebooks[path], path.parent.relative_to(root).as_posix(), url, branch)
    config.write_text(named, encoding="utf-8")
    for path, notebook in notebooks.items():
        nbformat.write(notebook, path)
    return len(notebooks)


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and name the repository."""
    parser = argparse.ArgumentParser(description="Name the public repository of the book.")
    parser.add_argument("url", help="https://host/owner/name, or none")
    parser.add_argument("--branch", default="main", help="the branch that readers get")
    given = parser.parse_args(arguments)
    url = "" if given.url == "none" else given.url.rstrip("/").removesuffix(".git")
    if given.url != "none" and not re.fullmatch(r"https://[\w.-]+/[\w.-]+/[\w.-]+", url):
        parser.error(f"url must be https://host/owner/name or none, got {given.url!r}")
    if not re.fullmatch(r"[\w./-]+", given.branch):
        parser.error(f"branch must be the name of a branch, got {given.branch!r}")
    written = name_repository(ROOT, url, given.branch)
    print(f"{url or 'no repository'}, branch {given.branch}: _config.yml and {written} notebooks")


if __name__ == "__main__":
    main()
