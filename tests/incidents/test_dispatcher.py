"""Messages are sent by threads of their own: whoever asks for it, and whatever hangs, nobody waits."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from django.db import InternalError, OperationalError, connection, connections

from accounts.models import User
from alertsources.models import AlertSource
from ilert.common.clock import database_now
from incidents.engine import composition, delivery
from incidents.engine import dispatcher as module
from incidents.engine.dispatcher import Dispatcher
from incidents.engine.hand import Hand
from notifications import claims, outbox, outcomes
from notifications.models import Notification
from tests.delivering import Recorder, add_method, ask

pytestmark = pytest.mark.django_db(transaction=True)
State = Notification.State


@pytest.fixture
def dispatcher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Dispatcher]:
    pool = ThreadPoolExecutor(4)
    monkeypatch.setattr(module, "senders", lambda: pool)
    dispatcher = Dispatcher()
    yield dispatcher
    dispatcher.close()
    pool.shutdown()
    connections.close_all()


def states() -> list[str]:
    return sorted(Notification.objects.values_list("state", flat=True))


def test_what_is_asked_while_at_work_is_done_after_it() -> None:
    begun, go_on, times = threading.Semaphore(0), threading.Semaphore(0), []

    def work() -> None:
        times.append(1)
        begun.release()
        go_on.acquire(timeout=10)

    hand = Hand("test", work)
    hand.ask()
    assert begun.acquire(timeout=10)
    for _ in range(3):
        hand.ask()
    go_on.release(2)
    assert begun.acquire(timeout=10)
    hand.close()
    assert len(times) == 2


@pytest.fixture
def go_on(dispatcher: Dispatcher, source: AlertSource, alice: User, recorder: Recorder) -> threading.Event:
    """A message is on its way to a provider that hangs until this is set."""
    hangs, go_on = threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        go_on.wait(10)

    recorder.behaviour = hang
    add_method(alice, "first")
    ask(source)
    dispatcher.ask()
    assert hangs.wait(10)
    return go_on


def test_who_asks_does_not_wait_for_a_provider_that_hangs(
    go_on: threading.Event, dispatcher: Dispatcher, source: AlertSource, alice: User, recorder: Recorder
) -> None:
    recorder.behaviour = lambda: None
    add_method(alice, "second")
    ask(source, name="mail")
    dispatcher.ask()
    wait_until(lambda: states() == [State.ACCEPTED, State.ACCEPTED, State.SENDING])
    go_on.set()
    dispatcher.close()
    assert states() == [State.ACCEPTED] * 3


def test_closing_waits_for_what_is_on_its_way_and_begins_nothing_more(
    go_on: threading.Event, dispatcher: Dispatcher, source: AlertSource
) -> None:
    closing = threading.Thread(target=dispatcher.close)
    closing.start()
    ask(source, name="mail")
    go_on.set()
    closing.join(10)
    assert states() == [State.ACCEPTED, State.PLANNED]


def test_who_loses_the_session_while_a_provider_dawdles_sends_nothing_twice(
    dispatcher: Dispatcher, source: AlertSource, alice: User, recorder: Recorder
) -> None:
    def dawdle() -> None:
        time.sleep(2.5)

    recorder.behaviour = dawdle
    add_method(alice, "first")
    ask(source)
    dispatcher.ask()
    wait_until(lambda: states() == [State.SENDING])
    time.sleep(1.2)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(session) FROM notifications_notification")
    claimed = Notification.objects.get()
    end = time.monotonic() + 1.5
    while time.monotonic() < end and states() == [State.SENDING]:
        # Others look for what the dead have left.
        claims.end_orphans_leases(database_now())
        assert not claims.claim(database_now(), 10).notifications
        time.sleep(0.02)
    wait_until(lambda: states() == [State.ACCEPTED])
    assert len(recorder.sent) == 1
    assert Notification.objects.get().attempt_count == claimed.attempt_count == 1


@pytest.mark.parametrize("fault", [OperationalError("shutting down"), InternalError("idle in transaction")])
def test_what_could_not_be_written_down_is_written_down_later_and_not_sent_again(
    dispatcher: Dispatcher,
    source: AlertSource,
    alice: User,
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    fault: Exception,
) -> None:
    finish, tries = outcomes.finish, []

    def interrupted(results: list[outcomes.Result]) -> list[object]:
        tries.append(1)
        if len(tries) < 3:
            raise fault
        return list(finish(results))

    monkeypatch.setattr(outcomes, "finish", interrupted)
    add_method(alice, "first")
    ask(source)
    dispatcher.ask()
    wait_until(lambda: states() == [State.ACCEPTED])
    assert (len(tries), len(recorder.sent)) == (3, 1)


def test_while_one_hangs_a_fault_of_the_database_keeps_no_other_from_being_sent(
    dispatcher: Dispatcher, source: AlertSource, alice: User, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, go_on, claim, faults = (
        threading.Event(),
        threading.Event(),
        claims.claim,
        [OperationalError("lock time-out")],
    )

    def hang() -> None:
        hangs.set()
        go_on.wait(10)

    def interrupted(now: datetime, room: int) -> claims.Claim:
        if hangs.is_set() and faults:
            raise faults.pop()
        return claim(now, room)

    monkeypatch.setattr(claims, "claim", interrupted)
    recorder.behaviour = hang
    add_method(alice, "first")
    ask(source)
    dispatcher.ask()
    assert hangs.wait(10)
    wait_until(lambda: not faults)
    recorder.behaviour = lambda: None
    ask(source, name="mail")
    wait_until(lambda: states() == [State.ACCEPTED, State.SENDING])
    go_on.set()


def test_one_that_cannot_be_composed_keeps_no_other_from_being_sent(
    dispatcher: Dispatcher, source: AlertSource, alice: User, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    compose = composition.compose

    def poisoned(claimed: list[Notification], now: datetime) -> tuple[composition.Wanted, float]:
        if any(notification.title.startswith("disk of web-0") for notification in claimed):
            raise ValueError("poison")
        return compose(claimed, now)

    monkeypatch.setattr(composition, "compose", poisoned)
    add_method(alice, "first")
    ask(source, count=3)
    dispatcher.ask()
    wait_until(lambda: states() == [State.ACCEPTED, State.ACCEPTED, State.SENDING])
    dispatcher.close()
    assert len(recorder.sent) == 2


def test_what_was_claimed_in_vain_is_given_back_at_once(
    dispatcher: Dispatcher, source: AlertSource, alice: User, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    compose, faults = composition.compose, [OperationalError("lock time-out")]

    def interrupted(claimed: list[Notification], now: datetime) -> tuple[composition.Wanted, float]:
        if faults:
            raise faults.pop()
        return compose(claimed, now)

    monkeypatch.setattr(composition, "compose", interrupted)
    add_method(alice, "first")
    ask(source)
    dispatcher.ask()
    wait_until(lambda: states() == [State.PLANNED])
    dispatcher.ask()
    wait_until(lambda: states() == [State.ACCEPTED])
    assert Notification.objects.get().attempt_count == 1


def test_what_takes_long_to_compose_has_a_whole_lease_for_its_way(
    dispatcher: Dispatcher, source: AlertSource, alice: User, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    compose, leases = composition.compose, []

    def slow(claimed: list[Notification], now: datetime) -> tuple[composition.Wanted, float]:
        time.sleep(0.2)
        return compose(claimed, now)

    def note_lease() -> None:
        leases.append(Notification.objects.get().lease_until - database_now())

    monkeypatch.setattr(delivery, "LONG", 0.1)
    monkeypatch.setattr(composition, "compose", slow)
    recorder.behaviour = note_lease
    add_method(alice, "first")
    ask(source)
    dispatcher.ask()
    wait_until(lambda: states() == [State.ACCEPTED])
    assert leases[0] > outbox.LEASE - timedelta(seconds=0.15)


def test_one_that_cannot_be_written_down_keeps_no_other_from_it(
    dispatcher: Dispatcher, source: AlertSource, alice: User, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = outcomes.finish

    def poisoned(results: list[outcomes.Result]) -> list[object]:
        if any(result.notification.title.startswith("disk of web-0") for result in results):
            raise ValueError("poison")
        return list(finish(results))

    monkeypatch.setattr(outcomes, "finish", poisoned)
    add_method(alice, "first")
    ask(source, count=3)
    dispatcher.ask()
    wait_until(lambda: states() == [State.ACCEPTED, State.ACCEPTED, State.SENDING])


def wait_until(so: Callable[[], bool]) -> None:
    end = database_now().timestamp() + 10
    while not so():
        assert database_now().timestamp() < end
        threading.Event().wait(0.02)
