"""The coursework through nbgrader itself: every assignment, every wrong submission, every attack.

Submissions are graded by the command that a teacher uses, in a course of their own. Without
bubblewrap, honest submissions run without walls, and attacks are not run at all.
"""

import copy
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import cached_property
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from grader import notebooks, sandbox, session, text

from clusters import cluster

ROOT = Path(__file__).resolve().parents[1]
COURSEWORK = ROOT / "coursework"
ASSIGNMENTS = sorted(path.name for path in (COURSEWORK / "source").iterdir() if path.is_dir())
ATTACKS = sorted((COURSEWORK / "attacks").glob("*.py"))
WORKERS = os.environ.get("JOBS", "2")
SECRETS = re.compile(r"BEGIN (?:SOLUTION|HIDDEN)|END (?:SOLUTION|HIDDEN)")

walls = pytest.mark.skipif(not sandbox.available(), reason="bubblewrap is not at work here")
slow = pytest.mark.slow


def source(assignment):
    return notebooks.read(COURSEWORK / "source" / assignment / f"{assignment}.ipynb")


def wrong(assignment):
    return [text.read(path) for path in sorted((COURSEWORK / "wrong" / assignment).glob("*.py"))]


class Course:
    """A course in a folder of its own, used by its commands."""

    def __init__(self, folder, *assignments):
        self.folder = folder
        for name in assignments:
            shutil.copytree(COURSEWORK / "source" / name, folder / "source" / name)
        shutil.copytree(COURSEWORK / "grader", folder / "grader")
        shutil.copy(COURSEWORK / "nbgrader_config.py", folder)
        self.done = self("release")
        assert self.done.returncode == 0, self.done.stderr

    def start(self, *arguments, **options):
        command = [sys.executable, "-m", "grader", "--course", str(self.folder), *arguments]
        if arguments[0] == "grade" and not sandbox.available():
            command.append("--no-isolation")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("COV_", "PYTEST"))}
        return subprocess.Popen(
            command,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=kept | {"PYTHONPATH": str(self.folder)},
            **options,
        )

    def __call__(self, *arguments):
        process = self.start(*arguments)
        out, err = process.communicate(timeout=1500)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def submit(self, student, assignment, notebook):
        folder = self.folder / "submitted" / student / assignment
        folder.mkdir(parents=True)
        if isinstance(notebook, str):
            (folder / f"{assignment}.ipynb").write_text(notebook)
        else:
            nbformat.write(notebook, folder / f"{assignment}.ipynb")

    def released(self, assignment):
        return notebooks.read(self.folder / "release" / assignment / f"{assignment}.ipynb")

    def graded(self, student, assignment):
        return notebooks.read(
            self.folder / "autograded" / student / assignment / f"{assignment}.ipynb"
        )

    def points(self, student, assignment):
        """Return what the gradebook says: points earned and possible, by test cell."""
        return self.gradebook[assignment][student]

    @cached_property
    def gradebook(self):
        code = (
            "import json, sys\n"
            "from nbgrader.api import Gradebook\n"
            "with Gradebook(sys.argv[1]) as book:\n"
            "    print(json.dumps({a.name: {s.student.id: {g.name: [g.auto_score, g.max_score]\n"
            "        for g in s.notebooks[0].grades} for s in a.submissions}\n"
            "        for a in book.assignments}))\n"
        )
        path = f"sqlite:///{self.folder / 'gradebook.db'}"
        beside = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        found = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code, path],
            capture_output=True, text=True, check=True, env=os.environ | beside,
        )  # fmt: skip
        return json.loads(found.stdout)


def printed(notebook, grade_id):
    (cell,) = (c for c in notebook.cells if notebooks.grade_id(c) == grade_id)
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def points_of(notebook):
    return {
        notebooks.grade_id(cell): cell.metadata.nbgrader["points"]
        for cell in notebook.cells
        if notebooks.role(cell) == "test"
    }


def refusing(notebook):
    """Return the submission whose functions all refuse whatever they get."""
    return _stubbed(notebook, "raise ValueError('this input is refused')")


def idle(notebook):
    """Return the submission whose functions do nothing."""
    return _stubbed(notebook, "return None")


def _stubbed(notebook, body):
    found = copy.deepcopy(notebook)
    for cell in found.cells:
        if notebooks.role(cell) == "answer":
            names = re.findall(r"^(?:def|class) (\w+)", cell.source, re.MULTILINE)
            lines = [f"def {name}(*args, **kwargs):\n    {body}" for name in names]
            cell.source = "\n\n\n".join(lines)
    return found


def sample(assignment):
    """Return the wrong submissions of the quick part: all of one assignment, four of the others."""
    return wrong(assignment) if assignment == "convolution" else wrong(assignment)[:4]


def hand_in(course, assignment, submissions):
    for found in submissions:
        notebook = text.written(source(assignment), found)
        course.submit(found.name.replace(" ", "_"), assignment, notebook)


@pytest.fixture(scope="session")
def course(tmp_path_factory):
    """All assignments, with every submission of the quick part graded."""
    made = Course(tmp_path_factory.mktemp("course"), *ASSIGNMENTS)
    for assignment in ASSIGNMENTS:
        master = source(assignment)
        made.submit("reference", assignment, text.reference(master))
        made.submit("empty", assignment, made.released(assignment))
        made.submit("refusing", assignment, refusing(master))
        made.submit("idle", assignment, idle(master))
        hand_in(made, assignment, sample(assignment))
    made.done = made("grade", "--workers", WORKERS, "--no-feedback")
    return made


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """All assignments, with every other wrong submission graded."""
    made = Course(tmp_path_factory.mktemp("whole"), *ASSIGNMENTS)
    for assignment in ASSIGNMENTS:
        hand_in(made, assignment, wrong(assignment)[len(sample(assignment)) :])
    made.done = made("grade", "--workers", WORKERS, "--no-feedback")
    return made


def test_there_are_eight_assignments_and_each_is_complete():
    assert len(ASSIGNMENTS) >= 8
    for assignment in ASSIGNMENTS:
        notebook = source(assignment)
        about = notebook.metadata["coursework"]
        assert set(about) == {"title", "minutes", "chapter", "withheld"}, assignment
        assert 60 <= about["minutes"] <= 120
        chapter = ROOT / about["chapter"]
        assert chapter.with_suffix(".ipynb").exists() or (chapter / "index.md").exists()
        roles = [notebooks.role(cell) for cell in notebook.cells]
        assert roles.count("words") == 1 and roles.count("test") >= 3, assignment
        before = notebook.cells[roles.index("words") - 1].source
        assert "| points |" in before, f"{assignment}: no rubric before the worded question"
        for cell in notebook.cells:
            if notebooks.role(cell) == "test":
                assert "### BEGIN HIDDEN TESTS" in cell.source, notebooks.grade_id(cell)
                assert cell.source.rstrip().endswith("sheet.total()")
            assert not cell.get("outputs"), "a source notebook is committed without outputs"
            odd = re.search(r"[\x00-\x08\x0b-\x1f]", cell.source)  # as "\v" for "\\v" leaves
            assert not odd, f"{assignment}: {notebooks.grade_id(cell)} has a control character"
        assert any("marks.variant" in cell.source for cell in notebook.cells)


def test_at_least_eight_wrong_submissions_each_and_each_loses_points():
    for assignment in ASSIGNMENTS:
        full = points_of(source(assignment))
        found = wrong(assignment)
        assert len(found) >= 8, assignment
        for submission in found:
            assert submission.points, f"{assignment}: {submission.name} loses nothing"
            for test, number in submission.points.items():
                assert 0 <= number < full[test], f"{assignment}: {submission.name}: {test}"


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_what_students_get_has_no_solutions_and_no_hidden_tests(course, assignment):
    released = course.released(assignment)
    master = source(assignment)
    text_of = "\n".join(cell.source for cell in released.cells)
    assert not SECRETS.search(text_of)
    assert "raise NotImplementedError" in text_of
    marked = re.compile(r"### BEGIN (?:SOLUTION|HIDDEN TESTS)\n(.*?)### END", re.DOTALL)
    secret = {
        line.strip()
        for cell in master.cells
        for part in marked.findall(cell.source)
        for line in part.splitlines()
    }
    public = {
        line.strip() for cell in master.cells for line in marked.sub("", cell.source).splitlines()
    }
    own = {line for line in secret - public if len(line) > 12}
    assert len(own) > 20, "there is something to hide"
    left = [line for line in own if line in {row.strip() for row in text_of.splitlines()}]
    assert not left
    assert not any(cell.get("outputs") for cell in released.cells)
    assert "\n\n\n\n" not in text_of and "\n\nsheet.total()" not in text_of
    files = [path for path in (course.folder / "release" / assignment).rglob("*") if path.is_file()]
    assert [path.name for path in files] == [f"{assignment}.ipynb"]


@slow
@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_what_students_see_passes_with_the_reference(course, assignment):
    notebook = course.released(assignment)
    answers = {notebooks.grade_id(c): c.source for c in text.reference(source(assignment)).cells}
    for cell in notebook.cells:
        if notebooks.role(cell) == "answer":
            cell.source = answers[notebooks.grade_id(cell)]
    session.run(notebook, "reference", isolated=sandbox.available())
    for cell in notebook.cells:
        if notebooks.role(cell) == "test":
            said = "".join(output.get("text", "") for output in cell.outputs)
            assert [output.output_type for output in cell.outputs] == ["stream"], cell.outputs
            assert "✓" in said and "✗" not in said, said
            assert "hidden tests decide" in said, notebooks.grade_id(cell)


def test_the_batch_ends_well(course):
    assert course.done.returncode == 0, course.done.stdout + course.done.stderr
    for assignment in ASSIGNMENTS:
        count = 4 + len(sample(assignment))
        assert f"{assignment}: {count} of {count} submissions graded" in course.done.stdout
    assert "look at: copies_pytorch: conv2d: getattr(…)" in course.done.stdout
    assert not re.search("look at: (reference|empty)", course.done.stdout)


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_the_reference_gets_all_points_and_words_wait_for_a_reader(course, assignment):
    points = course.points("reference", assignment)
    for test, full in points_of(source(assignment)).items():
        assert points[test] == [full, full], printed(course.graded("reference", assignment), test)
    (words,) = (c for c in source(assignment).cells if notebooks.role(c) == "words")
    assert points[notebooks.grade_id(words)][0] is None


@pytest.mark.parametrize("nothing", ["empty", "idle", "refusing"])
@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_nothing_comes_of_nothing(course, assignment, nothing):
    points = course.points(nothing, assignment)
    for test in points_of(source(assignment)):
        assert points[test][0] == 0, printed(course.graded(nothing, assignment), test)


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_wrong_submissions_get_the_points_expected_and_hear_why(course, assignment):
    judge(course, assignment, sample(assignment))


@slow
@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_so_do_all_other_wrong_submissions(whole, assignment):
    judge(whole, assignment, wrong(assignment)[len(sample(assignment)) :])


def judge(course, assignment, submissions):
    problems = []
    for submission in submissions:
        student = submission.name.replace(" ", "_")
        points = course.points(student, assignment)
        notebook = course.graded(student, assignment)
        for test, full in points_of(source(assignment)).items():
            expected = submission.points.get(test, full)
            if abs(points[test][0] - expected) > 1e-9:
                problems.append(
                    f"{submission.name}: {test}: expected {expected:g}, got {points[test][0]:g}\n"
                    + printed(notebook, test)
                )
        said = "".join(printed(notebook, test) for test in points_of(notebook))
        problems += [
            f"{submission.name}: no test names {mistake!r}\n{said}"
            for mistake in submission.mistakes
            if f"mistake: {mistake}\n" not in said
        ]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_nothing_is_written_to_stderr_by_a_test(course, assignment):
    for student in ("reference", "empty"):
        for cell in course.graded(student, assignment).cells:
            if notebooks.role(cell) == "test":
                names = {o.get("name") for o in cell.outputs if o.output_type == "stream"}
                assert names <= {"stdout"}


def test_a_class_has_numbers_of_its_own_each(course):
    shown = {
        student: "".join(
            output.data["text/plain"]
            for cell in course.graded(student, "convolution").cells
            if notebooks.grade_id(cell) == "layer"
            for output in cell.outputs
            if output.output_type == "display_data"
        )
        for student in ("reference", "kernel_turned", "stride_ignored")
    }
    assert len(set(shown.values())) == 3 and all("kernel" in text for text in shown.values())
    said = printed(course.graded("kernel_turned", "convolution"), "layer")
    assert "you are 'reference', the grader knows 'kernel_turned'" in said
    assert not printed(course.graded("reference", "convolution"), "layer")


def test_points_and_misconceptions_of_the_class(course):
    table = pd.read_csv(course.folder / "points.csv").set_index("student")
    full = sum(points_of(source("convolution")).values())
    assert table.loc["reference", "convolution"] == full
    assert table.loc["empty", "convolution"] == 0
    expected = {s.name.replace(" ", "_"): s for s in wrong("convolution")}
    for student, submission in expected.items():
        lost = sum(
            points_of(source("convolution"))[test] - number
            for test, number in submission.points.items()
        )
        assert table.loc[student, "convolution"] == pytest.approx(full - lost)
    canvas = pd.read_csv(course.folder / "points-canvas.csv")
    assert canvas.loc[0, "Student"] == "    Points Possible"
    assert canvas.loc[0, "convolution"] == full + 2, "with the worded question"
    found = course("report", "convolution")
    assert found.returncode == 0
    assert re.search(r"\d+  the kernel is turned around", found.stdout)
    assert not any(student in found.stdout for student in expected), "names are left out"


@slow
@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_plain_nbgrader_gives_the_reference_all_points_in_under_two_minutes(
    course, assignment, tmp_path
):
    folder = tmp_path / "plain"
    shutil.copytree(course.folder / "source" / assignment, folder / "source" / assignment)
    (folder / "nbgrader_config.py").write_text(
        "c = get_config()\nc.CourseDirectory.course_id = 'plain'\nc.Execute.timeout = 120\n"
    )
    submitted = folder / "submitted" / "ana" / assignment
    submitted.mkdir(parents=True)
    nbformat.write(text.reference(source(assignment)), submitted / f"{assignment}.ipynb")
    beside = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COURSE_STUDENT": "a"}
    began = time.monotonic()
    for command in ("generate_assignment", "autograde"):
        done = subprocess.run(
            ["nbgrader", command, assignment],
            cwd=folder, capture_output=True, text=True, env=os.environ | beside,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 120
    path = folder / "autograded" / "ana" / assignment / f"{assignment}.ipynb"
    for cell in notebooks.read(path).cells:
        if notebooks.role(cell) == "test":
            values = [o.data["text/plain"] for o in cell.outputs if "data" in o]
            assert [float(value) for value in values] == [cell.metadata.nbgrader["points"]]
            assert not [o for o in cell.outputs if o.get("name") == "stderr"]


# Attacks and accidents


def edits_the_tests(notebook):
    for cell in notebook.cells:
        if notebooks.role(cell) == "test":
            cell.source = str(float(cell.metadata.nbgrader["points"]))


def deletes_the_tests(notebook):
    notebook.cells = [cell for cell in notebook.cells if notebooks.role(cell) != "test"]


def duplicates_ids(notebook):
    twins = []
    for cell in notebook.cells:
        if notebooks.role(cell) == "test":
            twin = copy.deepcopy(cell)
            twin.source, twin["id"] = str(float(cell.metadata.nbgrader["points"])), f"t{len(twins)}"
            twins.append(twin)
    again = copy.deepcopy(twins)
    for twin in again:
        twin["id"] += "-again"
    notebook.cells = [*twins, *notebook.cells, *again]


def turns_tests_into_answers(notebook):
    for cell in notebook.cells:
        if notebooks.role(cell) == "test":
            cell.source = str(float(cell.metadata.nbgrader["points"]))
            cell.metadata.nbgrader.update(solution=True, locked=False, points=1000)


TAMPERED = [edits_the_tests, deletes_the_tests, duplicates_ids, turns_tests_into_answers]


@pytest.fixture(scope="session")
def attacked(tmp_path_factory):
    """One batch: honest work between all attacks, and submissions that are damaged or missing."""
    made = Course(tmp_path_factory.mktemp("attacked"), "convolution")
    master = source("convolution")
    made.submit("a_honest", "convolution", text.reference(master))
    for path in ATTACKS:
        notebook = text.attacked(master, text.read(path))
        made.submit(f"b_{path.stem}", "convolution", notebook)
    for tamper in TAMPERED:
        notebook = made.released("convolution")
        tamper(notebook)
        made.submit(f"c_{tamper.__name__}", "convolution", notebook)
    made.submit("d_damaged", "convolution", '{"cells": [')
    (made.folder / "submitted" / "d_missing" / "convolution").mkdir(parents=True)
    made.submit("e_honest", "convolution", text.reference(master))
    made.before = {path: path.read_bytes() for path in made.folder.glob("s*/**/*.ipynb")}
    made.done = made("grade", "--workers", WORKERS, "--no-feedback", "--seconds", "10")
    return made


@walls
def test_attacks_do_not_stop_the_batch_and_what_cannot_be_graded_is_reported(attacked):
    assert attacked.done.returncode == 1
    count = 2 + len(ATTACKS) + len(TAMPERED)
    assert f"convolution: {count} of {count + 2} submissions graded" in attacked.done.stdout
    assert "not graded: d_damaged: convolution.ipynb is not a notebook" in attacked.done.stdout
    assert "not graded: d_missing: convolution.ipynb is missing" in attacked.done.stdout


@walls
@pytest.mark.parametrize("student", ["a_honest", "e_honest"])
def test_attacks_harm_no_other_submission(attacked, student):
    points = attacked.points(student, "convolution")
    assert all(
        points[test] == [full, full] for test, full in points_of(source("convolution")).items()
    )
    for path, content in attacked.before.items():
        assert path.read_bytes() == content
    assert not Path("/tmp/owned").exists()


@walls
@pytest.mark.parametrize("attack", [path.stem for path in ATTACKS])
def test_an_attack_gains_nothing(attacked, attack):
    points = attacked.points(f"b_{attack}", "convolution")
    for test, full in points_of(source("convolution")).items():
        expected = full if attack == "takes_another_name" and test != "costs-test" else 0
        shown = printed(attacked.graded(f"b_{attack}", "convolution"), test)
        assert points[test] == [expected, full], shown


@walls
@pytest.mark.parametrize("tamper", TAMPERED)
def test_tampering_gains_nothing(attacked, tamper):
    points = attacked.points(f"c_{tamper.__name__}", "convolution")
    for test, full in points_of(source("convolution")).items():
        assert points[test] == [0, full]


@walls
def test_a_submission_sees_no_network_no_secrets_and_little_disk(attacked):
    def said(attack):
        notebook = attacked.graded(f"b_{attack}", "convolution")
        return printed(notebook, "student")

    assert "FOUND []" in said("reads_the_solution")
    assert "EDITED" not in said("edits_the_gradebook")
    assert "REWRITTEN" not in said("patches_the_checker")
    assert "FILLED" not in said("fills_the_disk")
    assert "REACHED" not in said("opens_a_socket")
    assert len(said("prints_a_megabyte")) < 50_000


@slow
@walls
@pytest.mark.parametrize("assignment", [name for name in ASSIGNMENTS if name != "convolution"])
def test_attacks_gain_nothing_in_any_assignment(assignment, tmp_path):
    course = Course(tmp_path, assignment)
    for path in ATTACKS:
        course.submit(path.stem, assignment, text.attacked(source(assignment), text.read(path)))
    done = course("grade", "--workers", WORKERS, "--no-feedback", "--seconds", "20")
    assert f"{len(ATTACKS)} of {len(ATTACKS)} submissions graded" in done.stdout, done.stderr
    for path in ATTACKS:
        points = course.points(path.stem, assignment)
        full = points_of(source(assignment))
        earned = {test: points[test][0] for test in full}
        if path.stem == "takes_another_name":
            assert sum(earned.values()) < sum(full.values())
        else:
            assert not any(earned.values()), (path.stem, earned)


# Interrupted, on a cluster, and by mistake


def sized_class(folder, count):
    made = Course(folder, "convolution")
    for number in range(count):
        made.submit(f"s{number}", "convolution", text.reference(source("convolution")))
    return made


def test_a_killed_batch_goes_on_where_it_was(tmp_path):
    course = sized_class(tmp_path, 4)
    process = course.start("grade", "--workers", "1", "--no-feedback", start_new_session=True)
    kept = tmp_path / ".results" / "convolution"
    deadline = time.monotonic() + 120
    while len(list(kept.glob("*.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = {path: path.stat().st_mtime_ns for path in kept.glob("*.json")}
    assert 2 <= len(before) < 4
    done = course("grade", "--no-feedback")
    assert "4 of 4 submissions graded" in done.stdout, done.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before
    full = points_of(source("convolution"))
    for number in range(4):
        points = course.points(f"s{number}", "convolution")
        assert all(points[test][0] == full[test] for test in full)


@slow
def test_a_cluster_grades_the_class_and_outlives_one_of_its_workers(tmp_path):
    course = sized_class(tmp_path, 6)
    with cluster(tmp_path) as running:
        process = course.start("grade", "--no-feedback", "--scheduler", running.address)
        kept, deadline = tmp_path / ".results" / "convolution", time.monotonic() + 180
        while len(list(kept.glob("*.json"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        running.kill(0)
        out, err = process.communicate(timeout=300)
    assert "6 of 6 submissions graded" in out, err
    full = points_of(source("convolution"))
    for number in range(6):
        points = course.points(f"s{number}", "convolution")
        assert all(points[test][0] == full[test] for test in full)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("grade", "knitting"), "assignment must be one of convolution, got 'knitting'"),
        (("release", "knitting"), "assignment must be one of convolution, got 'knitting'"),
        (("grade",), "nothing to do: no submitted"),
        (("report",), "nothing to do: no autograded"),
        (("grade", "--workers", "0"), "--workers must be at least 1, got 0"),
        (("grade", "--seconds", "0"), "--seconds must be above 0, got 0"),
    ],
)
def test_bad_commands_are_refused_in_words(tmp_path_factory, arguments, message):
    folder = tmp_path_factory.getbasetemp() / "bare"
    course = object.__new__(Course)
    course.folder = folder
    if not folder.exists():
        folder.mkdir()
        course.__init__(folder, "convolution")
    done = course(*arguments)
    assert done.returncode == 1
    assert f"error: {message}" in done.stderr and "Traceback" not in done.stderr


def test_the_recorded_table_describes_what_is_here():
    table = pd.read_csv(COURSEWORK / "measured.csv").set_index("assignment")
    assert list(table.index) == ASSIGNMENTS
    for assignment in ASSIGNMENTS:
        row = table.loc[assignment]
        files = [COURSEWORK / "source" / assignment / f"{assignment}.ipynb"]
        files += sorted((COURSEWORK / "wrong" / assignment).glob("*.py")) + ATTACKS
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
        assert row["digest"] == digest, f"{assignment} has changed: make measure-coursework"
        full = sum(points_of(source(assignment)).values())
        assert row["reference"] == full == row["points"] - row["by hand"]
        assert row["caught"] == row["wrong"] == len(wrong(assignment))
        assert row["survived"] == row["attacks"] == len(ATTACKS)
        assert row["seconds"] < 120


def test_a_class_of_two_hundred_is_graded_faster_than_by_plain_nbgrader():
    table = pd.read_csv(COURSEWORK / "speed.csv").set_index("way")
    assert set(table["submissions"]) == {200}
    assert table.loc["this grader", "workers"] == 2
    assert table.loc["this grader", "ratio"] >= 1.8


def test_feedback_tells_students_what_was_wrong(course):
    done = course("grade", "convolution", "--workers", WORKERS)
    assert done.returncode == 0, done.stderr
    page = course.folder / "feedback" / "kernel_turned" / "convolution" / "convolution.html"
    assert "mistake: the kernel is turned around" in page.read_text()
    assert "<script>alert" not in page.read_text()
