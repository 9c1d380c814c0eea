"""Execute notebooks in place, and note in each how long that took.

    python scripts/execute.py chapters/convolution/operation.ipynb ...

``metadata.seconds`` is the time by the clock from the first cell to the last, in one process of one
thread; the pages show it. A notebook that fails is left as it was.
"""

import os
import sys
import time
from pathlib import Path

import nbformat
from nbconvert.preprocessors import CellExecutionError, ExecutePreprocessor


def execute(path: Path) -> float:
    """Run the notebook at ``path`` in its folder and store what it shows; return the seconds."""
    notebook = nbformat.read(path, as_version=4)
    runner = ExecutePreprocessor(
        timeout=180, record_timing=False, coalesce_streams=True, store_widget_state=False
    )
    start = time.perf_counter()
    runner.preprocess(notebook, {"metadata": {"path": str(path.parent)}})
    seconds = time.perf_counter() - start
    notebook.metadata["language_info"] = {"name": "python"}  # and not the version that ran it
    notebook.metadata["seconds"] = round(seconds, 1)
    part = path.with_name(f".{path.name}.part")
    nbformat.write(notebook, part)
    os.replace(part, path)
    return seconds


def main(names: list[str]) -> int:
    """Execute the notebooks called ``names``; return 1 if one of them fails."""
    failed = 0
    for name in names:
        try:
            print(f"{execute(Path(name)):6.1f} s  {name}", flush=True)
        except CellExecutionError as error:
            print(f"failed: {name}, which is left as it was\n{error}", file=sys.stderr)
            failed = 1
    return failed


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
