"""Many requests in one transaction: what each becomes, and that none suffers from another."""

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import pytest
from django.db import DataError, connection, connections
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from alertsources.models import AlertSource, Grouping
from alertsources.services import Options, create_source
from incidents import lifecycle, services
from incidents.engine.escalation import escalate_due
from incidents.intake import commit as committing
from incidents.intake.admission import read
from incidents.intake.answers import Answer
from incidents.intake.apply import apply
from incidents.intake.batch import Request, items, waves
from incidents.intake.commit import commit
from incidents.models import Event, Incident, Outcome, Priority, Status
from integrations import EventType, Payload
from oncall.models import EscalationPolicy

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(policy: EscalationPolicy) -> AlertSource:
    return create_source("Own scripts", "API", policy)


def request(source: AlertSource, key: str, kind: str = "ALERT", **fields: str) -> Request:
    body = {"eventType": kind, "summary": f"{key} is broken", "alertKey": key} | fields
    return read(source, Payload(json.dumps(body).encode(), "application/json"))


def outcomes(requests: list[Request]) -> list[str]:
    return [one.outcome.value for results in apply(requests) for one in results or ()]


def test_alerts_of_one_key_are_folded_into_one_incident(api: AlertSource) -> None:
    assert outcomes([request(api, key) for key in ("a", "b", "A", "a ", "b")]) == [
        "opened", "opened", "appended", "appended", "appended",
    ]  # fmt: skip
    assert dict(Incident.objects.values_list("incident_key", "event_count")) == {"a": 3, "b": 2}
    assert [event.incident.incident_key for event in Event.objects.order_by("pk")] == ["a", "b", "a", "a", "b"]
    assert outcomes([request(api, "a")]) == ["appended"]


def test_a_batch_of_alerts_is_one_statement_whatever_is_in_it(api: AlertSource, source: AlertSource) -> None:
    each = create_source("Each", "API", source.escalation_policy, Options(grouping=Grouping.EVENT))
    batch = [request(one, key) for one in (api, each) for key in ("a", "b", "a")]
    with CaptureQueriesContext(connection) as queries, connection.execute_wrapper(lambda *_: pytest.fail("ORM")):
        assert outcomes(batch) == ["opened", "opened", "appended", "opened", "opened", "opened"]
    assert not queries.captured_queries
    assert Incident.objects.count() == 5


def test_the_highest_priority_of_a_fold_counts(api: AlertSource) -> None:
    apply([request(api, "a", priority="LOW"), request(api, "a", priority="HIGH"), request(api, "a", priority="LOW")])
    apply([request(api, "b", priority="LOW"), request(api, "b", priority="LOW")])
    apply([request(api, "c", priority="LOW"), request(api, "c")])
    assert dict(Incident.objects.values_list("incident_key", "priority")) == {"a": "high", "b": "low", "c": "high"}


def test_a_high_event_ends_the_snooze_of_a_low_incident_and_says_what_it_raised(api: AlertSource, alice: User) -> None:
    apply([request(api, "a", priority="LOW"), request(api, "b", priority="LOW")])
    for incident in Incident.objects.all():
        now = incident.reported_at
        lifecycle.snooze(incident.pk, now + timedelta(hours=4), alice, now)
    apply([request(api, "a", priority="HIGH"), request(api, "a", priority="HIGH"), request(api, "b", priority="LOW")])
    apply([request(api, "a", priority="HIGH")])
    raised, other = Incident.objects.order_by("incident_key")
    assert (raised.priority, raised.snoozed_until) == (Priority.HIGH, None)
    assert other.snoozed_until is not None
    (event,) = Event.objects.exclude(reason="")
    assert (event.incident, event.reason) == (raised, "It made the priority high.")
    assert event.pk == raised.events.order_by("pk")[1].pk


def test_a_high_event_raises_an_accepted_incident_that_asks_again(
    api: AlertSource, policy: EscalationPolicy, alice: User, bob: User
) -> None:
    """It goes on asking: the event is not a person who does something, and anybody may take it over."""
    EscalationPolicy.objects.update(accept_timeout_minutes=10)
    apply([request(api, "a", priority="LOW")])
    incident = Incident.objects.get()
    now = incident.reported_at
    escalate_due(lambda: now)
    services.accept(incident.pk, alice, now)
    escalate_due(lambda: now + timedelta(minutes=10))
    apply([request(api, "a", priority="HIGH"), request(api, "a", priority="HIGH")])
    apply([request(api, "a", priority="HIGH"), request(api, "a", priority="LOW")])
    incident.refresh_from_db()
    assert (incident.priority, incident.asks_again) == (Priority.HIGH, True)
    assert incident.next_escalation_at == now + timedelta(minutes=20)
    (event,) = Event.objects.exclude(reason="")
    assert (event.pk, event.reason) == (incident.events.order_by("pk")[1].pk, "It made the priority high.")
    assert services.accept(incident.pk, bob, now + timedelta(minutes=11)).changed
    services.resolve(incident.pk, bob, now + timedelta(minutes=12))
    lifecycle.reopen(incident.pk, alice, now + timedelta(minutes=12))
    incident.refresh_from_db()
    assert (incident.run["single_level"], "raised_at" in incident.run) == (False, False)


def test_a_high_event_raises_an_accepted_incident_that_has_asked_nobody_yet(api: AlertSource) -> None:
    apply([request(api, "a", priority="LOW"), request(api, "a", "ACCEPT"), request(api, "a", priority="HIGH")])
    incident = Incident.objects.get()
    assert (incident.status, incident.priority, incident.run) == (Status.ACCEPTED, Priority.HIGH, None)


def test_events_of_one_key_keep_their_order(api: AlertSource) -> None:
    kinds = ["ALERT", "RESOLVE", "ALERT", "ACCEPT", "RESOLVE", "RESOLVE", "ALERT"]
    assert outcomes([request(api, "a", kind) for kind in kinds]) == [
        "opened", "resolved", "opened", "accepted", "resolved", "ignored", "opened",
    ]  # fmt: skip
    assert sorted(Incident.objects.values_list("status", flat=True)) == [Status.PENDING, *[Status.RESOLVED] * 2]


def test_a_batch_has_as_few_waves_as_its_keys_need(api: AlertSource) -> None:
    batch = items([request(api, f"k{number % 10}", kind) for kind in ("ALERT", "RESOLVE") for number in range(50)])
    assert [len(wave) for wave in waves(batch)] == [50, 50]
    flapping = items([request(api, f"k{number // 4}", ("ALERT", "RESOLVE")[number % 2]) for number in range(40)])
    parts = waves(flapping)
    assert len(parts) == 4
    assert all(len({item.is_alert for item in part}) == 1 for part in parts)
    for key in range(10):
        places = [item.place for part in parts for item in part if item.event.key == f"k{key}"]
        assert all(one < two for one, two in pairwise(places))


@pytest.mark.parametrize("kind", ["RESOLVE", "ACCEPT"])
def test_a_storm_of_recoveries_takes_as_many_queries_as_one(api: AlertSource, kind: str) -> None:
    def queries(count: int) -> int:
        apply([request(api, f"{count} {number}") for number in range(count)])
        with CaptureQueriesContext(connection) as captured:
            assert set(outcomes([request(api, f"{count} {number}", kind) for number in range(count)])) == {
                f"{kind.lower()}{'d' if kind == 'RESOLVE' else 'ed'}"
            }
        return len(captured)

    assert queries(200) == queries(1)


def test_everything_in_one_batch_is_what_it_is_one_by_one(api: AlertSource, source: AlertSource) -> None:
    def story(suffix: str) -> list[Request]:
        return [
            request(api, f"a{suffix}"),
            request(api, f"x{suffix}", "RESOLVE"),
            request(api, f"a{suffix}", "COMMENT"),
            read(api, Payload(b"{")),
            request(api, f"a{suffix}", "ACCEPT"),
            request(api, f"a{suffix}"),
            request(api, f"a{suffix}", "ACCEPT"),
            request(api, f"b{suffix}"),
            request(api, f"a{suffix}", "RESOLVE"),
            request(api, f"a{suffix}", "RESOLVE"),
            request(api, f"a{suffix}", "COMMENT"),
            request(api, f"b{suffix}", "RESOLVE"),
        ]

    together = [
        (answer.status, answer.content.get("outcome"), answer.content.get("code")) for answer in commit(story(" t"))
    ]
    alone = [
        (answer.status, answer.content.get("outcome"), answer.content.get("code"))
        for one in story(" a")
        for answer in commit([one])
    ]
    assert together == alone


def test_a_recovery_by_scope_sees_what_the_batch_has_resolved_before(source: AlertSource) -> None:
    def sematext(description: str, over: str) -> Request:
        body = {"description": description, "backToNormal": over, "applicationId": "1", "ruleType": "T"}
        return read(source, Payload(json.dumps(body).encode()))

    apply([sematext(f"disk {letter} full", "false") for letter in "abc"])
    ends = [sematext("unknown", "true"), sematext("disk a full", "true"), sematext("disk b full", "true")]
    assert outcomes([*ends, sematext("unknown", "true"), sematext("unknown", "true")]) == [
        "ambiguous", "resolved", "resolved", "resolved", "ignored",
    ]  # fmt: skip


def test_a_source_that_is_gone_fails_nobody_else(api: AlertSource, source: AlertSource) -> None:
    gone = request(api, "a")
    other = read(source, Payload(b'{"description": "disk full"}'))
    AlertSource.objects.filter(pk=api.pk).update(active=False)
    for batch in ([gone, other], [gone, other, request(api, "b", "RESOLVE")]):
        assert [answer.status for answer in commit(batch)][:2] == [404, 200]
    assert not Incident.objects.filter(alert_source=api).exists()


def test_options_changed_behind_the_cache_count(api: AlertSource, policy: EscalationPolicy) -> None:
    old = request(api, "a")
    other = EscalationPolicy.objects.create(name="Other")
    AlertSource.objects.filter(pk=api.pk).update(escalation_policy=other, priority="low", auto_resolution_minutes=10)
    apply([old])
    incident = Incident.objects.get()
    assert (incident.escalation_policy, incident.priority) == (other, "low")
    assert incident.auto_resolve_at is not None


@pytest.mark.parametrize("kinds", [("ALERT", "ALERT"), ("ALERT", "RESOLVE")])
def test_a_poison_event_fails_alone(
    api: AlertSource, kinds: tuple[str, str], monkeypatch: pytest.MonkeyPatch, transactional_db: None
) -> None:
    def poisoned(requests: list[Request]) -> object:
        results = apply(requests)
        if any(request.prepared.events[0].key == "poison" for request in requests):
            raise DataError("invalid something")
        return results

    monkeypatch.setattr(committing, "apply", lambda requests: _in_transaction(poisoned, requests))
    batch = [request(api, "poison" if number == 3 else f"k{number}", kinds[number % 2]) for number in range(9)]
    statuses = [answer.status for answer in commit(batch)]
    assert statuses[3] == 202
    assert all(status < 500 and status != 202 for place, status in enumerate(statuses) if place != 3)
    assert Event.objects.get(incident_key="poison").outcome == Outcome.FAILED


def _in_transaction(function: Callable, requests: list[Request]) -> object:
    from django.db import transaction

    with transaction.atomic():
        return function(requests)


def test_a_deadlock_is_tried_again(api: AlertSource, monkeypatch: pytest.MonkeyPatch) -> None:
    import psycopg
    from django.db import OperationalError

    failures = [psycopg.errors.DeadlockDetected(), psycopg.errors.SerializationFailure()]

    def unlucky(requests: list[Request]) -> object:
        if failures:
            raise OperationalError from failures.pop()
        return apply(requests)

    monkeypatch.setattr(committing, "apply", unlucky)
    assert commit([request(api, "a")])[0].status == 200


@pytest.mark.django_db(transaction=True)
def test_committers_beside_each_other_open_one_incident_for_each_key(api: AlertSource) -> None:
    """Two processes, whose batches hold the same ten keys in any order, triggers and recoveries."""
    answers: list[Answer] = []

    def process(start: int) -> None:
        try:
            for turn in range(30):
                keys = [f"k{(start + turn * 7 + step * 3) % 10}" for step in range(20)]
                kinds = ["ALERT", "RESOLVE"] if turn % 2 else ["ALERT"]
                answers.extend(commit([request(api, key, kind) for key in keys for kind in kinds]))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=process, args=[start]) for start in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 3 * 15 * 60
    assert {answer.status for answer in answers} <= {200, 400}
    said = [(answer.content["outcome"]) for answer in answers if answer.status == 200]
    assert said.count("opened") == Incident.objects.count()
    assert said.count("resolved") == Incident.objects.filter(status=Status.RESOLVED).count()
    assert Event.objects.count() == len(answers)
    assert Event.objects.filter(outcome=Outcome.OPENED, type=EventType.ALERT).count() == Incident.objects.count()
