"""Group commit: one thread of a process commits what the requests of its event loop bring.

What arrives while a batch commits forms the next one. There is no timer: an idle machine commits each event at once,
and under load the batches grow by themselves. The event loop reads the next batch meanwhile, and no more than that: in
a flood most of what waits may never be read, and what the other sources send is not to wait behind it.
"""

import asyncio
import contextlib
import logging
import os
import socket
import threading
import time
from asyncio import Future
from collections.abc import Callable

from django.db import DEFAULT_DB_ALIAS, connections

from alertsources.models import AlertSource
from alertsources.services import find_by_keys
from incidents.intake.answers import Answer, unavailable
from incidents.intake.batch import Request
from incidents.intake.commit import commit
from incidents.intake.connection import own_connection
from incidents.intake.waiting import Waiting, WaitingRoom
from integrations import Payload

logger = logging.getLogger(__name__)

DEADLINE = 4.5
"""Seconds that a request waits at most: no answer may take more than 5 from the last byte of the body."""
CUT_AFTER = 15.0
"""Seconds after which a database that does not answer is taken for gone, as after a fail-over without a farewell."""
LOOK_EVERY = 0.25
BATCH = 256
"""Events in one transaction; a request with more is a batch of its own."""

Read = Callable[[AlertSource, Payload], Request]


class Committer:
    """Belongs to one event loop, where everything but `_run` and what it calls happens."""

    def __init__(self, read: Read) -> None:
        self._loop = asyncio.get_running_loop()
        self._read = read
        self._room = WaitingRoom()
        # What is read and waits for its commit.
        self._ready: list[Waiting] = []
        self._ready_events = 0
        self._reads_soon = False
        self._lookups: dict[str, list[Future[AlertSource | None]]] = {}
        # Those who wait for an answer.
        self._open: set[Waiting] = set()
        self._lock = threading.Lock()
        self._work = threading.Event()
        self._is_rung = False
        self._is_stopping = False
        self._busy_since: float | None = None
        self._connection = own_connection()
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self._thread.start()
        self._watch = self._loop.call_later(LOOK_EVERY, self._look_around)

    def stop(self) -> None:
        """Commit what is there, and end."""
        self._watch.cancel()
        while not self._room.is_read:
            self._ready_events = 0  # nothing comes after this, so that one batch may be larger
            self._read_ahead()
        self._is_stopping = True
        self._work.set()
        self._thread.join(timeout=DEADLINE)

    @property
    def is_stuck(self) -> bool:
        """Whether the database has not answered for so long that nobody need wait for it."""
        return self._busy_for() > DEADLINE

    def is_full_for(self, source_id: int) -> bool:
        return self._room.is_full_for(source_id)

    def is_half_full(self) -> bool:
        return self._room.is_half_full()

    def look_up(self, key: str) -> "Future[AlertSource | None]":
        """Return the future source of a key, for callers who wait no longer than they may."""
        future: Future[AlertSource | None] = self._loop.create_future()
        with self._lock:
            self._lookups.setdefault(key, []).append(future)
        self._ring_soon()
        return future

    def submit(self, source: AlertSource, payload: Payload, since: float, reply: Callable[[Answer], None]) -> None:
        """Read and commit a request, and then call `reply`; one that takes too long `since` its end is answered 503."""
        waiting = Waiting(source, payload, reply, since + DEADLINE)
        self._room.enter(waiting)
        self._open.add(waiting)
        self._read_soon()

    def _read_soon(self) -> None:
        """Read all that this turn of the loop has brought together: alone, each would take half as long again."""
        if not self._reads_soon:
            self._reads_soon = True
            self._loop.call_soon(self._read_ahead)

    def _read_ahead(self) -> None:
        """Read what will be committed next: no more, even if the thread takes it meanwhile, as the others wait, too."""
        self._reads_soon = False
        room = BATCH - self._ready_events
        while room > 0 and (waiting := self._room.take()):
            if waiting.is_answered:
                # Nobody waits for it any more: the sender was told to send it again.
                self._room.leave([waiting])
            else:
                room -= self._make_ready(waiting)
        if self._ready:
            self._work.set()

    def _make_ready(self, waiting: Waiting) -> int:
        """Read a request, so that it is committed with the next batch. Returns how many events it counts for."""
        try:
            request = waiting.request = self._read(waiting.source, waiting.payload)
        except Exception:
            logger.exception("an event could not be read")
            self._finish([waiting], [(waiting, unavailable())])
            return 0
        with self._lock:
            self._ready.append(waiting)
            self._ready_events += request.size
        return request.size

    def _ring_soon(self) -> None:
        """Once for all that this turn of the loop has read, so that they form one batch."""
        if not self._is_rung:
            self._is_rung = True
            self._loop.call_soon(self._ring)

    def _ring(self) -> None:
        self._is_rung = False
        self._work.set()

    def _look_around(self) -> None:
        """Answer those who have waited too long, and cut off a database that is gone."""
        now = time.monotonic()
        late = [waiting for waiting in self._open if waiting.until < now]
        # What became of them is not known.
        self._deliver([(waiting, unavailable()) for waiting in late])
        if self._busy_for() > CUT_AFTER:
            self._cut_off()
        self._watch = self._loop.call_later(LOOK_EVERY, self._look_around)

    def _busy_for(self) -> float:
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def _cut_off(self) -> None:
        """Close the connection under the thread, which then sees an error and goes on with a new one."""
        logger.error("the database has not answered for %d s: its connection is cut off", CUT_AFTER)
        # It may just have come back by itself.
        with contextlib.suppress(Exception), socket.socket(fileno=os.dup(self._connection.connection.fileno())) as end:
            end.shutdown(socket.SHUT_RDWR)

    def _finish(self, gone: list[Waiting], done: list[tuple[Waiting, Answer]]) -> None:
        self._room.leave(gone)
        self._deliver(done)

    def _deliver(self, done: list[tuple[Waiting, Answer]]) -> None:
        for waiting, answer in done:
            if not waiting.is_answered:
                waiting.is_answered = True
                self._open.discard(waiting)
                self._reply(waiting, answer)

    def _reply(self, waiting: Waiting, answer: Answer) -> None:
        try:
            waiting.reply(answer)
        except Exception:
            # One connection's trouble is not the others'.
            logger.exception("an answer could not be given")

    def _deliver_lookups(self, done: "list[tuple[Future[AlertSource | None], AlertSource | None]]") -> None:
        for future, source in done:
            if not future.done():
                future.set_result(source)

    # In the thread

    def _run(self) -> None:
        connections[DEFAULT_DB_ALIAS] = self._connection
        while not self._is_stopping:
            self._work.wait()
            self._work.clear()
            while self._do_next():
                pass
        self._connection.close()

    def _do_next(self) -> bool:
        """Do what is waiting now. Returns whether there was something."""
        with self._lock:
            lookups, self._lookups = self._lookups, {}
            batch, self._ready, self._ready_events = self._ready, [], 0
        if not lookups and not batch:
            return False
        if not self._room.is_read:
            self._loop.call_soon_threadsafe(self._read_soon)
        self._busy_since = time.monotonic()
        try:
            self._look_up_all(lookups)
            self._commit_all(batch)
        except Exception:
            # The thread must live; those who wait are answered when they are late.
            logger.exception("a batch could not be committed")
        finally:
            self._busy_since = None
        return True

    def _look_up_all(self, lookups: "dict[str, list[Future[AlertSource | None]]]") -> None:
        if not lookups:
            return
        try:
            found = find_by_keys(lookups)
        except Exception as problem:
            logger.error("keys could not be looked up: %s", problem)
            self._connection.close()
            return  # nobody waits longer than he may
        done = [(future, found.get(key)) for key, futures in lookups.items() for future in futures]
        self._loop.call_soon_threadsafe(self._deliver_lookups, done)

    def _commit_all(self, batch: list[Waiting]) -> None:
        if not batch:
            return
        # Nobody waits for some any more: they were told to send again.
        wanted = {waiting: waiting.request for waiting in batch if waiting.request and not waiting.is_answered}
        answers: list[Answer] = []
        try:
            answers = commit(list(wanted.values()))
        finally:
            self._loop.call_soon_threadsafe(self._finish, batch, list(zip(wanted, answers, strict=False)))
        if any(answer.status == 503 for answer in answers):
            self._connection.close()
