"""What can be wrong before anything has started, each in a sentence that says what to do."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path

from ilert.up import UpError

MB = 1_000_000
# An empty cluster and its write-ahead log take some 100 MB; below this the first busy night fills the disk.
COMFORTABLE = 500 * MB
# With data there, starting late is worse than starting tight.
BARE_MINIMUM = 100 * MB


def make_data_dir(path: Path) -> None:
    """Make the data directory and see that it can be written. Raises `UpError`."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = path / f".probe-{os.getpid()}"
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise UpError(f"The disk of {path} is full: free some space and start again.") from error
        raise UpError(
            f"The data directory {path} cannot be written ({error.strerror}): "
            "give it to this user, or choose another one with ILERT_DATA_DIR."
        ) from error


def free_bytes(path: Path) -> int:
    return shutil.disk_usage(path).free


def check_space(path: Path, *, first_start: bool, free: Callable[[Path], int] = free_bytes) -> str | None:
    """Refuse to start on a disk that will soon be full; returns a warning where it is only tight. Raises `UpError`."""
    available = free(path)
    needed = COMFORTABLE if first_start else BARE_MINIMUM
    if available < needed:
        raise UpError(
            f"Only {available // MB} MB are free for {path}, and {needed // MB} MB are needed: "
            "free some space, or choose another disk with ILERT_DATA_DIR."
        )
    return low_space(path, free)


def low_space(path: Path, free: Callable[[Path], int] = free_bytes) -> str | None:
    """A sentence if the disk is nearly full."""
    available = free(path)
    if available >= COMFORTABLE:
        return None
    return f"Only {available // MB} MB are free for {path}: without space no event can be stored. Free some soon."


def lock_data_dir(path: Path, patience: float = 10.0) -> int:
    """Make sure that no other run uses the data directory; returns the lock, which all our processes inherit.

    Since they inherit it, it is free only when the last process of an old run is gone. Waits for those of a run that
    was killed. Raises `UpError` if an old run lives.
    """
    lock = os.open(path / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            holder = os.pread(lock, 32, 0).decode(errors="replace").strip()
            if holder.isdigit() and _is_up(int(holder)):
                raise UpError(
                    f"ilert already runs on {path} (process {holder}): stop it with Ctrl-C in its terminal "
                    f"or `kill {holder}`, or choose another data directory with ILERT_DATA_DIR."
                ) from None
            if time.monotonic() > deadline:
                raise UpError(
                    f"Processes of an earlier run still use {path}: `fuser -v {path / 'up.lock'}` shows them."
                ) from None
            time.sleep(0.05)
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _is_up(pid: int) -> bool:
    """Whether the process lives; one that was killed but not yet collected by its parent does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] not in "ZX"


def listen(host: str, port: int) -> socket.socket:
    """The listening socket, which outlives every web process: a restart refuses no connection. Raises `UpError`."""
    if not 0 <= port <= 65535:  # the resolver would take it modulo 65536
        raise UpError(f"PORT={port} is no port: choose one between 1024 and 65535.")
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Inherited by every connection: without it an answer may wait 40 ms for the client's acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        raise UpError(_why_not(error, host, port)) from error
    listener.setblocking(False)
    return listener


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} is taken by another program: stop that one, or choose another with `PORT={port + 1} make up`."
        )
    if error.errno == errno.EACCES:
        return f"Port {port} may only be used by root: choose one above 1023 with `PORT=8000 make up`."
    return f"HOST={host} is no address of this machine ({error}): leave it out to listen on all of them."
