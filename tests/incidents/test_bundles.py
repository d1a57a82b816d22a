"""In a flood one message stands for many, and every incident is in one."""

import random
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from ilert.common.clock import database_now
from incidents import services
from incidents.engine import composition, escalation
from incidents.models import Incident, Status
from notifications import claims
from notifications.channels import PermanentError, TemporaryError
from notifications.models import Notification, Priority
from tests.delivering import Recorder, add_method, ask, deliver

pytestmark = pytest.mark.django_db
State = Notification.State


@pytest.fixture
def phone(alice: User, recorder: Recorder) -> Recorder:
    add_method(alice, "phone")
    return recorder


def carriers() -> list[Notification]:
    return list(Notification.objects.filter(member_count__gt=0).order_by("created_at"))


def test_a_handful_goes_out_one_by_one(source, phone: Recorder) -> None:
    ask(source, 5)
    deliver()
    assert len(phone.sent) == 5
    assert not carriers()


def test_more_than_a_handful_is_one_message_that_names_them_all(source, phone: Recorder) -> None:
    ask(source, 37)
    deliver()
    ((_, message),) = phone.sent
    newest = Incident.objects.latest("pk")
    assert message.title == f"37 new incidents, newest: {newest.summary} [Sematext production]"
    assert f"#{newest.pk} {newest.summary}" in message.text
    first = Incident.objects.order_by("pk").first()
    assert f"All of them: #{first.pk}–#{newest.pk}" in message.text
    assert message.urgent
    assert message.accept.label == "Accept all"
    assert len(message.data["incidentIds"]) == 37
    (carrier,) = carriers()
    assert message.id == str(carrier.pk)
    rows = Notification.objects.filter(carrier=carrier)
    assert {(row.state, row.answer) for row in rows} == {(State.ACCEPTED, "taken as 1")}
    assert rows.count() == carrier.member_count == 37


def test_what_comes_after_a_handful_waits_a_moment_and_is_bundled(source, phone: Recorder) -> None:
    ask(source, 5)
    now = database_now()
    deliver(now)
    ask(source, 20, "db")
    deliver(database_now())
    assert len(phone.sent) == 5
    (carrier,) = carriers()
    assert now < carrier.due_at <= now + timedelta(seconds=10)
    ask(source, 10, "mail")
    deliver(carrier.due_at)
    assert len(phone.sent) == 6
    assert phone.sent[-1][1].title.startswith("30 new incidents, ")


@pytest.mark.parametrize("seed", range(6))
def test_whenever_they_come_each_incident_is_told_once(seed: int, source, phone: Recorder) -> None:
    dice = random.Random(seed)
    for number in range(12):
        ask(source, dice.choice((0, 1, 3, 6)), f"{number}")
        moments = [carrier.due_at for carrier in carriers() if carrier.state == State.PLANNED] or [database_now()]
        deliver(dice.choice((*moments, database_now())) + timedelta(seconds=dice.choice((0, 0, 0, 1, 30))))
    deliver(database_now() + timedelta(minutes=10))
    ids = [message.id for _, message in phone.sent]
    assert len(set(ids)) == len(ids)
    told = [pk for _, message in phone.sent for pk in message.data.get("incidentIds", [message.data.get("incidentId")])]
    assert sorted(told) == list(Incident.objects.order_by("pk").values_list("pk", flat=True))


def test_the_accepted_and_the_resolved_are_left_out(source, phone: Recorder, bob: User) -> None:
    ask(source, 5)
    deliver()
    ask(source, 20, "db")
    deliver()
    waiting = list(Incident.objects.filter(summary__contains="db").order_by("pk"))
    services.accept(waiting[0].pk, bob, database_now())
    services.resolve(waiting[1].pk, bob, database_now())
    deliver(carriers()[0].due_at)
    assert phone.sent[-1][1].data["incidentIds"] == [incident.pk for incident in waiting[2:]]


def test_a_bundle_in_which_nothing_is_left_is_not_sent(source, phone: Recorder, bob: User) -> None:
    ask(source, 5)
    deliver()
    ask(source, 20, "db")
    deliver()
    services.accept_all([incident.pk for incident in Incident.objects.filter(status=1)], bob, database_now())
    (carrier,) = carriers()
    deliver(carrier.due_at)
    assert len(phone.sent) == 5
    carrier.refresh_from_db()
    assert carrier.state == State.CANCELLED


def fail_with(phone: Recorder, error: Exception | None) -> None:
    def behave() -> None:
        if error:
            raise error

    phone.behaviour = behave


def test_a_repeat_has_the_same_id_and_leaves_out_what_was_accepted(source, phone: Recorder, bob: User) -> None:
    fail_with(phone, TemporaryError("451 later"))
    ask(source, 8)
    deliver()
    rows = Notification.objects.exclude(carrier=None)
    assert {(row.state, row.answer) for row in rows} == {(State.PLANNED, "451 later")}
    gone = Incident.objects.order_by("pk").first()
    services.accept(gone.pk, bob, database_now())
    ask(source, 3, "more")
    fail_with(phone, None)
    (carrier,) = carriers()
    deliver(carrier.due_at)
    repeats = [message for _, message in phone.sent if message.id == str(carrier.pk)]
    assert len(repeats) == 2
    assert len(repeats[1].data["incidentIds"]) == 7
    assert gone.pk not in repeats[1].data["incidentIds"]
    assert Notification.objects.filter(carrier=carrier, state=State.ACCEPTED).count() == 7


def test_a_bundle_that_fails_lets_the_next_method_start_for_all_in_it(source, alice, phone: Recorder) -> None:
    add_method(alice, "second", delay_minutes=5)

    def refuse() -> None:
        if phone.sent[-1][0] == "phone":
            raise PermanentError("550")

    phone.behaviour = refuse
    ask(source, 8)
    deliver()
    assert phone.addresses == ["phone", "second"]
    assert len(phone.sent[-1][1].data["incidentIds"]) == 8
    assert set(Notification.objects.filter(provider="recorder:phone").values_list("state", flat=True)) == {State.FAILED}


def test_a_sender_of_a_bundle_that_was_killed_is_replaced(source, phone: Recorder, bob: User) -> None:
    ask(source, 8)
    moment = database_now()
    (carrier,) = claims.claim(moment, 10).notifications
    composition.compose([carrier], moment)
    services.accept(Incident.objects.earliest("pk").pk, bob, moment)
    deliver(moment + timedelta(seconds=16))
    ((_, message),) = phone.sent
    assert message.id == str(carrier.pk)
    assert len(message.data["incidentIds"]) == 7
    states = Notification.objects.filter(carrier=carrier).values_list("state", flat=True)
    assert sorted(states) == [State.ACCEPTED] * 7 + [State.CANCELLED]


def test_high_and_low_are_not_mixed(source, alice: User, phone: Recorder) -> None:
    method = alice.contact_methods.get()
    method.rules.create(user=alice, priority=Priority.LOW)
    ask(source, 8)
    Incident.objects.update(next_escalation_at=None)
    from incidents.trial import send_test_event

    for _ in range(7):
        send_test_event(source, alice, database_now())
    escalation.escalate_due(database_now)
    deliver()
    assert sorted((carrier.urgent, carrier.member_count) for carrier in carriers()) == [(False, 7), (True, 8)]


def test_that_it_is_over_is_told_in_one_message_too(source, phone: Recorder, bob: User) -> None:
    ask(source, 8)
    deliver()
    services.resolve_all(list(Incident.objects.values_list("pk", flat=True)), bob, database_now())
    deliver()
    message = phone.sent[-1][1]
    assert len(phone.sent) == 2
    assert message.title.startswith("8 messages, newest: Resolved: ")
    assert (message.accept, message.urgent) == (None, False)


def test_a_storm_costs_few_queries_and_messages(source, phone: Recorder) -> None:
    ask(source, 400)
    with CaptureQueriesContext(connection) as queries:
        deliver()
    assert len(phone.sent) == 1
    assert len(queries) <= 40


def paths(phone: Recorder) -> tuple[str, str]:
    message = phone.sent[-1][1]
    return message.accept.url.partition(":8000")[2], message.accept_now.url.partition(":8000")[2]


def test_the_link_of_a_bundle_lists_all_and_accepts_all_that_nobody_has(source, alice, bob, phone: Recorder) -> None:
    ask(source, 8)
    deliver()
    first = Incident.objects.earliest("pk")
    services.accept(first.pk, bob, database_now())
    page, accept = paths(phone)
    shown = Client().get(page).text
    assert shown.count('class="link-incident"') == 8
    assert "Accept all 7" in shown
    assert Incident.objects.filter(status=Status.ACCEPTED).count() == 1
    done = Client().post(accept).text
    assert "You have accepted 7 incidents" in done
    assert Incident.objects.filter(status=Status.ACCEPTED, responder=alice).count() == 7
    assert carriers()[0].answered_at is not None
    page = Client().post(accept).text
    assert "Accept all" not in page


def test_each_timeline_says_in_which_message_it_went_out(source, as_alice: Client, phone: Recorder) -> None:
    ask(source, 8)
    deliver()
    page = as_alice.get(Incident.objects.latest("pk").get_absolute_url()).text
    assert "in one message with 7 others" in page
    assert "taken as 1" in page


def test_numbers_in_short() -> None:
    assert composition.ranges([9, 4, 5, 6, 7, 11, 12]) == "#4–#7, #9, #11–#12"


def test_whatever_is_missed_when_a_bundle_starts_goes_out_by_itself(source, phone: Recorder) -> None:
    ask(source, 8)
    moment = database_now()
    (carrier,) = claims.claim(moment, 10).notifications
    members = Notification.objects.filter(carrier=carrier)
    composition.compose([carrier], moment)
    missed = members.first()
    members.filter(pk=missed.pk).update(state=State.PLANNED, lease_until=None, due_at=moment)
    from notifications import outcomes

    outcomes.finish([outcomes.Result(carrier, moment, moment, "taken")])
    missed.refresh_from_db()
    assert (missed.state, missed.carrier_id) == (State.PLANNED, None)
