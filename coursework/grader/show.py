"""What the tests say to one submission: ``python -m grader.show convolution kernel_turned``.

Without a name, to the reference solution. For those who write assignments.
"""

import sys
from pathlib import Path

from . import notebooks, session, text
from .sandbox import available

COURSE = Path(__file__).resolve().parents[1]


def main(assignment: str, name: str = "") -> None:
    """Run a submission and print what its cells and the tests print."""
    source = notebooks.read(COURSE / "source" / assignment / f"{assignment}.ipynb")
    if name:
        wrong = text.read(COURSE / "wrong" / assignment / f"{name}.py")
        submission = text.written(source, wrong)
    else:
        submission = text.reference(source)
    notebook = notebooks.rebuild(source, submission)
    for cell in notebooks.code_cells(session.run(notebook, "reference", isolated=available())):
        print(f"-- {notebooks.grade_id(cell)}")
        for output in cell.outputs:
            if output.output_type == "stream":
                print(output.text.rstrip())
            elif output.output_type == "error":
                print(f"{output.ename}: {output.evalue}")
            else:
                print(output.data.get("text/plain", "").rstrip())


if __name__ == "__main__":
    main(*sys.argv[1:])
