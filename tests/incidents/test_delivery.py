"""Messages on their way: leases, repeats, failures, and the last look at the incident."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import UUID

import pytest

from accounts.models import User
from alertsources.models import AlertSource
from ilert.common.clock import database_now
from incidents import services
from incidents.engine import delivery, escalation
from incidents.intake.receive import receive
from incidents.models import Incident, LogEntry
from integrations import Payload
from notifications import channels, outbox
from notifications.channels import Channel, Message, PermanentError, TemporaryError
from notifications.models import Attempt, ContactMethod, Notification, NotificationRule, Priority
from tests.payloads import payload

pytestmark = pytest.mark.django_db
State = Notification.State


class Recorder(Channel):
    """A channel that keeps what it is given, and fails on demand as a provider would."""

    slug, name, icon = "recorder", "Recorder", "circle"

    def __init__(self) -> None:
        self.sent: list[tuple[str, Message]] = []
        self.behaviour: Callable[[], None] = lambda: None

    def send(self, address: str, secret: str, message: Message) -> str:
        self.sent.append((address, message))
        self.behaviour()
        return f"taken as {len(self.sent)}"


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    channels.ALL["recorder"] = Recorder()
    yield channels.ALL["recorder"]
    del channels.ALL["recorder"]


def add_method(user: User, address: str, delay_minutes: int = 0) -> ContactMethod:
    method = ContactMethod.objects.create(user=user, channel="recorder", address=address)
    NotificationRule.objects.create(
        user=user, contact_method=method, priority=Priority.HIGH, delay_minutes=delay_minutes
    )
    return method


@pytest.fixture
def notification(source: AlertSource, alice: User, recorder: Recorder) -> Notification:
    """A message to Alice about a new incident, due now."""
    alice.contact_methods.all().delete()
    add_method(alice, "first")
    assert open_incident(source)
    escalation.escalate_due(database_now())
    return Notification.objects.get()


def deliver(ids: list[UUID]) -> int:
    return sum(delivery.deliver_one(notification_id) for notification_id in ids)


def open_incident(source: AlertSource) -> bool:
    answer = receive("sematext", source.integration_key, "POST", Payload(payload("sematext", "alert")))
    return answer.status == 200


def reload(notification: Notification) -> Notification:
    return Notification.objects.get(pk=notification.pk)


def make_due(notification: Notification) -> None:
    """Let its waiting be over."""
    Notification.objects.filter(pk=notification.pk).update(due_at=database_now())


def test_the_provider_s_answer_is_kept(notification: Notification, recorder: Recorder) -> None:
    assert deliver([notification.pk]) == 1
    row = reload(notification)
    assert (row.state, row.answer, row.due_at, row.lease_until) == (State.ACCEPTED, "taken as 1", None, None)
    ((address, message),) = recorder.sent
    assert address == "first"
    assert message.id == str(notification.pk)
    assert message.urgent
    assert message.data["summary"] == "Disk usage of web-1 is above 95 % on /var"


def test_a_message_goes_out_once_however_often_it_is_handed_out(notification, recorder: Recorder) -> None:
    deliver([notification.pk] * 3)
    assert len(recorder.sent) == 1


def test_a_message_that_is_being_sent_is_left_alone_until_its_lease_is_over(notification, recorder) -> None:
    now = database_now()
    assert outbox.start(notification.pk, now)
    assert outbox.start(notification.pk, now + timedelta(seconds=14)) is None
    again = outbox.start(notification.pk, now + outbox.LEASE)
    assert again.attempt_count == 2


def test_who_lost_the_lease_changes_nothing_any_more(notification, recorder) -> None:
    now = database_now()
    late = outbox.start(notification.pk, now)
    current = outbox.start(notification.pk, now + outbox.LEASE)
    outbox.fail(late, PermanentError("too late"), now, now)
    assert reload(notification).state == State.SENDING
    outbox.succeed(current, "taken", now, now)
    assert (reload(notification).state, reload(notification).answer) == (State.ACCEPTED, "taken")


def test_a_temporary_error_is_tried_again_with_the_same_id(notification, recorder: Recorder) -> None:
    def busy() -> None:
        raise TemporaryError("451 try later")

    recorder.behaviour = busy
    deliver([notification.pk])
    row = reload(notification)
    assert (row.state, row.answer) == (State.PLANNED, "451 try later")
    assert timedelta(seconds=3) < row.due_at - database_now() < timedelta(seconds=6)
    recorder.behaviour = lambda: None
    make_due(notification)
    deliver([notification.pk])
    assert {message.id for _, message in recorder.sent} == {str(notification.pk)}
    assert reload(notification).state == State.ACCEPTED
    assert list(Attempt.objects.values_list("number", "succeeded")) == [(1, False), (2, True)]


def test_the_provider_s_wish_to_wait_is_followed(notification, recorder: Recorder) -> None:
    def limited() -> None:
        raise TemporaryError("429", retry_after=60)

    recorder.behaviour = limited
    deliver([notification.pk])
    assert reload(notification).due_at - database_now() > timedelta(seconds=55)


def test_trying_comes_to_an_end(notification, recorder: Recorder) -> None:
    def busy() -> None:
        raise TemporaryError("down")

    recorder.behaviour = busy
    for _ in range(20):
        make_due(notification) if reload(notification).is_open else None
        deliver([notification.pk])
    assert reload(notification).state == State.FAILED
    assert len(recorder.sent) == len(outbox.RETRY_DELAYS) + 1


def test_a_permanent_error_lets_the_next_method_start_at_once(source, alice: User, recorder: Recorder) -> None:
    alice.contact_methods.all().delete()
    add_method(alice, "broken")
    add_method(alice, "second", delay_minutes=5)
    open_incident(source)
    escalation.escalate_due(database_now())

    def refuse_the_first() -> None:
        if recorder.sent[-1][0] == "broken":
            raise PermanentError("550 no such user")

    recorder.behaviour = refuse_the_first
    deliver(outbox.due_ids(database_now(), 10))
    deliver(outbox.due_ids(database_now(), 10))
    assert [address for address, _ in recorder.sent] == ["broken", "second"]


def test_a_fault_of_ours_in_a_channel_is_tried_again(notification, recorder: Recorder) -> None:
    def bug() -> None:
        raise ZeroDivisionError

    recorder.behaviour = bug
    deliver([notification.pk])
    assert (reload(notification).state, "ZeroDivisionError" in reload(notification).answer) == (State.PLANNED, True)


def test_nothing_goes_out_once_somebody_has_accepted(notification, recorder: Recorder, bob: User) -> None:
    started = outbox.start(notification.pk, database_now())
    Notification.objects.filter(pk=started.pk).update(due_at=database_now(), lease_until=database_now())
    services.accept(Incident.objects.get().pk, bob, database_now())
    deliver([notification.pk])
    assert recorder.sent == []
    assert reload(notification).state == State.CANCELLED
    assert "accepted" in reload(notification).answer


def test_a_removed_contact_method_is_said_not_sent(notification, recorder: Recorder, alice: User) -> None:
    alice.contact_methods.all().delete()
    deliver([notification.pk])
    assert reload(notification).state == State.CANCELLED
    assert "removed" in reload(notification).answer


def test_somebody_who_has_left_is_told_nothing(notification, recorder: Recorder, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_active=False)
    deliver([notification.pk])
    assert (recorder.sent, reload(notification).state) == ([], State.CANCELLED)


def test_those_who_were_told_hear_that_it_is_over(notification, recorder: Recorder, alice: User) -> None:
    deliver([notification.pk])
    services.resolve(Incident.objects.get().pk, None, database_now())
    deliver(outbox.due_ids(database_now(), 10))
    last = recorder.sent[-1][1]
    assert last.title.startswith("Resolved: ")
    assert (last.accept, last.urgent) == (None, False)


def test_who_resolves_needs_no_notice(notification, recorder: Recorder, alice: User) -> None:
    deliver([notification.pk])
    services.resolve(Incident.objects.get().pk, alice, database_now())
    assert outbox.due_ids(database_now(), 10) == []


def test_a_person_without_a_contact_method_is_named_on_the_timeline(source, alice: User) -> None:
    alice.contact_methods.all().delete()
    open_incident(source)
    escalation.escalate_due(database_now())
    assert LogEntry.objects.filter(kind="person.unreachable", data__people="Alice").exists()


def test_a_channel_that_hangs_takes_no_more_than_its_senders(source, alice: User, recorder: Recorder) -> None:
    alice.contact_methods.all().delete()
    add_method(alice, "slow")
    for number in range(outbox.SENDERS + 2):
        body = payload("sematext", "alert", description=f"disk of web-{number} full")
        receive("sematext", source.integration_key, "POST", Payload(body))
    escalation.escalate_due(database_now())
    now = database_now()
    ids = outbox.due_ids(now, 100)
    started = [notification for one in ids if (notification := outbox.start(one, now))]
    assert len(started) == outbox.SENDERS
    outbox.succeed(started[0], "taken", now, now)
    assert outbox.start(ids[-1], now)


def test_the_channels_take_turns(source, alice: User, recorder: Recorder) -> None:
    add_method(alice, "other")
    for number in range(3):
        body = payload("sematext", "alert", description=f"disk of web-{number} full")
        receive("sematext", source.integration_key, "POST", Payload(body))
    escalation.escalate_due(database_now())
    ids = outbox.due_ids(database_now(), 2)
    assert set(Notification.objects.filter(pk__in=ids).values_list("channel", flat=True)) == {"email", "recorder"}


def test_whoever_is_called_sends_all_that_is_due(source, alice: User, recorder: Recorder) -> None:
    alice.contact_methods.all().delete()
    add_method(alice, "first")
    for number in range(30):
        body = payload("sematext", "alert", description=f"disk of web-{number} full")
        receive("sematext", source.integration_key, "POST", Payload(body))
    escalation.escalate_due(database_now())
    assert delivery.deliver_due() == 30
    assert delivery.deliver_due() == 0
    assert len(recorder.sent) == 30
