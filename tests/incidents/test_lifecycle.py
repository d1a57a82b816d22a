"""What people do with an incident: who is asked then, what the timeline says, and what two at once see."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import User
from alertsources.models import AlertSource
from ilert.common.clock import database_now
from incidents import lifecycle, services
from incidents.engine import escalation
from incidents.engine.transitions import TRANSITIONS, Deed, after
from incidents.intake.receive import receive
from incidents.lifecycle import Refused
from incidents.models import Incident, LogEntry, Priority, Status
from incidents.timeline import section
from incidents.trial import send_test_event
from integrations import Payload
from notifications.models import Notification
from oncall.models import EscalationPolicy
from oncall.services import create_policy_asking
from tests.payloads import payload

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


@pytest.fixture
def incident(source: AlertSource) -> Incident:
    return alert(source)


def alert(source: AlertSource, description: str = "disk of web-1 full") -> Incident:
    body = payload("sematext", "alert", description=description)
    assert receive("sematext", source.integration_key, "POST", Payload(body)).status == 200
    return Incident.objects.latest("pk")


def step(incident: Incident, minutes: float = 0) -> datetime:
    """Let what is due `minutes` after the incident's start happen. Returns that moment."""
    now = incident.reported_at + minutes * MINUTE
    escalation.escalate_due(lambda: now)
    incident.refresh_from_db()
    return now


def told(state: str = "planned") -> list[str]:
    return list(
        Notification.objects.filter(state=state).order_by("created_at", "pk").values_list("user_name", flat=True)
    )


def kinds(incident: Incident) -> list[str]:
    return list(LogEntry.objects.filter(incident=incident).order_by("pk").values_list("kind", flat=True))


def test_escalate_asks_the_next_level_now(incident: Incident, alice: User) -> None:
    now = step(incident)
    assert lifecycle.escalate(incident.pk, alice, now + MINUTE).changed
    step(incident, 1)
    assert told("cancelled") == ["Alice"]
    assert told() == ["Bob"]
    assert incident.next_escalation_at == now + 21 * MINUTE
    assert kinds(incident) == ["level.asked", "notified", "escalated", "level.asked", "notified"]


def test_escalating_what_is_accepted_takes_it_from_the_responder(incident: Incident, alice: User) -> None:
    now = step(incident)
    services.accept(incident.pk, alice, now)
    lifecycle.escalate(incident.pk, alice, now)
    step(incident)
    assert (incident.status, incident.responder, incident.accepted_at) == (Status.PENDING, None, None)
    assert told() == ["Bob"]


def test_after_the_last_level_escalate_starts_again(incident: Incident, alice: User) -> None:
    for minutes in (0, 10, 30):
        now = step(incident, minutes)
    assert incident.run["reminder"] == 1
    lifecycle.escalate(incident.pk, alice, now)
    step(incident, 30)
    assert told() == ["Alice"]
    assert incident.run["asked"]["level"] == 1


def test_after_the_only_level_escalate_asks_it_again(source: AlertSource, incident: Incident, bob: User) -> None:
    policy = create_policy_asking("One", bob)
    lifecycle.assign_policy(incident.pk, policy, bob, step(incident))
    now = step(incident)
    lifecycle.escalate(incident.pk, bob, now)
    step(incident)
    assert told() == ["Bob"]
    assert kinds(incident)[-3:] == ["escalated", "level.asked", "notified"]


def test_escalating_what_asks_a_person_asks_along_the_policy(incident: Incident, alice: User, bob: User) -> None:
    now = step(incident)
    lifecycle.assign_person(incident.pk, bob, alice, now)
    step(incident)
    lifecycle.escalate(incident.pk, bob, now)
    step(incident)
    assert told() == ["Alice"]
    assert kinds(incident)[-3:] == ["escalated", "level.asked", "notified"]


def test_escalating_a_low_incident_goes_on_over_its_levels(incident: Incident, alice: User, bob: User) -> None:
    Incident.objects.update(priority=Priority.LOW)
    incident.refresh_from_db()
    now = step(incident)
    assert incident.next_escalation_at is None
    lifecycle.escalate(incident.pk, alice, now)
    step(incident)
    assert incident.run["asked"] == {"level": 2, "users": [bob.pk]}


def test_a_person_who_is_assigned_is_asked_and_then_the_admins(incident: Incident, alice: User, bob: User) -> None:
    now = step(incident)
    lifecycle.assign_person(incident.pk, bob, alice, now)
    step(incident)
    assert told() == ["Bob"]
    assert incident.responder == bob
    assert incident.next_escalation_at == now + lifecycle.ASSIGNED_MINUTES * MINUTE
    step(incident, lifecycle.ASSIGNED_MINUTES)
    assert kinds(incident)[-2:] == ["nobody.answered", "notified"]


def test_the_same_person_can_be_assigned_twice(incident: Incident, alice: User, bob: User) -> None:
    now = step(incident)
    for minutes in (1, 2):
        lifecycle.assign_person(incident.pk, bob, alice, now + minutes * MINUTE)
        step(incident, minutes)
    assert told() == ["Bob"]
    assert told("cancelled") == ["Alice", "Bob"]


def test_who_cannot_accept_cannot_be_assigned(incident: Incident, alice: User, bob: User, charlie: User, now) -> None:
    bob.is_active = False
    bob.save()
    for person in (bob, charlie):
        with pytest.raises(Refused, match="cannot be asked"):
            lifecycle.assign_person(incident.pk, person, alice, now)
    assert kinds(incident) == []


def test_another_policy_starts_from_its_first_level(incident: Incident, alice: User, bob: User) -> None:
    now = step(incident)
    night = create_policy_asking("Night", bob)
    lifecycle.assign_policy(incident.pk, night, alice, now)
    step(incident)
    assert told() == ["Bob"]
    assert incident.escalation_policy == night


def test_a_snoozed_incident_asks_again_at_its_time(incident: Incident, alice: User) -> None:
    now = step(incident)
    lifecycle.snooze(incident.pk, now + 60 * MINUTE, alice, now)
    step(incident, 59)
    assert told() == []
    assert (incident.status, incident.responder) == (Status.PENDING, alice)
    step(incident, 60)
    assert told() == ["Alice"]


@pytest.mark.parametrize("minutes", [-1, 0, 60 * 24 * 31])
def test_a_snooze_ends_in_the_future_and_soon(incident: Incident, alice: User, now: datetime, minutes: int) -> None:
    with pytest.raises(Refused, match="next 30 days"):
        lifecycle.snooze(incident.pk, now + minutes * MINUTE, alice, now)


def test_a_snoozed_incident_can_be_accepted_and_resolved(incident: Incident, alice: User, bob: User) -> None:
    now = step(incident)
    lifecycle.snooze(incident.pk, now + 60 * MINUTE, alice, now)
    services.accept(incident.pk, bob, now)
    step(incident, 60)
    assert told() == []
    assert incident.snoozed_until is None


def test_raising_starts_the_escalation(incident: Incident, alice: User) -> None:
    Incident.objects.update(priority=Priority.LOW)
    now = step(incident)
    assert lifecycle.raise_priority(incident.pk, alice, now).changed
    assert not lifecycle.raise_priority(incident.pk, alice, now).changed
    step(incident)
    assert told() == ["Alice"]
    assert incident.next_escalation_at == now + 10 * MINUTE


@pytest.mark.parametrize("how", ["by hand", "by merging"])
def test_what_was_raised_while_it_was_accepted_asks_all_levels_when_it_is_reopened(
    source: AlertSource, alice: User, bob: User, how: str
) -> None:
    low = alert(source, "disk of web-1 full")
    Incident.objects.update(priority=Priority.LOW)
    now = step(low)
    services.accept(low.pk, alice, now)
    if how == "by hand":
        lifecycle.raise_priority(low.pk, alice, now)
    else:
        lifecycle.merge(alert(source, "disk of web-2 full").pk, low.pk, alice, now)
    services.resolve(low.pk, alice, now)
    lifecycle.reopen(low.pk, bob, now)
    step(low)
    assert (low.priority, low.status, low.run["single_level"]) == (Priority.HIGH, Status.PENDING, False)
    assert low.next_escalation_at == now + 10 * MINUTE
    step(low, 10)
    assert low.run["asked"]["level"] == 2


def test_a_comment_is_on_the_timeline_of_a_resolved_incident_too(
    incident: Incident, alice: User, now: datetime
) -> None:
    services.resolve(incident.pk, alice, now)
    lifecycle.comment(incident.pk, "  It was the **log rotation**.\n", alice, now)
    last = LogEntry.objects.latest("pk")
    assert (last.kind, last.data, last.actor) == ("commented", {"text": "It was the **log rotation**."}, alice)
    for text in ("", " \n", "x" * 10_001):
        with pytest.raises(Refused):
            lifecycle.comment(incident.pk, text, alice, now)


def test_a_part_asks_nobody_and_ends_with_the_whole(source: AlertSource, alice: User, bob: User) -> None:
    part, whole = alert(source, "disk of web-1 full"), alert(source, "disk of web-2 full")
    now = step(part)
    assert lifecycle.merge(part.pk, whole.pk, alice, now).changed
    step(part, 10)
    assert (told(), told("cancelled")) == (["Alice"], ["Alice"])
    assert alert(source, "disk of web-1 full") == whole  # the newest is still the other: nothing was opened
    services.resolve(whole.pk, alice, now)
    part.refresh_from_db()
    assert part.status == Status.RESOLVED
    assert kinds(part)[-2:] == ["merged", "resolved.with"]
    assert "merged.here" in kinds(whole)
    assert services.who_was_first(part) == f"It was resolved together with #{whole.pk}."


def test_merging_what_has_parts_takes_them_along(source: AlertSource, alice: User, now: datetime) -> None:
    first, second, third = (alert(source, f"disk of web-{number} full") for number in range(3))
    lifecycle.merge(first.pk, second.pk, alice, now)
    lifecycle.merge(second.pk, third.pk, alice, now)
    assert set(Incident.objects.filter(merged_into=third)) == {first, second}
    for into in (first, second):
        with pytest.raises(Refused, match="part of"):
            lifecycle.merge(third.pk, into.pk, alice, now)
    with pytest.raises(Refused, match="itself"):
        lifecycle.merge(third.pk, third.pk, alice, now)
    services.resolve(third.pk, alice, now)
    assert not Incident.objects.filter(status__lt=Status.RESOLVED).exists()
    with pytest.raises(Refused, match="is resolved"):
        lifecycle.merge(first.pk, third.pk, alice, now)


def test_a_part_asks_nobody_again(source: AlertSource, policy: EscalationPolicy, alice: User, bob: User) -> None:
    EscalationPolicy.objects.update(accept_timeout_minutes=10)
    part, whole = alert(source, "disk of web-1 full"), alert(source, "disk of web-2 full")
    services.accept(part.pk, bob, step(part))
    now = step(part, 10)
    assert part.asks_again
    lifecycle.merge(part.pk, whole.pk, bob, now)
    part.refresh_from_db()
    assert not part.asks_again
    assert not services.accept(part.pk, alice, now).changed


def test_those_who_were_told_of_a_part_hear_of_its_end(source: AlertSource, alice: User, bob: User) -> None:
    part, whole = alert(source, "disk of web-1 full"), alert(source, "disk of web-2 full")
    now = step(part)
    Notification.objects.filter(log_entries__incident=part).update(state="delivered", due_at=None, finished_at=now)
    lifecycle.merge(part.pk, whole.pk, bob, now)
    services.resolve(whole.pk, bob, now)
    assert told() == ["Alice"]
    assert kinds(part)[-2:] == ["resolved.with", "notified.resolved"]


def test_who_was_told_of_the_whole_and_its_parts_hears_once_that_all_is_over(
    source: AlertSource, alice: User, bob: User
) -> None:
    whole, first, second, untold = (alert(source, f"disk of web-{number} full") for number in range(4))
    now = step(untold)
    mine = Notification.objects.filter(user=alice)
    mine.filter(log_entries__incident__in=(whole, first, second)).update(state="delivered", due_at=None)
    for part in (first, second):
        lifecycle.escalate(part.pk, alice, now)
    step(untold)
    Notification.objects.filter(user=bob).update(state="delivered", due_at=None)
    for part in (first, second, untold):
        lifecycle.merge(part.pk, whole.pk, alice, now)
    services.resolve(whole.pk, None, now + MINUTE)
    notices = Notification.objects.filter(notice=True).order_by("user__name")
    assert [(one.user_name, one.title, one.text) for one in notices] == [
        (
            "Alice",
            f"Resolved: {whole.summary} [{source.name}]",
            "Resolved by itself, with 2 others that you were told of. Nothing more is to be done.",
        ),
        (
            "Bob",
            f"Resolved: {first.summary} [{source.name}]",
            "Resolved by itself, with 1 other that you were told of. Nothing more is to be done.",
        ),
    ]
    assert [one.log_entries.get().incident_id for one in notices] == [whole.pk, first.pk]


def low_and_high(source: AlertSource) -> tuple[Incident, Incident, datetime]:
    """Report two problems: one of low priority that has asked its level and rests, and one of high; and say when."""
    low, high = alert(source, "disk of web-1 full"), alert(source, "disk of web-2 full")
    Incident.objects.filter(pk=low.pk).update(priority=Priority.LOW)
    return low, high, step(low)


def test_a_high_part_raises_the_low_one_that_it_is_merged_into(source: AlertSource, alice: User) -> None:
    low, high, now = low_and_high(source)
    assert Incident.objects.get(pk=low.pk).next_escalation_at is None
    lifecycle.merge(high.pk, low.pk, alice, now)
    step(low)
    assert (low.priority, told()) == (Priority.HIGH, ["Alice"])
    assert low.next_escalation_at == now + 10 * MINUTE
    assert kinds(low)[-4:] == ["merged.here", "raised", "level.asked", "notified"]


def test_what_somebody_is_on_raises_nothing_when_it_is_merged(source: AlertSource, alice: User) -> None:
    low, high, now = low_and_high(source)
    services.accept(high.pk, alice, now)
    lifecycle.merge(high.pk, low.pk, alice, now)
    step(low)
    assert (low.priority, low.next_escalation_at) == (Priority.LOW, None)


def test_what_would_have_asked_again_raises_the_low_one_that_nobody_has(
    source: AlertSource, policy: EscalationPolicy, alice: User, bob: User
) -> None:
    """Its accept time-out ends with the merge, and one that rests has none to take its place."""
    EscalationPolicy.objects.update(accept_timeout_minutes=30)
    low, high, now = low_and_high(source)
    services.accept(high.pk, bob, now)
    lifecycle.merge(high.pk, low.pk, alice, now)
    step(low)
    assert (low.priority, low.next_escalation_at) == (Priority.HIGH, now + 10 * MINUTE)
    assert kinds(low)[-4:] == ["merged.here", "raised", "level.asked", "notified"]


def test_what_would_have_asked_again_raises_no_low_one_that_somebody_has(
    source: AlertSource, policy: EscalationPolicy, alice: User, bob: User
) -> None:
    EscalationPolicy.objects.update(accept_timeout_minutes=30)
    low, high, now = low_and_high(source)
    services.accept_all([low.pk, high.pk], bob, now)
    lifecycle.merge(high.pk, low.pk, alice, now)
    low.refresh_from_db()
    assert (low.priority, low.next_escalation_at) == (Priority.LOW, now + 30 * MINUTE)


@pytest.fixture
def low_ones(source: AlertSource, alice: User) -> tuple[Incident, Incident]:
    """Two LOW incidents, one a part of the other, which has asked its level and rests."""
    part, whole = alert(source, "disk of web-1 full"), alert(source, "disk of web-2 full")
    Incident.objects.update(priority=Priority.LOW)
    now = step(whole)
    lifecycle.merge(part.pk, whole.pk, alice, now)
    whole.refresh_from_db()
    assert whole.next_escalation_at is None
    return part, whole


def say_it_is_urgent(part: Incident) -> None:
    """The tool says it of an incident, which is a part."""
    count = Incident.objects.count()
    alert(part.alert_source, part.summary)
    assert Incident.objects.count() == count


def test_a_part_that_is_raised_by_hand_raises_the_whole(low_ones: tuple[Incident, Incident], alice: User) -> None:
    part, whole = low_ones
    now = whole.reported_at + MINUTE
    assert lifecycle.raise_priority(part.pk, alice, now).changed
    for one in low_ones:
        one.refresh_from_db()
        assert (one.priority, kinds(one)[-1]) == (Priority.HIGH, "raised")
    assert (part.status, part.next_escalation_at) == (Status.ACCEPTED, None)
    step(whole, 1)
    assert (told(), whole.next_escalation_at) == (["Alice"], now + 10 * MINUTE)


def test_a_part_that_an_event_raises_raises_the_whole(low_ones: tuple[Incident, Incident]) -> None:
    part, whole = low_ones
    say_it_is_urgent(part)
    part.refresh_from_db()
    assert (part.priority, part.status) == (Priority.HIGH, Status.ACCEPTED)
    assert part.events.latest("pk").reason == "It made the priority high."
    now = database_now()
    assert escalation.oldest_due_at(now) is not None
    escalation.escalate_due(lambda: now)
    for one in low_ones:
        one.refresh_from_db()
    assert (part.status, part.next_escalation_at, kinds(part)[-1]) == (Status.ACCEPTED, None, "merged")
    assert (whole.priority, whole.next_escalation_at) == (Priority.HIGH, now + 10 * MINUTE)
    assert kinds(whole)[-4:] == ["merged.here", "raised", "level.asked", "notified"]
    line = next(item for item in section(whole).items if item.kind == "raised")
    assert (line.actor, line.detail) == ("", f"Its part #{part.pk} is of high priority now.")
    say_it_is_urgent(part)
    assert escalation.oldest_due_at(database_now()) is None


def test_a_part_that_an_event_raises_lets_whoever_has_the_whole_keep_it(
    low_ones: tuple[Incident, Incident], bob: User
) -> None:
    part, whole = low_ones
    now = database_now()
    services.accept(whole.pk, bob, now)
    say_it_is_urgent(part)
    escalation.escalate_due(database_now)
    whole.refresh_from_db()
    assert (whole.priority, whole.status, whole.responder) == (Priority.HIGH, Status.ACCEPTED, bob)
    assert (whole.next_escalation_at, whole.accepted_at, whole.run["single_level"]) == (None, now, False)


def test_what_is_done_about_a_part_does_not_keep_it_from_raising_the_whole(
    low_ones: tuple[Incident, Incident], alice: User, bob: User
) -> None:
    part, whole = low_ones
    say_it_is_urgent(part)
    now = database_now()
    lifecycle.comment(part.pk, "Looking.", alice, now)
    assert not services.accept(part.pk, bob, now).changed
    escalation.escalate_due(lambda: now)
    whole.refresh_from_db()
    assert whole.priority == Priority.HIGH


def test_a_part_that_was_raised_and_then_resolved_raises_nothing(
    low_ones: tuple[Incident, Incident], alice: User
) -> None:
    part, whole = low_ones
    say_it_is_urgent(part)
    services.resolve(part.pk, alice, database_now())
    assert escalation.escalate_due(database_now) == 0
    whole.refresh_from_db()
    assert whole.priority == Priority.LOW


def test_the_whole_is_asked_about_anew_when_its_own_step_is_due_at_the_same_moment(
    low_ones: tuple[Incident, Incident],
) -> None:
    part, whole = low_ones
    Incident.objects.filter(pk=whole.pk).update(next_escalation_at=database_now(), run=None)
    say_it_is_urgent(part)
    now = database_now()
    escalation.escalate_due(lambda: now)
    whole.refresh_from_db()
    assert (whole.priority, whole.run["single_level"]) == (Priority.HIGH, False)
    assert whole.next_escalation_at == now + 10 * MINUTE


@pytest.mark.django_db(transaction=True)
def test_a_part_stays_due_while_somebody_has_the_whole(low_ones: tuple[Incident, Incident]) -> None:
    """The engine has locked the part already: if it waited, each might wait for the other."""
    part, whole = low_ones
    say_it_is_urgent(part)

    def engine() -> int:
        try:
            return escalation.escalate_due(database_now)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        with transaction.atomic():
            Incident.objects.select_for_update().get(pk=whole.pk)
            assert thread.submit(engine).result(timeout=5) == 0
        assert thread.submit(engine).result(timeout=5) == 2
    whole.refresh_from_db()
    assert whole.priority == Priority.HIGH


@pytest.mark.django_db(transaction=True)
def test_what_is_merged_just_before_it_is_raised_raises_the_whole_too(source: AlertSource, alice: User) -> None:
    """Whoever raises it has waited for the merge, and comes too late to lock the whole in everybody's order."""
    part, whole = alert(source, "disk of web-1 full"), alert(source, "disk of web-2 full")
    Incident.objects.update(priority=Priority.LOW)
    now = step(whole)

    def raising() -> bool:
        try:
            return lifecycle.raise_priority(part.pk, alice, now).changed
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        with transaction.atomic():
            lifecycle.merge(part.pk, whole.pk, alice, now)
            raised = thread.submit(raising)
            while not somebody_waits():
                assert not raised.done()
        assert raised.result(timeout=5)
    step(whole)
    part.refresh_from_db()
    assert (part.status, part.priority, part.next_escalation_at) == (Status.ACCEPTED, Priority.HIGH, None)
    assert (whole.priority, whole.next_escalation_at) == (Priority.HIGH, now + 10 * MINUTE)


def somebody_waits() -> bool:
    """Whether anybody waits for the present transaction to end."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid")
        return bool(cursor.fetchall())


def test_a_resolve_can_be_taken_back_for_a_minute(incident: Incident, alice: User, bob: User) -> None:
    now = step(incident)
    services.resolve(incident.pk, bob, now)
    assert lifecycle.reopen(incident.pk, bob, now + MINUTE).changed
    step(incident, 1)
    assert (incident.status, incident.resolved_at) == (Status.PENDING, None)
    assert told() == ["Alice"]
    assert not lifecycle.reopen(incident.pk, bob, now + MINUTE).changed
    services.resolve(incident.pk, None, now + 2 * MINUTE)
    incident.refresh_from_db()
    assert services.who_was_first(incident) == "The tool itself resolved it."
    with pytest.raises(Refused, match="for a minute"):
        lifecycle.reopen(incident.pk, bob, now + 4 * MINUTE)


def test_whoever_had_accepted_has_it_again(incident: Incident, alice: User) -> None:
    now = step(incident)
    services.accept(incident.pk, alice, now)
    services.resolve(incident.pk, alice, now)
    lifecycle.reopen(incident.pk, alice, now)
    incident.refresh_from_db()
    assert (incident.status, incident.responder, incident.next_escalation_at) == (Status.ACCEPTED, alice, None)


def test_reopening_counts_the_auto_resolution_anew(source: AlertSource, alice: User) -> None:
    AlertSource.objects.filter(pk=source.pk).update(auto_resolution_minutes=10)
    part, whole = alert(source, "disk of web-1 full"), alert(source, "disk of web-2 full")
    lifecycle.merge(part.pk, whole.pk, alice, part.reported_at)
    end = whole.reported_at + 10 * MINUTE
    Incident.objects.filter(pk=part.pk).update(auto_resolve_at=end + MINUTE)
    services.resolve_stale(end)
    lifecycle.reopen(whole.pk, alice, end)
    for one in (part, whole):
        one.refresh_from_db()
        assert one.auto_resolve_at == end + 10 * MINUTE
    services.resolve_stale(end + MINUTE)
    whole.refresh_from_db()
    assert whole.is_open


def test_what_does_not_end_by_itself_does_not_once_it_is_reopened(source: AlertSource, alice: User, now) -> None:
    incident = alert(source)
    AlertSource.objects.filter(pk=source.pk).update(auto_resolution_minutes=10)
    services.resolve(incident.pk, alice, now)
    lifecycle.reopen(incident.pk, alice, now)
    incident.refresh_from_db()
    assert incident.auto_resolve_at is None


def test_the_responder_is_asked_when_somebody_else_reopens(incident: Incident, alice: User, bob: User) -> None:
    now = step(incident)
    services.accept(incident.pk, bob, now)
    services.resolve(incident.pk, alice, now)
    lifecycle.reopen(incident.pk, alice, now)
    incident.refresh_from_db()
    assert (incident.status, incident.responder, incident.accepted_at) == (Status.PENDING, None, None)
    step(incident)
    assert sorted(told()) == ["Alice", "Bob"]


def test_what_nobody_in_particular_had_accepted_asks_anew(incident: Incident, alice: User) -> None:
    now = step(incident)
    services.accept(incident.pk, None, now)
    services.resolve(incident.pk, alice, now)
    lifecycle.reopen(incident.pk, alice, now)
    step(incident)
    assert (incident.status, told()) == (Status.PENDING, ["Alice"])


def test_who_was_asked_by_name_is_asked_again(incident: Incident, alice: User, bob: User) -> None:
    now = step(incident)
    lifecycle.assign_person(incident.pk, bob, alice, now)
    step(incident)
    services.resolve(incident.pk, alice, now)
    lifecycle.reopen(incident.pk, alice, now)
    step(incident)
    assert (told(), incident.responder) == (["Bob"], bob)
    step(incident, lifecycle.ASSIGNED_MINUTES)
    assert kinds(incident)[-2:] == ["nobody.answered", "notified"]


def test_a_test_event_that_is_reopened_tells_only_who_has_sent_it(source: AlertSource, bob: User) -> None:
    incident = send_test_event(source, bob, database_now())
    now = step(incident)
    services.resolve(incident.pk, bob, now)
    lifecycle.reopen(incident.pk, bob, now)
    step(incident)
    asked = LogEntry.objects.filter(incident=incident, kind="level.asked").values_list("data__people", flat=True)
    assert list(asked) == ["Bob", "Bob"]
    assert incident.next_escalation_at is None


def test_a_part_whose_whole_is_over_asks_anew_when_it_is_reopened(source: AlertSource, alice: User) -> None:
    part, whole = alert(source, "disk of web-1 full"), alert(source, "disk of web-2 full")
    now = step(part)
    lifecycle.merge(part.pk, whole.pk, alice, now)
    services.resolve(whole.pk, alice, now)
    lifecycle.reopen(part.pk, alice, now)
    part.refresh_from_db()
    assert (part.status, part.merged_into, part.accepted_at) == (Status.PENDING, None, None)
    step(part)
    assert told() == ["Alice"]
    assert Incident.objects.get(pk=whole.pk).status == Status.RESOLVED


def test_a_part_whose_whole_goes_on_is_a_part_again(source: AlertSource, alice: User, bob: User) -> None:
    part, whole = alert(source, "disk of web-1 full"), alert(source, "disk of web-2 full")
    now = step(part)
    lifecycle.merge(part.pk, whole.pk, alice, now)
    services.resolve(part.pk, alice, now)
    lifecycle.reopen(part.pk, bob, now)
    part.refresh_from_db()
    assert (part.status, part.merged_into, part.next_escalation_at) == (Status.ACCEPTED, whole, None)


def test_the_parts_that_ended_with_the_whole_come_back_with_it(source: AlertSource, alice: User) -> None:
    whole, part, earlier, again = (alert(source, f"disk of web-{number} full") for number in range(4))
    now = step(whole)
    for one in (part, earlier, again):
        lifecycle.merge(one.pk, whole.pk, alice, now)
    services.resolve(earlier.pk, alice, now)
    services.resolve(whole.pk, alice, now + MINUTE)
    assert alert(source, "disk of web-3 full") != again
    lifecycle.reopen(whole.pk, alice, now + MINUTE)
    for one in (part, earlier, again):
        one.refresh_from_db()
    assert (part.status, part.merged_into, part.resolved_at) == (Status.ACCEPTED, whole, None)
    assert part.next_escalation_at is None
    assert kinds(part)[-1] == "reopened"
    # What had ended by itself, and what has been opened anew meanwhile, stays as it is.
    assert (earlier.status, again.status) == (Status.RESOLVED, Status.RESOLVED)
    services.resolve(whole.pk, alice, now + 2 * MINUTE)
    part.refresh_from_db()
    assert part.status == Status.RESOLVED


def test_nothing_is_reopened_beside_a_new_incident_of_the_same_problem(source: AlertSource, alice: User, now) -> None:
    old = alert(source)
    services.resolve(old.pk, alice, now)
    new = alert(source)
    assert new != old
    with pytest.raises(Refused, match="new incident"):
        lifecycle.reopen(old.pk, alice, now)
    assert Incident.objects.get(pk=old.pk).status == Status.RESOLVED
    assert "reopened" not in kinds(old)


def test_an_incident_opened_by_hand_escalates_like_any_other(source: AlertSource, alice: User, now: datetime) -> None:
    report = lifecycle.Report(source, " Customers  cannot\npay ", "Since ten minutes.")
    incident = lifecycle.open_by_hand(report, alice, now)
    assert lifecycle.open_by_hand(report, alice, now) != incident
    step(incident)
    assert incident.summary == "Customers cannot pay"
    assert told() == ["Alice", "Alice"]
    with pytest.raises(Refused):
        lifecycle.open_by_hand(lifecycle.Report(source, " \n"), alice, now)


def test_nobody_is_wedged_by_a_policy_that_is_gone(incident: Incident, policy: EscalationPolicy, alice: User) -> None:
    now = step(incident)
    Incident.objects.update(escalation_policy=None, run=None, next_escalation_at=None)
    lifecycle.escalate(incident.pk, alice, now)
    step(incident)
    assert kinds(incident)[-2:] == ["nobody.to_ask", "notified"]


VERBS = {
    Deed.ACCEPT: services.accept,
    Deed.RESOLVE: services.resolve,
    Deed.ESCALATE: lifecycle.escalate,
    Deed.ASSIGN: lambda pk, who, now: lifecycle.assign_person(pk, who, who, now),
    Deed.SNOOZE: lambda pk, who, now: lifecycle.snooze(pk, now + MINUTE, who, now),
    Deed.RAISE: lifecycle.raise_priority,
    Deed.COMMENT: lambda pk, who, now: lifecycle.comment(pk, "Looking.", who, now),
    Deed.REOPEN: lifecycle.reopen,
}


def test_the_table_knows_every_deed() -> None:
    assert {deed for _, deed in TRANSITIONS} == set(Deed) == {*VERBS, Deed.MERGE, Deed.RENEW}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(VERBS)), st.integers(0, 3)), max_size=12))
def test_whatever_is_done_follows_the_table(source: AlertSource, alice: User, story: list[tuple[Deed, int]]) -> None:
    incident = alert(source, f"disk of story-{Incident.objects.count()} full")
    now = incident.reported_at
    for deed, minutes in story:
        now = step(incident, (now - incident.reported_at) / MINUTE + minutes / 2)
        before, entries = incident.status, len(kinds(incident))
        was_accepted, was_low = incident.accepted_at, incident.priority == Priority.LOW
        try:
            changed = VERBS[deed](incident.pk, alice, now).changed
        except Refused:
            changed = False
        incident.refresh_from_db()
        allowed = after(before, deed) is not None and (deed != Deed.RAISE or was_low)
        if deed != Deed.REOPEN or not allowed:
            assert changed == allowed, (deed, before)
        expected = Status.ACCEPTED if deed == Deed.REOPEN and was_accepted else after(before, deed)
        assert incident.status == (expected if changed else before)
        # One deed leaves one entry; resolve notices are entries of their own.
        ours = [kind for kind in kinds(incident)[entries:] if kind != "notified.resolved"]
        assert len(ours) == changed
    services.resolve(incident.pk, None, now)


@pytest.mark.django_db(transaction=True)
def test_twenty_people_at_once_leave_one_timeline_that_makes_sense(source: AlertSource, alice: User, bob: User) -> None:
    """Each deed is done or refused; none fails, and each that was done has its entry."""
    incident, other = alert(source), alert(source, "disk of web-2 full")
    deeds = [
        services.accept, services.resolve, lifecycle.escalate, lifecycle.raise_priority,
        lambda pk, who, now: lifecycle.assign_person(pk, bob, who, now),
        lambda pk, who, now: lifecycle.comment(pk, "Looking.", who, now),
        lambda pk, who, now: lifecycle.merge(pk, other.pk, who, now),
        lambda pk, who, now: lifecycle.merge(other.pk, pk, who, now),
        lambda pk, who, now: services.resolve(other.pk, who, now),
        lambda pk, who, now: services.resolve_all([pk, other.pk], who, now),
    ]  # fmt: skip

    def do(number: int) -> int:
        try:
            done = deeds[number % len(deeds)](incident.pk, (alice, bob)[number % 2], database_now())
        except Refused:
            return 0
        finally:
            connection.close()
        return sum(result.changed for result in done) if isinstance(done, list) else int(done.changed)

    for _ in range(5):
        with ThreadPoolExecutor(20) as people:
            done = sum(people.map(do, range(20)))
        assert done
        incident.refresh_from_db()
        if incident.status == Status.RESOLVED:
            break
    entries = list(LogEntry.objects.filter(incident=incident).order_by("pk").values_list("kind", flat=True))
    assert entries.count("resolved") + entries.count("resolved.with") == 1
    # After the end only comments.
    end = next(index for index, kind in enumerate(entries) if kind.startswith("resolved"))
    assert set(entries[end + 1 :]) <= {"commented", "notified.resolved"}
