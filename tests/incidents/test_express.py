"""The lane's short cut, as the web server's connections use it."""

import asyncio
import gc
import json
import time
import weakref
from collections.abc import Iterator

import pytest
from django.db import DEFAULT_DB_ALIAS, connections

from alertsources.cache import KnownKeys
from alertsources.models import AlertSource
from ilert.up.protocol import EXPRESS_DEADLINE, ExpressCycle, Protocol
from incidents.intake import admission, committer, express, waiting
from incidents.intake.batch import Request
from incidents.models import Event, Incident
from integrations import Payload
from tests.incidents.doors import ServerRunner, Wire
from tests.payloads import payload

pytestmark = pytest.mark.django_db


@pytest.fixture
def server(source: AlertSource, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerRunner]:
    """A server that has seen the source's key, and whose committer works on the test's own connection."""
    shared = connections[DEFAULT_DB_ALIAS]
    monkeypatch.setattr(committer, "own_connection", lambda: shared)
    runner = ServerRunner()
    runner.lane._desk._known.put(source.integration_key, source)
    shared.inc_thread_sharing()
    with monkeypatch.context() as patched:
        patched.setattr(shared, "close", lambda: None)
        yield runner
        runner.close()
    shared.dec_thread_sharing()


def post(source: AlertSource, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    body = body or payload("sematext", "alert")
    lines = [f"POST /api/v1/events/sematext/{source.integration_key} HTTP/1.1", "host: tests", *headers]
    lines.append(f"content-length: {len(body) if length is None else length}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def talk(server: ServerRunner, *parts: bytes, answers: int = 1) -> tuple[Wire, Protocol]:
    """Send parts over one connection, and wait for the answers."""

    async def run() -> tuple[Wire, Protocol]:
        wire = Wire()
        connection = server.connect(wire)
        for part in parts:
            connection.data_received(part)
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            while wire.sent.count(b"HTTP/1.1 ") < answers or not wire.sent.endswith(b"}"):
                await asyncio.sleep(0.001)
        return wire, connection

    return server.loop.run_until_complete(run())


def went_short(connection: Protocol) -> bool:
    return isinstance(connection.cycle, ExpressCycle)


def test_an_ordinary_event_needs_no_task(server: ServerRunner, source: AlertSource) -> None:
    wire, connection = talk(server, post(source))
    assert went_short(connection)
    assert not connection.tasks
    head, _, body = wire.sent.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert b"connection: close" not in head
    assert json.loads(body)["eventId"] == Event.objects.get().pk


def test_a_head_that_was_seen_before_is_not_read_again(
    server: ServerRunner, source: AlertSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk(server, post(source))
    monkeypatch.setattr(server.lane.express, "route", None)
    wire, connection = talk(server, post(source))
    assert went_short(connection)
    assert wire.sent.startswith(b"HTTP/1.1 200 OK")
    assert Event.objects.count() == 2


@pytest.mark.parametrize(
    "parts",
    [
        lambda request: [request[:-1], request[-1:]],
        lambda request: [b"\r\n" + request],
        lambda request: [request + request],
        lambda request: [request + b"\r\n"],
        lambda request: [request[:20], request[20:]],
        lambda request: [b"\r\n\r\n", request],
    ],
)
def test_a_head_that_was_seen_before_may_come_in_any_pieces(server: ServerRunner, source: AlertSource, parts) -> None:
    request = post(source)
    talk(server, request)
    pieces = parts(request)
    number = b"".join(pieces).count(b"POST ")
    wire, _ = talk(server, *pieces, answers=number)
    assert wire.sent.count(b"HTTP/1.1 200 OK") == number
    assert Event.objects.count() == 1 + number


def test_a_key_that_was_revoked_is_refused_though_its_head_is_known(server: ServerRunner, source: AlertSource) -> None:
    talk(server, post(source))
    server.lane._desk._known = KnownKeys()
    AlertSource.objects.filter(pk=source.pk).update(active=False)
    wire, connection = talk(server, post(source))
    assert not went_short(connection)
    assert wire.sent.startswith(b"HTTP/1.1 404 ")


def test_nothing_of_an_answered_request_waits_for_the_garbage_collector(
    server: ServerRunner, source: AlertSource
) -> None:
    async def run() -> Protocol:
        wire = Wire()
        connection = server.connect(wire)
        for number in range(1, 4):
            connection.data_received(post(source))
            while wire.sent.count(b"HTTP/1.1 200 OK") < number or not wire.sent.endswith(b"}"):
                await asyncio.sleep(0.001)
        return connection

    gc.disable()
    try:
        connection = server.loop.run_until_complete(asyncio.wait_for(run(), 5))
        # Not isinstance: what is lazy would find out what it is.
        kept = [one for one in gc.get_objects() if type(one) is ExpressCycle and one._protocol is connection]
    finally:
        gc.enable()
    # The connection still knows its last request.
    assert kept == [connection.cycle]


def test_nothing_of_a_closed_connection_waits_for_the_garbage_collector(
    server: ServerRunner, source: AlertSource
) -> None:
    async def run() -> weakref.ref[Protocol]:
        wire = Wire()
        connection = server.connect(wire)
        connection.data_received(post(source))
        while not wire.sent.endswith(b"}"):
            await asyncio.sleep(0.001)
        connection.connection_lost(None)
        return weakref.ref(connection)

    gc.disable()
    try:
        closed = server.loop.run_until_complete(asyncio.wait_for(run(), 5))
        deadline = time.monotonic() + 5
        # The committer's thread may be on its way back from the commit with what it has committed.
        while closed() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert closed() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("cut", [1, 30, 120, -1])
def test_it_may_come_in_pieces(server: ServerRunner, source: AlertSource, cut: int) -> None:
    request = post(source)
    wire, connection = talk(server, request[:cut], request[cut:])
    assert went_short(connection)
    assert b" 200 " in wire.sent[:20]


def test_requests_behind_each_other_are_answered_in_order(server: ServerRunner, source: AlertSource) -> None:
    wire, _ = talk(server, post(source) * 3, answers=3)
    answers = [json.loads(part.partition(b"\r\n\r\n")[2]) for part in wire.sent.split(b"HTTP/1.1 200 OK")[1:]]
    assert [answer["outcome"] for answer in answers] == ["opened", "appended", "appended"]
    assert [answer["eventId"] for answer in answers] == sorted(Event.objects.values_list("pk", flat=True))


@pytest.mark.parametrize(
    "unusual",
    [
        lambda source: post(source, b'{"x": "%b"}' % (b"y" * express.MAX_BODY)),
        lambda source: post(source, b"", "expect: 100-continue"),
        lambda source: post(source, b"", "content-encoding: identity"),
        lambda source: post(source).replace(b"/sematext/", b"/eswatcher/"),
        lambda source: post(source).replace(b" HTTP/1.1", b"?x=1 HTTP/1.1", 1),
        lambda source: post(source).replace(source.integration_key.encode(), source.integration_key.upper().encode()),
    ],
)
def test_what_is_not_ordinary_goes_the_long_way(server: ServerRunner, source: AlertSource, unusual) -> None:
    wire, connection = talk(server, unusual(source))
    assert not went_short(connection)
    assert wire.sent.startswith((b"HTTP/1.1 2", b"HTTP/1.1 4", b"HTTP/1.1 100"))


def test_a_bad_body_is_kept_and_refused(server: ServerRunner, source: AlertSource) -> None:
    wire, connection = talk(server, post(source, b"{nonsense"))
    assert went_short(connection)
    assert wire.sent.startswith(b"HTTP/1.1 400 ")
    assert Event.objects.get().outcome == "rejected"


def test_no_more_is_read_than_is_committed_next(
    server: ServerRunner, source: AlertSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer, "BATCH", 2)
    desk = server.lane._desk
    read: list[int] = []
    original = desk._read

    def counting(source: AlertSource, body: Payload) -> Request:
        read.append(len(desk._committer._ready))
        return original(source, body)

    monkeypatch.setattr(desk, "_read", counting)

    async def run() -> list[Wire]:
        wires = [Wire() for _ in range(7)]
        for wire in wires:
            server.connect(wire).data_received(post(source))
        while not all(wire.sent.endswith(b"}") for wire in wires):
            await asyncio.sleep(0.001)
        return wires

    for wire in server.loop.run_until_complete(asyncio.wait_for(run(), 5)):
        assert wire.sent.startswith(b"HTTP/1.1 200 ")
    assert len(read) == Event.objects.count() == 7
    assert max(read) < 2


def test_what_is_there_at_the_end_is_committed(
    server: ServerRunner, source: AlertSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer, "BATCH", 2)

    async def run() -> None:
        for _ in range(7):
            server.connect(Wire()).data_received(post(source))
        server.lane.close()

    server.loop.run_until_complete(asyncio.wait_for(run(), 5))
    assert Event.objects.count() == 7


def test_a_flood_is_refused_without_a_task_and_without_reading(
    server: ServerRunner, source: AlertSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MAX_REQUESTS", 0)
    monkeypatch.setattr(admission, "read", None)
    wire, connection = talk(server, post(source))
    assert went_short(connection)
    assert not connection.tasks
    head, _, body = wire.sent.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: " in head
    assert json.loads(body)["code"] == "OVERLOADED"
    assert not Event.objects.exists()


def test_a_body_that_does_not_come_is_not_waited_for(server: ServerRunner, source: AlertSource) -> None:
    async def run() -> Wire:
        wire = Wire()
        connection = server.connect(wire)
        connection.data_received(post(source, b"{", length=100))
        connection.end_if_late(server.loop.time() + EXPRESS_DEADLINE - 0.5)
        assert not wire.sent
        connection.end_if_late(server.loop.time() + EXPRESS_DEADLINE + 0.5)
        return wire

    wire = server.loop.run_until_complete(run())
    assert wire.sent.startswith(b"HTTP/1.1 408 ")
    assert wire.closed
    assert not Event.objects.exists()


def test_a_server_that_leaves_says_so(server: ServerRunner, source: AlertSource) -> None:
    async def run() -> Wire:
        wire = Wire()
        connection = server.connect(wire)
        connection.data_received(post(source))
        connection.shutdown()
        while not wire.closed:
            await asyncio.sleep(0.001)
        return wire

    wire = server.loop.run_until_complete(asyncio.wait_for(run(), 5))
    assert wire.sent.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in wire.sent


def test_an_event_is_committed_though_nobody_waits_for_the_answer(server: ServerRunner, source: AlertSource) -> None:
    async def run() -> Wire:
        wire = Wire()
        connection = server.connect(wire)
        connection.data_received(post(source))
        wire.close()
        connection.connection_lost(None)
        while server.lane._desk._committer._open:
            await asyncio.sleep(0.001)
        return wire

    assert server.loop.run_until_complete(asyncio.wait_for(run(), 5)).sent == b""
    assert Incident.objects.count() == 1
