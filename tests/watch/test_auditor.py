"""The auditor over the database: findings are opened once, renewed, closed, and told neither too often nor never."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from pytest_django import Settings

from accounts.models import User
from alertsources.models import AlertSource
from ilert.common.clock import database_now
from incidents import lifecycle, services
from incidents.engine import escalation
from incidents.models import Incident, Priority
from incidents.watch import auditor, facts, tell
from incidents.watch.auditor import audit, claim, record
from incidents.watch.facts import Facts
from incidents.watch.guard import Guard, follow
from incidents.watch.judge import Problem
from incidents.watch.models import Audit, Finding, Pulse, Role
from incidents.watch.untold import untold
from notifications.models import Notification, OutboxMail
from oncall.models import EscalationPolicy
from tests.delivering import alert
from tests.servers.http import HttpServer

pytestmark = pytest.mark.django_db
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
BROKER = Problem("broker", "The broker cannot be reached", "It says: refused.", "Start it.")
STUCK = Problem("steps-late", "Escalations stand still", "Due for 40 s.", "Restart.", grave=True)


def test_over_all_tickers_one_audits_each_minute(now: datetime) -> None:
    assert [claim(now), claim(now), claim(now + MINUTE / 2)] == [True, False, False]
    assert [claim(now + MINUTE), claim(now + MINUTE)] == [True, False]


def test_a_clock_that_was_set_back_does_not_silence_the_auditor(now: datetime) -> None:
    claim(now)
    assert claim(now - HOUR)


def test_a_finding_is_opened_renewed_and_closed(now: datetime) -> None:
    record([BROKER], now)
    record([replace(BROKER, text="It says: timed out.")], now + MINUTE)
    row = Finding.objects.get()
    assert (row.opened_at, row.seen_at, row.closed_at, row.text) == (now, now + MINUTE, None, "It says: timed out.")
    record([], now + 2 * MINUTE)
    assert Finding.objects.get().closed_at == now + 2 * MINUTE
    record([BROKER], now + 3 * MINUTE)
    assert Finding.objects.count() == 2


def told(report: auditor.Report) -> list[str]:
    auditor.mark_told(report.tell, report.now)
    return [finding.kind for finding in report.tell]


def test_a_finding_is_told_once_and_a_grave_one_every_hour(now: datetime) -> None:
    assert told(record([BROKER, STUCK], now)) == ["broker", "steps-late"]
    assert told(record([BROKER, STUCK], now + 59 * MINUTE)) == []
    assert told(record([BROKER, STUCK], now + HOUR)) == ["steps-late"]


def test_what_nobody_could_be_told_is_told_by_the_next_audit(now: datetime) -> None:
    record([BROKER], now)
    assert told(record([BROKER], now + MINUTE)) == ["broker"]


def test_what_comes_and_goes_is_told_once_an_hour(now: datetime) -> None:
    assert told(record([BROKER], now)) == ["broker"]
    over = record([], now + MINUTE).over
    assert [finding.kind for finding in over] == ["broker"]
    assert told(record([BROKER], now + 2 * MINUTE)) == []
    assert record([], now + 3 * MINUTE).over == []
    assert told(record([BROKER], now + HOUR)) == ["broker"]


# Telling is done by threads, which see only what is committed.
@pytest.mark.django_db(transaction=True)
def test_admins_are_told_directly_with_what_to_do_and_that_it_is_over(alice: User, bob: User, now: datetime) -> None:
    follow(record([BROKER, STUCK], now), tell.ways())
    mail = OutboxMail.objects.get()
    assert mail.recipients == "alice@example.org"
    assert "The broker cannot be reached (and 1 more)" in mail.subject
    for words in ("It says: refused.", "What to do: Start it.", "Due for 40 s.", "/system"):
        assert words in mail.text
    assert not Notification.objects.exists()
    follow(record([STUCK], now + MINUTE), tell.ways())
    assert "Over: The broker cannot be reached" in OutboxMail.objects.first().subject


@pytest.mark.django_db(transaction=True)
def test_nothing_is_said_when_nothing_is_new(alice: User, now: datetime) -> None:
    follow(record([], now), tell.ways())
    assert not OutboxMail.objects.exists()


def test_the_heartbeat_goes_out_and_stops_while_something_grave_is_open(settings: Settings, now: datetime) -> None:
    Audit.objects.create(pk=1)
    with HttpServer() as watchdog:
        settings.ILERT_HEARTBEAT_URL = f"{watchdog.url}/ping/secret"
        follow(record([BROKER], now), [])
        assert [(request.method, request.path) for request in watchdog.requests] == [("GET", "/ping/secret")]
        assert Audit.objects.get().heartbeat_answer == "HTTP 200"
        follow(record([BROKER, STUCK], now + MINUTE), [])
        assert len(watchdog.requests) == 1
        assert "Held back" in Audit.objects.get().heartbeat_answer
        follow(record([], now + 2 * MINUTE), [])
        assert len(watchdog.requests) == 2


def test_a_watchdog_that_does_not_answer_holds_nothing_up(settings: Settings, now: datetime) -> None:
    Audit.objects.create(pk=1)
    settings.ILERT_HEARTBEAT_URL = "http://127.0.0.1:1/secret"
    follow(record([], now), [])
    assert Audit.objects.get().heartbeat_answer == "No connection to 127.0.0.1:1: Connection refused."


def test_a_database_that_is_away_is_told_after_a_minute(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = [0.0]
    monkeypatch.setattr("incidents.watch.guard.time.monotonic", lambda: moment[0])
    sent: list[str] = []
    monkeypatch.setattr(tell, "send", lambda message, to: sent.append(f"{message.title}: {len(to)} ways"))
    guard = Guard()
    guard._ways = tell.ways()
    monkeypatch.setattr(Guard, "_start", lambda self, work: work())
    for moment[0] in (100.0, 159.0, 160.0, 161.0, 3759.0, 3760.0):
        guard.failed(OSError("server closed the connection"))
    assert sent == ["ilert itself: the database cannot be used: 1 ways"] * 2


# What only the database can answer.


def test_an_installation_at_work_has_no_findings(source: AlertSource, alice: User) -> None:
    alert(source)
    now = database_now()
    escalation.escalate_due(lambda: now)
    for role in Role:
        Pulse.objects.create(role=role, host="a", pid=1, version="1", started_at=now, last_seen_at=now)
    report = audit(now)
    assert (report.tell, report.over, report.grave) == ([], [], False)
    row = Audit.objects.get()
    assert row.finished_at == now


def test_a_stuck_step_is_found(source: AlertSource, alice: User) -> None:
    alert(source)
    now = database_now() + timedelta(seconds=40)
    report = audit(now)
    assert "steps-late" in [finding.kind for finding in report.tell]
    assert report.grave
    escalation.escalate_due(lambda: now)
    assert audit(now + timedelta(seconds=1)).over == []
    assert not Finding.objects.filter(kind="steps-late", closed_at=None).exists()


def test_late_messages_and_leases_are_found(source: AlertSource, alice: User) -> None:
    alert(source)
    now = database_now()
    escalation.escalate_due(lambda: now)
    assert facts.waiting(now + timedelta(seconds=50))[0].channel == "email"
    message = Notification.objects.get()
    message.state, message.lease_until, message.due_at = "sending", now, now
    message.save()
    assert facts.over_leases(now + timedelta(seconds=14)) == 0
    assert facts.over_leases(now + timedelta(seconds=16)) == 1


def test_a_broker_that_is_away_is_found_in_time(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert facts.broker().error == ""
    monkeypatch.setattr("celery.current_app.conf.broker_read_url", "redis://127.0.0.1:1/0")
    found = facts.broker()
    assert "refused" in found.error.lower()
    assert found.milliseconds < 2000


# Open incidents that nobody is told about.


@pytest.fixture
def incident(source: AlertSource) -> Incident:
    alert(source)
    escalation.escalate_due(database_now)
    return Incident.objects.get()


def found_untold(after: timedelta = 2 * MINUTE) -> list[int]:
    return untold(database_now() + after, Audit(pk=1))


def test_an_incident_that_escalates_is_told_about(incident: Incident) -> None:
    assert found_untold() == []


def test_a_high_incident_that_nothing_is_due_for_is_untold(incident: Incident) -> None:
    Incident.objects.update(next_escalation_at=None)
    assert found_untold() == [incident.pk]
    assert found_untold(timedelta(seconds=30)) == []
    Incident.objects.update(status=2, accepted_at=database_now())
    assert found_untold() == []


def test_an_accepted_incident_that_waits_to_ask_again_has_somebody(incident: Incident, alice: User) -> None:
    now = database_now()
    EscalationPolicy.objects.update(accept_timeout_minutes=1440)
    Incident.objects.update(run=None)
    services.accept(incident.pk, alice, now)
    assert Incident.objects.get().next_escalation_at == now + timedelta(days=1)
    assert found_untold() == []
    Incident.objects.update(next_escalation_at=now + timedelta(days=30))
    assert found_untold() == [incident.pk]


def test_a_step_that_is_absurdly_late_is_untold(incident: Incident) -> None:
    Incident.objects.update(next_escalation_at=database_now() + timedelta(days=30))
    assert found_untold() == [incident.pk]


def test_a_long_snooze_is_somebodys_wish(incident: Incident, alice: User) -> None:
    now = database_now()
    lifecycle.snooze(incident.pk, now + timedelta(days=20), alice, now)
    assert found_untold() == []
    Incident.objects.update(next_escalation_at=now + timedelta(days=21))
    assert found_untold() == [incident.pk]


@pytest.mark.parametrize(
    ("state", "is_untold"),
    [("planned", False), ("accepted", False), ("delivered", False), ("failed", True), ("cancelled", True)],
)
def test_a_low_incident_is_untold_if_no_message_went_out(incident: Incident, state: str, is_untold: bool) -> None:
    Incident.objects.update(next_escalation_at=None, priority=Priority.LOW)
    due = {"due_at": database_now()} if state == "planned" else {"due_at": None}
    Notification.objects.update(state=state, **due)
    assert found_untold() == ([incident.pk] if is_untold else [])


def test_every_resting_incident_has_its_turn(incident: Incident, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("incidents.watch.untold.NEWEST", 1)
    monkeypatch.setattr("incidents.watch.untold.SLICE", 2)
    Notification.objects.update(state="failed", due_at=None)
    Incident.objects.update(next_escalation_at=None, priority=Priority.LOW)
    for number in range(4):
        copy = Incident.objects.get(pk=incident.pk)
        copy.pk, copy.key_hash = None, bytes([number])
        copy.save()
    row, seen = Audit(pk=1), set()
    for _ in range(3):
        found = untold(database_now() + 2 * MINUTE, row)
        assert len(found) <= 3
        seen |= set(found)
    assert seen == set(Incident.objects.values_list("pk", flat=True))


def test_facts_are_collected_from_the_real_things(db: None) -> None:
    found: Facts = facts.collect(database_now())
    assert found.database.version.split(".")[0].isdigit()
    assert 0 < found.database.connections <= found.database.max_connections
    assert found.database.size > 1_000_000
    assert found.broker.error == ""
