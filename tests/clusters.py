"""A Dask cluster of separate processes on this machine."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Cluster:
    """A scheduler and its workers, each a process.

    Attributes:
        address: The scheduler's.
    """

    def __init__(
        self, folder: Path, workers: int, threads: int, nanny: bool, environment: dict[str, str]
    ) -> None:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = os.environ | {"PATH": path} | environment
        self.file = folder / "scheduler.json"
        self.processes: list[subprocess.Popen] = []
        self._start("scheduler", "--port", "0")
        for n in range(workers):
            place = ("--local-directory", str(folder / f"worker{n}"))
            nurse = "--nanny" if nanny else "--no-nanny"
            self._start("worker", nurse, "--nthreads", str(threads), *place)

    def _start(self, *arguments: str) -> None:
        command = ["dask", *arguments, "--scheduler-file", str(self.file), "--no-dashboard"]
        process = subprocess.Popen(
            command, env=self.environment, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        self.processes.append(process)

    @property
    def address(self) -> str:
        deadline = time.monotonic() + 60
        while not self.file.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        return json.loads(self.file.read_text())["address"]

    def kill(self, worker: int) -> None:
        """Kill a worker, and what it has started."""
        os.killpg(self.processes[1 + worker].pid, signal.SIGKILL)


@contextmanager
def cluster(
    folder: Path, workers: int = 2, threads: int = 1, nanny: bool = False, **environment: str
) -> Iterator[Cluster]:
    """Run a cluster for as long as a block takes."""
    started = Cluster(folder, workers, threads, nanny, environment)
    try:
        yield started
    finally:
        for process in reversed(started.processes):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and what it has started
            process.wait()
