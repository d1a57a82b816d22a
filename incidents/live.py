"""Lists that are open in browsers: one look at the database serves all of them, and each gets only what has changed.

A process looks once a second while anybody follows, and not at all otherwise. Whatever changes a row also draws a
number from the timeline's sequence, so that a look costs next to nothing while nothing happens.
"""

import asyncio
import contextlib
import json
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.db import DatabaseError, connection, connections
from django.utils import timezone

from accounts.models import User
from alertsources.models import AlertSource
from incidents.listing import Filters
from incidents.models import TIMELINE_SEQUENCE, Scope
from incidents.rows import Listing, listing

logger = logging.getLogger(__name__)

INTERVAL = 1.0
# A comment line, so that neither a proxy nor the browser takes the connection for dead.
HEARTBEAT = 15.0
# Then the browser comes again: with a new look at its session, and perhaps to another process.
LIFETIME = 600.0
MAX_FOLLOWERS = 1000

T = TypeVar("T")
# Whether whoever has the page open may still see what it shows; asks the database.
MayStay = Callable[[], bool]


@dataclass(frozen=True)
class View:
    """A list as somebody has it open. Two people with the same filters, time zone and teams share it.

    `teams` are None for those who see everything.
    """

    filters: Filters
    zone: str
    teams: frozenset[int] | None = None

    def read(self) -> Listing:
        with timezone.override(self.zone):
            return listing(replace(self.filters, scope=self._scope()))

    def _scope(self) -> Scope | None:
        """Return what may be seen now: a source may have got a team since the page was opened."""
        opened = self.filters.scope
        if opened and (viewer := User.objects.filter(pk=opened.viewer).first()):
            return Scope.of(viewer)
        if self.teams is None:
            return opened
        hidden = AlertSource.objects.filter(team__isnull=False).exclude(team__in=self.teams)
        ids = tuple(hidden.order_by("pk").values_list("pk", flat=True))
        # Many share it, so that it is nobody's own; each of them comes again with theirs at the next heartbeat.
        return Scope(0, ids) if ids else None

    def message(self, now: Listing, before: Listing | None) -> dict[str, Any]:
        """Return what a page that shows `before` needs to show `now`; a page that shows None needs all of it."""
        known = {row.pk: row for row in before.rows} if before else {}
        with timezone.override(self.zone):
            changed = {row.pk: row.html for row in now.rows if known.get(row.pk) != row}
        return {"version": now.version, "order": [row.pk for row in now.rows], "rows": changed, "next": now.next}


@dataclass(eq=False)
class Follower:
    """One open page: what it has not been sent yet."""

    listing: Listing | None
    wake: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(eq=False)
class Watched:
    """A view that somebody follows."""

    view: View
    listing: Listing
    followers: set[Follower] = field(default_factory=set)
    _messages: dict[str, str] = field(default_factory=dict)

    def show(self, listing: Listing) -> None:
        """Take over what the view shows now, and wake everybody if it is something else."""
        if listing.version == self.listing.version:
            return
        self.listing = listing
        self._messages.clear()
        for follower in self.followers:
            follower.wake.set()

    def message_since(self, before: Listing | None) -> str:
        """Return the message for a page that shows `before`; most show the same, so it is made once."""
        version = before.version if before else ""
        if version not in self._messages:
            self._messages[version] = json.dumps(self.view.message(self.listing, before))
        return self._messages[version]


class Board:
    """What is followed in this process."""

    def __init__(self) -> None:
        self._views: dict[View, Watched] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def is_full(self) -> bool:
        return sum(len(watched.followers) for watched in self._views.values()) >= MAX_FOLLOWERS

    async def follow(self, view: View, version: str, may_stay: MayStay) -> AsyncGenerator[str, None]:
        """Yield server-sent events for a page that shows `version` of `view`."""
        watched = self._views.get(view)
        if watched is None:
            current = await in_thread(view.read)
            watched = self._views.setdefault(view, Watched(view, current))
        follower = Follower(watched.listing if watched.listing.version == version else None)
        if follower.listing is None:
            follower.wake.set()
        watched.followers.add(follower)
        self._watch()

        def message() -> str:
            before, follower.listing = follower.listing, watched.listing
            return f"event: rows\ndata: {watched.message_since(before)}\n\n"

        try:
            async for part in stream(follower.wake, message, may_stay):
                yield part
        finally:
            watched.followers.discard(follower)
            if not watched.followers and self._views.get(view) is watched:
                del self._views[view]

    def _watch(self) -> None:
        if self._task is None or self._task.done() or self._task.get_loop() is not asyncio.get_running_loop():
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        """Look once a second as long as anybody follows."""
        seen, settled = -1, False
        failed: list[View] = []
        while self._views:
            await asyncio.sleep(INTERVAL)
            # A database that is away is away for the pages too; they keep what they show.
            with contextlib.suppress(DatabaseError):
                latest = await in_thread(_latest_number)
                # A number is drawn before its transaction is committed, hence one more look after the last change.
                failed = await self._look(list(self._views) if latest != seen or not settled else failed)
                settled = latest == seen
                seen = latest

    async def _look(self, views: list[View]) -> list[View]:
        """Read `views`. Returns those that cannot be read now, such as a search that takes too long."""
        failed = []
        for view in views:
            watched = self._views.get(view)
            if watched is None:
                continue
            try:
                watched.show(await in_thread(view.read))
            except DatabaseError as error:
                logger.warning("a list that is open cannot be read now: %s", error)
                failed.append(view)
        return failed


async def stream(wake: asyncio.Event, message: Callable[[], str], may_stay: MayStay) -> AsyncIterator[str]:
    """Yield `message` whenever `wake` is set, and a sign of life in between, until the page has to come again.

    `may_stay` is asked with each heartbeat, whether or not messages come in between: who is shut out hears no more.
    """
    yield "retry: 2000\n\n"
    # Not all at the same moment: a thousand pages that were opened together come again one after the other.
    loop = asyncio.get_running_loop()
    end = loop.time() + LIFETIME * random.uniform(0.8, 1.2)  # noqa: S311  # nosec B311: no secret
    asked = loop.time()
    while loop.time() < end:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(wake.wait(), HEARTBEAT)
        if loop.time() - asked >= HEARTBEAT:
            asked = loop.time()
            if not await _may_stay(may_stay):
                return
        if not wake.is_set():
            yield ": still here\n\n"
            continue
        wake.clear()
        yield message()


async def _may_stay(may_stay: MayStay) -> bool:
    try:
        return await in_thread(may_stay)
    except DatabaseError:
        return True  # away for everybody; nothing new is told meanwhile


async def in_thread(work: Callable[[], T]) -> T:
    """Run what uses the database in a thread of the pool, and give its connection back afterwards."""

    def run() -> T:
        try:
            return work()
        finally:
            connections.close_all()

    return await sync_to_async(run, thread_sensitive=False)()


def _latest_number() -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT last_value FROM {TIMELINE_SEQUENCE}")  # noqa: S608  # nosec B608: a constant
        return int(cursor.fetchone()[0])


board = Board()
