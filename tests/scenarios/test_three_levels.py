"""A policy with three levels through a night: nobody answers, somebody does, and somebody edits it meanwhile."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from accounts.models import Role, User
from alertsources.models import AlertSource
from alertsources.services import create_source
from incidents import lifecycle, services
from incidents.engine import escalation
from incidents.intake.receive import receive
from incidents.models import Incident, LogEntry
from integrations import Payload
from notifications.models import Notification
from oncall.models import EscalationPolicy
from oncall.services import PolicyInUse, RuleData, Timing, create_policy, delete_policy, replace_rules, update_policy
from tests.payloads import payload

pytestmark = pytest.mark.django_db


@pytest.fixture
def dora(db: None) -> User:
    """Member, asked last."""
    return User.objects.create_user("dora@example.org", "dora-password", name="Dora", role=Role.MEMBER)


@pytest.fixture
def carl(db: None) -> User:
    """Member, asked first."""
    return User.objects.create_user("carl@example.org", "carl-password", name="Carl", role=Role.MEMBER)


@pytest.fixture
def policy(alice: User, bob: User, carl: User, dora: User) -> EscalationPolicy:
    """Carl has 5 minutes, then Bob 10, then Dora 15; two rounds of that. Alice is the admin."""
    rules = [RuleData(5, [carl.pk]), RuleData(10, [bob.pk]), RuleData(15, [dora.pk])]
    return create_policy("Night", rules, repeating=True, frequency=2)


@pytest.fixture
def incident(policy: EscalationPolicy) -> Incident:
    source = create_source("Sematext", "SEMATEXT", policy)
    assert receive("sematext", source.integration_key, "POST", Payload(payload("sematext", "alert"))).status == 200
    return Incident.objects.get()


def night(start: datetime, minutes: int, *, after: int = 0) -> list[tuple[int, str]]:
    """Let the clock run in steps of half a minute; return who was told at which minute."""
    told: list[tuple[int, str]] = []
    seen = set(Notification.objects.values_list("pk", flat=True))
    for step in range(after * 2, minutes * 2 + 1):
        escalation.escalate_due(lambda step=step: start + timedelta(seconds=30 * step))
        new = Notification.objects.exclude(pk__in=seen).order_by("user_name")
        for notification in new:
            told.append((step // 2, notification.user_name))
            seen.add(notification.pk)
    return told


def kinds() -> list[str]:
    return list(LogEntry.objects.order_by("pk").values_list("kind", flat=True))


def test_nobody_answers(incident: Incident) -> None:
    start = incident.next_escalation_at
    assert start
    round_one = [(0, "Carl"), (5, "Bob"), (15, "Dora")]
    round_two = [(minute + 30, name) for minute, name in round_one]
    the_end = [(60, "Alice"), (90, "Alice"), (120, "Alice")]

    assert night(start, 125) == [*round_one, *round_two, *the_end]
    assert kinds().count("nobody.answered") == 1
    assert Notification.objects.filter(user_name="Alice", title__startswith="Nobody answered").count() == 3


def test_an_accept_between_level_one_and_two_stops_the_rest(incident: Incident, carl: User) -> None:
    start = incident.next_escalation_at
    assert start
    assert night(start, 2) == [(0, "Carl")]
    waiting = Notification.objects.get()
    services.accept(incident.pk, carl, start + timedelta(minutes=3))
    waiting.refresh_from_db()
    assert waiting.state == Notification.State.CANCELLED
    assert night(start, 200, after=3) == []
    assert not Notification.objects.filter(state__in=["planned", "sending"]).exists()


def test_editing_the_policy_midway_changes_the_next_night_only(
    incident: Incident, policy: EscalationPolicy, alice: User
) -> None:
    start = incident.next_escalation_at
    assert start
    night(start, 2)
    replace_rules(policy, [RuleData(1, [alice.pk])])
    assert night(start, 16, after=3) == [(5, "Bob"), (15, "Dora")]


def test_deleting_the_policy_midway_wedges_nothing(incident: Incident, policy: EscalationPolicy, alice: User) -> None:
    start = incident.next_escalation_at
    assert start
    night(start, 2)
    with pytest.raises(PolicyInUse):
        delete_policy(policy)
    AlertSource.objects.update(escalation_policy=create_policy("Day", [RuleData(5, [alice.pk])]))
    delete_policy(policy)
    assert [name for _, name in night(start, 60, after=3)] == ["Bob", "Dora", "Carl", "Bob", "Dora", "Alice"]


@pytest.mark.parametrize("leave", ["deactivated", "deleted"])
def test_people_who_leave_midway_are_skipped_at_once(incident: Incident, bob: User, leave: str) -> None:
    start = incident.next_escalation_at
    assert start
    night(start, 2)
    if leave == "deleted":
        bob.delete()
    else:
        User.objects.filter(pk=bob.pk).update(is_active=False)
    assert night(start, 20, after=3) == [(5, "Dora"), (20, "Carl")]
    assert LogEntry.objects.filter(kind="level.skipped", data__level=2).count() == 1


def test_everybody_leaves_midway_and_the_admins_are_told(incident: Incident) -> None:
    start = incident.next_escalation_at
    assert start
    night(start, 2)
    User.objects.exclude(role=Role.ADMIN).update(is_active=False)
    assert night(start, 36, after=3) == [(5, "Alice"), (35, "Alice")]


@pytest.fixture
def delayed(policy: EscalationPolicy, incident: Incident) -> datetime:
    """The moment the incident came; its policy waits 5 minutes before it asks Carl."""
    rules = [RuleData(rule.escalation_timeout, [rule.users.get().pk]) for rule in policy.rules.all()]
    update_policy(policy, name="Night", rules=rules, repeating=False, frequency=1, timing=Timing(delay_minutes=5))
    assert incident.next_escalation_at
    return incident.next_escalation_at


def test_a_delay_moves_every_level(delayed: datetime) -> None:
    assert night(delayed, 40) == [(5, "Carl"), (10, "Bob"), (20, "Dora"), (35, "Alice")]
    assert kinds()[0] == "delayed"
    assert kinds().count("delayed") == 1


@pytest.mark.parametrize("verb", [services.accept, services.resolve])
def test_what_is_over_within_the_delay_tells_nobody(
    incident: Incident, delayed: datetime, carl: User, verb: Callable[[int, User, datetime], object]
) -> None:
    night(delayed, 4)
    verb(incident.pk, carl, delayed + timedelta(minutes=4))
    assert night(delayed, 60, after=4) == []
    assert not Notification.objects.exists()


def test_whoever_escalates_does_not_wait_for_the_delay(incident: Incident, delayed: datetime, bob: User) -> None:
    night(delayed, 1)
    lifecycle.escalate(incident.pk, bob, delayed + timedelta(minutes=2))
    assert night(delayed, 10, after=2) == [(2, "Carl"), (7, "Bob")]


def test_an_incident_of_low_priority_waits_too(incident: Incident, delayed: datetime) -> None:
    Incident.objects.update(priority="low")
    assert night(delayed, 60) == [(5, "Carl")]
