"""HTTP as uvicorn speaks it, for a port that anybody can reach.

Nobody keeps a connection by saying nothing, or by saying it slowly. An offer to speak something else is declined, as
the standard wants it: uvicorn obeys the parser there, and loses the body. And what is not HTTP gets its error as JSON.
"""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_DEADLINE = 5.0
"""Seconds for a request's line and headers, from the connection or from their first byte."""
BODY_DEADLINE = 10.0
"""Seconds for a body that no application gives less."""
NEVER = float("inf")


class Protocol(HttpToolsProtocol):
    """One connection. `deadline` is when it is closed, if what is expected has not come."""

    deadline = NEVER

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.deadline = self.loop.time() + HEAD_DEADLINE

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(HTTPStatus.BAD_REQUEST, "NOT_HTTP", "This is not a request of HTTP/1.1.")
        # Blank lines between requests begin none, and have just ended the patience with an idle connection.
        if self.deadline == NEVER and (self.cycle is None or self.cycle.response_complete):
            self.deadline = self.loop.time() + HEAD_DEADLINE

    def on_message_begin(self) -> None:
        self.deadline = self.loop.time() + HEAD_DEADLINE
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if not self.parser.should_upgrade():
            self.deadline = self.loop.time() + BODY_DEADLINE
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            self.deadline = NEVER
            super().on_message_complete()

    def end_if_late(self, now: float) -> None:
        """Close the connection if its deadline is over."""
        if now < self.deadline or self.transport.is_closing():
            return
        if self.cycle and not self.cycle.response_complete:
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
