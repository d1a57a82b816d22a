"""The front door and everything that can be thrown at it: a running `up` takes a good event right after each."""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import psycopg
import pytest

from ilert.embedded import paths
from tests.faults import nasty
from tests.faults.nasty import CLOSED, PLACEHOLDERS, QUICK, SLOW, Nasty
from tests.faults.running import ROOT, Up, environment

pytestmark = pytest.mark.faults

# After the last byte.
ANSWERED_WITHIN = 6.0
# From the first byte on, however slowly the rest comes.
SLOW_ENDS_WITHIN = 12.0
QUIET = 0.25
MAKE_SOURCES = """
import json, integrations
from alertsources.services import create_source
from oncall.models import EscalationPolicy
policy = EscalationPolicy.objects.create(name="Nobody")
print(json.dumps({one.slug: create_source(one.name, one.type, policy).integration_key for one in integrations.ALL}))
"""


@dataclass(frozen=True)
class Door:
    """A running installation, and the keys of its sources."""

    up: Up
    keys: dict[str, str]

    def real(self, piece: bytes) -> bytes:
        for slug, placeholder in PLACEHOLDERS.items():
            piece = piece.replace(placeholder.encode(), self.keys[slug].encode())
            piece = piece.replace(placeholder.upper().encode(), self.keys[slug].upper().encode())
        return piece


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Conversation:
    """What came back, and how long after the first and after the last byte it ended."""

    answers: list[Answer] = field(default_factory=list)
    closed: bool = False
    since_first: float = 0.0
    since_last: float = 0.0


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    up = Up(tmp_path_factory.mktemp("door") / "var")
    try:
        up.runs(60).serves()
        made = subprocess.run(
            [sys.executable, "manage.py", "shell", "-v0", "-c", MAKE_SOURCES],
            cwd=ROOT,
            env=environment(ILERT_DATA_DIR=str(up.data_dir)),
            capture_output=True,
            text=True,
            check=True,
        )
        yield Door(up, json.loads(made.stdout.splitlines()[-1]))
        # Whatever was thrown at it, nothing of it was a fault of ours.
        assert "Traceback" not in up.output, up.output[-5000:]
    finally:
        up.end()


def talk(door: Door, what: Nasty) -> Conversation:
    """Send the pieces, and listen until there is nothing more to come."""
    heard = Conversation()
    is_head = what.pieces[0].startswith(b"HEAD ")
    sent = threading.Event()
    started = time.monotonic()
    last = [started]
    with socket.create_connection(("127.0.0.1", door.up.port), timeout=QUIET) as connection:
        sender = threading.Thread(target=send, args=(connection, door, what, last, sent))
        sender.start()
        received = b""
        while True:
            try:
                piece = connection.recv(65_536)
            except TimeoutError:
                piece = None
            except ConnectionError:
                piece = b""
            now = time.monotonic()
            if piece is None and sent.is_set() and (heard.answers or now - last[0] > ANSWERED_WITHIN + 1):
                break
            if piece is None and now - started > SLOW_ENDS_WITHIN + 1:
                break
            heard.since_first, heard.since_last = now - started, now - last[0]
            received += piece or b""
            heard.closed = piece == b""
            heard.answers, complete = parsed(received, is_head, heard.closed)
            if heard.closed or (complete and len(heard.answers) >= what.answers):
                break
        sender.join(SLOW_ENDS_WITHIN + 1)
    return heard


def send(connection: socket.socket, door: Door, what: Nasty, last: list[float], sent: threading.Event) -> None:
    try:
        for number, piece in enumerate(what.pieces):
            if number:
                time.sleep(what.pause)
            unsent = memoryview(door.real(piece))
            while unsent:
                try:
                    unsent = unsent[connection.send(unsent) :]
                except TimeoutError:
                    if time.monotonic() - last[0] > ANSWERED_WITHIN:
                        raise
            last[0] = time.monotonic()
        if what.then_close:
            connection.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the server has closed the connection: its answer, if any, says why
    finally:
        sent.set()


def parsed(received: bytes, is_head: bool, closed: bool) -> tuple[list[Answer], bool]:
    """Return the answers in what was received, and whether the last one is whole."""
    answers: list[Answer] = []
    while b"\r\n\r\n" in received:
        head, _, rest = received.partition(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        assert re.fullmatch(r"HTTP/1\.[01] [1-5][0-9][0-9].*", status_line), status_line
        status = int(status_line.split()[1])
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if 100 <= status < 200:
            received = rest
            continue
        length = 0 if is_head or status in (204, 304) else int(headers.get("content-length", -1))
        if length < 0 and headers.get("transfer-encoding") == "chunked":
            whole = re.match(rb"(?s)(?:[0-9a-f]+\r\n.*?\r\n)*?0\r\n\r\n", rest)
            if not whole:
                return answers, False
            length = whole.end()
        elif length < 0:
            length = len(rest) if closed else len(rest) + 1
        if len(rest) < length:
            return answers, False
        answers.append(Answer(status, headers, rest[:length]))
        received = rest[length:]
    return answers, not received


def complaints(what: Nasty, heard: Conversation) -> list[str]:
    """Return what is wrong with what came back."""
    found = []
    statuses = [answer.status for answer in heard.answers] or [CLOSED if heard.closed else -1]
    wrong = [status for status in statuses if status not in what.allowed]
    if wrong:
        found.append(f"answered {statuses}, allowed are {sorted(what.allowed)}")
    for answer in heard.answers:
        if b"Traceback" in answer.body:
            found.append("shows a traceback")
        if answer.status >= 400 and what.needs_json and not is_error(answer):
            found.append(f"{answer.status} is not an error of the contract: {answer.headers} {answer.body[:200]!r}")
        if answer.status == 405 and "allow" not in answer.headers:
            found.append("405 without Allow")
    return found


def is_error(answer: Answer) -> bool:
    try:
        content = json.loads(answer.body)
    except ValueError:
        return False
    return (
        answer.headers.get("content-type") == "application/json"
        and set(content) == {"status", "message", "code"}
        and content["status"] == answer.status
        and bool(content["message"])
    )


def takes_a_good_event(door: Door, name: str) -> float:
    """Post an event as a tool does; returns the seconds it took."""
    started = time.monotonic()
    honest = http.client.HTTPConnection("127.0.0.1", door.up.port, timeout=10)
    path = f"/api/v1/events/sematext/{door.keys['sematext']}"
    body = json.dumps({"description": f"good one after {name}", "backToNormal": "false"})
    honest.request("POST", path, body, {"Content-Type": "application/json"})
    response = honest.getresponse()
    answer = json.loads(response.read())
    honest.close()
    assert (response.status, answer["outcome"] in ("opened", "appended")) == (200, True), answer
    return time.monotonic() - started


@pytest.mark.parametrize("what", QUICK, ids=lambda what: what.name)
def test_a_nasty_request(door: Door, what: Nasty) -> None:
    heard = talk(door, what)
    assert complaints(what, heard) == []
    assert heard.since_last < ANSWERED_WITHIN
    assert takes_a_good_event(door, what.name) < 1


def test_slow_ones_are_ended_while_good_ones_are_taken(door: Door) -> None:
    """All at the same time, twice each; none of them holds up anybody else."""
    with ThreadPoolExecutor(2 * len(SLOW)) as pool:
        talks = [(what, pool.submit(talk, door, what)) for what in SLOW for _ in range(2)]
        slowest = 0.0
        while not all(future.done() for _, future in talks):
            slowest = max(slowest, takes_a_good_event(door, "slow ones"))
            time.sleep(0.05)
    found = []
    for what, future in talks:
        heard = future.result()
        found += [f"{what.name}: {complaint}" for complaint in complaints(what, heard)]
        if heard.since_first > SLOW_ENDS_WITHIN:
            found.append(f"{what.name}: ended after {heard.since_first:.1f} s")
    assert found == []
    assert slowest < 1


@pytest.mark.parametrize("size", [1, 100, 5_000])
def test_a_chunked_body_is_stored_whole(door: Door, size: int) -> None:
    body = json.dumps({"description": f"in chunks of {size}", "details": "0123456789" * 20_000}).encode()
    parts = [body[start : start + size] for start in range(0, len(body), size)] if size > 1 else [body]
    request = nasty.in_chunks(nasty.chunked(*parts))
    (answer,) = talk(door, nasty.one("chunks", nasty.TAKEN, request)).answers
    assert stored(door, json.loads(answer.body)["eventId"]) == body


def test_compressed_bodies_are_stored_as_they_were_meant(door: Door) -> None:
    for what in nasty.CODINGS:
        if what.allowed == nasty.TAKEN and "1 MB" not in what.name:
            (answer,) = talk(door, what).answers
            assert stored(door, json.loads(answer.body)["eventId"]) == nasty.ALERT, what.name


def stored(door: Door, event_id: int) -> bytes:
    with psycopg.connect(paths.database_url(door.up.data_dir)) as connection:
        row = connection.execute("SELECT body FROM incidents_event WHERE id = %s", [event_id]).fetchone()
    assert row
    return bytes(row[0])


def test_the_table_is_long_and_every_name_says_something_else() -> None:
    names = [what.name for what in QUICK + SLOW]
    assert len(names) >= 300
    assert sorted(set(names)) == sorted(names)
