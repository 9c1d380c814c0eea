"""The book in a folder of its own, to be built there."""

import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
LEFT = shutil.ignore_patterns(".*", "_build", "__pycache__", "*.egg-info")


@contextmanager
def copied():
    """Give a copy of the book, without anything built."""
    with TemporaryDirectory() as folder:
        yield Path(shutil.copytree(ROOT, Path(folder) / "book", ignore=LEFT))


def build(book):
    """Build the pages of a copy; return the seconds."""
    start = time.perf_counter()
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(book), "-q"]
    subprocess.run(
        command,
        cwd=book,
        env=os.environ | {"PYTHONPATH": str(book / "src")},
        capture_output=True,
        check=True,
    )
    return time.perf_counter() - start
