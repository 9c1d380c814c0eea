"""The files in deploy/: a hub that runs here, for real, and what others need, read and compared.

The run of a whole course, marked slow, needs Chromium and the proxy that deploy/README.md installs.
"""

import contextlib
import csv
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.request import urlopen

import nbformat
import psutil
import pytest
import yaml
from grader import notebooks, sandbox, text
from jupyterhub.app import JupyterHub
from jupyterhub.auth import Authenticator, DummyAuthenticator
from jupyterhub.proxy import ConfigurableHTTPProxy
from jupyterhub.spawner import SimpleLocalProcessSpawner, Spawner
from traitlets.config import Config, PyFileConfigLoader

from test_pages import chromium

api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
COURSE = ROOT / "coursework"
ASSIGNMENT = "convolution"
STUDENTS = ("ada", "ben", "cleo")
PATIENCE = 180  # seconds that one step may take; it takes seconds when nobody else works
PROXY = shutil.which("configurable-http-proxy") or shutil.which(
    "configurable-http-proxy", path=ROOT / ".stamps/proxy/node_modules/.bin"
)


# A course on a hub -------------------------------------------------------------------------------


def eventually(found: Callable[[], Any], what: str) -> Any:
    """Ask until the answer is not empty; return it."""
    end = time.monotonic() + PATIENCE
    while not (answer := found()):
        if time.monotonic() > end:
            pytest.fail(f"{what}: not within {PATIENCE} s", pytrace=False)
        time.sleep(0.1)
    return answer


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def answers(address: str) -> bool:
    with contextlib.suppress(OSError), urlopen(address, timeout=PATIENCE):
        return True
    return False


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[str]:
    """The address of deploy/try_out.py at work, with a copy of the coursework at the teacher's."""
    (tmp_path / "students.txt").write_text("\n".join(STUDENTS), encoding="utf-8")
    course = tmp_path / "homes/teacher/cnnbook"
    course.mkdir(parents=True)
    shutil.copy(COURSE / "nbgrader_config.py", course)
    no_cache = shutil.ignore_patterns("__pycache__")
    shutil.copytree(COURSE / "grader", course / "grader", ignore=no_cache)
    shutil.copytree(COURSE / "source" / ASSIGNMENT, course / "source" / ASSIGNMENT)
    public, inside, proxy = (f"http://127.0.0.1:{port}" for port in free_ports(3))
    command = [sys.executable, "-m", "jupyterhub", "-f", str(DEPLOY / "try_out.py")]
    command += [f"--JupyterHub.bind_url={public}", f"--JupyterHub.hub_bind_url={inside}"]
    command += [f"--ConfigurableHTTPProxy.api_url={proxy}"]
    mine = ("JUPYTER", "COURSE_", "MARKS_", "PYTEST", "MPL")
    environment = {name: v for name, v in os.environ.items() if not name.startswith(mine)}
    environment |= {
        "COURSE_STATE": str(tmp_path),
        "COURSE_STUDENTS": str(tmp_path / "students.txt"),
    }
    with (tmp_path / "log").open("w") as log:
        running = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        eventually(lambda: answers(f"{public}/hub/api") or running.poll() is not None, "the hub")
        if running.poll() is not None:
            pytest.fail((tmp_path / "log").read_text()[-3000:], pytrace=False)
        yield public
    finally:
        alone = running.poll() is not None
        family = [] if alone else psutil.Process(running.pid).children(recursive=True)
        running.send_signal(signal.SIGTERM)  # the hub ends its proxy and its users' servers
        try:
            running.wait(PATIENCE)
        finally:
            running.kill()
            for process in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()


@pytest.fixture
def browser() -> Iterator[Any]:
    with api.sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu"]
        options += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        running = playwright.chromium.launch(executable_path=chromium(), args=options)
        api.expect.set_options(timeout=1000 * PATIENCE)
        yield running
        running.close()


class User:
    """Somebody at a browser, whose server is starting."""

    def __init__(self, browser: Any, hub: str, name: str) -> None:
        self.name, self.home = name, f"{hub}/user/{name}"
        self.context = browser.new_context(viewport={"width": 1400, "height": 1000})
        self.context.set_default_timeout(1000 * PATIENCE)
        self.page = self.context.new_page()
        self.page.goto(f"{hub}/hub/login?next=%2Fhub%2Fspawn")
        self.page.get_by_label("Username").fill(name)
        self.page.get_by_label("Password").fill("try")
        self.page.get_by_role("button", name="Sign in").click(no_wait_after=True)

    def arrive(self) -> None:
        """Wait for JupyterLab."""
        self.page.wait_for_url(f"{self.home}/lab**")
        self.page.locator("#jp-menu-panel").get_by_text("Nbgrader", exact=True).wait_for()

    def ask(self, method: str, path: str, data: Any = None) -> Any:
        """Send a request to the user's server as its pages do; return the answer."""
        cookies = self.context.cookies(f"{self.home}/")
        token = next(cookie["value"] for cookie in cookies if cookie["name"] == "_xsrf")
        return self.context.request.fetch(
            f"{self.home}/{path}", method=method, data=data, headers={"X-XSRFToken": token}
        )


class Teacher(User):
    def order(self, path: str) -> None:
        """Have the formgrader do something; fail with its log if it does not."""
        answer = self.ask("POST", f"formgrader/api/{path}")
        assert answer.ok, answer.text()
        found = answer.json()
        assert found["success"], f"{path}: {found.get('log')}\n{found.get('error')}"

    def learn(self, path: str) -> Any:
        """Return what the formgrader tells."""
        answer = self.ask("GET", f"formgrader/api/{path}")
        assert answer.ok, answer.text()
        return answer.json()

    def grades(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return the grade of every cell, by student."""
        found = self.learn(f"submitted_notebooks/{ASSIGNMENT}/{ASSIGNMENT}")
        return {
            one["student"]: {g["name"]: g for g in self.learn(f"grades?submission_id={one['id']}")}
            for one in found
        }


class Student(User):
    def open_assignments(self) -> None:
        self.page.locator("#jp-menu-panel").get_by_text("Nbgrader", exact=True).click()
        self.page.locator("#jp-mainmenu-nbgrader").get_by_text("Assignment List").click()

    def press(self, kind: str, button: str) -> None:
        """Press a button in one of the three lists of assignments."""
        found = self.page.locator(f"#{kind}_assignments_list > .list_item", has_text=ASSIGNMENT)
        found.get_by_role("button", name=button, exact=True).click()

    def open_notebook(self, cells: int) -> None:
        """Open the fetched notebook from the list."""
        downloaded = self.page.locator("#fetched_assignments_list")
        downloaded.locator("a.assignment-notebooks-link").click()
        downloaded.locator(".nested_list_item a").click()
        api.expect(self.cells()).to_have_count(cells)

    def cells(self) -> Any:
        return self.page.locator(".jp-Notebook .jp-Cell:not(.jp-Notebook-footer)")

    def write(self, number: int, answer: str) -> None:
        """Put an answer into a cell, with mouse and keyboard."""
        cell = self.cells().nth(number)
        cell.scroll_into_view_if_needed()
        if "jp-MarkdownCell" in cell.get_attribute("class"):
            cell.dblclick()
        editor = cell.locator(".cm-content")
        editor.click()
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.insert_text(answer)

    def validate(self) -> str:
        """Press Validate, which saves first; return what it says."""
        self.page.locator(".validate-button").get_by_text("Validate").click()
        said = self.page.locator("#validation-message")
        found = said.inner_text()
        self.page.locator(".jp-Dialog").get_by_role("button", name="Ok").click()
        return found

    def put(self, notebook: Any) -> None:
        """Save another notebook in place of the fetched one."""
        answer = self.ask(
            "PUT",
            f"api/contents/{ASSIGNMENT}/{ASSIGNMENT}.ipynb",
            {"type": "notebook", "format": "json", "content": notebook},
        )
        assert answer.ok, answer.text()

    def notebook(self) -> Any:
        """Return the notebook as it lies on the server."""
        answer = self.ask("GET", f"api/contents/{ASSIGNMENT}/{ASSIGNMENT}.ipynb")
        assert answer.ok, answer.text()
        return nbformat.from_dict(answer.json()["content"])


def answered(fetched: Any, solved: Any) -> dict[int, str]:
    """Return the answers in ``solved``, each with its cell's number in the fetched notebook."""
    answers = {
        notebooks.grade_id(cell): cell.source
        for cell in solved.cells
        if notebooks.role(cell) in ("answer", "words")
    }
    names = [notebooks.grade_id(cell) for cell in fetched.cells]
    return {names.index(name): answer for name, answer in answers.items()}


@pytest.mark.slow
@pytest.mark.skipif(chromium() is None, reason="no Chromium is installed")
@pytest.mark.skipif(PROXY is None, reason="no configurable-http-proxy: see deploy/README.md")
@pytest.mark.skipif(shutil.which("node") is None, reason="no node, which runs the proxy")
@pytest.mark.skipif(shutil.which("bwrap") is None, reason="no bubblewrap, which isolates grading")
def test_a_course_runs_on_a_hub(browser: Any, hub: str) -> None:
    assert sandbox.available()
    source = notebooks.read(COURSE / "source" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb")
    wrong = text.read(COURSE / "wrong" / ASSIGNMENT / "kernel_turned.py")
    full = {
        notebooks.grade_id(cell): cell.metadata.nbgrader.points
        for cell in source.cells
        if notebooks.role(cell) == "test"
    }
    teacher = Teacher(browser, hub, "teacher")
    teacher.arrive()
    teacher.order(f"assignment/{ASSIGNMENT}/assign")
    teacher.order(f"assignment/{ASSIGNMENT}/release")

    students = [Student(browser, hub, name) for name in STUDENTS]
    for student in students:
        student.arrive()
        student.open_assignments()
        student.press("released", "Fetch")
        student.page.locator("#fetched_assignments_list .list_item").first.wait_for()
    ada, ben, _ = students
    fetched = ada.notebook()
    assert not [c for c in fetched.cells if re.search(r"SOLUTION|HIDDEN|Xpadded =", c.source)]
    assert ada.ask("GET", "formgrader/api/assignments").status == 404  # the teacher's only
    assert ben.context.request.get(f"{ada.home}/api/contents").status == 403

    ada.open_notebook(len(fetched.cells))
    for number, answer in answered(fetched, text.reference(source)).items():
        ada.write(number, answer)
    assert "passes all the tests" in ada.validate()
    written = answered(fetched, ada.notebook())
    assert written == answered(fetched, text.reference(source))

    turned = ben.notebook()
    for number, answer in answered(fetched, text.written(source, wrong)).items():
        turned.cells[number].source = answer
    ben.put(turned)
    ben.open_notebook(len(fetched.cells))
    assert "Partial credit" in ben.validate()

    for student in students:
        student.page.get_by_role("tab", name="Assignments").click()
        student.press("fetched", "Submit")
        student.page.locator("#submitted_assignments_list .nested_list_item").first.wait_for()

    teacher.order(f"assignment/{ASSIGNMENT}/collect")
    for name in STUDENTS:
        teacher.order(f"submission/{ASSIGNMENT}/{name}/autograde")
    grades = teacher.grades()
    points = {s: {n: g["auto_score"] for n, g in grades[s].items() if n in full} for s in grades}
    assert points == {
        "ada": full,
        "ben": full | wrong.points,
        "cleo": dict.fromkeys(full, 0.0),
    }
    words = grades["ada"]["words"]
    assert words["needs_manual_grade"]
    assert teacher.ask("PUT", f"formgrader/api/grade/{words['id']}", {"manual_score": 2}).ok

    teacher.order(f"assignment/{ASSIGNMENT}/generate_feedback")
    teacher.order(f"assignment/{ASSIGNMENT}/release_feedback")
    scores = {one["student"]: one["score"] for one in teacher.learn(f"submissions/{ASSIGNMENT}")}
    total = sum(full.values())
    lost = sum(full[name] - got for name, got in wrong.points.items())
    assert scores == {"ada": total + 2, "ben": total - lost, "cleo": 0}
    for student, told in ((ada, f"Score: {total + 2:g}"), (ben, "the kernel is turned around")):
        student.press("submitted", "Fetch Feedback")
        student.page.get_by_text("(view feedback)").click()
        files = student.page.get_by_label("File Browser Section").get_by_role("listitem")
        files.filter(has_text=f"{ASSIGNMENT}.html").dblclick()
        feedback = student.page.frame_locator(".jp-HTMLViewer iframe")
        api.expect(feedback.locator("body")).to_contain_text(told)


# What is read, not run ---------------------------------------------------------------------------


def load_config(path: Path) -> Any:
    """Return a configuration in Python, as JupyterHub and nbgrader load it."""
    return PyFileConfigLoader(path.name, path=str(path.parent)).load_config()


def unknown_options(config: Any, classes: list[type]) -> list[str]:
    """Return what a configuration sets that nothing would read."""
    known: dict[str, set[str]] = {}
    for one in classes:
        known.setdefault(one.__name__, set()).update(one.class_trait_names(config=True))
    return [
        f"{section}.{name}"
        for section, values in config.items()
        for name in values
        if name not in known.get(section, ())
    ]


def role_of(config: Any, user: str) -> dict[str, str]:
    """Return what a hub tells the server of a user."""
    spawner = SimpleNamespace(user=SimpleNamespace(name=user), environment={"KEPT": "1"})
    config.Spawner.pre_spawn_hook(spawner)
    assert spawner.environment.pop("KEPT") == "1"
    return spawner.environment


@pytest.fixture
def hub_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("COURSE_")]:
        monkeypatch.delenv(name)
    # The configurations set variables for what they start; this puts them back afterwards.
    for name in ("COURSE_ROLES", "COURSE_TEACHERS", "COURSE_EXCHANGE", "COURSE_ACCOUNT", "PATH"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
        if name.startswith("COURSE_"):
            monkeypatch.delenv(name)
    (tmp_path / "students.txt").write_text("ada\n\n ben \n", encoding="utf-8")
    monkeypatch.setenv("COURSE_STUDENTS", str(tmp_path / "students.txt"))
    monkeypatch.setenv("COURSE_STATE", str(tmp_path / "state"))
    return tmp_path


def test_try_out_sets_options_that_exist(hub_settings: Path) -> None:
    config = load_config(DEPLOY / "try_out.py")
    classes = [*JupyterHub().classes, DummyAuthenticator, SimpleLocalProcessSpawner, Authenticator]
    assert unknown_options(config, [*classes, JupyterHub, ConfigurableHTTPProxy, Spawner]) == []
    assert config.Authenticator.allowed_users == {"ada", "ben", "teacher"}
    exchange = hub_settings / "state/exchange"
    assert exchange.stat().st_mode & 0o777 == 0o777
    assert (hub_settings / "state").stat().st_mode & 0o777 == 0o700


def test_only_to_try_out_is_one_password_for_all(hub_settings: Path, monkeypatch) -> None:
    monkeypatch.setenv("COURSE_EXCHANGE", str(hub_settings / "exchange"))
    config = load_config(DEPLOY / "jupyterhub_config.py")
    assert "authenticator_class" not in config.JupyterHub  # JupyterHub's own: PAM
    assert "spawner_class" not in config.JupyterHub  # and accounts of the machine
    assert "DummyAuthenticator" not in config and "args" not in config.Spawner


@pytest.mark.parametrize("user", ["ada", "teacher"])
def test_a_role_has_all_that_nbgrader_needs(user: str, hub_settings: Path, monkeypatch) -> None:
    told = role_of(load_config(DEPLOY / "try_out.py"), user)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(hub_settings))
    shutil.copytree(COURSE, hub_settings / "cnnbook", ignore=shutil.ignore_patterns("*.ipynb"))
    role = Path(told["JUPYTER_CONFIG_PATH"])
    config = load_config(role / "nbgrader_config.py")
    assert config.Exchange.root == str(hub_settings / "state/exchange")
    assert config.CourseDirectory.course_id == "cnnbook"
    teaches = user == "teacher"
    assert ("Autograde" in config) == teaches  # the course's own configuration
    assert ("student_id" in config.CourseDirectory) != teaches  # or she would collect her own only
    if teaches:
        assert config.CourseDirectory.root == str(hub_settings / "cnnbook")
    else:
        assert config.CourseDirectory.student_id == told["COURSE_STUDENT"] == user


@pytest.mark.parametrize(("role", "hidden"), [("student", "formgrader"), ("teacher", "assignment")])
def test_a_role_hides_what_is_for_the_other(role: str, hidden: str) -> None:
    def read(name: str) -> Any:
        return json.loads((DEPLOY / "roles" / role / name).read_text(encoding="utf-8"))

    server = read("jupyter_server_config.json")["ServerApp"]["jpserver_extensions"]
    assert {name.rpartition(".")[2] for name, on in server.items() if not on} >= {
        {"formgrader": "formgrader", "assignment": "assignment_list"}[hidden]
    }
    page = read("labconfig/page_config.json")["disabledExtensions"]
    assert any(name.startswith(f"@jupyter/nbgrader:{hidden}") for name in page)
    assert all(find_spec(name) for name in server)
    # What a student's page offers, the server answers.
    asked = read("labconfig/default_setting_overrides.json")
    assert asked["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"


def test_tljh_makes_its_admins_teachers(hub_settings: Path, monkeypatch) -> None:
    configurer = SimpleNamespace(load_config=lambda: {"users": {"admin": ["grace", "alan"]}})
    monkeypatch.setitem(sys.modules, "tljh", SimpleNamespace(configurer=configurer))
    monkeypatch.setitem(sys.modules, "tljh.configurer", configurer)
    snippet = (DEPLOY / "tljh/cnnbook.py").read_text(encoding="utf-8")
    assert "/srv/cnnbook" in snippet
    (hub_settings / "cnnbook.py").write_text(snippet.replace("/srv/cnnbook", str(ROOT)))
    config = load_config(hub_settings / "cnnbook.py")
    assert "COURSE_STUDENT" not in role_of(config, "alan")
    assert role_of(config, "ada")["COURSE_STUDENT"] == "jupyter-ada"


@pytest.mark.parametrize("script", ["tljh/install.sh", "entrypoint.sh"])
def test_script_is_a_script(script: str) -> None:
    path = DEPLOY / script
    subprocess.run(["sh", "-n", path], check=True)
    assert os.access(path, os.X_OK)


def values() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "z2jh/values.yaml").read_text(encoding="utf-8"))


def test_kubernetes_gives_every_user_a_number(hub_settings: Path) -> None:
    found = values()
    assert found["hub"]["config"]["JupyterHub"]["authenticator_class"] == "null"
    config = Config()
    for code in [(DEPLOY / "course.py").read_text(), *found["hub"]["extraConfig"].values()]:
        exec(code, {"c": config})  # as the chart does
    assert config.KubeSpawner.fs_gid is None and found["singleuser"]["fsGid"] is None
    number = config.KubeSpawner.uid(SimpleNamespace(user=SimpleNamespace(id=7)))
    (first,) = found["singleuser"]["initContainers"]
    made = first["command"][-1].replace("{userid}", "7").replace("chown", "echo")
    said = subprocess.run(["sh", "-c", made.split(" && ")[0]], capture_output=True, text=True)
    assert said.stdout == f"{number}:{config.KubeSpawner.gid} /home/jovyan\n"


def test_kubernetes_mounts_one_exchange() -> None:
    found = values()
    claim, opening = yaml.safe_load_all((DEPLOY / "z2jh/exchange.yaml").read_text())
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    pod = opening["spec"]["template"]["spec"]
    storage = found["singleuser"]["storage"]
    for volumes, mounts in (
        (storage["extraVolumes"], storage["extraVolumeMounts"]),
        (pod["volumes"], pod["containers"][0]["volumeMounts"]),
    ):
        ((volume,), (mount,)) = volumes, mounts
        assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        assert mount["name"] == volume["name"]
        assert mount["mountPath"] == found["hub"]["extraEnv"]["COURSE_EXCHANGE"]
    (first,) = found["singleuser"]["initContainers"]
    image = "{name}:{tag}".format(**found["singleuser"]["image"])
    assert first["image"] == pod["containers"][0]["image"] == image


def test_the_image_holds_what_the_values_name_and_no_coursework() -> None:
    lines = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    copied = [line.split()[1:] for line in lines if line.startswith("COPY")]
    sources = [ROOT / name for *names, _ in copied for name in names]
    assert [path for path in sources if not path.exists()] == []
    assert not any(path in (ROOT, COURSE, *COURSE.parents) for path in sources)
    assert ["deploy/roles", "deploy/roles"] in copied and "WORKDIR /srv/cnnbook" in lines
    assert values()["hub"]["extraEnv"]["COURSE_ROLES"] == "/srv/cnnbook/deploy/roles"
    asked = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    for pattern in re.findall(r"grep -oE '([^']+)' requirements", "\n".join(lines)):
        names = re.search(r"\((.*)\)", pattern)[1].split("|")
        assert len(re.findall(pattern, asked, re.MULTILINE)) == len(names), names


# What a student needs ----------------------------------------------------------------------------


def measured() -> list[dict[str, str]]:
    with (DEPLOY / "measured.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def gib(size: str | int) -> float:
    return float(str(size).rstrip("G"))


def test_every_assignment_is_measured_three_times() -> None:
    runs = Counter(row["assignment"] for row in measured())
    assert runs.keys() == {path.name for path in (COURSE / "source").iterdir() if path.is_dir()}
    assert min(runs.values()) >= 3


def test_limits_have_room_for_what_was_measured() -> None:
    rows, user = measured(), values()["singleuser"]
    peak, opened = (max(int(r[c]) for r in rows) / 1024 for c in ("peak_mib", "notebook_mib"))
    assert 1.25 * peak <= gib(user["memory"]["limit"]) <= 3 * peak
    assert opened <= gib(user["memory"]["guarantee"]) <= gib(user["memory"]["limit"])
    # A student who runs everything every ten minutes gets that much of a core at any rate.
    assert max(float(row["cpu_s"]) for row in rows) / 600 <= user["cpu"]["guarantee"]
    assert user["cpu"]["limit"] == 1  # one thread a process
    script = (DEPLOY / "tljh/install.sh").read_text(encoding="utf-8")
    assert f"limits.memory {user['memory']['limit']}\n" in script
    assert f"limits.cpu {user['cpu']['limit']}\n" in script


def test_readme_cites_the_table() -> None:
    rows = measured()
    said = (DEPLOY / "README.md").read_text(encoding="utf-8")
    for column in ("server_mib", "notebook_mib", "peak_mib"):
        assert f" {max(int(row[column]) for row in rows)} MiB" in said, column
    assert f" {max(float(row['cpu_s']) for row in rows):.0f} seconds" in said
    opened = max(int(row["notebook_mib"]) for row in rows)
    assert f"take about {30 * opened / 1024:.0f} GiB" in said
