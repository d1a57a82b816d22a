"""The engine under what goes wrong: poison, locks, many hands at once, and a ticker that nothing may hold."""

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from alertsources.models import AlertSource
from ilert.common.clock import database_now
from incidents import tasks
from incidents.engine import escalation, ticker
from incidents.engine import run as runs
from incidents.engine.dispatcher import Dispatcher
from incidents.models import Incident, LogEntry
from incidents.timeline import section
from notifications.models import Notification
from oncall.models import EscalationPolicy
from oncall.services import RuleData, replace_rules, snapshot

MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _nobody_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here it is about steps. A dispatcher's thread would not see what a test has not committed."""
    monkeypatch.setattr(Dispatcher, "ask", lambda dispatcher: None)


class SilentBell:
    def __init__(self) -> None:
        self.rings = 0

    def ring(self) -> None:
        self.rings += 1


@pytest.fixture
def heartbeat() -> Iterator[ticker.Ticker]:
    beating = ticker.Ticker(SilentBell())
    yield beating
    beating.close()


def open_incidents(source: AlertSource, count: int, due_at: datetime) -> list[Incident]:
    return Incident.objects.bulk_create(
        Incident(
            alert_source=source, escalation_policy=source.escalation_policy, summary=f"problem {number}",
            incident_key=f"{number}", key_hash=f"{number}".encode(), next_escalation_at=due_at,
        )
        for number in range(count)
    )  # fmt: skip


def told(incident: Incident) -> list[str]:
    rows = Notification.objects.filter(log_entries__incident=incident).order_by("created_at")
    return [f"{row.user_name}: {row.title}" for row in rows]


POISON = {
    "rules are no list": {"rules": "rubbish"},
    "no object": ["a list"],
    "a person is no number": {"rules": [{"users": ["x"], "minutes": 5}]},
    # Makes a key that the database refuses: the whole statement fails, not only this row.
    "a key too long": {"number": "9" * 300},
}


@pytest.mark.django_db
@pytest.mark.parametrize("poison", POISON.values(), ids=POISON.keys())
def test_a_poisoned_incident_keeps_no_other_from_its_step(source, alice: User, now, poison: Any) -> None:
    broken, *healthy = open_incidents(source, 4, now - MINUTE / 6)
    if isinstance(poison, dict):
        poison = runs.begin(snapshot(source.escalation_policy), number=1, single_level=False) | poison
    Incident.objects.filter(pk=broken.pk).update(run=poison, next_escalation_at=now - MINUTE)

    escalation.escalate_due(lambda: now)

    assert [told(incident) for incident in healthy] == [
        [f"Alice: problem {number} [Sematext production]"] for number in (1, 2, 3)
    ]
    # Set aside, and somebody knows.
    assert told(broken) == ["Alice: Escalation failed, look at it yourself: problem 0 [Sematext production]"]
    assert "A fault of ilert's own" in section(broken).items[-1].sentence
    broken.refresh_from_db()
    assert broken.next_escalation_at == now + MINUTE

    # The escalation starts again, and goes its way to the end.
    escalation.escalate_due(lambda: now + MINUTE)
    escalation.escalate_due(lambda: now + MINUTE * 11)
    assert [line.split(":")[0] for line in told(broken)] == ["Alice", "Alice", "Bob"]


@pytest.mark.django_db
def test_what_falls_due_meanwhile_comes_along(source: AlertSource, now: datetime) -> None:
    for late, incident in enumerate(open_incidents(source, 3, now)):
        Incident.objects.filter(pk=incident.pk).update(next_escalation_at=now + late * 1.5 * MINUTE)
    moments = [now, now + 2 * MINUTE]
    assert escalation.escalate_due(lambda: moments.pop(0) if len(moments) > 1 else moments[0]) == 2
    asked = LogEntry.objects.filter(kind="level.asked").order_by("pk")
    assert list(asked.values_list("created_at", flat=True)) == [now, now + 2 * MINUTE]


@pytest.mark.django_db
def test_of_many_steps_the_first_are_told_while_the_rest_are_taken(
    source: AlertSource, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[int] = []
    due = Incident.objects.filter(next_escalation_at__lte=now)
    monkeypatch.setattr(escalation, "BATCH", 2)
    monkeypatch.setattr(Dispatcher, "ask", lambda dispatcher: left.append(due.count()))
    open_incidents(source, 6, now)
    tasks.work_due()
    assert left == [4, 0]


@pytest.mark.django_db
def test_steps_are_taken_whether_or_not_anybody_can_be_called_to_help(
    source: AlertSource, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("neither broker nor thread")

    monkeypatch.setattr(escalation, "BATCH", 2)
    monkeypatch.setattr(Dispatcher, "ask", fails)
    monkeypatch.setattr(tasks.take_steps, "apply_async", fails)
    open_incidents(source, 6, now)
    tasks.work_due()
    assert Notification.objects.count() == 6


@pytest.mark.django_db(transaction=True)
def test_many_hands_tell_everybody_once(source: AlertSource, alice: User, now: datetime, monkeypatch) -> None:
    monkeypatch.setattr(escalation, "BATCH", 7)
    open_incidents(source, 120, now)
    counts: list[int] = []

    def work() -> None:
        counts.append(escalation.escalate_due(lambda: now))
        connection.close()

    hands = [threading.Thread(target=work) for _ in range(4)]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    assert sum(counts) == 120
    assert Notification.objects.count() == 120
    assert LogEntry.objects.filter(kind="level.asked").count() == 120


@pytest.mark.django_db(transaction=True)
def test_a_person_whose_row_is_held_delays_nobody_else(source, policy: EscalationPolicy, bob: User, now) -> None:
    other = EscalationPolicy.objects.create(name="Other")
    replace_rules(other, [RuleData(5, [bob.pk])])
    first, second = open_incidents(source, 2, now)
    Incident.objects.filter(pk=second.pk).update(escalation_policy=other)
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            User.objects.select_for_update().get(name="Alice")
            held.set()
            go_on.wait(10)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    try:
        assert escalation.escalate_batch(now) == 1
        assert (told(first), len(told(second))) == ([], 1)
    finally:
        go_on.set()
        holder.join()
    assert escalation.escalate_batch(now) == 1
    assert len(told(first)) == 1


@pytest.mark.django_db
def test_more_than_one_batch_calls_the_other_processes(source: AlertSource, now: datetime, monkeypatch) -> None:
    called = []
    monkeypatch.setattr(escalation, "BATCH", 10)
    monkeypatch.setattr(tasks.take_steps, "apply_async", lambda **options: called.append(options))
    open_incidents(source, 9, now)
    tasks.work_due()
    assert called == []
    Incident.objects.update(next_escalation_at=now)
    open_incidents(AlertSource.objects.create(name="2", escalation_policy=source.escalation_policy), 30, now)
    tasks.work_due()
    assert len(called) == tasks.HELPERS
    assert not Incident.objects.filter(next_escalation_at__lte=now).exists()


@pytest.mark.django_db
def test_ten_thousand_stale_incidents_end_in_batches(source: AlertSource, now: datetime) -> None:
    open_incidents(source, 450, now + MINUTE)
    Incident.objects.update(auto_resolve_at=now)
    tasks.work_due()
    assert not Incident.objects.filter(resolved_at__isnull=True).exists()
    assert LogEntry.objects.filter(kind="resolved.auto").count() == 450


@pytest.mark.django_db
def test_the_next_tick_is_when_the_next_step_falls_due(source, now: datetime, heartbeat: ticker.Ticker) -> None:
    assert heartbeat.tick(now) == ticker.INTERVAL
    open_incidents(source, 1, now + timedelta(milliseconds=300))
    assert heartbeat.tick(now) == timedelta(milliseconds=300)
    assert heartbeat.tick(now + timedelta(milliseconds=299)) == ticker.SHORTEST
    assert heartbeat._bell.rings == 0
    assert heartbeat.tick(now + timedelta(milliseconds=300)) == ticker.BUSY
    assert heartbeat._bell.rings == 1


@pytest.mark.django_db
def test_a_tick_without_work_costs_three_short_queries(source, now, heartbeat: ticker.Ticker) -> None:
    open_incidents(source, 3, now + MINUTE)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        heartbeat.tick(now)
    assert len(queries) == 3


@pytest.mark.django_db(transaction=True)
def test_work_in_the_ticker_does_not_hold_the_tick(source: AlertSource, monkeypatch) -> None:
    started, go_on = threading.Event(), threading.Event()

    def endless() -> None:
        started.set()
        go_on.wait(30)

    monkeypatch.setattr(ticker, "take_late_steps", endless)
    heartbeat = ticker.Ticker(bell := SilentBell())
    open_incidents(source, 1, database_now() - ticker.PATIENCE * 2)
    heartbeat.tick(database_now())
    assert started.wait(10)
    for _ in range(3):
        heartbeat.tick(database_now())
    assert bell.rings == 4
    # Once more, however often it was asked.
    assert heartbeat._engine._thread._work_queue.qsize() == 1
    go_on.set()
    heartbeat.close()


@pytest.mark.django_db
def test_the_ticker_leaves_to_the_workers_what_is_not_late(source: AlertSource) -> None:
    late, fresh = open_incidents(source, 2, database_now())
    Incident.objects.filter(pk=late.pk).update(next_escalation_at=database_now() - ticker.PATIENCE * 2)
    escalation_batch = escalation.BATCH
    try:
        escalation.BATCH = 1
        ticker.take_late_steps()
    finally:
        escalation.BATCH = escalation_batch
    assert (len(told(late)), told(fresh)) == (1, [])
