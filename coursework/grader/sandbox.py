"""A process that can reach nothing: no network, no files but PyTorch's, little memory and time.

``Sandbox`` starts ``runner.py`` under bubblewrap, in namespaces of its own, and speaks with it over
one socket. The submission sees Python, its packages, ``cnnbook`` (but for modules that an
assignment withholds) and an empty home on a small disk in memory; no source notebook, no other
submission, no gradebook. A thread watches what all its processes use together.
"""

import contextlib
import io
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
import matplotlib.font_manager
import psutil

import cnnbook
from cnnbook import marks

from . import wire

HERE = Path(__file__).parent
HOME = "/home/student"
INSIDE = "/run/grader"  # where runner.py lies in the sandbox
GRACE = 3.0  # seconds between the runner's own alarm and the end of its process


class Unavailable(RuntimeError):
    """No sandbox can be had on this machine."""


class Lost(Exception):
    """The submission's process is gone; the message says why."""


@dataclass(frozen=True)
class Limits:
    """What one submission may use.

    Attributes:
        cell: Seconds for one cell, or one call of the submission from a test.
        total: Seconds for all of them together.
        memory: Bytes, for all processes together.
        processes: Processes and threads.
        disk: Bytes of each of its three writable places, all in memory.
        start: Seconds until the process must have answered for the first time.
    """

    cell: float = 60.0
    total: float = 240.0
    memory: int = 3 * 2**30
    processes: int = 64
    disk: int = 64 * 2**20
    start: float = 120.0


class Sandbox:
    """A submission's process.

    Args:
        student: Whose work it is; ``marks.variant`` reads it there.
        withheld: Modules of ``cnnbook`` that cannot be imported, by name without the package.
        limits: What it may use.
        isolated: False runs it as yourself, with all your rights: only for code that you trust.

    Raises:
        Unavailable: If there is no bubblewrap, or it may not make namespaces here.
    """

    def __init__(
        self,
        student: str,
        withheld: Sequence[str] = (),
        limits: Limits | None = None,
        isolated: bool = True,
    ) -> None:
        self.limits = limits or Limits()
        self.reason = ""
        self.left = self.limits.total
        mine, theirs = socket.socketpair()
        self.channel = mine
        memory = 4 * self.limits.memory  # of addresses, for each process; the watch counts pages
        own = (memory, self.limits.processes, self.limits.disk, int(self.limits.total) + 10)
        tail = [str(number) for number in (theirs.fileno(), *(own if isolated else (0, 0, 0, 0)))]
        if isolated:
            command = [*_walls(student, withheld, self.limits.disk), *tail]
        else:
            command = [sys.executable, str(HERE / "runner.py"), *tail]
        try:
            self.process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE if isolated else subprocess.DEVNULL,
                env=_environment(student, None if isolated else os.environ),
                start_new_session=True,
            )
        except FileNotFoundError:
            mine.close()
            raise Unavailable(_REMEDY) from None
        finally:
            theirs.close()
        self.closing = threading.Event()
        self.watch = threading.Thread(target=self._watch, daemon=True)
        self.watch.start()
        try:
            self.request("get", None, seconds=self.limits.start)
        except Lost:
            said = self.process.stderr.read().decode(errors="replace") if isolated else ""
            self.close()
            if "bwrap:" in said or "setpriv:" in said:
                raise Unavailable(f"{_REMEDY} It says: {said.strip()}") from None
            raise Lost(f"the submission's process did not start: {said[-500:]}") from None

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def request(self, kind: str, *arguments: Any, seconds: float | None = None) -> Any:
        """Ask the submission's process for something; the answer is plain data and ``Remote``s.

        Raises:
            Lost: If its process is gone, or took too long.
            Exception: What the submission raised: a builtin exception, or ``marks.Wrong``.
        """
        if self.reason:
            raise Lost(self.reason)
        patience = min(self.limits.cell, max(self.left, 0.1)) if seconds is None else seconds
        began = time.monotonic()
        try:
            self.channel.settimeout(patience + GRACE)
            wire.send(self.channel, f"{patience:<8.3f}"[:8].encode() + _pickled(kind, arguments))
            text, blob = self._receive(began + patience + GRACE)
            answer = wire.decode(text, blob, lambda found: _revive(self, found, arguments))
        except TimeoutError:
            self._kill(f"stopped after {patience:.0f} s")
        except (EOFError, OSError):
            self._kill("its process ended")
        except wire.Broken as broken:
            self._kill(str(broken))
        finally:
            if seconds is None:
                self.left -= time.monotonic() - began
        if self.reason:
            raise Lost(self.reason)
        if not isinstance(answer, dict) or not ({"ok", "error"} & set(answer)):
            self._kill("its process sent nonsense")
            raise Lost(self.reason)
        if "error" in answer:
            error = _exception(answer)
            error.changes = answer.get("changes")
            raise error
        return answer["ok"]

    def close(self) -> None:
        """End the process and all it has started."""
        self.closing.set()
        self._end()
        self.watch.join()
        self.channel.close()
        if self.process.stderr:
            self.process.stderr.close()

    def _receive(self, deadline: float) -> tuple[bytes, bytes]:
        self.channel.settimeout(max(deadline - time.monotonic(), 0.01))
        return wire.receive(_Deadline(self.channel, deadline))

    def _kill(self, reason: str) -> None:
        self.reason = self.reason or f"the submission was ended: {reason}"
        self._end()

    def _end(self) -> None:
        """Kill bubblewrap; with it goes the first process of its namespace, and so all others."""
        with contextlib.suppress(psutil.NoSuchProcess):
            family = psutil.Process(self.process.pid).children(recursive=True)
            for process in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        self.process.kill()
        self.process.wait()

    def _watch(self) -> None:
        while not self.closing.wait(0.1) and self.process.poll() is None:
            memory = 0
            with contextlib.suppress(psutil.NoSuchProcess):
                for process in psutil.Process(self.process.pid).children(recursive=True):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        memory += process.memory_info().rss  # shared pages count for each
            if memory > self.limits.memory:
                self._kill(f"it used more than {self.limits.memory / 2**30:g} GiB of memory")


class _Deadline:
    """A socket whose reads together end at one time."""

    def __init__(self, channel: socket.socket, deadline: float) -> None:
        self.channel = channel
        self.deadline = deadline

    def recv(self, size: int) -> bytes:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.channel.settimeout(left)
        return self.channel.recv(size)


class Remote:
    """An object in the submission's process: call it, read its attributes, iterate over it.

    Tensors that come back know how to send gradients back there.
    """

    def __init__(self, sandbox: Sandbox, reference: tuple[str, Any], kind: str = "") -> None:
        self.__dict__.update(_sandbox=sandbox, _reference=reference, _kind=kind)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        sandbox, grad = self._sandbox, wire.torch.is_grad_enabled()
        grads = [t.grad if t.is_leaf else None for t in wire.holders(args, kwargs)]
        passed = list(wire.things(args, kwargs))
        try:
            answer = sandbox.request("call", self, args, kwargs, grads, marks.withheld(), grad)
        except Exception as error:
            _mirror(passed, getattr(error, "changes", None) or {})
            raise
        _mirror(passed, answer["changes"])
        if not any(answer["traced"]):
            return answer["result"]
        leaves = list(wire.leaves(args, kwargs))
        return wire.traced(
            answer["result"],
            answer["traced"],
            leaves,
            lambda grads: sandbox.request("backward", answer["graph"], grads, marks.withheld()),
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._sandbox.request("attribute", self, name)

    def __getitem__(self, key: Any) -> Any:
        return self._sandbox.request("item", self, key)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._sandbox.request("list", self))

    def __len__(self) -> int:
        return self._sandbox.request("length", self)

    def __repr__(self) -> str:
        return f"<the submission's {self._kind or self._reference[1]}>"


def _mirror(passed: list[Any], changes: dict[int, Any]) -> None:
    for index, change in changes.items():
        wire.mirror(passed[index], change)


class _Pickler(cloudpickle.Pickler):
    def persistent_id(self, value: Any) -> tuple[str, Any] | None:
        return value._reference if isinstance(value, Remote) else None


def _pickled(kind: str, arguments: tuple) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer).dump((kind, arguments))
    return buffer.getvalue()


def _revive(sandbox: Sandbox, found: dict[str, Any], arguments: tuple) -> Any:
    if found["kind"] == "argument":
        return list(wire.things(*arguments[1:3]))[found["index"]]
    if found["kind"] == "remote":
        return Remote(sandbox, ("object", int(found["id"])), str(found["type"]))
    raise ValueError(f"unknown kind {found['kind']!r}")


def _exception(answer: dict[str, Any]) -> Exception:
    """Return an exception of the first builtin kind among those the submission's had."""
    names = [str(name) for name in answer["error"]] if isinstance(answer["error"], list) else []
    message = str(answer.get("message", ""))
    if "Wrong" in names:
        mistake = answer.get("mistake")
        return marks.Wrong(message, str(mistake) if mistake else None)
    for name in names:
        kind = getattr(__builtins__, name, None)
        kind = __builtins__.get(name) if isinstance(__builtins__, dict) else kind
        if isinstance(kind, type) and issubclass(kind, Exception):
            with contextlib.suppress(TypeError):
                return kind(message)
    return RuntimeError(message or "the submission stopped")


_REMEDY = (
    "Grading is isolated by bubblewrap, which is missing or may not work here. On Debian and "
    "Ubuntu: apt install bubblewrap. In a container it needs the right to make namespaces."
)


def _environment(student: str, base: Any) -> dict[str, str]:
    found = dict(base or {})
    found.update(
        PATH="/usr/bin:/bin",
        HOME=HOME if base is None else found["HOME"],
        LANG="C.UTF-8",
        MPLBACKEND="module://matplotlib_inline.backend_inline",
        OMP_NUM_THREADS="1",
        MKL_NUM_THREADS="1",
        PYTHONDONTWRITEBYTECODE="1",
    )
    found[marks.STUDENT] = student
    return found


def _walls(student: str, withheld: Sequence[str], disk: int) -> list[str]:
    """Return the command that starts the runner with everything else out of sight."""
    root = os.geteuid() == 0
    walls = ["bwrap", "--die-with-parent", "--new-session", "--unshare-ipc", "--unshare-pid"]
    walls += ["--unshare-net", "--unshare-uts", "--unshare-cgroup-try", "--hostname", "sandbox"]
    if not root:
        walls += ["--unshare-user", "--uid", "65534", "--gid", "65534", "--disable-userns"]
    walls += ["--proc", "/proc", "--dev", "/dev"]
    for place in ("/dev/shm", "/tmp", HOME):
        walls += ["--perms", "1777", "--size", str(disk), "--tmpfs", place]
    walls += ["--remount-ro", "/dev"]
    for place in ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin"):
        if os.path.islink(place):
            walls += ["--symlink", os.readlink(place), place]
        else:
            walls += ["--ro-bind-try", place, place]
    package = Path(cnnbook.__file__).resolve().parent
    folders = [os.path.abspath(place) for place in (sys.base_prefix, sys.prefix, package)]
    binds = {place: place for place in folders if not place.startswith("/usr/")}
    for name in ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime"):
        if os.path.exists(f"/etc/{name}"):
            binds[f"/etc/{name}"] = f"/etc/{name}"
    for module in withheld:
        source = package / f"{module}.py"
        compiled = package / "__pycache__" / f"{module}.{sys.implementation.cache_tag}.pyc"
        for path in (source, compiled):
            if path.exists():
                binds[str(path)] = str(HERE / "withheld.py")
    for path in sorted(Path(matplotlib.get_cachedir()).glob("fontlist*.json")):
        binds[f"{HOME}/.cache/matplotlib/{path.name}"] = str(path)
    for name in ("runner.py", "wire.py"):
        binds[f"{INSIDE}/{name}"] = str(HERE / name)
    seen = {"/", HOME, *folders, str(package / "__pycache__")}
    for place in binds:  # bubblewrap makes missing parents readable by root alone
        for parent in reversed(Path(place).parents):
            if str(parent) not in seen and not str(parent).startswith("/usr"):
                seen.add(str(parent))
                mode = "0777" if str(parent).startswith(HOME) else "0755"
                walls += ["--perms", mode, "--dir", str(parent)]
    for place, source in binds.items():
        walls += ["--ro-bind", source, place]
    walls += ["--chdir", HOME, "--remount-ro", "/", "--"]
    if root:
        user = str(60_000 + os.getpid() % 5_000)
        walls += ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"]
        walls += ["--no-new-privs", "--inh-caps=-all", "--bounding-set=-all", "--"]
    return [*walls, os.path.abspath(sys.executable), "-I", f"{INSIDE}/runner.py"]


def available() -> bool:
    """Say whether submissions can be isolated here."""
    if shutil.which("bwrap") is None:
        return False
    try:
        Sandbox("nobody").close()
    except Unavailable:
        return False
    return True
