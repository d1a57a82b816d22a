"""The one terminal: lines of all processes, prefixed by name."""

from __future__ import annotations

import os
import select
import stat
import time
from collections import deque

_COLOURS = {"up": "1", "web": "32", "worker": "36", "ticker": "35", "postgres": "34", "valkey": "33"}
_WIDTH = max(map(len, _COLOURS))
_LIMIT = 1_000_000


class Console:
    """Writes without ever blocking: a terminal held by Ctrl-S or a pager must not hold the processes that page people.

    What nobody reads in time is dropped, oldest first, and counted.
    """

    def __init__(self, fd: int = 1) -> None:
        self.tty = os.isatty(fd)
        self.colour = self.tty and "NO_COLOR" not in os.environ
        self.fd = _own_description(fd)
        self._pending: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0

    def say(self, text: str, name: str = "up") -> None:
        """Queue a message, every line of it prefixed, and write what can be written."""
        prefix = f"{name:<{_WIDTH}} | "
        if self.colour:
            prefix = f"\x1b[{_COLOURS.get(name.partition('-')[0], '37')}m{prefix}\x1b[0m"
        for line in text.splitlines() or [""]:
            self._queue(f"{prefix}{line}\n".encode(errors="backslashreplace"))
        self.flush()

    def box(self, lines: list[str]) -> None:
        """Queue lines in a frame, without prefixes: what must not be overlooked."""
        width = max(map(len, lines))
        bold, plain = ("\x1b[1m", "\x1b[0m") if self.colour else ("", "")
        framed = [f"+{'-' * (width + 4)}+", *(f"|  {line:<{width}}  |" for line in lines), f"+{'-' * (width + 4)}+"]
        for line in ["", *framed, ""]:
            self._queue(f"{bold}{line}{plain}\n".encode())
        self.flush()

    @property
    def pending(self) -> bool:
        return bool(self._pending)

    def flush(self) -> None:
        """Write until the reader is full."""
        while self._pending:
            chunk = self._pending[0]
            try:
                written = os.write(self.fd, chunk)
            except BlockingIOError:
                return
            except OSError:
                # Nobody reads any more (`up | head`, a closed terminal); paging goes on without words.
                self._pending.clear()
                self._size = 0
                return
            self._size -= written
            if written == len(chunk):
                self._pending.popleft()
            else:
                self._pending[0] = chunk[written:]

    def drain(self, timeout: float = 1.0) -> None:
        """Before the end: give the reader a moment for the rest."""
        deadline = time.monotonic() + timeout
        while self._pending and time.monotonic() < deadline:
            select.select([], [self.fd], [], 0.1)
            self.flush()

    def hung_up(self) -> bool:
        """Whether the terminal that was here is gone."""
        if not self.tty:
            return False
        poller = select.poll()
        poller.register(self.fd, 0)
        return any(event & (select.POLLHUP | select.POLLERR) for _, event in poller.poll(0))

    def _queue(self, line: bytes) -> None:
        self._pending.append(line)
        self._size += len(line)
        while self._size > _LIMIT and len(self._pending) > 1:
            # Not the first one: half of it may be written.
            self._size -= len(self._pending[1])
            del self._pending[1]
            self._dropped += 1
        if self._dropped and self._size < _LIMIT // 2:
            note = f"({self._dropped} lines were not read in time and dropped)\n".encode()
            self._dropped = 0
            self._pending.append(note)
            self._size += len(note)


def _own_description(fd: int) -> int:
    """Open the terminal or pipe anew, to make it non-blocking for us and not for the shell that shares it."""
    mode = os.fstat(fd).st_mode
    if not (stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)):
        return fd
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return fd
