"""A real `manage.py up` and what is known about its processes. Linux only: it reads /proc."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What the suite itself may run on must not leak into what it starts.
_OURS = ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "PUBLIC_URL", "EMAIL_URL", "PORT", "HOST", "SECRET_KEY")


def environment(**more: str) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if name not in _OURS and not name.startswith("ILERT_")}
    return env | {"HOST": "127.0.0.1", "DJANGO_SETTINGS_MODULE": "ilert.settings"} | more


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(condition: Callable[[], object], timeout: float, what: str) -> float:
    """Wait until the condition holds; returns the seconds it took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < timeout, f"{what}: not within {timeout:g} s"
        time.sleep(0.02)
    return time.monotonic() - started


@dataclass(frozen=True)
class Process:
    """A process that is not mistaken for a later one with the same id."""

    pid: int
    born: str
    name: str

    @classmethod
    def of(cls, pid: int) -> Process | None:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return None
        name, rest = stat.split("(", 1)[1].rsplit(")", 1)
        fields = rest.split()
        return None if fields[0] in "ZX" else cls(pid, fields[19], name)

    @property
    def alive(self) -> bool:
        return Process.of(self.pid) == self


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def family(pid: int) -> list[Process]:
    """A process and all that came from it."""
    found = [process] if (process := Process.of(pid)) else []
    for child in children(pid):
        found += family(child)
    return found


class Up:
    """One `up`, in a session of its own as in a terminal."""

    def __init__(
        self,
        data_dir: Path,
        *,
        command: Sequence[str] = (sys.executable, "manage.py", "up"),
        cwd: Path = ROOT,
        port: int | None = None,
        **env: str,
    ) -> None:
        self.data_dir = data_dir
        self.port = port or free_port()
        self._log = data_dir.parent / f"{data_dir.name}-{time.monotonic_ns()}.out"
        with self._log.open("wb") as out:
            self.popen = subprocess.Popen(
                list(command),
                cwd=cwd,
                env=environment(**{"ILERT_DATA_DIR": str(data_dir), "PORT": str(self.port), **env}),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def says(self, pattern: str, timeout: float = 10) -> re.Match[str]:
        def check() -> bool:
            return bool(re.search(pattern, self.output)) or self.popen.poll() is not None

        eventually(check, timeout, f"{pattern!r} in the output:\n{self.output[-3000:]}")
        match = re.search(pattern, self.output)
        assert match, f"up ended ({self.popen.returncode}) before it said {pattern!r}:\n{self.output[-3000:]}"
        return match

    def runs(self, timeout: float = 30) -> Up:
        self.says(r"Ctrl-C stops it", timeout)
        self.says(r"worker(-1)? +\|.* ready", timeout)
        return self

    def status(self, path: str = "/") -> int:
        """What the page answers; 0 if nobody does."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def serves(self, timeout: float = 10) -> None:
        eventually(lambda: 200 <= self.status() < 500, timeout, f"a page, after:\n{self.output[-3000:]}")

    def family(self) -> list[Process]:
        return family(self.popen.pid)

    def members(self, name: str) -> list[Process]:
        """The children with this name, as `ps` shows it."""
        return [process for pid in children(self.popen.pid) if (process := Process.of(pid)) and process.name == name]

    def member(self, name: str) -> Process:
        found = self.members(name)
        assert found, f"no {name} among {self.family()}"
        return found[-1]

    def stop(self, sig: signal.Signals = signal.SIGINT, timeout: float = 10) -> list[Process]:
        """Send the signal and wait for the end; returns who is left."""
        before = self.family()
        self.popen.send_signal(sig)
        self.popen.wait(timeout)
        return [process for process in before if process.alive]

    def end(self) -> None:
        """For fixtures: whatever happened, leave nothing."""
        everyone = self.family()
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait(5)
        eventually(lambda: not any(process.alive for process in everyone), 10, f"the end of {everyone}")
