"""The two doors of the intake, as test clients: Django with its DRF view, and the lane in front of Django."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlencode

import pytest
from django.db import DEFAULT_DB_ALIAS, connections
from django.http import HttpResponse
from django.test import Client

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
def lane_client(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Client]]:
    """Yield a Django test client whose events go through the lane; everything else goes to Django.

    The committer's thread works on the test's own connection, while the test waits for it: what a test sees is what
    was committed, and goes when the test ends.
    """
    shared = connections[DEFAULT_DB_ALIAS]
    monkeypatch.setattr(committer, "own_connection", lambda: shared)
    runner = LaneRunner()

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
