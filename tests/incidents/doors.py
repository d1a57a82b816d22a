"""The doors of the intake as test clients: Django with its DRF view, the lane in front of it, and its short cut."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, unquote, urlencode

import pytest
import uvicorn
from django.db import DEFAULT_DB_ALIAS, connections
from django.http import HttpResponse
from django.test import Client
from uvicorn.server import ServerState

from alertsources.cache import KnownKeys
from alertsources.services import find_by_key
from ilert.up.protocol import Protocol
from incidents.intake import committer
from incidents.intake.lane import PATH, Lane


async def no_application(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("This path is not the lane's.")


class LaneRunner:
    """A lane on an event loop of its own."""

    def __init__(self) -> None:
        self.lane = Lane(no_application)
        self.loop = asyncio.new_event_loop()

    def close(self) -> None:
        self.lane.close()
        self.loop.close()

    def request(self, scope: dict[str, Any], body: bytes) -> HttpResponse:
        return self.loop.run_until_complete(send(self.lane, scope, body))


class Wire(asyncio.Transport):
    """A connection's end that keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.sent += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else default

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class ServerRunner(LaneRunner):
    """The web server's protocol in front of a lane: what is ordinary takes the short cut."""

    def request(self, scope: dict[str, Any], body: bytes) -> HttpResponse:
        self.lane._desk._known = known = KnownKeys()
        key = (PATH.fullmatch(scope["path"]) or {2: ""})[2]
        if (source := find_by_key(key or "")) and source.active:
            known.put(key, source)
        target = quote(scope["path"], safe="/%:@!$&'()*+,;=~") + ("?" if scope["query_string"] else "")
        lines = [f"{scope['method']} {target}".encode() + scope["query_string"] + b" HTTP/1.1", b"host: tests"]
        lines += [name + b": " + value for name, value in scope["headers"]]
        lines += [b"content-length: %d" % len(body)]
        return self.loop.run_until_complete(self.exchange(b"\r\n".join(lines) + b"\r\n\r\n" + body))

    async def exchange(self, request: bytes) -> HttpResponse:
        wire = Wire()

        connection = self.connect(wire)
        connection.data_received(request)
        async with asyncio.timeout(10):
            while b"\r\n\r\n" not in wire.sent or len(_body(wire.sent)) < _length(wire.sent):
                await asyncio.sleep(0.001)
        connection.connection_lost(None)
        head = wire.sent.partition(b"\r\n\r\n")[0].decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:])
        assert int(headers.pop("content-length")) == len(_body(wire.sent))
        headers = {name: value for name, value in headers.items() if name != "connection"}
        response = HttpResponse(_body(wire.sent), status=int(head[0].split()[1]), headers=headers)
        response.json = lambda: json.loads(response.content)
        return response

    def connect(self, wire: Wire) -> Protocol:
        config = uvicorn.Config(self.lane, log_config=None, access_log=False, proxy_headers=False, ws="none")
        config.load()
        connection = Protocol(config=config, server_state=ServerState(), app_state={}, _loop=self.loop)
        connection.connection_made(wire)
        return connection


def _body(sent: bytes) -> bytes:
    return sent.partition(b"\r\n\r\n")[2]


def _length(sent: bytes) -> int:
    return int(sent.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])


async def send(lane: Lane, scope: dict[str, Any], *parts: bytes) -> HttpResponse:
    """Send a request in parts, as a server would hand them over."""
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    said: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def sent(message: Any) -> None:
        said.append(message)

    await lane(scope, receive, sent)
    start, content = said
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    assert int(headers.pop("content-length")) == len(content["body"])
    response = HttpResponse(content["body"], status=start["status"], headers=headers)
    response.json = lambda: json.loads(response.content)
    return response


def scope(method: str, path: str, query: bytes = b"", **headers: str) -> dict[str, Any]:
    return {
        "type": "http",
        "method": method,
        "path": unquote(path),
        "query_string": query,
        "client": ("127.0.0.1", 1),
        "headers": [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()],
    }


@contextmanager
def lane_client(monkeypatch: pytest.MonkeyPatch, kind: type[LaneRunner]) -> Iterator[type[Client]]:
    """Yield a Django test client whose events go through the lane; everything else goes to Django.

    The committer's thread works on the test's own connection, while the test waits for it: what a test sees is what
    was committed, and goes when the test ends.
    """
    shared = connections[DEFAULT_DB_ALIAS]
    monkeypatch.setattr(committer, "own_connection", lambda: shared)
    runner = kind()

    class LaneClient(Client):
        def generic(self, method: str, path: str, data: Any = "", content_type: str = "", **options: Any) -> Any:
            where, _, query = str(path).partition("?")
            if not PATH.fullmatch(unquote(where)):
                return super().generic(method, path, data, content_type, **options)
            headers = {
                name.removeprefix("HTTP_").lower(): value for name, value in options.items() if name.startswith("HTTP_")
            }
            query = urlencode(options.get("query_params") or {}) or options.get("QUERY_STRING", query)
            body = data if isinstance(data, bytes) else str(data).encode()
            if content_type:
                headers["content_type"] = content_type
            return runner.request(scope(method, where, query.encode(), **headers), body)

    shared.inc_thread_sharing()
    with monkeypatch.context() as patched:
        patched.setattr(shared, "close", lambda: None)
        try:
            yield LaneClient
        finally:
            runner.close()
    shared.dec_thread_sharing()
