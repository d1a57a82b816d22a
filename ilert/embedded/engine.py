"""What the two engines have in common: where their binaries are, how they start, how their log is bounded."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import signal
import time
from pathlib import Path
from typing import Protocol

from ilert.embedded import process

LOG_LIMIT = 5_000_000


class EngineError(Exception):
    """An engine could not be prepared or started; the message is a sentence for the operator."""


class Engine(Protocol):
    """A database process of ours: prepared once, started by its owner, stopped by `stop_signal`."""

    name: str
    log: Path
    stop_signal: signal.Signals

    def initialise(self) -> None:
        """Make an empty data directory; does nothing if there is one. May take a second."""

    def start(self) -> int:
        """Start the process and return its id at once."""

    def ready(self, pid: int) -> bool:
        """Whether the process with this id takes connections now."""


def package_dir(name: str) -> Path:
    """The directory of an installed package, found without importing it. Raises `EngineError`."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise EngineError(
            f"The package {name} is not installed: run `make up` again, or set DATABASE_URL and REDIS_URL."
        )
    return Path(next(iter(spec.submodule_search_locations)))


def executable(path: Path) -> str:
    """The path of a binary, made executable if an unpacker lost the bit. Raises `EngineError`."""
    if not path.exists():
        raise EngineError(
            f"{path.name} has no build for this kind of machine ({platform.machine()}): set DATABASE_URL and REDIS_URL."
        )
    if not os.access(path, os.X_OK):
        try:
            path.chmod(0o755)
        except OSError as error:
            raise EngineError(f"{path} may not be executed: {error.strerror}.") from error
    return str(path)


def open_log(path: Path) -> int:
    """A descriptor that appends, so that `trim_log` can empty the file while it is written to."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def trim_log(path: Path, limit: int = LOG_LIMIT) -> None:
    """Keep a log and one older part of it, `limit` bytes each; a few lines may fall between the two."""
    try:
        if path.stat().st_size <= limit:
            return
        shutil.copyfile(path, path.with_suffix(path.suffix + ".1"))
        os.truncate(path, 0)
    except OSError:
        pass  # a log is not worth a failure, and the disk may be full just now


def log_tail(path: Path, lines: int = 5) -> str:
    """The last lines of a log, for an error message."""
    try:
        text = path.read_bytes()[-4000:].decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def wait_ready(engine: Engine, pid: int, timeout: float = 30) -> None:
    """Wait until the engine takes connections. Raises `EngineError` with the end of its log."""
    deadline = time.monotonic() + timeout
    while not engine.ready(pid):
        code = process.reap(pid, 0)
        if code is not None:
            raise EngineError(f"{engine.name} did not start (exit code {code}):\n{log_tail(engine.log)}")
        if time.monotonic() > deadline:
            raise EngineError(f"{engine.name} did not answer within {timeout:.0f} s:\n{log_tail(engine.log)}")
        time.sleep(0.01)


def stop(engine: Engine, pid: int, timeout: float = 10) -> None:
    """End an engine, politely first."""
    for sig, patience in ((engine.stop_signal, timeout), (signal.SIGQUIT, 3.0), (signal.SIGKILL, 3.0)):
        try:
            os.kill(pid, sig)
        except ProcessLookupError:
            return
        if process.reap(pid, patience) is not None:
            return
