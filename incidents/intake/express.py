"""The lane's short cut: an ordinary event, from a server that hands over a whole request at once.

A task, a timer and a handful of awaits cost a request nearly as much as all else that the lane does with it. What
is not ordinary, beginning with a key that was not seen lately, is declined here and goes the lane's long way.
"""

import logging
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.conf import settings

from alertsources.models import AlertSource
from incidents.intake.answers import Answer, encoded, unavailable
from incidents.intake.desk import Desk
from integrations import Payload

logger = logging.getLogger(__name__)

Header = tuple[bytes, bytes]
Reply = Callable[[int, list[Header], bytes], None]
"""Called once with a status, headers and a body."""

_TARGET = re.compile(rb"/api/(?:v1/)?events/([a-z]+)/([a-z0-9]+)/?")
MAX_BODY = 64 * 1024
# Bodies that come in pieces or packed are not ordinary.
_UNUSUAL = frozenset((b"content-encoding", b"transfer-encoding", b"expect", b"upgrade"))


@dataclass(frozen=True, slots=True)
class Route:
    """What the head of an ordinary request says: where it goes, and how many bytes its body has."""

    slug: str
    key: str
    content_type: str
    length: int


class Express:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def route(self, method: bytes, target: bytes, headers: Iterable[Header]) -> Route | None:
        """Return where a request goes by what its head says, or None if that is not ordinary.

        `headers` have names in lower case. The same head always has the same route.
        """
        path = _TARGET.fullmatch(target) if method == b"POST" else None
        if path is None:
            return None
        content_type, length = "", b""
        for name, value in headers:
            if name in _UNUSUAL:
                return None
            if name == b"content-type":
                content_type = value.decode("latin-1")
            elif name == b"content-length":
                length = value
        if not length.isdigit() or int(length) > min(MAX_BODY, settings.ILERT_MAX_BODY):
            return None
        return Route(path[1].decode(), path[2].decode(), content_type, int(length))

    def admit(self, route: Route) -> "Parcel | Refused | None":
        """Return what takes the body that is to come, or None if this request goes the long way."""
        source = self._desk.known(route.key)
        if source is None or not source.active:
            return None
        integration = source.integration
        if integration.slug != route.slug or "POST" not in integration.methods:
            return None
        refusal = self._desk.refusal(source)
        return Refused(self._desk, refusal) if refusal else Parcel(self._desk, source, route.content_type)


class Parcel:
    """A request whose body is on its way."""

    __slots__ = ("_content_type", "_desk", "_source")

    def __init__(self, desk: Desk, source: AlertSource, content_type: str) -> None:
        self._desk = desk
        self._source = source
        self._content_type = content_type

    def take(self, body: bytes, reply: Reply) -> None:
        """Take the whole body."""

        def say(answer: Answer) -> None:
            reply(answer.status, *encoded(answer))

        try:
            self._desk.take(self._source, Payload(body, self._content_type, ""), time.monotonic(), say)
        except Exception:
            logger.exception("an event could not be taken")
            say(unavailable())


class Refused:
    """A request that nobody looks at: in a flood that must cost much less than taking it.

    Its body is received all the same, as many clients listen only then.
    """

    __slots__ = ("_desk", "_refusal")

    def __init__(self, desk: Desk, refusal: Answer) -> None:
        self._desk = desk
        self._refusal = refusal

    def take(self, body: bytes, reply: Reply) -> None:
        """Answer when the whole body has come."""
        self._desk.hold_back(self._refusal, lambda answer: reply(answer.status, *encoded(answer)))
