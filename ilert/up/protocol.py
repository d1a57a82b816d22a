"""HTTP as uvicorn speaks it, for a port that anybody can reach.

Nobody keeps a connection by saying nothing, or by saying it slowly. An offer to speak something else is declined, as
the standard wants it: uvicorn obeys the parser there, and loses the body. And what is not HTTP gets its error as JSON.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from typing import Protocol as Interface

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEAD_DEADLINE = 5.0
"""Seconds for a request's line and headers, from the connection or from their first byte."""
BODY_DEADLINE = 10.0
"""Seconds for a body that no application gives less."""
EXPRESS_DEADLINE = 4.0
"""Seconds for a body that goes the short way."""
NEVER = float("inf")

Header = tuple[bytes, bytes]
Reply = Callable[[int, list[Header], bytes], None]


class Parcel(Interface):
    """A request whose body is on its way."""

    def take(self, body: bytes, reply: Reply) -> None: ...


class Express(Interface):
    """A short way for ordinary requests: without a task, from a whole body to a whole answer."""

    def route(self, method: bytes, target: bytes, headers: Iterable[Header]) -> Route | None: ...

    def admit(self, route: Any) -> Parcel | None: ...


class Route(Interface):
    """What the head of an ordinary request says."""

    @property
    def length(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Head:
    """What was read from the first bytes of a request, up to its body. The same bytes always say the same."""

    route: Route
    keep_alive: bool


_HEADS: dict[bytes, Head] = {}
"""Of requests that have gone the short way: a tool sends the same line and headers again and again."""
MAX_HEADS = 1000


class _Nobody:
    """Who waits for news of a request that is answered."""

    def set(self) -> None: ...


_NOBODY = _Nobody()


class ExpressCycle:
    """A request on the short way, in the place of uvicorn's cycle; it uses and changes the public attributes."""

    def __init__(self, protocol: Protocol, parcel: Parcel, *, keep_alive: bool) -> None:
        self.body = bytearray()
        self.more_body = True
        self.response_complete = False
        self.disconnected = False
        self.keep_alive = keep_alive
        self.message_event: ExpressCycle | _Nobody = self
        self._protocol = protocol
        self._parcel: Parcel | None = parcel

    def set(self) -> None:
        """Go on: something has come, or the connection has ended. What uvicorn calls an event, for its own tasks."""
        if not self.more_body and not self.disconnected and self._parcel:
            parcel, self._parcel = self._parcel, None
            parcel.take(bytes(self.body), self._reply)

    def _reply(self, status: int, headers: list[Header], body: bytes) -> None:
        self.response_complete = True
        # Nothing may refer to itself, or it stays until Python looks for such things.
        self.message_event = _NOBODY
        if not self.disconnected and not self._protocol.transport.is_closing():
            self._protocol.send_whole(status, headers, body, keep_alive=self.keep_alive)


class Protocol(HttpToolsProtocol):
    """One connection. `deadline` is when it is closed, if what is expected has not come."""

    deadline = NEVER
    _on_its_way: ExpressCycle | None = None
    """The request on the short way whose body is coming."""
    _is_between = True
    """Whether the parser has read no part of a request that is not complete."""
    _beginning = b""
    """What has come in one piece from the first byte of a request on, while its head is read."""

    def __init__(self, *settings: Any, **more: Any) -> None:
        super().__init__(*settings, **more)
        self._express: Express | None = getattr(self.app, "express", None)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.deadline = self.loop.time() + HEAD_DEADLINE

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        # Its last request refers back to it: both would stay until Python looks for such things, which is seldom.
        self.cycle = None  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._is_between and self._repeats(data):
            return
        self._beginning = data if self._is_between else b""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(HTTPStatus.BAD_REQUEST, "NOT_HTTP", "This is not a request of HTTP/1.1.")
        # Blank lines between requests begin none, and have just ended the patience with an idle connection.
        if self.deadline == NEVER and (self.cycle is None or self.cycle.response_complete):
            self.deadline = self.loop.time() + HEAD_DEADLINE

    def _repeats(self, data: bytes) -> bool:
        """Take a whole request whose head is known already, without the parser."""
        body = data.find(b"\r\n\r\n") + 4
        head = _HEADS.get(data[:body])
        if head is None or self._express is None or not self._is_free or len(data) - body != head.route.length:
            return False
        parcel = self._express.admit(head.route)
        if parcel is None:
            return False
        self.deadline = NEVER
        cycle = ExpressCycle(self, parcel, keep_alive=head.keep_alive)
        self.cycle = cycle  # type: ignore[assignment]
        cycle.body += data[body:]
        cycle.more_body = False
        cycle.set()
        return True

    @property
    def _is_free(self) -> bool:
        """Whether nobody waits for an answer."""
        return self.cycle is None or self.cycle.response_complete

    def on_message_begin(self) -> None:
        self._is_between = False
        self.deadline = self.loop.time() + HEAD_DEADLINE
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        beginning, self._beginning = self._beginning, b""
        if self.parser.should_upgrade():
            return
        if not self._goes_express(beginning):
            self.deadline = self.loop.time() + BODY_DEADLINE
            super().on_headers_complete()

    def _goes_express(self, beginning: bytes) -> bool:
        """Take the short way, if it is there for this request, and nobody before it waits."""
        if self._express is None or not self._is_free:
            return False
        route = self._express.route(self.parser.get_method(), self.url, self.headers)
        parcel = self._express.admit(route) if route else None
        if route is None or parcel is None:
            return False
        self.deadline = self.loop.time() + EXPRESS_DEADLINE
        keep_alive = self.parser.get_http_version() == "1.1" and self.parser.should_keep_alive()
        self._remember(beginning, Head(route, keep_alive))
        self._on_its_way = ExpressCycle(self, parcel, keep_alive=keep_alive)
        self.cycle = self._on_its_way  # type: ignore[assignment]
        return True

    def _remember(self, beginning: bytes, head: Head) -> None:
        """Keep what the parser has found out, if the bytes that it has read begin with this request."""
        if beginning.startswith(b"%b %b HTTP/" % (self.parser.get_method(), self.url)) and b"\r\n\r\n" in beginning:
            if len(_HEADS) >= MAX_HEADS:
                _HEADS.clear()
            _HEADS[beginning[: beginning.find(b"\r\n\r\n") + 4]] = head

    def send_whole(self, status: int, headers: list[Header], body: bytes, *, keep_alive: bool) -> None:
        """Answer a request at once."""
        parts = [STATUS_LINE[status]]
        for name, value in (*self.server_state.default_headers, *headers):
            parts += (name, b": ", value, b"\r\n")
            # A server that is leaving says so to everybody.
            keep_alive = keep_alive and name != b"connection"
        parts += (b"\r\n" if keep_alive else b"connection: close\r\n\r\n", body)
        self.transport.write(b"".join(parts))
        if not keep_alive:
            self.transport.close()
        self.on_response_complete()

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            self._is_between = True
            self.deadline = NEVER
            self._on_its_way = None
            super().on_message_complete()

    def end_if_late(self, now: float) -> None:
        """Close the connection if its deadline is over."""
        if now < self.deadline or self.transport.is_closing():
            return
        if self.cycle and not self.cycle.response_complete and not self._on_its_way:
            # Its answer may have begun, or others before it are still being answered.
            self.transport.close()
            return
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, "TIMEOUT", "The request did not come in time.")

    def _decline(self, rest: bytes) -> None:
        """Read a request again without its offer to speak another protocol; `rest` came behind its headers."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "This is no proxy.", "GET, POST")
            return
        lines = [b"%s %s HTTP/1.1" % (method, self.url)]
        lines += [b"%s: %s" % header for header in self.headers if header[0] not in (b"upgrade", b"http2-settings")]
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"\r\n".join(lines) + b"\r\n\r\n" + rest)

    def _refuse(self, status: HTTPStatus, code: str, message: str, allow: str = "") -> None:
        body = json.dumps({"status": status, "message": message, "code": code}).encode()
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
        head += f"allow: {allow}\r\n" if allow else ""
        head += f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(head.encode() + body)
        self.transport.close()


def end_late(connections: set[Any], now: float) -> None:
    """Close the connections whose deadline is over."""
    for connection in list(connections):
        if isinstance(connection, Protocol):
            connection.end_if_late(now)
