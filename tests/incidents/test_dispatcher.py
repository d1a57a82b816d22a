"""Messages are sent by threads of their own: whoever asks for it, and whatever hangs, nobody waits."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import OperationalError, connections

from accounts.models import User
from alertsources.models import AlertSource
from ilert.common.clock import database_now
from incidents.engine import dispatcher as module
from incidents.engine.dispatcher import Dispatcher
from incidents.engine.hand import Hand
from notifications import outcomes
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


def test_who_asks_does_not_wait_for_a_provider_that_hangs(
    dispatcher: Dispatcher, source: AlertSource, alice: User, recorder: Recorder
) -> None:
    hangs, go_on = threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        go_on.wait(10)

    recorder.behaviour = hang
    add_method(alice, "first")
    ask(source)
    dispatcher.ask()
    assert hangs.wait(10)
    recorder.behaviour = lambda: None
    add_method(alice, "second")
    ask(source, name="mail")
    dispatcher.ask()
    wait_until(lambda: states() == [State.ACCEPTED, State.ACCEPTED, State.SENDING])
    go_on.set()
    dispatcher.close()
    assert states() == [State.ACCEPTED] * 3


def test_closing_waits_for_what_is_on_its_way_and_begins_nothing_more(
    dispatcher: Dispatcher, source: AlertSource, alice: User, recorder: Recorder
) -> None:
    hangs, go_on = threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        go_on.wait(10)

    recorder.behaviour = hang
    add_method(alice, "first")
    ask(source)
    dispatcher.ask()
    assert hangs.wait(10)
    closing = threading.Thread(target=dispatcher.close)
    closing.start()
    ask(source, name="mail")
    go_on.set()
    closing.join(10)
    assert states() == [State.ACCEPTED, State.PLANNED]


def test_what_could_not_be_written_down_is_written_down_later_and_not_sent_again(
    dispatcher: Dispatcher, source: AlertSource, alice: User, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish, tries = outcomes.finish, []

    def interrupted(results: list[outcomes.Result]) -> list[object]:
        tries.append(1)
        if len(tries) < 3:
            raise OperationalError("the database system is shutting down")
        return list(finish(results))

    monkeypatch.setattr(outcomes, "finish", interrupted)
    add_method(alice, "first")
    ask(source)
    dispatcher.ask()
    wait_until(lambda: states() == [State.ACCEPTED])
    assert (len(tries), len(recorder.sent)) == (3, 1)


def wait_until(so: Callable[[], bool]) -> None:
    end = database_now().timestamp() + 10
    while not so():
        assert database_now().timestamp() < end
        threading.Event().wait(0.02)
