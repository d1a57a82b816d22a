"""A fault of ours: the event is kept, somebody is told, and it is applied later, once, at its place in the order."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client

from accounts.models import User
from alertsources import services as sources
from alertsources.models import AlertSource
from ilert.common.clock import database_now
from incidents import services
from incidents.engine import delivery
from incidents.engine.bell import Bell
from incidents.engine.ticker import Ticker
from incidents.intake import again, failed, store, verdicts
from incidents.intake.again import Fate, process, process_all, retry_failed
from incidents.intake.answers import Answer
from incidents.intake.batch import Request
from incidents.intake.commit import commit
from incidents.intake.prepare import Prepared
from incidents.intake.receive import receive
from incidents.models import Event, FailedRequest, Incident, Outcome, Status
from integrations import Event as Said
from integrations import EventType, Payload
from integrations.sematext import Sematext
from notifications.models import Notification, OutboxMail
from tests.faults.running import eventually
from tests.payloads import payload

pytestmark = pytest.mark.django_db


@pytest.fixture
def bug(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """A fault of ours that strikes whatever says "poison", for as long as it is there."""
    here = [True]

    def struck(what: Callable[..., Any]) -> Callable[..., Any]:
        def strike(batch: Any, *args: Any) -> Any:
            if here[0] and any("poison" in item.event.summary for item in batch):
                raise KeyError("poison il1smt2222222222222222222222222222")
            return what(batch, *args)

        return strike

    monkeypatch.setattr(store, "alerts", struck(store.alerts))
    monkeypatch.setattr(verdicts, "carry_out", struck(verdicts.carry_out))
    return lambda there: here.__setitem__(0, there)


@pytest.fixture(autouse=True)
def _quiet_bell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bell, "ring", lambda self: None)


def post(source: AlertSource, description: str, over: str = "false", key: str = "disk") -> Answer:
    body = payload("sematext", "with_rule_id", description=description, backToNormal=over, ruleId=key)
    return receive("sematext", source.integration_key, "POST", Payload(body, "application/json"))


def later(minutes: float = 60) -> Any:
    return database_now() + timedelta(minutes=minutes)


def test_what_our_fault_keeps_from_being_applied_is_stored_and_answered_202(bug, source: AlertSource) -> None:
    answer = post(source, "poison on web-1")
    event = Event.objects.get()
    assert (answer.status, answer.content) == (202, {"status": "stored", "eventId": event.pk})
    assert (event.outcome, event.summary) == (Outcome.FAILED, "poison on web-1")
    assert b"poison on web-1" in bytes(event.body)
    assert "KeyError in tests/intake/test_failed.py, line" in event.reason
    assert "il1smt" not in event.reason
    assert not Incident.objects.exists()


def test_it_is_tried_again_and_becomes_what_it_should_have_been(bug, source: AlertSource, policy) -> None:
    answer = post(source, "poison on web-1")
    bug(False)
    assert again.oldest_due_at(database_now()) is None
    now = later(0.5)
    assert again.oldest_due_at(now)
    assert retry_failed(now) == 1
    event, incident = Event.objects.get(), Incident.objects.get()
    assert (event.pk, event.outcome, event.incident) == (answer.content["eventId"], Outcome.OPENED, incident)
    assert "late, after a fault of ilert's own" in event.reason
    assert b"poison" in bytes(event.body)
    assert (incident.event_count, incident.escalation_policy, incident.next_escalation_at is not None) == (
        1,
        policy,
        True,
    )
    assert not FailedRequest.objects.exists()
    assert retry_failed(later(90)) == 0


def test_what_fails_again_waits_longer_and_longer_but_never_for_good(bug, source: AlertSource) -> None:
    post(source, "poison")
    waits = []
    for _ in range(12):
        now = FailedRequest.objects.get().next_attempt_at
        assert retry_failed(now) == 0
        waits.append((FailedRequest.objects.get().next_attempt_at - now).total_seconds())
    assert waits[:4] == [20, 40, 80, 160]
    assert waits[-1] == 3600
    assert FailedRequest.objects.get().attempts == 12
    bug(False)
    assert retry_failed(FailedRequest.objects.get().next_attempt_at) == 1


@pytest.mark.django_db(transaction=True)
def test_the_ticker_does_it_when_no_worker_does(bug, source: AlertSource) -> None:
    post(source, "poison")
    bug(False)
    FailedRequest.objects.update(next_attempt_at=database_now())
    ticker = Ticker(Bell())
    running = threading.Thread(target=lambda: (ticker.run(), connection.close()))
    running.start()
    eventually(lambda: not FailedRequest.objects.exists(), 10, "the retry")
    ticker.stop()
    running.join()
    assert Incident.objects.count() == 1


def test_admins_are_told_at_once_and_once_an_hour_for_each_source(bug, source, alice: User, bob: User, policy) -> None:
    other = sources.create_source("Other", "SEMATEXT", policy)
    for one in (source, source, other):
        post(one, "poison")
    delivery.deliver_due()
    assert sorted(mail.subject for mail in OutboxMail.objects.all()) == [
        "ilert cannot apply an event of Other",
        f"ilert cannot apply an event of {source.name}",
    ]
    assert {mail.recipients for mail in OutboxMail.objects.all()} == {"alice@example.org"}
    assert "/failed-events/" in OutboxMail.objects.first().text
    assert Notification.objects.first().urgent
    retry_failed(later(30))
    assert Notification.objects.count() == 2
    process_all(later(61))
    assert Notification.objects.count() == 4


def test_that_nobody_can_be_told_does_not_keep_it_from_being_stored(bug, source, monkeypatch) -> None:
    monkeypatch.setattr(failed, "tell_admins", lambda *_: 1 / 0)
    assert post(source, "poison").status == 202
    retry_failed(later())
    assert FailedRequest.objects.get().attempts == 1


def test_the_oldest_is_applied_first(bug, source: AlertSource, as_alice: Client) -> None:
    for number in range(3):
        post(source, f"poison {number}")
    page = as_alice.get("/failed-events/").text
    assert page.index("poison 0") < page.index("poison 1") < page.index("poison 2")
    bug(False)
    assert retry_failed(later()) == 3
    assert list(Event.objects.order_by("pk").values_list("outcome", flat=True)) == ["opened", "appended", "appended"]
    assert Incident.objects.get().summary == "poison 0"


def test_a_poison_event_fails_alone(bug, source: AlertSource) -> None:
    assert post(source, "poison", key="a").status == 202
    assert post(source, "fine", key="b").content["outcome"] == "opened"
    post(source, "poison two", key="c")
    bug(False)
    assert retry_failed(later()) == 2


def test_an_adapter_s_bug_keeps_the_body_until_it_is_mended(source: AlertSource, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Sematext, "parse", lambda self, payload: {}["nothing"])
        answer = post(source, f"disk full, see {source.integration_url}")
    assert answer.status == 202
    event = Event.objects.get()
    assert (event.outcome, event.type) == (Outcome.FAILED, "")
    assert source.integration_key.encode() not in bytes(event.body)
    assert retry_failed(later()) == 1
    event = Event.objects.get()
    assert (event.pk, event.outcome, event.type) == (answer.content["eventId"], Outcome.OPENED, "ALERT")
    assert "disk full" in Incident.objects.get().summary


def test_what_cannot_be_read_after_all_is_rejected(source: AlertSource, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Sematext, "parse", lambda self, payload: {}["nothing"])
        assert receive("sematext", source.integration_key, "POST", Payload(b"[1]")).status == 202
    assert retry_failed(later()) == 1
    assert Event.objects.get().outcome == Outcome.REJECTED
    assert not FailedRequest.objects.exists()


def test_a_body_is_kept_even_if_what_was_read_of_it_cannot_be(source: AlertSource) -> None:
    """As a hole in the cleaning of texts would do it: PostgreSQL refuses NUL."""
    said = Said(EventType.ALERT, summary="a\0b", key="k")
    event_id = failed.store(source.pk, Prepared((said,), b'{"description": "a"}', "application/json"), ValueError())
    assert bytes(Event.objects.get(pk=event_id).body) == b'{"description": "a"}'
    assert retry_failed(later()) == 1
    assert Incident.objects.get().summary == "a"


def test_all_events_of_a_request_are_applied_or_none(source: AlertSource) -> None:
    said = tuple(Said(EventType.ALERT, summary=f"alert {n}", key=f"k{n}", scope="s") for n in range(3))
    event_id = failed.store(source.pk, Prepared(said, b"{}", ""), ValueError())
    rows = list(Event.objects.order_by("pk"))
    assert [row.outcome for row in rows] == ["failed"] * 3
    assert rows[0].pk == event_id
    assert retry_failed(later()) == 1
    after = list(Event.objects.order_by("pk"))
    assert [(row.pk, row.outcome) for row in after] == [(row.pk, "opened") for row in rows]
    assert [bytes(row.body or b"") for row in after] == [b"{}", b"", b""]
    assert set(Incident.objects.values_list("summary", "event_count")) == {(f"alert {n}", 1) for n in range(3)}
    assert Incident.objects.exclude(scope_hash=None).count() == 3


def test_a_deleted_source_takes_its_failed_events_along(bug, source: AlertSource) -> None:
    post(source, "poison")
    sources.delete_source(source)
    assert not FailedRequest.objects.exists()
    assert retry_failed(later()) == 0
    with pytest.raises(failed.SourceDeleted):
        failed.store(source.pk or 10**6, Prepared((), b"{}", ""), ValueError())


def test_a_disabled_source_s_wait_until_it_is_enabled(bug, source: AlertSource) -> None:
    post(source, "poison")
    bug(False)
    sources.set_active(source, False)
    assert process_all(later()) == {Fate.APPLIED: 0, Fate.FAILED: 0, Fate.GONE: 0}
    sources.set_active(source, True)
    assert retry_failed(later()) == 1


def test_an_alert_overtaken_by_its_recovery_opens_nothing(bug, source: AlertSource) -> None:
    post(source, "poison")
    recovery = post(source, "fine again", over="true")
    assert recovery.content["outcome"] == "ignored"
    bug(False)
    assert retry_failed(later()) == 1
    event = Event.objects.earliest("pk")
    assert event.outcome == Outcome.IGNORED
    assert f"reported as over by event {recovery.content['eventId']}" in event.reason
    assert not Incident.objects.exists()


def test_an_alert_overtaken_by_a_recovery_that_waits_too_opens_nothing(bug, source: AlertSource) -> None:
    post(source, "poison")
    post(source, "poison gone", over="true")
    bug(False)
    assert retry_failed(later()) == 2
    assert not Incident.objects.exists()
    assert {event.outcome for event in Event.objects.all()} == {Outcome.IGNORED}


def test_a_recovery_of_another_problem_overtakes_nothing(bug, source: AlertSource) -> None:
    post(source, "poison", key="a")
    post(source, "fine", over="true", key="b")
    bug(False)
    retry_failed(later())
    assert Incident.objects.filter(status=Status.PENDING).count() == 1


def test_an_alert_of_an_incident_that_people_have_resolved_since_belongs_to_it(bug, source, alice: User) -> None:
    post(source, "disk full")
    post(source, "poison")
    incident = Incident.objects.get()
    services.resolve(incident.pk, alice, database_now())
    bug(False)
    retry_failed(later())
    event = Event.objects.latest("pk")
    assert (event.outcome, event.incident_id) == (Outcome.APPENDED, incident.pk)
    assert Incident.objects.count() == 1


def test_a_recovery_overtaken_by_a_newer_alert_resolves_nothing(bug, source: AlertSource) -> None:
    post(source, "disk full")
    post(source, "poison gone", over="true")
    post(source, "disk full")
    bug(False)
    retry_failed(later())
    assert Incident.objects.get().status == Status.PENDING
    event = Event.objects.get(type="RESOLVE")
    assert (event.outcome, "reported again by event" in event.reason) == (Outcome.IGNORED, True)


def test_a_recovery_overtaken_by_nothing_resolves(bug, source: AlertSource) -> None:
    post(source, "disk full")
    post(source, "poison gone", over="true")
    post(source, "cpu high", key="another")
    bug(False)
    retry_failed(later())
    assert list(Incident.objects.order_by("pk").values_list("status", flat=True)) == [Status.RESOLVED, Status.PENDING]


def test_a_recovery_does_not_resolve_a_newer_incident_of_its_scope(source: AlertSource) -> None:
    said = Said(EventType.RESOLVE, summary="over", key="unknown", scope="scope")
    failed.store(source.pk, Prepared((said,), b"{}", ""), ValueError())
    alert = Said(EventType.ALERT, summary="again", key="another", scope="scope")
    failed.store(source.pk, Prepared((alert,), b"{}", ""), ValueError())
    newest = FailedRequest.objects.latest("received_at")
    assert process(newest.pk, database_now()) == Fate.APPLIED
    retry_failed(later())
    assert Incident.objects.get().status == Status.PENDING


def test_an_accept_of_an_older_incident_does_not_accept_a_newer_one(source: AlertSource) -> None:
    accept = Said(EventType.ACCEPT, summary="on it", key="k")
    failed.store(source.pk, Prepared((accept,), b"{}", ""), ValueError())
    commit([Request(source, Prepared((Said(EventType.ALERT, summary="x", key="K"),), b"{}", ""))])
    retry_failed(later())
    assert Incident.objects.get().status == Status.PENDING


def test_the_banner_is_on_every_page_of_admins_and_of_nobody_else(bug, as_alice: Client, source, bob: User) -> None:
    words = "could not be applied, through a fault"
    assert words not in as_alice.get("/incidents/").text
    post(source, "poison")
    for path in ("/incidents/", "/alert-sources/", "/profile", "/escalation-policies/"):
        assert words in as_alice.get(path).text
    assert "Not all events could be applied" in as_alice.get(f"/alert-sources/{source.pk}/activity").text
    as_bob = Client()
    as_bob.force_login(bob)
    assert words not in as_bob.get("/incidents/").text
    assert as_bob.get("/failed-events/").status_code == 403
    request = FailedRequest.objects.get()
    for path in ("/failed-events/process", f"/failed-events/{request.pk}/process"):
        assert as_bob.post(path).status_code == 403
        assert as_bob.get(path).status_code == 403
        assert as_alice.get(path).status_code == 405
    assert Client().get("/failed-events/").status_code == 302


def test_a_button_processes_one_and_another_all(bug, as_alice: Client, source: AlertSource) -> None:
    for key in "abc":
        post(source, f"poison <b>{key}</b>", key=key)
    page = as_alice.get("/failed-events/").text
    assert page.count("Process again") == 3
    assert "poison &lt;b&gt;a" in page
    first = FailedRequest.objects.first()
    path = f"/failed-events/{first.pk}/process"
    assert "It failed again" in as_alice.post(path, follow=True).text
    bug(False)
    assert "The event is applied" in as_alice.post(path, follow=True).text
    assert "Nothing to do" in as_alice.post(path, follow=True).text
    assert "2 applied, 0 failed again" in as_alice.post("/failed-events/process", follow=True).text
    assert "Nothing has failed" in as_alice.get("/failed-events/").text
    assert Incident.objects.count() == 3


def test_a_database_that_is_away_is_no_fault_of_ours(source: AlertSource, monkeypatch) -> None:
    def away(*_: Any) -> None:
        raise OperationalError("the connection is closed")

    monkeypatch.setattr(store, "alerts", away)
    assert post(source, "disk full").status == 503
    assert not FailedRequest.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_however_many_press_at_the_same_time_it_is_applied_once(bug, source: AlertSource) -> None:
    for key in "abcd":
        post(source, "poison", key=key)
    bug(False)
    fates: list[Fate] = []
    together = threading.Barrier(6)

    def press(number: int) -> None:
        together.wait()
        if number % 2:
            process_all(database_now())
        else:
            fates.extend(process(one, database_now()) for one in ids)
        connection.close()

    ids = list(FailedRequest.objects.values_list("pk", flat=True))
    threads = [threading.Thread(target=press, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    process_all(later())
    assert Fate.FAILED not in fates
    assert sorted(Incident.objects.values_list("event_count", flat=True)) == [1, 1, 1, 1]
    assert list(Event.objects.values_list("outcome", flat=True)) == [Outcome.OPENED] * 4
    assert not FailedRequest.objects.exists()
