"""The lane: takes events in front of Django, as an ASGI application for their paths.

The same core and the same answers as the DRF door. A request costs no look-up, no thread and no query of its own: its
key is known from a moment ago, and its commit is shared with all who wait.
"""

import asyncio
import json
import logging
import re
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.conf import settings

from alertsources.cache import KnownKeys
from alertsources.models import AlertSource
from ilert.common.client import client_address
from incidents.intake import admission
from incidents.intake.answers import Answer, error, over_rate, overloaded, too_large, unavailable
from incidents.intake.committer import Committer, Late
from incidents.intake.limits import rates
from incidents.intake.unknown_keys import unknown_keys
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
HOLD = 0.25
"""Seconds that a refusal is held back: a sender that waits for its answers sends fewer of them."""
MAX_HELD = 1000
# The committer's thread and the event loop take turns; Python's own 5 ms are as long as a whole commit.
SWITCH_INTERVAL = 0.0005


class Disconnected(Exception):
    """The client went away before its request was complete."""


class Lane:
    def __init__(self, application: Application) -> None:
        self._application = application
        self._known = KnownKeys()
        self._running: Committer | None = None
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (path := PATH.fullmatch(scope["path"])):
            try:
                answer = await self._answer(scope, receive, path[1] or "", path[2] or "")
            except Disconnected:
                return
            except Late:
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
        if self._running:
            self._running.stop()
            self._running = None

    @property
    def _committer(self) -> Committer:
        if self._running is None:
            self._running = Committer()
        return self._running

    async def _answer(self, scope: Scope, receive: Receive, slug: str, key: str) -> Answer:
        integration = admission.admit(slug, scope["method"])
        if isinstance(integration, Answer):
            return integration
        source = self._known.get(key) if key else None
        # Before the body is read: to refuse must cost much less than to take.
        if refusal := self._refusal(source):
            return await self._hold_back(refusal)
        payload = await _payload(scope, receive)
        if isinstance(payload, Answer):
            return payload
        since = time.monotonic()
        found = key or admission.key_inside(integration, payload)
        if isinstance(found, Answer):
            return found
        known = self._known.get(found)
        if known is None:
            address = _address(scope)
            if refusal := admission.look_up_allowed(address):
                return await self._hold_back(refusal)
            known = await self._look_up(found, address, since)
        return await self._take(integration, known, payload, since)

    async def _look_up(self, key: str, address: str, since: float) -> AlertSource | None:
        source = await self._committer.look_up(key, since)
        if source is None:
            unknown_keys.miss(address)
        elif source.active:
            self._known.put(key, source)
        return source

    async def _take(
        self, integration: Integration, source: AlertSource | None, payload: Payload, since: float
    ) -> Answer:
        refusal = admission.check(source, integration)
        if source is None or refusal:
            return refusal or unavailable()
        if self._committer.is_full_for(source.pk):
            return await self._hold_back(overloaded())
        request = admission.read(source, payload)
        if rates.over(source.pk, request.size) and self._committer.is_half_full():
            rates.refused(source.pk, request.size)
            return await self._hold_back(over_rate(rates.retry_after(source.pk)))
        return await self._committer.submit(request, since)

    def _refusal(self, source: AlertSource | None) -> Answer | None:
        if self._committer.is_stuck:
            return unavailable()
        if source and self._committer.is_full_for(source.pk):
            return overloaded()
        return None

    async def _hold_back(self, refusal: Answer) -> Answer:
        if self._held < MAX_HELD:
            self._held += 1
            try:
                await asyncio.sleep(HOLD)
            finally:
                self._held -= 1
        return refusal


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
    body = json.dumps(answer.content, separators=(",", ":")).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    headers += [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
