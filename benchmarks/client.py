"""A load client of our own: raw sockets and one epoll loop, so that it costs little beside the server it measures.

Every answer is kept and read afterwards: what was acknowledged must be in the database. Closed loop (each connection
sends when it is answered) or open loop (requests are due at a fixed rate, and time counts from when they were due).
"""

from __future__ import annotations

import contextlib
import gc
import heapq
import multiprocessing
import os
import select
import socket
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.traffic import Label, Traffic

NO_ANSWER, REFUSED, TIMED_OUT = 0, -1, -2
"""In place of a status: the connection ended first; it could not be made; nothing came within the patience."""
_AGAIN_AFTER = 0.05
_SWEEP = 0.25


class Answer(NamedTuple):
    label: Label
    due: float
    sent: float
    done: float
    status: int
    content: bytes
    """The body of a 2xx, head and body of anything else."""

    @property
    def latency(self) -> float:
        return self.done - self.due


@dataclass(frozen=True)
class Plan:
    """One run of the client. `rate` 0 is a closed loop; `seconds` may end early where the traffic does."""

    port: int
    traffic: Traffic
    connections: int
    seconds: float
    rate: float = 0.0
    patience: float = 10.0
    cpu: int | None = None


@dataclass(frozen=True)
class Result:
    answers: list[Answer]
    started: float
    ended: float
    cpu_seconds: float
    unsent: int = 0
    """Open loop: requests that were due and found no free connection until the end."""

    @property
    def seconds(self) -> float:
        return self.ended - self.started


@contextlib.contextmanager
def client_process() -> Iterator[ClientProcess]:
    """A process of its own for the client, so that neither disturbs the other's loop."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        pool.submit(os.getpid).result()
        yield ClientProcess(pool)


class ClientProcess:
    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def start(self, plan: Plan) -> Future[Result]:
        return self._pool.submit(run, plan)

    def run(self, plan: Plan) -> Result:
        return self.start(plan).result()


def run(plan: Plan) -> Result:
    if plan.cpu is not None:
        os.sched_setaffinity(0, {plan.cpu})
    # The answers are kept, so that each collection would walk through all of them.
    gc.collect()
    gc.disable()
    try:
        return _Load(plan).run()
    finally:
        gc.enable()


class _Connection:
    __slots__ = ("buffer", "due", "label", "number", "request", "sent", "sock")

    def __init__(self, number: int) -> None:
        self.number = number
        self.sock: socket.socket | None = None
        self.buffer = b""
        self.label: Label | None = None  # of the request under way
        self.request: bytes | None = None  # waits for the connection to be made
        self.due = self.sent = 0.0


class _Load:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.address = ("127.0.0.1", plan.port)
        self.epoll = select.epoll()
        self.by_fd: dict[int, _Connection] = {}
        self.all = [_Connection(number) for number in range(plan.connections)]
        self.idle: deque[_Connection] = deque()
        self.waiting: deque[tuple[float, Label, bytes]] = deque()
        self.again: list[tuple[float, int]] = []
        self.answers: list[Answer] = []
        self.under_way = 0
        # Those whose traffic has ended; one that the server closes for being idle comes by once more.
        self.finished: set[int] = set()
        self.closing = False

    def run(self) -> Result:
        for connection in self.all:
            self._open(connection)
        cpu = time.process_time()
        started = time.monotonic()
        (self._open_loop if self.plan.rate else self._closed_loop)(started)
        self.closing = True
        ended = time.monotonic()
        cpu = time.process_time() - cpu
        while self.under_way and time.monotonic() < ended + self.plan.patience + 1:
            self._turn(0.05)
            self._sweep(time.monotonic())
        unsent = len(self.waiting)
        for connection in self.all:
            if connection.sock is not None:
                connection.sock.close()
        self.epoll.close()
        return Result(self.answers, started, ended, cpu, unsent)

    # The two loops

    def _closed_loop(self, started: float) -> None:
        end = started + self.plan.seconds
        while self.idle:
            self._free(self.idle.popleft())
        sweep = started + _SWEEP
        while (now := time.monotonic()) < end and len(self.finished) < len(self.all):
            self._turn(min(end - now, 0.02))
            if now > sweep:
                self._sweep(now)
                sweep = now + _SWEEP

    def _open_loop(self, started: float) -> None:
        end = started + self.plan.seconds
        step = 1 / self.plan.rate
        due, count, sweep = started, 0, started + _SWEEP
        while (now := time.monotonic()) < end:
            while due <= now:
                made = self.plan.traffic.next(count)
                count += 1
                if made is None:
                    return
                self.waiting.append((due, *made))
                due = started + count * step
            self._serve_waiting()
            # epoll counts in whole milliseconds; below one the sleep is the finer clock. With thousands a second it
            # would take the processor from whoever is measured: they go out as often as epoll counts.
            if due - now > 0.001 or step < 0.001:
                self._turn(max(0.001, min(due, end) - now))
            else:
                time.sleep(max(0.0, due - time.monotonic()))
                self._turn(0)
            if now > sweep:
                self._sweep(now)
                sweep = now + _SWEEP

    def _serve_waiting(self) -> None:
        while self.waiting and self.idle:
            due, label, request = self.waiting.popleft()
            self._send(self.idle.popleft(), due, label, request)

    def _free(self, connection: _Connection) -> None:
        """A connection can take its next request."""
        if self.plan.rate:
            if self.waiting and not self.closing:
                due, label, request = self.waiting.popleft()
                self._send(connection, due, label, request)
            else:
                self.idle.append(connection)
            return
        if self.closing:
            return
        made = self.plan.traffic.next(connection.number)
        if made is None:
            self.finished.add(connection.number)
            return
        self._send(connection, time.monotonic(), *made)

    # One turn

    def _turn(self, timeout: float) -> None:
        while self.again and self.again[0][0] <= time.monotonic():
            self._free(self.all[heapq.heappop(self.again)[1]])
        for fd, _ in self.epoll.poll(timeout, 256):
            connection = self.by_fd.get(fd)
            if connection is None:
                continue
            if connection.request is not None:
                self._connected(connection)
            else:
                self._read(connection)

    def _sweep(self, now: float) -> None:
        for connection in self.all:
            if connection.label is not None and now - connection.sent > self.plan.patience:
                self._lost(connection, TIMED_OUT)

    def _send(self, connection: _Connection, due: float, label: Label, request: bytes) -> None:
        connection.label, connection.due, connection.sent = label, due, time.monotonic()
        self.under_way += 1
        if connection.sock is None:
            connection.request = request
            self._connect(connection)
            return
        try:
            sent = connection.sock.send(request)
        except OSError:
            self._lost(connection, NO_ANSWER)
            return
        assert sent == len(request), "a request is smaller than any socket's buffer"

    def _read(self, connection: _Connection) -> None:
        assert connection.sock is not None
        try:
            chunk = connection.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self._lost(connection, NO_ANSWER)
            return
        data = connection.buffer + chunk if connection.buffer else chunk
        head_end = data.find(b"\r\n\r\n")
        if head_end < 0:
            connection.buffer = data
            return
        head = data[:head_end].lower()
        at = head.find(b"content-length:")
        assert at > 0, f"an answer without a length: {head!r}"
        length_end = head.find(b"\r\n", at)
        length = int(head[at + 15 : length_end if length_end > 0 else None])
        if len(data) < head_end + 4 + length:
            connection.buffer = data
            return
        connection.buffer = b""
        status = int(head[9:12])
        self._answered(connection, status, data[head_end + 4 :] if 200 <= status < 300 else data)
        if b"connection: close" in head:
            self._disconnect(connection)
        self._free(connection)

    def _answered(self, connection: _Connection, status: int, content: bytes) -> None:
        if connection.label is None:
            return
        self.answers.append(
            Answer(connection.label, connection.due, connection.sent, time.monotonic(), status, content)
        )
        connection.label = None
        self.under_way -= 1

    # Connections

    def _open(self, connection: _Connection) -> None:
        """Before the clock starts. What cannot be made now is made with the first request."""
        sock = socket.socket()
        try:
            sock.connect(self.address)
        except OSError:
            sock.close()
        else:
            self._keep(connection, sock, select.EPOLLIN)
        self.idle.append(connection)

    def _connect(self, connection: _Connection) -> None:
        sock = socket.socket()
        self._keep(connection, sock, select.EPOLLOUT)
        try:
            sock.connect(self.address)
        except BlockingIOError:
            pass
        except OSError:
            self._lost(connection, REFUSED)

    def _keep(self, connection: _Connection, sock: socket.socket, events: int) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        connection.sock = sock
        self.by_fd[sock.fileno()] = connection
        self.epoll.register(sock.fileno(), events)

    def _connected(self, connection: _Connection) -> None:
        assert connection.sock is not None
        request, connection.request = connection.request, None
        assert request is not None
        if connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._lost(connection, REFUSED)
            return
        self.epoll.modify(connection.sock.fileno(), select.EPOLLIN)
        try:
            connection.sock.send(request)
        except OSError:
            self._lost(connection, NO_ANSWER)

    def _lost(self, connection: _Connection, how: int) -> None:
        """The connection is of no use any more; what was under way on it has an unknown fate."""
        idle = connection.label is None
        connection.request = None
        self._disconnect(connection)
        self._answered(connection, how, b"")
        if self.closing:
            return
        if self.plan.rate:
            if not idle:
                self.idle.append(connection)  # made anew when it is needed
            return
        heapq.heappush(self.again, (time.monotonic() + _AGAIN_AFTER, connection.number))

    def _disconnect(self, connection: _Connection) -> None:
        connection.buffer = b""
        if connection.sock is not None:
            self.by_fd.pop(connection.sock.fileno(), None)
            connection.sock.close()
            connection.sock = None
