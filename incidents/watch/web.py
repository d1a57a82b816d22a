"""A web process's pulse: as an ASGI lifespan, so that any server gives it."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection

from incidents.watch.models import Role
from incidents.watch.pulses import INTERVAL, Beat, steady

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
# Django's own types are narrower than those of ASGI.
App = Callable[[Any, Any, Any], Awaitable[None]]


class WithPulse:
    """`application`, and while the server runs the pulse of this process: the loop turns and the database answers."""

    def __init__(self, application: App) -> None:
        self._application = application
        self._requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        self._requests += 1
        await self._application(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        beat = Beat(Role.WEB, os.getpid(), steady())
        pulse = asyncio.create_task(self._pulse(beat))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        pulse.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await pulse
        # The database may be gone already; then the row is missed for a while.
        with contextlib.suppress(Exception):
            await asyncio.wait_for(_in_thread(beat.remove), timeout=1)
        await send({"type": "lifespan.shutdown.complete"})

    async def _pulse(self, beat: Beat) -> None:
        while True:
            did = f"{self._requests} requests since its start"
            try:
                await _in_thread(lambda said=did: beat.write(said))  # type: ignore[misc]
            except Exception as error:
                # No pulse is what says so; the next try is due soon.
                logger.warning("no pulse could be written: %s", error)
            await asyncio.sleep(INTERVAL)


async def _in_thread(work: Callable[[], object]) -> None:
    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    await sync_to_async(run, thread_sensitive=False)()
