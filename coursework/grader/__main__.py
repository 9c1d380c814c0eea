"""A teacher's day: ``python -m grader release``, ``grade``, ``report``."""

import argparse
import logging
import os
import sys
from pathlib import Path

from nbgrader.apps.api import NbGraderAPI

from . import batch, report
from .sandbox import Limits, Unavailable

COURSE = Path(__file__).resolve().parents[1]


def main(argv: list[str] | None = None) -> int:
    """Run a command; return 0 if all went well, 1 if something could not be done."""
    parser = argparse.ArgumentParser(prog="grader", description=__doc__)
    parser.add_argument("--course", type=Path, default=COURSE, help="the course's folder")
    commands = parser.add_subparsers(dest="command", required=True)
    release = commands.add_parser("release", help="make the versions for students")
    release.add_argument("assignment", nargs="*", help="which; all by default")
    release.add_argument("--publish", action="store_true", help="also copy them to the exchange")
    grade = commands.add_parser("grade", help="collect, run, record, write feedback and points")
    grade.add_argument("assignment", nargs="*", help="which; all with submissions by default")
    grade.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    grade.add_argument("--scheduler", help="address of a Dask scheduler, to run on its workers")
    grade.add_argument("--force", action="store_true", help="grade again what is graded")
    grade.add_argument("--no-feedback", action="store_true", help="write no feedback")
    grade.add_argument(
        "--seconds",
        type=float,
        default=Limits.cell,
        help="for one cell, or one call in a test; four times that for a submission (%(default)s)",
    )
    grade.add_argument(
        "--no-isolation",
        action="store_true",
        help="run submissions as yourself, with all your rights: only for code that you trust",
    )
    shown = commands.add_parser("report", help="which mistakes the class makes")
    shown.add_argument("assignment", nargs="*", help="which; all that are graded by default")
    arguments = parser.parse_args(argv)
    arguments.course = arguments.course.resolve()
    try:
        return {"release": _release, "grade": _grade, "report": _report}[arguments.command](
            arguments
        )
    except (Unavailable, FileNotFoundError, KeyError, ValueError) as error:
        print(f"error: {error.args[0] if error.args else error}", file=sys.stderr)
        return 1


def _release(arguments: argparse.Namespace) -> int:
    api = _api(arguments.course)
    problems = 0
    for name in _chosen(arguments, "source/*"):
        found = api.generate_assignment(name, force=True, create=True)
        if found["success"] and arguments.publish:
            found = api.release_assignment(name)
        problems += not found["success"]
        if found["success"]:
            print(f"released {name}: {arguments.course / 'release' / name}")
        else:
            print(f"error: {name}: {_last(found)}", file=sys.stderr)
    return int(problems > 0)


def _grade(arguments: argparse.Namespace) -> int:
    course, problems = arguments.course, 0
    if not arguments.seconds > 0:
        raise ValueError(f"--seconds must be above 0, got {arguments.seconds}")
    if arguments.workers < 1:
        raise ValueError(f"--workers must be at least 1, got {arguments.workers}")
    api = _api(course)
    if _inbound(api).is_dir():
        for name in _chosen(arguments, "source/*"):
            found = api.collect(name, update=True)
            if not found["success"]:
                print(f"error: {name}: not collected: {_last(found)}", file=sys.stderr)
                problems += 1
    for name in _chosen(arguments, "submitted/*/*"):
        outcomes = batch.grade(
            course,
            name,
            workers=arguments.workers,
            scheduler=arguments.scheduler,
            force=arguments.force,
            isolated=not arguments.no_isolation,
            limits=Limits(cell=arguments.seconds, total=4 * arguments.seconds),
        )
        problems += sum(bool(outcome.problem) for outcome in outcomes)
        print(f"{name}: {batch.summary(outcomes)}")
        if missing := batch.absent(course, name):
            print(f"  nothing handed in: {', '.join(missing)}")
        if not arguments.no_feedback:
            graded = [outcome.student for outcome in outcomes if not outcome.problem]
            missed = batch.feedback(course, name, graded, arguments.workers)
            problems += len(missed)
            for student, problem in missed.items():
                print(f"  no feedback: {student}: {problem}")
        print(report.as_text(name, report.misconceptions(course, name)))
    table = report.points(course)
    report.write_csv(table, course / "points.csv")
    report.write_csv(report.canvas(table, report.maxima(course)), course / "points-canvas.csv")
    print(f"points: {course / 'points.csv'} (points-canvas.csv for Canvas)")
    return int(problems > 0)


def _inbound(api: NbGraderAPI) -> Path:
    """Return where nbgrader's exchange keeps what students of this course hand in."""
    root = api.config.Exchange.get("root", "/usr/local/share/nbgrader/exchange")
    return Path(str(root)) / api.coursedir.course_id / "inbound"


def _report(arguments: argparse.Namespace) -> int:
    for name in _chosen(arguments, "autograded/*/*"):
        print(report.as_text(name, report.misconceptions(arguments.course, name)))
    return 0


def _api(course: Path) -> NbGraderAPI:
    api = NbGraderAPI(config=batch.load_config(course))
    api.log.setLevel(logging.WARNING)
    return api


def _chosen(arguments: argparse.Namespace, pattern: str) -> list[str]:
    """Return the assignments to treat.

    Raises:
        ValueError: If one is unknown, or there is none.
    """
    known = sorted({path.name for path in arguments.course.glob("source/*") if path.is_dir()})
    for name in arguments.assignment:
        if name not in known:
            raise ValueError(f"assignment must be one of {', '.join(known)}, got {name!r}")
    found = {path.name for path in arguments.course.glob(pattern) if path.is_dir()} & set(known)
    chosen = arguments.assignment or sorted(found)
    if not chosen:
        raise ValueError(f"nothing to do: no {pattern} in {arguments.course}")
    return list(chosen)


def _last(found: dict) -> str:
    lines = [line.strip() for line in str(found.get("log") or "").splitlines() if line.strip()]
    return " ".join(lines[-2:]) or str(found.get("error"))


if __name__ == "__main__":
    sys.exit(main())
