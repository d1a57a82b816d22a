"""The lane: takes events in front of Django, as an ASGI application for their paths.

The same core and the same answers as the DRF door. A request costs no look-up, no thread and no query of its own: its
key is known from a moment ago, and its commit is shared with all who wait.
"""

import asyncio
import logging
import re
import sys
import time
from asyncio import Future
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from django.conf import settings

from alertsources.models import AlertSource
from ilert.common.client import client_address
from incidents.intake import admission
from incidents.intake.answers import Answer, encoded, error, too_large, unavailable
from incidents.intake.committer import DEADLINE
from incidents.intake.desk import Desk
from incidents.intake.express import Express
from integrations import Integration, Payload

logger = logging.getLogger(__name__)

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
# Types of applications differ in what they call a mapping.
Application = Callable[[Any, Any, Any], Awaitable[None]]

PATH = re.compile(r"/api/(?:v1/)?events(?:/([^/]+)/([^/]+))?/?")
BODY_DEADLINE = 4.0
"""Seconds for a whole body."""
# The committer's thread and the event loop take turns; Python's own 5 ms are as long as a whole commit.
SWITCH_INTERVAL = 0.0001


class Disconnected(Exception):
    """The client went away before its request was complete."""


class Lane:
    """`express` is its short cut, for a server that can use it."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._desk = Desk()
        self.express = Express(self._desk)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (path := PATH.fullmatch(scope["path"])):
            try:
                answer = await self._answer(scope, receive, path[1] or "", path[2] or "")
            except Disconnected:
                return
            except TimeoutError:
                answer = unavailable()
            except Exception:
                logger.exception("an event could not be taken")
                answer = unavailable()
            await _respond(send, answer)
        elif scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        else:
            await self._application(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        sys.setswitchinterval(SWITCH_INTERVAL)
        try:
            await self._application(scope, receive, send)
        finally:
            self.close()

    def close(self) -> None:
        """Commit what is there, and end the committer."""
        self._desk.close()

    async def _answer(self, scope: Scope, receive: Receive, slug: str, key: str) -> Answer:
        integration = admission.admit(slug, scope["method"])
        if isinstance(integration, Answer):
            return integration
        # Before the body is read.
        if refusal := self._desk.refusal(self._desk.known(key) if key else None):
            return await self._hold_back(refusal)
        payload = await _payload(scope, receive)
        if isinstance(payload, Answer):
            return payload
        return await self._taken(integration, key, payload, scope)

    async def _taken(self, integration: Integration, key: str, payload: Payload, scope: Scope) -> Answer:
        since = time.monotonic()
        found = key or admission.key_inside(integration, payload)
        if isinstance(found, Answer):
            return found
        source = self._desk.known(found) or await self._look_up(found, _address(scope))
        if isinstance(source, Answer):
            return source
        refusal = admission.check(source, integration)
        if source is None or refusal:
            return refusal or unavailable()
        return await _answered(partial(self._desk.take, source, payload, since))

    async def _look_up(self, key: str, address: str) -> AlertSource | Answer | None:
        if refusal := admission.look_up_allowed(address):
            return await self._hold_back(refusal)
        async with asyncio.timeout(DEADLINE):
            return await self._desk.look_up(key, address)

    async def _hold_back(self, refusal: Answer) -> Answer:
        return await _answered(partial(self._desk.hold_back, refusal))


async def _answered(ask: Callable[[Callable[[Answer], None]], None]) -> Answer:
    """Wait for what `ask` gets as its answer."""
    future: Future[Answer] = asyncio.get_running_loop().create_future()

    def reply(answer: Answer) -> None:
        if not future.done():
            future.set_result(answer)

    ask(reply)
    return await future


async def _payload(scope: Scope, receive: Receive) -> Payload | Answer:
    content_type, encoding = "", "identity"
    for name, value in scope["headers"]:
        if name == b"content-type":
            content_type = value.decode("latin-1")
        elif name == b"content-encoding":
            encoding = value.decode("latin-1")
    try:
        async with asyncio.timeout(BODY_DEADLINE):
            body = await _body(receive)
    except TimeoutError:
        message = f"The body did not come within {BODY_DEADLINE:.0f} seconds."
        return error(408, "TIMEOUT", message, {"Connection": "close"})
    if body is None:
        return too_large()
    content = admission.decoded(body, encoding)
    if isinstance(content, Answer):
        return content
    return Payload(content, content_type, scope["query_string"].decode("utf-8", "replace"))


def _address(scope: Scope) -> str:
    """Return whose limit on unknown keys counts."""
    peer = scope["client"][0] if scope.get("client") else ""
    forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return client_address(peer, ",".join(forwarded))


async def _body(receive: Receive) -> bytes | None:
    """Return the whole body; None if it is too large, but read to its end: many clients listen only then."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        size += len(message.get("body", b""))
        if size <= settings.ILERT_MAX_BODY:
            parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            break
    if size > settings.ILERT_MAX_BODY:
        return None
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _respond(send: Send, answer: Answer) -> None:
    headers, body = encoded(answer)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
