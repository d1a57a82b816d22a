"""What load balancers are told, over real commits."""

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from psycopg import connect

from ilert.common.clock import database_now
from incidents.watch import ready
from incidents.watch.models import Finding, Pulse, Role

pytestmark = pytest.mark.django_db(transaction=True)


def tick(seconds_ago: float = 0) -> None:
    seen = database_now() - timedelta(seconds=seconds_ago)
    Pulse.objects.create(role=Role.TICKER, host="a", pid=1, version="1", started_at=seen, last_seen_at=seen)


def answer() -> tuple[int, dict[str, object]]:
    response = Client().get("/readyz")
    return response.status_code, response.json()


def test_ready_when_all_is_well() -> None:
    tick()
    assert answer() == (200, {"status": "ok", "degraded": []})


def test_trouble_that_keeps_no_event_out_is_told_with_200() -> None:
    tick()
    Finding.objects.create(kind="broker", title="The broker cannot be reached", text="secret", advice="", grave=False)
    Finding.objects.create(kind="untold", title="Over", text="", advice="", grave=True, closed_at=database_now())
    assert answer() == (200, {"status": "degraded", "degraded": ["The broker cannot be reached"]})


def test_a_dead_ticker_is_told_although_no_auditor_is_left_to_find_it() -> None:
    tick(seconds_ago=30)
    assert answer() == (200, {"status": "degraded", "degraded": ["No ticker runs"]})


def test_a_database_that_only_reads_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    commit = ready.commit

    def read_only() -> str:
        connection.cursor().execute("SET default_transaction_read_only = on")
        try:
            return commit()
        finally:
            connection.cursor().execute("RESET default_transaction_read_only")

    monkeypatch.setattr(ready, "commit", read_only)
    assert answer() == (503, {"status": "unavailable", "reason": "the database is read-only"})


def test_a_check_leaves_a_commit_on_the_disk() -> None:
    def flushed() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_wal_flush_lsn()")
            return str(cursor.fetchone()[0])

    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = on")  # the tests' own server is in a hurry
    before = flushed()
    assert ready.commit() == ""
    assert flushed() != before


def test_a_database_that_does_not_answer_is_told_in_time_and_collects_no_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    thaw = threading.Event()
    monkeypatch.setattr(ready, "commit", lambda: thaw.wait(30) and "")
    threads = threading.active_count()
    started = time.monotonic()
    check = ready.Check()
    answers = [check.ask() for _ in range(2)]
    assert time.monotonic() - started < 2 * ready.PATIENCE + 1
    assert {one.obstacle for one in answers} == {"the database did not commit within 2 s"}
    assert threading.active_count() <= threads + 1
    thaw.set()


def test_a_server_that_is_gone_is_told_without_details(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "commit", lambda: connect("host=127.0.0.1 port=1 user=secret"))
    status, content = answer()
    assert status == 503
    assert content["reason"] == "the database cannot be used (OperationalError)"
