"""Measures what one student needs: ``.venv/bin/python deploy/measure.py``, on an idle machine.

For each assignment it starts a JupyterLab server with a student's settings, opens the reference
solution in a kernel there, runs every cell, and has nbgrader validate the notebook while that
kernel stays open, which is the most that a student does at once. ``measured.csv`` keeps, of each
run, the memory of the server and of all it started, and the processor time they took.
"""

import argparse
import csv
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

import nbformat
import psutil
from jupyter_client import BlockingKernelClient

HERE = Path(__file__).resolve().parent
COURSE = HERE.parent / "coursework"
TABLE = HERE / "measured.csv"
COLUMNS = ["assignment", "run", "server_mib", "notebook_mib", "peak_mib", "cpu_s"]
PATIENCE = 600.0
sys.path.insert(0, str(COURSE))

from grader import notebooks, text  # noqa: E402


class Watch:
    """Follows the memory and the processor time of a process and all its descendants."""

    def __init__(self, pid: int) -> None:
        self.root = psutil.Process(pid)
        self.now = self.peak = 0
        self.cpu: dict[tuple[int, float], float] = {}
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._follow, daemon=True)
        self.thread.start()

    def _follow(self) -> None:
        while not self.over.wait(0.1):
            total = 0
            for process in [self.root, *self.root.children(recursive=True)]:
                try:
                    with process.oneshot():
                        total += process.memory_info().rss
                        times = process.cpu_times()
                        key = (process.pid, process.create_time())
                        self.cpu[key] = times.user + times.system
                except psutil.NoSuchProcess:
                    continue
            self.now, self.peak = total, max(self.peak, total)

    def settled(self) -> int:
        """Return the memory in use once it no longer changes by more than a hundredth."""
        before = 0
        while abs(self.now - before) > before / 100:
            before = self.now
            time.sleep(1)
        return self.now


class Server:
    """A JupyterLab server with a home of its own and a student's settings."""

    def __init__(self, home: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.home = home
        self.address = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
        command += [f"--port={port}", "--IdentityProvider.token=measure", f"--notebook-dir={home}"]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("JUPYTER")}
        environment |= {
            "HOME": str(home),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]]),
            "JUPYTER_CONFIG_PATH": str(HERE / "roles/student"),
            "COURSE_EXCHANGE": str(home),
            "COURSE_STUDENT": "reference",
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
        }
        log = (home / "log").open("w")
        self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=home)
        self.watch = Watch(self.process.pid)
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self.ask("GET", "api/status")
                return
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise RuntimeError((home / "log").read_text()[-2000:]) from None
                time.sleep(0.1)

    def ask(self, method: str, path: str, data: object = None) -> object:
        """Send a request; return the answer."""
        request = urllib.request.Request(
            f"{self.address}/{path}",
            method=method,
            data=None if data is None else json.dumps(data).encode(),
            headers={"Authorization": "token measure"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)

    def run(self, name: str, notebook: nbformat.NotebookNode) -> None:
        """Run a notebook's cells in a kernel of the server, which stays open."""
        session = {"path": name, "type": "notebook", "name": "", "kernel": {"name": "python3"}}
        kernel = self.ask("POST", "api/sessions", session)["kernel"]["id"]
        client = BlockingKernelClient()
        place = self.home / f".local/share/jupyter/runtime/kernel-{kernel}.json"
        client.load_connection_file(str(place))
        client.start_channels()
        client.kernel_info(reply=True, timeout=PATIENCE)
        for cell in notebooks.code_cells(notebook):
            reply = client.execute_interactive(
                cell.source, timeout=PATIENCE, output_hook=lambda _: None
            )["content"]
            if reply["status"] != "ok":
                raise RuntimeError(f"{name}: {reply['ename']}: {reply['evalue']}")
        client.stop_channels()

    def close(self) -> None:
        """End the server and all it started."""
        self.watch.over.set()
        self.watch.thread.join()
        family = psutil.Process(self.process.pid).children(recursive=True)
        for process in [*family, self.process]:
            process.kill()
        self.process.wait()


def measure(assignment: str, run: int) -> dict[str, object]:
    """Return one row of the table."""
    source = notebooks.read(COURSE / "source" / assignment / f"{assignment}.ipynb")
    notebook = text.reference(source)
    with tempfile.TemporaryDirectory() as place:
        name = f"{assignment}.ipynb"
        nbformat.write(notebook, Path(place) / name)
        server = Server(Path(place))
        try:
            idle = server.watch.settled()
            server.run(name, notebook)
            opened = server.watch.settled()
            query = urllib.parse.urlencode({"path": name})
            found = server.ask("POST", f"assignments/validate?{query}", {})
            said = found["value"] if found["success"] else found
            said = json.loads(said) if isinstance(said, str) else said
            if not found["success"] or "failed" in said:
                raise RuntimeError(f"{assignment}: not valid: {said}")
        finally:
            server.close()
        peak, cpu = server.watch.peak, sum(server.watch.cpu.values())
    mib = [round(size / 2**20) for size in (idle, opened, peak)]
    return dict(zip(COLUMNS, [assignment, run, *mib, round(cpu, 1)], strict=True))


def main() -> None:
    """Measure, and write the table, which replaces what it says of the assignments named."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("assignments", nargs="*", help="all of them if none is named")
    options = parser.parse_args()
    every = sorted(path.name for path in (COURSE / "source").iterdir() if path.is_dir())
    chosen = options.assignments or every
    rows = []
    if TABLE.exists():
        with TABLE.open(newline="", encoding="utf-8") as file:
            others = set(every) - set(chosen)
            rows = [row for row in csv.DictReader(file) if row["assignment"] in others]
    for run in range(1, options.runs + 1):
        for assignment in chosen:
            rows.append(measure(assignment, run))
            print(*rows[-1].values(), flush=True)
            with TABLE.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(sorted(rows, key=lambda r: (r["assignment"], int(r["run"]))))


if __name__ == "__main__":
    main()
