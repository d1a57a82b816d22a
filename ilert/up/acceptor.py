"""Accepting connections, so that processes with one listening socket get about as many each.

An event loop's own server accepts all that wait at once: of 64 connections that came together one process had 45 and
the other 19, and while the first was behind, the second had nothing to do. Here each turn of a loop accepts one, so
that whoever has less to do, and turns faster, gets more.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

logger = logging.getLogger(__name__)

PAUSE = 1.0
"""Seconds without accepting when the process or the machine has no room for a connection."""
_NO_ROOM = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class Acceptor:
    """Belongs to one event loop. `listener` does not block, and may be shared with other processes."""

    def __init__(self, listener: socket.socket, protocol: Callable[[], asyncio.Protocol]) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._protocol = protocol
        self._is_closed = False
        # A loop keeps no task alive by itself.
        self._arriving: set[asyncio.Task[object]] = set()
        self._open()

    def close(self) -> None:
        """Accept nothing more; the socket stays as it is."""
        self._is_closed = True
        self._loop.remove_reader(self._listener.fileno())

    def _open(self) -> None:
        if not self._is_closed:
            self._loop.add_reader(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError as error:
            # Mostly another process was faster, or the client has gone again.
            if error.errno in _NO_ROOM:
                logger.error("no connection can be accepted for a moment: %s", error)
                self._loop.remove_reader(self._listener.fileno())
                self._loop.call_later(PAUSE, self._open)
            return
        connection.setblocking(False)
        task = self._loop.create_task(self._loop.connect_accepted_socket(self._protocol, connection))
        self._arriving.add(task)
        task.add_done_callback(self._arrived)

    def _arrived(self, task: "asyncio.Task[object]") -> None:
        self._arriving.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.warning("a connection ended before it began: %s", error)
