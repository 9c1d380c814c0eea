"""Grading a class: run every submission, N at a time or on a cluster; record each as it comes.

Running is the slow part, and a pure function of the two notebooks; so it is what goes to other
processes or machines. Recording is nbgrader's own ``autograde``, in this process alone, since its
gradebook has one writer.
"""

import contextlib
import hashlib
import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbgrader.api import Gradebook
from nbgrader.apps.api import NbGraderAPI
from sqlalchemy.exc import SAWarning
from tqdm import tqdm
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from . import notebooks, results, session
from .remarks import remarks
from .sandbox import Limits, Unavailable

ATTEMPTS = 2  # times a submission is tried when the process that runs it dies


# nbgrader builds rows before it adds them to its session, which SQLAlchemy 2 remarks upon.
warnings.filterwarnings("ignore", category=SAWarning, module="nbgrader")


@dataclass(frozen=True)
class Job:
    """One submission to run.

    Attributes:
        student: Whose work it is.
        source: The assignment's source notebook, as text.
        submission: The submitted one.
        isolated: Whether to run it in a sandbox.
        limits: What it may use there.
    """

    student: str
    source: str
    submission: str
    isolated: bool = True
    limits: Limits = field(default_factory=Limits)


@dataclass
class Outcome:
    """What became of one submission.

    Attributes:
        student: Whose work it is.
        problem: Why it could not be graded, or an empty string.
        seconds: How long it ran; 0 if its result was known.
        remarks: What a teacher may want to look at.
    """

    student: str
    problem: str = ""
    seconds: float = 0.0
    remarks: list[str] = field(default_factory=list)


def execute(job: Job) -> dict[str, Any]:
    """Run one submission.

    Returns:
        ``key`` and ``outputs``, for ``results.save``, and ``seconds``.
    """
    began = time.perf_counter()
    source = nbformat.reads(job.source, as_version=4)
    submission = nbformat.reads(job.submission, as_version=4)
    notebook = notebooks.rebuild(source, submission)
    key = results.key(job.student, notebook)
    session.run(notebook, job.student, limits=job.limits, isolated=job.isolated)
    outputs = [cell.outputs for cell in notebooks.code_cells(notebook)]
    return {"key": key, "outputs": outputs, "seconds": time.perf_counter() - began}


def load_config(course: Path) -> Config:
    """Return the configuration of a course, as nbgrader reads it."""
    beside = os.path.dirname(os.path.abspath(sys.executable))
    if beside not in os.environ["PATH"].split(os.pathsep):
        # nbgrader calls alembic by name, which lies beside Python in an environment not activated.
        os.environ["PATH"] = os.pathsep.join([beside, os.environ["PATH"]])
    config = PyFileConfigLoader("nbgrader_config.py", path=str(course)).load_config()
    config.CourseDirectory.root = str(course)
    return config


def grade(
    course: Path,
    assignment: str,
    *,
    workers: int = 2,
    scheduler: str | None = None,
    force: bool = False,
    isolated: bool = True,
    limits: Limits | None = None,
    progress: bool = True,
) -> list[Outcome]:
    """Run and record all submissions of an assignment.

    What an interrupted batch has run or recorded is not done again.

    Args:
        course: The course's folder, with ``source``, ``submitted`` and ``nbgrader_config.py``.
        assignment: Its name.
        workers: Processes on this machine; a scheduler has its own.
        scheduler: Address of a Dask scheduler, to run there.
        force: Grade again what is graded already.
        isolated: False runs submissions as yourself: only for code that you trust.
        limits: What one submission may use.
        progress: Show a bar.

    Returns:
        One outcome a submission, in order of students; those with a problem are not recorded.

    Raises:
        FileNotFoundError: If there is no such assignment.
        ValueError: If there is no submission of it.
        Unavailable: If submissions cannot be isolated here.
    """
    sources = sorted((course / "source" / assignment).glob("*.ipynb"))
    if len(sources) != 1:
        choice = sorted(p.name for p in (course / "source").glob("*") if p.is_dir())
        raise FileNotFoundError(f"assignment must be one of {choice}, got {assignment!r}")
    source = sources[0]
    folders = sorted(course.glob(f"submitted/*/{assignment}"))
    if not folders:
        raise ValueError(f"nothing is submitted for {assignment!r} in {course / 'submitted'}")
    config = load_config(course)
    config.Run.isolated = isolated
    api = NbGraderAPI(config=config)
    outcomes = {folder.parent.name: Outcome(folder.parent.name) for folder in folders}
    jobs: list[Job] = []
    ready: list[str] = []
    master = notebooks.read(source)
    for folder in folders:
        student = folder.parent.name
        try:
            submission = notebooks.read(folder / source.name)
        except notebooks.Damaged as damaged:
            outcomes[student].problem = str(damaged)
            continue
        rebuilt = notebooks.rebuild(master, submission)
        outcomes[student].remarks = remarks(rebuilt)
        if force:
            results.path(course, assignment, student).unlink(missing_ok=True)
        if results.fill(course, assignment, student, rebuilt):
            ready.append(student)
        else:
            text = nbformat.writes(submission)
            master_text = source.read_text(encoding="utf-8")
            jobs.append(Job(student, master_text, text, isolated, limits or Limits()))
    run = _on_cluster(jobs, scheduler) if scheduler else _here(jobs, workers)
    bar = tqdm(total=len(jobs) + len(ready), desc=assignment, disable=not progress)
    with bar, contextlib.closing(run):
        for student in ready:
            _record(api, course, assignment, outcomes[student], force)
            bar.update()
        for job, found, problem in run:
            outcome = outcomes[job.student]
            if found is None:
                outcome.problem = problem
            else:
                outcome.seconds = found.pop("seconds")
                results.save(course, assignment, job.student, found)
                _record(api, course, assignment, outcome, force=True)
            bar.update()
    return [outcomes[student] for student in sorted(outcomes)]


def _record(api: NbGraderAPI, course: Path, assignment: str, outcome: Outcome, force: bool) -> None:
    """Let nbgrader grade one submission whose result is known, unless it has done so already."""
    stamp = course / "autograded" / outcome.student / assignment / ".result"
    result = results.path(course, assignment, outcome.student).read_bytes()
    digest = hashlib.sha256(result).hexdigest()
    if not force and stamp.exists() and stamp.read_text() == digest:
        return
    found = api.autograde(assignment, outcome.student, force=True, create=True)
    if found["success"]:
        stamp.write_text(digest)
    else:
        log = [line for line in found.get("log", "").splitlines() if line.strip()]
        outcome.problem = " ".join(log[-3:]) or str(found.get("error", "nbgrader failed"))


def _here(jobs: list[Job], workers: int) -> Iterator[tuple[Job, dict[str, Any] | None, str]]:
    """Run jobs in processes of this machine; a process that dies takes no other job with it."""
    context = multiprocessing.get_context("spawn")
    attempts = dict.fromkeys(range(len(jobs)), 0)
    waiting = list(range(len(jobs)))
    while waiting:
        alone = any(attempts[i] for i in waiting)  # after a death: one at a time, to find whose
        size = 1 if alone else max(1, min(workers, len(waiting)))
        with ProcessPoolExecutor(size, mp_context=context) as pool:
            try:
                yield from _pooled(pool, jobs, waiting, attempts, 1 if alone else 2 * size)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


def _pooled(
    pool: ProcessPoolExecutor,
    jobs: list[Job],
    waiting: list[int],
    attempts: dict[int, int],
    ahead: int,
) -> Iterator[tuple[Job, dict[str, Any] | None, str]]:
    open_jobs: dict[Future, int] = {}
    while waiting or open_jobs:
        while waiting and len(open_jobs) < ahead:
            i = waiting.pop(0)
            attempts[i] += 1
            open_jobs[pool.submit(execute, jobs[i])] = i
        done, _ = wait(open_jobs, return_when=FIRST_COMPLETED)
        broken = False
        for future in done:
            i = open_jobs.pop(future)
            error = future.exception()
            if isinstance(error, BrokenProcessPool):
                broken = True
                if attempts[i] < ATTEMPTS:
                    waiting.append(i)
                else:
                    yield jobs[i], None, "the process that ran it died"
            elif isinstance(error, Unavailable):
                raise error
            elif error is not None:
                yield jobs[i], None, f"{type(error).__name__}: {error}"
            else:
                attempts[i] = 0
                yield jobs[i], future.result(), ""
        if broken:
            waiting.extend(open_jobs.values())
            return


def _on_cluster(
    jobs: list[Job], scheduler: str
) -> Iterator[tuple[Job, dict[str, Any] | None, str]]:
    """Run jobs on a Dask cluster; a job whose worker dies goes to another.

    What is sent is defined in here, so that it travels by value: the scheduler need not have this
    package, and the workers get it, as files, since the sandbox starts one of them.
    """
    from distributed import Client, WorkerPlugin, as_completed

    files = {path.name: path.read_bytes() for path in Path(__file__).parent.glob("*.py")}

    class Code(WorkerPlugin):
        name = "grader"

        def setup(self, worker: Any) -> None:
            import pathlib
            import sys

            folder = pathlib.Path(worker.local_directory, "grader")
            folder.mkdir(parents=True, exist_ok=True)
            for name, content in files.items():
                (folder / name).write_bytes(content)
            sys.path.insert(0, str(folder.parent))

    def remote(fields: dict[str, Any]) -> dict[str, Any]:
        from grader import batch, sandbox

        return batch.execute(batch.Job(**fields | {"limits": sandbox.Limits(**fields["limits"])}))

    with Client(scheduler, set_as_default=False) as client:
        client.register_plugin(Code())
        futures = {client.submit(remote, asdict(job), pure=False): job for job in jobs}
        try:
            for future in as_completed(list(futures), loop=client.loop):
                job = futures.pop(future)
                if future.status == "finished":
                    yield job, future.result(), ""
                else:
                    error = future.exception()
                    if type(error).__name__ == "Unavailable":
                        raise error
                    yield job, None, f"{type(error).__name__}: {error}"
                future.release()
        finally:
            client.cancel(list(futures))


def absent(course: Path, assignment: str) -> list[str]:
    """Return the students in the gradebook who have not handed in an assignment."""
    handed_in = {path.parent.name for path in course.glob(f"submitted/*/{assignment}")}
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        return sorted({student.id for student in book.students} - handed_in)


def summary(outcomes: list[Outcome]) -> str:
    """Return what a batch did, in words."""
    problems = [outcome for outcome in outcomes if outcome.problem]
    lines = [f"{len(outcomes) - len(problems)} of {len(outcomes)} submissions graded"]
    lines += [f"  not graded: {found.student}: {found.problem}" for found in problems]
    lines += [f"  look at: {found.student}: {line}" for found in outcomes for line in found.remarks]
    return "\n".join(lines)


def feedback(course: Path, assignment: str, students: list[str], workers: int) -> dict[str, str]:
    """Write the feedback of graded submissions, in processes of this machine.

    Returns:
        For each student who has none, why.
    """
    context = multiprocessing.get_context("spawn")
    missed: dict[str, str] = {}
    with ProcessPoolExecutor(max(1, min(workers, len(students))), mp_context=context) as pool:
        tasks = {
            pool.submit(_feedback, course, assignment, part): part
            for part in (students[i::workers] for i in range(workers))
            if part
        }
        for task, part in tasks.items():
            error = task.exception()
            missed.update(dict.fromkeys(part, str(error)) if error else task.result())
    return missed


def _feedback(course: Path, assignment: str, students: list[str]) -> dict[str, str]:
    api = NbGraderAPI(config=load_config(course))
    missed = {}
    for student in students:
        found = api.generate_feedback(assignment, student, force=True)
        if not found["success"]:
            missed[student] = " ".join((found.get("log") or "failed").splitlines()[-2:])
    return missed
