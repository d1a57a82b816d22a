"""An accepted incident on which nobody does anything asks again; the clock is moved by the test."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from accounts.models import User
from alertsources.models import AlertSource
from alertsources.services import create_source
from incidents import lifecycle, services
from incidents.engine import composition, escalation
from incidents.intake.receive import receive
from incidents.models import Incident, LogEntry, Status
from integrations import Payload
from notifications.models import Notification
from notifications.services import confirm_email
from oncall.models import EscalationPolicy
from oncall.services import RuleData, Timing, create_policy
from tests.payloads import payload

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
Verb = Callable[[int, User, datetime], services.Result]


@pytest.fixture
def policy(alice: User, bob: User) -> EscalationPolicy:
    """Bob has 5 minutes, then Alice; what was accepted asks again after 30 minutes."""
    rules = [RuleData(5, [bob.pk]), RuleData(10, [alice.pk])]
    return create_policy("Night", rules, timing=Timing(accept_timeout_minutes=30))


@pytest.fixture
def source(policy: EscalationPolicy) -> AlertSource:
    return create_source("Sematext", "SEMATEXT", policy)


@pytest.fixture
def start(source: AlertSource, alice: User) -> datetime:
    """The moment the incident came; Bob was asked, and Alice accepts two minutes later."""
    assert receive("sematext", source.integration_key, "POST", Payload(payload("sematext", "alert"))).status == 200
    start = Incident.objects.get().next_escalation_at
    assert start
    escalation.escalate_due(lambda: start)
    services.accept(the_incident(), alice, start + 2 * MINUTE)
    return start


def the_incident() -> int:
    return Incident.objects.get().pk


def pass_time(start: datetime, first: int, last: int) -> list[tuple[int, str]]:
    """Let the clock run from minute `first` to `last`. Returns who was asked at which minute."""
    told = []
    for minute in range(first, last + 1):
        before = set(Notification.objects.values_list("pk", flat=True))
        escalation.escalate_due(lambda minute=minute: start + minute * MINUTE)
        new = Notification.objects.exclude(pk__in=before).order_by("user_name")
        told += [(minute, name) for name in new.values_list("user_name", flat=True)]
    return told


def kinds() -> list[str]:
    return list(LogEntry.objects.order_by("pk").values_list("kind", flat=True))


def test_it_asks_the_responder_and_the_first_level_again_and_again(start: datetime) -> None:
    assert pass_time(start, 2, 95) == [
        (32, "Alice"),
        (32, "Bob"),
        (62, "Alice"),
        (62, "Bob"),
        (92, "Alice"),
        (92, "Bob"),
    ]
    incident = Incident.objects.get()
    assert (incident.status, str(incident.responder)) == (Status.ACCEPTED, "Alice")
    said = list(LogEntry.objects.filter(kind="asked.again").order_by("pk").values_list("data__why", flat=True))
    assert said[0] == "Accepted by Alice, and nobody has done anything about it for 30 minutes."
    assert "60 minutes" in said[1]
    message = Notification.objects.filter(title__startswith="Still on it?").latest("created_at")
    assert message.text.startswith("Accepted by Alice, and nobody has done anything about it for 90 minutes.")
    assert Notification.objects.values("dedupe_key").distinct().count() == Notification.objects.count()


@pytest.mark.parametrize(
    "deed",
    [
        services.accept,
        lambda pk, who, now: lifecycle.comment(pk, "Looking.", who, now),
    ],
)
def test_whoever_says_something_has_the_minutes_anew(start: datetime, alice: User, deed: Verb) -> None:
    assert deed(the_incident(), alice, start + 30 * MINUTE).changed
    assert pass_time(start, 30, 61) == [(60, "Alice"), (60, "Bob")]
    waiting = Notification.objects.filter(state="planned")
    assert waiting.count() == 2
    assert deed(the_incident(), alice, start + 61 * MINUTE).changed
    assert not waiting.exists()
    assert pass_time(start, 61, 91) == [(91, "Alice"), (91, "Bob")]


def test_raising_the_priority_is_doing_something(source: AlertSource, start: datetime, alice: User) -> None:
    Incident.objects.update(priority="low")
    assert lifecycle.raise_priority(the_incident(), alice, start + 30 * MINUTE).changed
    assert pass_time(start, 30, 60) == [(60, "Alice"), (60, "Bob")]


def test_an_incident_of_low_priority_asks_again_too(start: datetime) -> None:
    Incident.objects.update(priority="low")
    assert pass_time(start, 2, 40) == [(32, "Alice"), (32, "Bob")]


def test_somebody_else_takes_it_over_once_it_asks(start: datetime, bob: User) -> None:
    assert not services.accept(the_incident(), bob, start + 10 * MINUTE).changed
    pass_time(start, 10, 32)
    result = services.accept(the_incident(), bob, start + 33 * MINUTE)
    assert (result.changed, str(result.incident.responder)) == (True, "Bob")
    assert services.who_was_first(Incident.objects.get()) == "Bob accepted it."
    assert not Notification.objects.filter(state="planned").exists()
    assert pass_time(start, 33, 63) == [(63, "Bob")]


def test_a_resolve_ends_it(start: datetime, alice: User) -> None:
    pass_time(start, 2, 32)
    services.resolve(the_incident(), alice, start + 33 * MINUTE)
    assert not Notification.objects.filter(state="planned", notice=False).exists()
    assert pass_time(start, 33, 200) == []


def test_what_was_accepted_before_the_first_step_asks_by_the_policy_of_then(
    source: AlertSource, policy: EscalationPolicy, alice: User
) -> None:
    receive("sematext", source.integration_key, "POST", Payload(payload("sematext", "alert")))
    start = Incident.objects.get().next_escalation_at
    assert start
    services.accept(the_incident(), alice, start)
    assert pass_time(start, 0, 31) == [(30, "Alice"), (30, "Bob")]
    services.accept(the_incident(), alice, start + 31 * MINUTE)
    EscalationPolicy.objects.update(accept_timeout_minutes=None)
    assert pass_time(start, 31, 61) == [(61, "Alice"), (61, "Bob")], "a run keeps what it began with"


def test_nobody_can_be_reached_so_the_admins_are(start: datetime, alice: User, bob: User) -> None:
    carol = User.objects.create_user("carol@example.org", name="Carol", role="admin")
    confirm_email(carol, start)
    for person in (alice, bob):
        person.is_active = False
        person.save()
    assert pass_time(start, 2, 33) == [(32, carol.name)]


def test_a_part_of_another_incident_asks_nobody(source: AlertSource, start: datetime, alice: User) -> None:
    part = the_incident()
    body = payload("sematext", "alert", description="disk of db-7 full")
    receive("sematext", source.integration_key, "POST", Payload(body))
    whole = Incident.objects.latest("pk").pk
    services.accept(whole, alice, start)
    lifecycle.merge(part, whole, alice, start + 20 * MINUTE)
    assert Incident.objects.get(pk=part).next_escalation_at is None
    assert pass_time(start, 20, 50) == [(50, "Alice"), (50, "Bob")]
    for what in ({"priority": "low"}, {"status": 1}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Incident.objects.filter(pk=part).update(next_escalation_at=start, **what)
    Incident.objects.filter(pk=part).update(next_escalation_at=start + 51 * MINUTE)
    assert pass_time(start, 51, 70) == []


def test_it_is_looked_at_once_more_before_each_send(start: datetime, alice: User, bob: User) -> None:
    """A message that a sender has claimed is dropped if somebody says that they are on it."""
    pass_time(start, 2, 32)
    claimed = list(Notification.objects.filter(state="planned"))
    now = start + 33 * MINUTE
    Notification.objects.filter(state="planned").update(state="sending", attempt_count=1, lease_until=now)
    for one in claimed:
        one.refresh_from_db()
    assert len(composition.compose(claimed, now)[0]) == 2
    services.accept(the_incident(), alice, now)
    assert composition.compose(claimed, now)[0] == []
    assert set(Notification.objects.filter(pk__in=[one.pk for one in claimed]).values_list("answer", flat=True)) == {
        "Not needed any more: somebody is on it."
    }


def test_the_page_says_when_it_asks_again_and_has_a_button(start: datetime, as_alice: Client) -> None:
    page = reverse("incident-detail", args=[the_incident()])
    shown = as_alice.get(page).content.decode()
    assert "If nobody does anything, it asks again" in shown
    assert "Still on it" in shown
    pass_time(start, 2, 32)
    assert "It asks once more" in as_alice.get(page).content.decode()
    as_alice.post(reverse("incident-accept", args=[the_incident()]))
    assert kinds()[-1] == "accepted.still"
    assert "Still on it" in as_alice.get(page).content.decode()


def test_without_an_accept_timeout_nothing_asks_again(
    source: AlertSource, policy: EscalationPolicy, alice: User
) -> None:
    EscalationPolicy.objects.update(accept_timeout_minutes=None)
    receive("sematext", source.integration_key, "POST", Payload(payload("sematext", "alert")))
    start = Incident.objects.get().next_escalation_at
    assert start
    services.accept(the_incident(), alice, start)
    assert Incident.objects.get().next_escalation_at is None
    assert not services.accept(the_incident(), alice, start + MINUTE).changed
    assert pass_time(start, 0, 100) == []
