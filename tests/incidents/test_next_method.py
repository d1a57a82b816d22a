"""A person whose message does not get through is told in the next way: soon, and at once when there is no hope."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from accounts.models import User
from ilert.common.clock import database_now
from incidents import services
from incidents.models import Incident
from notifications import breaker, claims, outbox
from notifications.channels import OnlyShown, PermanentError, TemporaryError
from notifications.models import Notification, Provider
from tests.delivering import Recorder, add_method, ask, deliver

pytestmark = pytest.mark.django_db
State = Notification.State


@pytest.fixture
def start(source, alice: User, recorder: Recorder) -> datetime:
    """Alice is asked by "first", by "second" after 5 minutes and by "third" after 10. The moment when she is asked."""
    add_method(alice, "first")
    add_method(alice, "second", delay_minutes=5)
    add_method(alice, "third", delay_minutes=10)
    ask(source)
    return Notification.objects.order_by("due_at").first().due_at


def refuse(recorder: Recorder, error: Exception, *addresses: str) -> None:
    def behave() -> None:
        if recorder.sent[-1][0] in addresses:
            raise error

    recorder.behaviour = behave


def tick(start: datetime, seconds: int, work: Callable[[datetime], object] = deliver) -> None:
    """Let the seconds pass one by one, as the ticker does: it works only when something is due."""
    for second in range(seconds + 1):
        moment = start + timedelta(seconds=second)
        if outbox.oldest_due_at(moment):
            work(moment)


def first_sent_at(address: str, start: datetime) -> float | None:
    begun = Notification.objects.get(provider=f"recorder:{address}").first_attempt_at
    return (begun - start).total_seconds() if begun else None


def test_a_permanent_error_lets_the_next_method_start_at_once(start, recorder: Recorder) -> None:
    refuse(recorder, PermanentError("550 no such user"), "first")
    tick(start, 60)
    assert recorder.addresses == ["first", "second"]
    assert first_sent_at("second", start) == 0


def test_when_all_fail_for_good_all_are_tried_at_once(start, recorder: Recorder) -> None:
    refuse(recorder, PermanentError("550 no such user"), "first", "second", "third")
    tick(start, 2)
    assert recorder.addresses == ["first", "second", "third"]


def test_temporary_errors_let_the_next_method_start_within_15_seconds(start, recorder: Recorder) -> None:
    refuse(recorder, TemporaryError("451 later"), "first")
    tick(start, 120)
    assert recorder.addresses.count("second") == 1
    assert first_sent_at("second", start) <= 12
    assert first_sent_at("third", start) is None


def test_a_retry_that_works_leaves_the_next_method_alone(start, recorder: Recorder) -> None:
    def fail_once() -> None:
        if len(recorder.sent) == 1:
            raise TemporaryError("451 later")

    recorder.behaviour = fail_once
    tick(start, 60)
    assert recorder.addresses == ["first", "first"]


def test_a_sender_that_was_killed_lets_the_next_method_start_within_15_seconds(start, recorder: Recorder) -> None:
    assert claims.claim(start, 10).notifications
    tick(start, 14)
    assert recorder.addresses == ["second"]
    assert first_sent_at("second", start) <= 12
    tick(start, 20)
    assert recorder.addresses == ["second", "first"]


def test_what_waits_for_a_slot_of_a_provider_that_hangs_does_not_wait_for_its_own_try(
    start, source, recorder: Recorder, monkeypatch
) -> None:
    monkeypatch.setattr(claims, "SLOTS", 1)
    assert claims.claim(start, 10).notifications
    ask(source, name="behind it")
    assert outbox.struggling(start + timedelta(seconds=5)) == []
    tick(start, 7)
    assert recorder.addresses == ["second", "second"]


def test_what_waits_for_a_provider_that_works_is_left_alone(start, source, recorder: Recorder, monkeypatch) -> None:
    monkeypatch.setattr(claims, "SLOTS", 0)
    ask(source, name="another")
    tick(start, 30)
    assert recorder.addresses == []


def test_mail_that_is_only_shown_here_lets_the_next_method_start_at_once(
    start, recorder: Recorder, monkeypatch
) -> None:
    monkeypatch.setattr(Recorder, "send", lambda self, address, *_: self.sent.append((address, None)) or SHOWN)
    deliver(start)
    assert recorder.addresses == ["first", "second", "third"]


SHOWN = OnlyShown("Shown here")


def test_a_person_who_was_told_in_another_way_is_not_told_by_a_third(source, alice, recorder: Recorder) -> None:
    for address, delay in (("broken", 0), ("good", 0), ("third", 5)):
        add_method(alice, address, delay)
    ask(source)
    refuse(recorder, PermanentError("550"), "broken")
    tick(database_now(), 60)
    assert sorted(recorder.addresses) == ["broken", "good"]


def test_nobody_is_told_in_the_next_way_after_an_accept(start, recorder: Recorder, bob: User) -> None:
    refuse(recorder, TemporaryError("451 later"), "first")
    deliver(start)
    services.accept(Incident.objects.get().pk, bob, start + timedelta(seconds=1))
    tick(start, 60)
    assert recorder.addresses == ["first"]


# The breaker: what several messages found out about a provider, the others need not find out again.


@pytest.fixture
def shut(start, source, recorder: Recorder) -> datetime:
    """Three messages have failed at "first". The moment after that."""
    refuse(recorder, TemporaryError("no answer"), "first")
    deliver(start)
    for number in range(breaker.LIMIT - 1):
        ask(source, name=f"db-{number}")
        deliver(database_now())
    assert recorder.addresses == ["first"] * breaker.LIMIT
    recorder.sent.clear()
    return database_now()


def test_while_a_provider_is_down_the_next_method_starts_at_once(shut, source, recorder: Recorder) -> None:
    ask(source, name="late")
    deliver(database_now())
    assert recorder.addresses == ["second"]
    waiting = Notification.objects.get(provider="recorder:first", attempt_count=0)
    assert (waiting.state, waiting.answer) == (State.PLANNED, "Waits, as recorder:first fails: no answer")


def test_what_waits_for_a_provider_that_is_down_keeps_nobody_busy(shut, source, recorder: Recorder) -> None:
    ask(source, name="late")
    deliver(shut + timedelta(seconds=8))
    assert outbox.oldest_due_at(shut + timedelta(seconds=9)) is None


def test_one_message_tries_whether_it_works_again(shut, recorder: Recorder) -> None:
    deliver(shut + timedelta(seconds=11))
    assert recorder.addresses.count("first") == 1
    provider = Provider.objects.get(name="recorder:first")
    assert (provider.pause_seconds, provider.probing) == (20, False)
    assert provider.open_until > shut + timedelta(seconds=30)


def test_nothing_is_lost_and_all_goes_out_when_it_works_again(shut, source, recorder: Recorder) -> None:
    ask(source, name="late")
    deliver(database_now())
    recorder.behaviour = lambda: None
    tick(database_now(), 60)
    told = Notification.objects.filter(provider="recorder:first")
    assert {row.state for row in told} == {State.ACCEPTED}
    provider = Provider.objects.get(name="recorder:first")
    assert (provider.open_until, provider.failures) == (None, 0)


def test_a_sender_that_dies_while_it_tries_leaves_the_way_to_another(shut, recorder: Recorder) -> None:
    moment = shut + timedelta(seconds=11)
    (probe,) = [row for row in claims.claim(moment, 10).notifications if row.provider_id == "recorder:first"]
    assert not [row for row in claims.claim(moment, 10).notifications if row.provider_id == "recorder:first"]
    recorder.behaviour = lambda: None
    tick(moment, 20)
    probe.refresh_from_db()
    assert probe.state == State.ACCEPTED


def test_a_refusal_is_an_answer_and_opens_nothing(source, alice, recorder: Recorder) -> None:
    add_method(alice, "first")
    refuse(recorder, PermanentError("550 no such user"), "first")
    for number in range(breaker.LIMIT + 1):
        ask(source, name=f"db-{number}")
        deliver(database_now())
    assert Provider.objects.get(name="recorder:first").open_until is None
    assert len(recorder.sent) == breaker.LIMIT + 1
