"""Messages on their way: leases, repeats, failures, and the last look at the incident."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import psycopg
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Role, User
from alertsources.models import AlertSource
from ilert.common.clock import database_now
from incidents import lifecycle, services
from incidents.engine import delivery, escalation, sending
from incidents.models import Incident, LogEntry
from notifications import claims, outbox, outcomes
from notifications.channels import OnlyShown, PermanentError, TemporaryError
from notifications.models import Attempt, Notification
from oncall.services import RuleData, replace_rules
from tests.delivering import Recorder, add_method, alert, deliver

pytestmark = pytest.mark.django_db
State = Notification.State


@pytest.fixture
def notification(source: AlertSource, alice: User, recorder: Recorder) -> Notification:
    """A message to Alice about a new incident, due now."""
    add_method(alice, "first")
    alert(source)
    escalation.escalate_due(database_now)
    return Notification.objects.get()


def failing(error: Exception) -> Callable[[], None]:
    def behave() -> None:
        raise error

    return behave


def reload(notification: Notification) -> Notification:
    return Notification.objects.get(pk=notification.pk)


def after(seconds: float) -> datetime:
    return database_now() + timedelta(seconds=seconds)


def test_the_provider_s_answer_is_kept(notification: Notification, recorder: Recorder) -> None:
    assert deliver() == 1
    row = reload(notification)
    assert (row.state, row.answer, row.due_at, row.lease_until) == (State.ACCEPTED, "taken as 1", None, None)
    ((address, message),) = recorder.sent
    assert address == "first"
    assert message.id == str(notification.pk)
    assert message.urgent
    assert message.data["summary"] == "disk of web-0 full"


def test_a_message_that_is_being_sent_is_left_alone_until_its_lease_is_over(notification) -> None:
    now = database_now()
    assert claims.claim(now, 10).notifications
    assert not claims.claim(now + timedelta(seconds=14), 10).notifications
    (again,) = claims.claim(now + outbox.LEASE, 10).notifications
    assert again.attempt_count == 2


def test_who_lost_the_lease_changes_nothing_any_more(notification) -> None:
    now = database_now()
    (late,) = claims.claim(now, 10).notifications
    (current,) = claims.claim(now + outbox.LEASE, 10).notifications
    outcomes.finish([outcomes.Result(late, now, now, "", PermanentError("too late"))])
    assert reload(notification).state == State.SENDING
    outcomes.finish([outcomes.Result(current, now, now, "taken")])
    assert (reload(notification).state, reload(notification).answer) == (State.ACCEPTED, "taken")


@contextlib.contextmanager
def another_session() -> Iterator[psycopg.Connection]:
    """A session with the database, as another process has one."""
    ours = connection.connection.info
    with psycopg.connect(ours.dsn, password=ours.password, autocommit=True) as session:
        yield session


def gone_within(seconds: float, pid: int) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with connection.cursor() as cursor:
            # Within a transaction the server answers from what it has seen once.
            cursor.execute("SELECT pg_stat_clear_snapshot(), count(pid) FROM pg_stat_get_activity(%s)", [pid])
            if cursor.fetchone()[1] == 0:
                return True
    return False


def test_what_a_dead_sender_had_in_hand_is_taken_over_in_a_moment(notification) -> None:
    now = database_now()
    (claimed,) = claims.claim(now, 10).notifications
    with another_session() as session:
        pid = session.info.backend_pid
        Notification.objects.update(session=pid)
        assert outbox.oldest_due_at(now) is None
        assert claims.end_orphans_leases(now) == 0
    assert gone_within(10, pid)
    assert outbox.oldest_due_at(now) == now
    assert claims.end_orphans_leases(now) == 1
    assert outbox.oldest_due_at(now) is None
    assert not claims.claim(now, 10).notifications
    (again,) = claims.claim(now + outbox.GRACE, 10).notifications
    assert (again.pk, again.attempt_count) == (claimed.pk, 2)


def test_a_sender_who_comes_back_with_another_session_keeps_its_lease(notification) -> None:
    now = database_now()
    held = claims.claim(now, 10).notifications
    Notification.objects.update(session=4_000_000)
    assert claims.end_orphans_leases(now) == 1
    claims.keep(held)
    assert claims.end_orphans_leases(now) == 0
    assert not claims.claim(now + timedelta(seconds=14), 10).notifications
    assert claims.claim(now + outbox.LEASE, 10).notifications


def test_a_sender_who_comes_back_too_late_takes_nothing_from_the_next(notification) -> None:
    now = database_now()
    held = claims.claim(now, 10).notifications
    Notification.objects.update(session=4_000_000)
    claims.end_orphans_leases(now)
    (current,) = claims.claim(now + outbox.GRACE, 10).notifications
    claims.keep(held)
    assert reload(notification).lease_until == current.lease_until


def test_what_is_written_down_again_is_there_once(notification) -> None:
    now = database_now()
    (claimed,) = claims.claim(now, 10).notifications
    result = outcomes.Result(claimed, now, now, "", PermanentError("no such address"))
    assert outcomes.finish([result]) == [claimed.pk]
    assert outcomes.finish([result]) == []
    assert Attempt.objects.count() == 1


def test_a_claim_says_whose_session_it_is(notification) -> None:
    claims.claim(database_now(), 10)
    assert reload(notification).session == connection.connection.info.backend_pid


def test_behind_a_pooler_only_the_lease_counts(notification, monkeypatch) -> None:
    now = database_now()
    # A pooler makes up a number of its own.
    monkeypatch.setattr(psycopg.ConnectionInfo, "backend_pid", property(lambda info: 4_000_000))
    claims.claim(now, 10)
    assert reload(notification).session is None
    assert claims.end_orphans_leases(now) == 0
    assert claims.claim(now + outbox.LEASE, 10).notifications


def test_a_temporary_error_is_tried_again_with_the_same_id(notification, recorder: Recorder) -> None:
    recorder.behaviour = failing(TemporaryError("451 try later"))
    deliver()
    row = reload(notification)
    assert (row.state, row.answer) == (State.PLANNED, "451 try later")
    assert timedelta(seconds=2) < row.due_at - database_now() <= timedelta(seconds=5)
    recorder.behaviour = lambda: None
    deliver(after(5))
    assert {message.id for _, message in recorder.sent} == {str(notification.pk)}
    assert reload(notification).state == State.ACCEPTED
    assert list(Attempt.objects.values_list("number", "succeeded")) == [(1, False), (2, True)]


def fate(notification: Notification, error: Exception, attempt: int, jitter: float = 1.0) -> outcomes.Fate:
    now = database_now()
    notification.first_attempt_at, notification.attempt_count = now, attempt
    return outcomes.fate(outcomes.Result(notification, now, now, "", error), lambda: jitter)


def test_waits_grow_and_are_never_the_same_for_all(notification) -> None:
    now = database_now()

    def waits(jitter: float) -> list[int]:
        fates = [fate(notification, TemporaryError("busy"), number, jitter) for number in range(1, 9)]
        return [math.ceil((each.due_at - now).total_seconds() - 0.4) for each in fates]

    assert waits(1.0) == [5, 10, 20, 40, 80, 160, 180, 180]
    assert waits(0.0) == [3, 5, 10, 20, 40, 80, 90, 90]


@pytest.mark.parametrize("jitter", [0.0, 1.0])
def test_the_provider_s_wish_to_wait_is_followed(notification, jitter: float) -> None:
    wait = fate(notification, TemporaryError("429", retry_after=60), 1, jitter).due_at - database_now()
    assert timedelta(seconds=59) < wait <= timedelta(seconds=66)


def test_a_wish_to_wait_for_too_long_is_the_end(notification) -> None:
    given_up = fate(notification, TemporaryError("429 come back tomorrow", retry_after=86400), 1)
    assert given_up.state == State.FAILED
    assert given_up.answer == ("Given up, as the provider wants no other attempt for too long: 429 come back tomorrow")


def test_an_outage_of_ours_is_not_the_end(notification) -> None:
    now = database_now()
    notification.first_attempt_at = now - timedelta(hours=3)

    def state_after(attempts: int) -> str:
        notification.attempt_count = attempts
        result = outcomes.Result(notification, now, now, "", TemporaryError("busy"))
        return outcomes.fate(result, lambda: 1.0).state

    assert [state_after(attempts) for attempts in (2, 6, 7)] == [State.PLANNED, State.PLANNED, State.FAILED]


def test_trying_comes_to_an_end_that_says_so(notification, recorder: Recorder) -> None:
    recorder.behaviour = failing(TemporaryError("down"))
    moment, end = database_now(), after(3600)
    while reload(notification).is_open and moment < end:
        deliver(moment)
        moment += timedelta(seconds=10)
    row = reload(notification)
    assert (row.state, row.due_at) == (State.FAILED, None)
    assert row.answer.startswith("Given up, as ")
    assert "down" in row.answer
    last = moment - timedelta(seconds=10)
    assert outcomes.RETRY_FOR - timedelta(minutes=4) < last - row.first_attempt_at <= outcomes.RETRY_FOR
    assert len({message.id for _, message in recorder.sent}) == 1


def test_a_fault_of_ours_in_a_channel_is_tried_again(notification, recorder: Recorder) -> None:
    recorder.behaviour = failing(ZeroDivisionError())
    deliver()
    assert (reload(notification).state, "ZeroDivisionError" in reload(notification).answer) == (State.PLANNED, True)


def test_what_is_only_shown_here_was_accepted_by_nobody(notification, recorder, monkeypatch) -> None:
    monkeypatch.setattr(Recorder, "send", lambda *_: OnlyShown("Shown here"))
    deliver()
    assert (reload(notification).state, reload(notification).answer) == (State.SHOWN, "Shown here")


def test_nothing_goes_out_once_somebody_has_accepted(notification, recorder: Recorder, bob: User) -> None:
    claims.claim(database_now(), 10)
    services.accept(Incident.objects.get().pk, bob, database_now())
    deliver(after(16))
    assert recorder.sent == []
    assert reload(notification).state == State.CANCELLED
    assert "accepted" in reload(notification).answer


def test_a_look_that_is_too_old_is_repeated(notification, recorder: Recorder, bob: User, monkeypatch) -> None:
    """A process that was frozen between the look and the send must not send what was accepted meanwhile."""

    def accept(*_: object) -> None:
        monkeypatch.setattr(sending, "LOOK_AGE", 60.0)
        services.accept(Incident.objects.get().pk, bob, database_now())

    monkeypatch.setattr(sending, "LOOK_AGE", -1.0)
    release = outcomes.release
    monkeypatch.setattr(outcomes, "release", lambda rows, now: (release(rows, now), accept()))
    deliver()
    assert recorder.sent == []
    row = reload(notification)
    assert (row.state, row.attempts.count()) == (State.CANCELLED, 0)


def test_a_removed_contact_method_is_said_not_sent(notification, recorder: Recorder, alice: User) -> None:
    alice.contact_methods.all().delete()
    deliver()
    assert recorder.sent == []
    assert reload(notification).state == State.CANCELLED
    assert "removed" in reload(notification).answer


def test_somebody_who_has_left_is_told_nothing(notification, recorder: Recorder, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_active=False)
    deliver()
    assert (recorder.sent, reload(notification).state) == ([], State.CANCELLED)


def test_somebody_who_only_reads_now_is_not_asked(notification, recorder: Recorder, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(role=Role.STAKEHOLDER)
    deliver()
    assert (recorder.sent, reload(notification).state) == ([], State.CANCELLED)
    assert "stakeholder" in reload(notification).answer


def test_those_who_were_told_hear_that_it_is_over(notification, recorder: Recorder, alice: User) -> None:
    deliver()
    services.resolve(Incident.objects.get().pk, None, database_now())
    deliver()
    last = recorder.sent[-1][1]
    assert last.title.startswith("Resolved: ")
    assert (last.accept, last.urgent) == (None, False)


def test_whoever_lost_a_lease_takes_no_attempt_off_the_next_sender(notification) -> None:
    now = database_now()
    (slow,) = claims.claim(now, 10).notifications
    (quick,) = claims.claim(now + outbox.LEASE + timedelta(seconds=1), 10).notifications
    outcomes.release([slow], now)
    assert reload(notification).attempt_count == 2
    outcomes.finish([outcomes.Result(quick, now, now, "taken")])
    assert reload(notification).state == State.ACCEPTED


def test_who_accepted_by_a_message_whose_sender_died_hears_that_it_is_over(
    notification, recorder: Recorder, alice: User
) -> None:
    now = database_now()
    assert claims.claim(now, 10).notifications
    outbox.answered(notification.pk, now)
    services.accept(Incident.objects.get().pk, alice, now)
    deliver(now + outbox.LEASE + timedelta(seconds=1))
    assert (recorder.sent, reload(notification).state) == ([], State.CANCELLED)
    services.resolve(Incident.objects.get().pk, None, database_now())
    deliver()
    assert [message.title.partition(":")[0] for _, message in recorder.sent] == ["Resolved"]


def test_each_resolve_is_told_also_after_one_that_was_taken_back(
    notification: Notification, recorder: Recorder, bob: User
) -> None:
    deliver()
    incident = Incident.objects.get()
    services.resolve(incident.pk, bob, database_now())
    deliver()
    lifecycle.reopen(incident.pk, bob, database_now())
    services.resolve(incident.pk, bob, database_now())
    deliver()
    assert [message.title.partition(":")[0] for _, message in recorder.sent][1:] == ["Resolved", "Resolved"]


def test_who_resolves_needs_no_notice(notification, recorder: Recorder, alice: User) -> None:
    deliver()
    services.resolve(Incident.objects.get().pk, alice, database_now())
    assert outbox.oldest_due_at(database_now()) is None


def test_a_person_without_a_contact_method_is_named_on_the_timeline(source, alice: User) -> None:
    alice.contact_methods.all().delete()
    alert(source)
    escalation.escalate_due(database_now)
    assert LogEntry.objects.filter(kind="person.unreachable", data__people="Alice").exists()


def test_a_provider_that_hangs_takes_no_more_than_its_slots(source, alice: User, recorder: Recorder) -> None:
    """The other provider of the same channel has slots of its own."""
    people = [User.objects.create_user(f"{n}@example.org", "p", name=f"P{n}") for n in range(claims.SLOTS + 3)]
    for person in people:
        add_method(person, "slow")
    add_method(people[0], "quick")
    replace_rules(source.escalation_policy, [RuleData(10, [person.pk for person in people])])
    alert(source)
    escalation.escalate_due(database_now)
    now = database_now()
    taken = [row.contact_method.address for row in claims.claim(now, 100).notifications if row.channel == "recorder"]
    assert (taken.count("slow"), taken.count("quick")) == (claims.SLOTS, 1)
    assert not [row for row in claims.claim(now, 100).notifications if row.channel == "recorder"]
    done = Notification.objects.filter(state=State.SENDING, provider="recorder:slow").first()
    outcomes.finish([outcomes.Result(done, now, now, "taken")])
    assert [row.provider_id for row in claims.claim(now, 100).notifications] == ["recorder:slow"]


def test_many_messages_cost_few_queries_each(source, alice: User, recorder: Recorder) -> None:
    people = [User.objects.create_user(f"{n}@example.org", "p", name=f"P{n}") for n in range(48)]
    for number, person in enumerate(people):
        person.contact_methods.all().delete()
        add_method(person, f"phone {number}")
    replace_rules(source.escalation_policy, [RuleData(10, [person.pk for person in people])])
    alert(source)
    escalation.escalate_due(database_now)
    with CaptureQueriesContext(connection) as queries:
        assert deliver() == 48
    assert len(queries) <= 48
    assert len(recorder.sent) == 48


@pytest.fixture
def end_of_turn() -> Iterator[Callable[[], None]]:
    """Another process is just claiming, until this is called."""
    other = connection.copy()

    def end() -> None:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock_all()")

    with other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtext('notifications.claim'))")
    yield end
    end()
    other.close()


def test_nobody_queues_for_a_turn(end_of_turn: Callable[[], None], notification, recorder: Recorder) -> None:
    claim = claims.claim(database_now(), 10)
    assert claim.is_busy
    assert not claim.notifications
    assert deliver() == 0
    assert reload(notification).state == State.PLANNED
    end_of_turn()
    assert deliver() == 1


def test_what_falls_due_while_somebody_else_claims_is_not_left_for_the_next_ring(
    end_of_turn: Callable[[], None], notification, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "sleep", lambda _: end_of_turn())
    assert deliver() == 1
