"""Records the table of the teacher's guide, and how fast a class is graded.

    python coursework/measure.py            both tables; assignments only where they have changed
    python coursework/measure.py --quick    the first without attacks and repetitions, to try it out

``measured.csv`` has a row for each assignment, ``speed.csv`` a row for each way to grade a class.
Tests compare both with what they describe; neither is edited by hand.
"""

import argparse
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import pandas as pd
from grader import batch, notebooks, text
from grader.sandbox import Limits
from nbgrader.utils import determine_grade
from tqdm import tqdm

HERE = Path(__file__).resolve().parent
CLASS = 200  # submissions whose grading is timed
LIMITS = Limits(cell=10, total=40)  # for attacks


def digest(assignment: str) -> str:
    """Return a hash of an assignment, its wrong submissions and the attacks."""
    files = [HERE / "source" / assignment / f"{assignment}.ipynb"]
    files += sorted((HERE / "wrong" / assignment).glob("*.py"))
    files += sorted((HERE / "attacks").glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def scores(notebook: nbformat.NotebookNode) -> dict[str, float]:
    """Return the points of each test cell of a notebook that has run."""
    tests = [cell for cell in notebook.cells if notebooks.role(cell) == "test"]
    return {notebooks.grade_id(cell): determine_grade(cell)[0] for cell in tests}


def run_all(jobs: dict[str, batch.Job], workers: int, say: str) -> dict[str, tuple[dict, float]]:
    """Run jobs; return for each its points by test cell and the seconds it took."""
    names = {id(job): name for name, job in jobs.items()}
    found = {}
    running = batch._here(list(jobs.values()), workers)
    for job, result, problem in tqdm(running, total=len(jobs), desc=say):
        if result is None:
            raise RuntimeError(f"{names[id(job)]}: {problem}")
        source = nbformat.reads(job.source, as_version=4)
        done = notebooks.rebuild(source, nbformat.reads(job.submission, as_version=4))
        for cell, outputs in zip(notebooks.code_cells(done), result["outputs"], strict=True):
            cell.outputs = outputs
        found[names[id(job)]] = scores(done), result["seconds"]
    return found


def measure(assignment: str, workers: int, quick: bool) -> dict[str, object]:
    """Return an assignment's row of the table."""
    path = HERE / "source" / assignment / f"{assignment}.ipynb"
    source = notebooks.read(path)
    about = source.metadata["coursework"]
    full = {
        notebooks.grade_id(c): c.metadata.nbgrader["points"]
        for c in source.cells
        if notebooks.role(c) == "test"
    }
    words = sum(c.metadata.nbgrader["points"] for c in source.cells if notebooks.role(c) == "words")

    def job(notebook: nbformat.NotebookNode, limits: Limits | None = None) -> batch.Job:
        written = nbformat.writes(notebook)
        return batch.Job("reference", path.read_text(), written, limits=limits or Limits())

    repetitions = 1 if quick else 3
    references = {f"reference {i}": job(text.reference(source)) for i in range(repetitions)}
    done = run_all(references, 1, f"{assignment}: reference")
    wrong = [text.read(found) for found in sorted((HERE / "wrong" / assignment).glob("*.py"))]
    graded = run_all(
        {found.name: job(text.written(source, found)) for found in wrong},
        workers,
        f"{assignment}: wrong submissions",
    )
    attacks = [] if quick else sorted((HERE / "attacks").glob("*.py"))
    attacked = run_all(
        {p.stem: job(text.attacked(source, text.read(p)), LIMITS) for p in attacks},
        workers,
        f"{assignment}: attacks",
    )
    caught = sum(graded[found.name][0] == full | found.points for found in wrong)
    # An attack that keeps the reference's answers must lose the points of another's numbers.
    survived = sum(
        sum(points.values()) == 0
        if "attack" in text.read(HERE / "attacks" / f"{name}.py").cells
        else sum(points.values()) < sum(full.values())
        for name, (points, _) in attacked.items()
    )
    return {
        "assignment": assignment,
        "title": about["title"],
        "chapter": about["chapter"],
        "points": sum(full.values()) + words,
        "by hand": words,
        "minutes": about["minutes"],
        "seconds": round(statistics.median(seconds for _, seconds in done.values()), 1),
        "reference": min(sum(points.values()) for points, _ in done.values()),
        "wrong": len(wrong),
        "caught": caught,
        "attacks": len(attacked),
        "survived": survived,
        "digest": digest(assignment),
    }


def speed(size: int, workers: int) -> pd.DataFrame:
    """Return how long one class takes: by plain nbgrader, and by this grader. One run each."""
    beside = os.path.dirname(os.path.abspath(sys.executable))
    environment = os.environ | {
        "PATH": os.pathsep.join([beside, os.environ["PATH"]]),
        "PYTHONPATH": str(HERE),
        "COURSE_STUDENT": "reference",
        "OMP_NUM_THREADS": "1",
    }
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        ours, plain = Path(folder, "ours"), Path(folder, "plain")
        for course in (ours, plain):
            shutil.copytree(HERE / "source" / "convolution", course / "source" / "convolution")
        shutil.copy(HERE / "nbgrader_config.py", ours)
        shutil.copytree(HERE / "grader", ours / "grader")
        (plain / "nbgrader_config.py").write_text("get_config()\n")
        source = notebooks.read(HERE / "source/convolution/convolution.ipynb")
        wrong = [text.read(path) for path in sorted((HERE / "wrong/convolution").glob("*.py"))]
        kinds = [text.reference(source), *(text.written(source, found) for found in wrong)]
        for course in (ours, plain):
            command = ["nbgrader", "generate_assignment", "convolution"]
            subprocess.run(command, cwd=course, env=environment, check=True, capture_output=True)
            for number in range(size):
                place = course / "submitted" / f"s{number:03d}" / "convolution"
                place.mkdir(parents=True)
                nbformat.write(kinds[number % len(kinds)], place / "convolution.ipynb")
        grader = [sys.executable, "-m", "grader", "--course", str(ours)]
        ways = {
            "plain nbgrader": (plain, ["nbgrader", "autograde", "convolution"]),
            "this grader": (
                ours,
                [*grader, "grade", "--workers", str(workers), "--no-feedback"],
            ),
        }
        for way, (course, command) in ways.items():
            began = time.perf_counter()
            subprocess.run(command, cwd=course, env=environment, check=True, capture_output=True)
            seconds = time.perf_counter() - began
            graded = len(list(course.glob("autograded/*/convolution/convolution.ipynb")))
            if graded != size:
                raise RuntimeError(f"{way} graded {graded} of {size}")
            rows.append({"way": way, "submissions": size, "workers": workers, "seconds": seconds})
            print(f"{way}: {seconds:.0f} s for {size} submissions", file=sys.stderr)
    rows[0]["workers"] = 1
    table = pd.DataFrame(rows)
    table["ratio"] = (table["seconds"].iloc[0] / table["seconds"]).round(2)
    return table.round({"seconds": 1})


def main() -> None:
    """Write both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--force", action="store_true", help="also what has not changed")
    parser.add_argument("--only", choices=["assignments", "speed"])
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp()) if arguments.quick else HERE
    if arguments.only != "speed":
        names = sorted(path.name for path in (HERE / "source").iterdir() if path.is_dir())
        for name in names:
            path = folder / "measured.csv"
            kept = pd.read_csv(path) if path.exists() else pd.DataFrame({"assignment": []})
            if not arguments.force and digest(name) in set(kept.get("digest", [])):
                continue  # as it was when it was measured
            row = pd.DataFrame([measure(name, arguments.workers, arguments.quick)])
            table = pd.concat([kept[kept["assignment"] != name], row]).sort_values("assignment")
            table = table.convert_dtypes()  # whole numbers stay whole
            table.to_csv(path, index=False)
    if arguments.only != "assignments":
        table = speed(6 if arguments.quick else CLASS, arguments.workers)
        table.to_csv(folder / "speed.csv", index=False)
    print(f"written to {folder}")


if __name__ == "__main__":
    main()
