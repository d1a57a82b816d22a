"""The stage: PostgreSQL and Valkey of the run's own, durable as in `make up`, and the doors in front of them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psycopg

from benchmarks.serve import DOORS
from ilert.embedded import engine, paths, process
from ilert.embedded.postgres import Postgres
from ilert.embedded.valkey import Valkey

ROOT = Path(__file__).resolve().parent.parent
# pgbench with 256 clients takes as many connections; the product itself does with the default.
RAISED = {"max_connections": "300"}
_TOLD = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_level",
    "shared_buffers",
    "max_wal_size",
    "max_connections",
)
_FROM_OUTSIDE = ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "PUBLIC_URL", "EMAIL_URL", "PORT", "HOST")


@dataclass
class Stage:
    directory: Path
    env: dict[str, str]
    postgres_pid: int
    path: str

    @property
    def url(self) -> str:
        return paths.database_url(self.directory)

    def settings(self) -> dict[str, str]:
        """What the server runs with, for whoever reads the figures."""
        with psycopg.connect(self.url) as connection:
            return {name: str(connection.execute(f"SHOW {name}").fetchone()[0]) for name in _TOLD}  # type: ignore[index]

    def empty(self) -> None:
        """Every run begins with empty tables and a quiet disk."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(
                "TRUNCATE incidents_event, incidents_incident, incidents_logentry, incidents_searchentry CASCADE"
            )
            connection.execute("CHECKPOINT")


@contextlib.contextmanager
def stage(**settings: str) -> Iterator[Stage]:
    """Give a run the engines that it needs, PostgreSQL with more `settings`, and take them away afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="ilert-bench-"))
    env = {name: value for name, value in os.environ.items() if name not in _FROM_OUTSIDE}
    env |= {"ILERT_DATA_DIR": str(directory), "LOG_LEVEL": "ERROR", "PYTHONWARNINGS": "ignore"}
    identity = process.unprivileged_identity()
    sockets = paths.ensure_socket_dir(directory, identity.owner)
    postgres = Postgres(
        paths.postgres_dir(directory),
        sockets,
        directory / "postgres.log",
        identity=identity,
        settings=RAISED | settings,
    )
    engines: list[engine.Engine] = [postgres, Valkey(paths.valkey_dir(directory), sockets, directory / "valkey.log")]
    running: list[tuple[engine.Engine, int]] = []
    try:
        for made in engines:
            made.initialise()
            running.append((made, made.start()))
        for item, pid in running:
            engine.wait_ready(item, pid)
        yield Stage(directory, env, running[0][1], make_sources(env, 1)[0])
    finally:
        for item, pid in running:
            engine.stop(item, pid)
        shutil.rmtree(directory, ignore_errors=True)


def make_sources(env: dict[str, str], number: int) -> list[str]:
    """The webhook paths of new sources."""
    command = [sys.executable, "-m", "benchmarks.prepare", str(number)]
    done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, check=True, text=True)
    made: list[str] = json.loads(done.stdout)
    return made


@dataclass(frozen=True)
class Door:
    name: str
    port: int
    pid: int


@contextlib.contextmanager
def doors(on: Stage) -> Iterator[dict[str, Door]]:
    """All doors, each in a process and on a port of its own; the one that is not asked costs nothing."""
    opened: dict[str, Door] = {}
    log = engine.open_log(on.directory / "web.log")
    try:
        for port, name in enumerate(DOORS, 18_600):
            command = [sys.executable, "-m", "benchmarks.serve", name, str(port)]
            pid = process.spawn(command, death_signal=signal.SIGKILL, env=on.env, cwd=ROOT, output=log)
            opened[name] = Door(name, port, pid)
        for door in opened.values():
            _wait(door)
        yield opened
    finally:
        for door in opened.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(door.pid, signal.SIGKILL)
            process.reap(door.pid, 5)
        os.close(log)


def _wait(door: Door) -> None:
    deadline = time.monotonic() + 30
    while True:
        connection = HTTPConnection("127.0.0.1", door.port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            connection.getresponse()
            return
        except (OSError, HTTPException):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        finally:
            connection.close()


def cpu_seconds(pid: int) -> float:
    """Processor time of a process, of those it started, and of those that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0.0
    own = sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")
    return own + sum(cpu_seconds(int(child)) for child in children)
