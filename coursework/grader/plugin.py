"""Steps of nbgrader: how a version for students looks, which notebook is graded, how it runs."""

import re
from pathlib import Path

from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Bool, Unicode

from . import notebooks, results, session


class Tidy(NbGraderPreprocessor):
    """Closes the gaps that hidden tests leave in a version for students."""

    def preprocess_cell(self, cell, resources, index):
        """Return the cell with two empty lines at most, and none before its end."""
        if notebooks.role(cell) == "test":
            source = re.sub(r"\n{4,}", "\n\n\n", cell.source.strip("\n"))
            cell.source = re.sub(r"\n{2,}(sheet\.total\(\))$", r"\n\1", source)
        return cell, resources


class Rebuild(NbGraderPreprocessor):
    """Puts a submission back into the shape of its assignment (``notebooks.rebuild``)."""

    source = Unicode("source", help="the source directory, within the course").tag(config=True)

    def preprocess(self, nb, resources):
        """Return the rebuilt notebook."""
        found = resources["nbgrader"]
        path = Path(self.source) / found["assignment"] / f"{found['notebook']}.ipynb"
        return notebooks.rebuild(notebooks.read(path), nb), resources


class Run(NbGraderPreprocessor):
    """Runs the submission in a sandbox and the tests outside it, unless the result is known."""

    isolated = Bool(
        True, help="False runs submissions as yourself: only for code that you trust"
    ).tag(config=True)

    def preprocess(self, nb, resources):
        """Return the notebook with outputs."""
        found = resources["nbgrader"]
        student = found["student"]
        if not results.fill(Path.cwd(), found["assignment"], student, nb):
            session.run(nb, student, isolated=self.isolated)
        return nb, resources
