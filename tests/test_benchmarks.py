"""The benchmark's own instruments: figures are only worth what these are."""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from alertsources.models import AlertSource
from benchmarks.client import NO_ANSWER, REFUSED, Answer, Plan, run
from benchmarks.measured import Kept, Latency, Measured, latency, medians
from benchmarks.traffic import Alerts, InTurn, Pairs
from benchmarks.verify import check
from incidents.models import Event, Incident, Outcome


def test_every_request_says_its_own_length() -> None:
    for traffic in (Alerts("/a"), InTurn(["/a", "/b"], keys=2), Pairs("/a", keys=2, pairs=2)):
        made = traffic.next(0)
        assert made
        head, body = made[1].split(b"\r\n\r\n")
        assert f"content-length: {len(body)}" in head.decode().lower()
        assert traffic.prefix in json.loads(body)["description"]


def test_many_sources_take_turns() -> None:
    traffic = InTurn([f"/{place}" for place in range(50)], keys=2)
    labels = Counter(made[0] for _ in range(200) if (made := traffic.next(0)))
    assert labels == Counter({(source, key): 2 for source in range(50) for key in range(2)})


def test_a_connection_resolves_what_it_has_triggered_before_it_goes_on() -> None:
    traffic = Pairs("/a", keys=3, pairs=4)
    told = [[made[0][1] for _ in range(4) if (made := traffic.next(number))] for number in (0, 1)]
    assert told == [[0, 0, 1, 1], [2, 2, 0, 0]]
    assert traffic.next(0) is None


class Server:
    """Answers one request on each connection with 200 and closes it, or closes it without a word."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.seen: list[bytes] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                accepted, _ = self.socket.accept()
            except OSError:
                return
            with accepted:
                request = accepted.recv(65536)
                self.seen.append(request)
                if len(self.seen) % 2:
                    # In two pieces, cut inside of the head.
                    accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")
                    accepted.sendall(b"ngth: 2\r\nConnection: close\r\n\r\n{}")


def test_the_client_counts_what_was_answered_and_what_was_not() -> None:
    server = Server()
    result = run(Plan(server.port, Pairs("/a", keys=1, pairs=5), 1, seconds=10))
    assert [answer.status for answer in result.answers] == [200, NO_ANSWER] * 5
    assert len(server.seen) == 10
    server.socket.close()


def test_the_client_says_when_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    result = run(Plan(port, Pairs("/a", keys=1, pairs=1), 1, seconds=10))
    assert [answer.status for answer in result.answers] == [REFUSED, REFUSED]


def test_at_a_fixed_rate_a_wait_counts_for_all_that_were_due() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        plan = Plan(silent.getsockname()[1], Alerts("/a"), 1, seconds=0.5, rate=100, patience=0.2)
        result = run(plan)
    assert result.answers
    assert len(result.answers) + result.unsent == pytest.approx(50, abs=2)
    assert max(answer.latency for answer in result.answers) > 0.2


@pytest.mark.django_db(transaction=True)
def test_a_missing_event_and_a_second_incident_are_found(source: AlertSource) -> None:
    url = _url()
    policy = source.escalation_policy
    for place in range(2):
        key = bytes([place]) * 32
        Incident.objects.create(
            alert_source=source, escalation_policy=policy, summary="Disk of web-abc-00000001", key_hash=key
        )
    event = Event.objects.create(alert_source=source, outcome=Outcome.OPENED, received_at=timezone.now())
    event.refresh_from_db()
    answers = [_answer(event.pk, 1), _answer(event.pk + 1, 1)]
    found = check(url, answers, "abc")
    assert found.lost == {event.pk + 1}
    assert (found.acknowledged, found.keys, found.incidents) == (2, 1, 2)


def _answer(event_id: int, key: int) -> Answer:
    content = {"status": "ok", "eventId": event_id, "events": [{"eventId": event_id}]}
    return Answer((0, key), 0, 0, 0, 200, json.dumps(content).encode())


def _url() -> str:
    """The test database, as another process would reach it."""
    known = connection.get_connection_params()
    names = ("host", "port", "dbname", "user", "password")
    return psycopg.conninfo.make_conninfo(**{name: known[name] for name in names if name in known})


def test_medians_are_of_runs_of_the_same_place() -> None:
    def measured(system: str, rate: float) -> Measured:
        return Measured(system, "one", 64, rate, Latency(rate), {"web": rate}, Kept(1, 0, 1, 1))

    rows = medians([measured("lane", rate) for rate in (1, 9, 2)] + [measured("drf", 5)])
    assert [(row.system, row.rate, row.latency.p50) for row in rows] == [("lane", 2, 2), ("drf", 5, 5)]
    assert rows[0].kept.acknowledged == 3


def test_percentiles_are_in_milliseconds() -> None:
    assert latency([place / 1000 for place in range(1, 101)]) == Latency(51.0, 96.0, 100.0, 100.0)
