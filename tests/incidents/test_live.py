"""Pages that are open: one look serves all, each gets what has changed, and nobody's leaving is left behind."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError, connection
from django.http import HttpRequest, QueryDict
from django.test import Client

from accounts.models import Team, User
from alertsources.models import AlertSource
from ilert.common.clock import database_now
from incidents import live, search, services
from incidents.listing import Filters
from incidents.live import Board, View
from incidents.views.streams import event_stream, may_stay, teams_of
from tests.incidents.test_pages import open_incident

pytestmark = pytest.mark.django_db(transaction=True)
VIEW = View(Filters(), "UTC")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "INTERVAL", 0.05)


def stays() -> bool:
    return True


async def next_rows(events: AsyncIterator[str]) -> dict[str, Any]:
    async for event in events:
        if event.startswith("event: rows\n"):
            return json.loads(event.split("data: ", 1)[1])
    raise AssertionError("the stream has ended")


def run(story: Any) -> None:
    asyncio.run(asyncio.wait_for(story, 20))


def test_a_page_gets_what_has_changed_and_only_that(source: AlertSource) -> None:
    async def story() -> None:
        board = Board()
        old = await sync_to_async(open_incident)(source, "disk of web-1 full")
        events = board.follow(VIEW, "", stays)
        message = await next_rows(events)
        assert message["order"] == [old.pk]
        assert list(message["rows"]) == [str(old.pk)]
        new = await sync_to_async(open_incident)(source, "disk of web-2 full")
        message = await next_rows(events)
        assert message["order"] == [new.pk, old.pk]
        assert list(message["rows"]) == [str(new.pk)]
        now = await sync_to_async(database_now)()
        await sync_to_async(services.resolve)(old.pk, None, now)
        message = await next_rows(events)
        assert (message["order"], message["rows"]) == ([new.pk], {})
        await events.aclose()

    run(story())


def test_a_page_that_shows_it_already_is_sent_nothing(source: AlertSource) -> None:
    async def story() -> None:
        board = Board()
        await sync_to_async(open_incident)(source, "disk of web-1 full")
        current = await live.in_thread(VIEW.read)
        events = board.follow(VIEW, current.version, stays)
        assert (await anext(events)).startswith("retry:")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(next_rows(events), 0.5)

    run(story())


def test_many_pages_cost_one_look_and_nobody_leaves_anything(source: AlertSource) -> None:
    async def story() -> None:
        board, looks = Board(), 0
        read = View.read

        def counted(view: View) -> Any:
            nonlocal looks
            looks += 1
            return read(view)

        pages = [board.follow(VIEW, "", stays) for _ in range(50)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(View, "read", counted)
            await asyncio.gather(*(next_rows(page) for page in pages))
            # What was shown when they came is enough for all but the first of them; each first look settles twice.
            before = looks
            await sync_to_async(open_incident)(source, "disk of web-1 full")
            messages = await asyncio.gather(*(next_rows(page) for page in pages))
            assert len({message["version"] for message in messages}) == 1
            assert looks - before <= 4
        for page in pages:
            await page.aclose()
        assert board._views == {}
        await asyncio.sleep(0.2)
        assert board._task is not None
        assert board._task.done()

    run(story())


def test_a_view_that_fails_holds_up_no_other_and_is_read_again(
    source: AlertSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, read = View(Filters(words="slow"), "UTC"), View.read
    failing = True

    def reading(view: View) -> Any:
        if view == bad and failing:
            raise OperationalError("canceling statement due to statement timeout")
        return read(view)

    async def story() -> None:
        nonlocal failing
        board = Board()
        first, second = board.follow(bad, "", stays), board.follow(VIEW, "", stays)
        await next_rows(first)
        await next_rows(second)
        monkeypatch.setattr(View, "read", reading)
        new = await sync_to_async(open_incident)(source, "slow disk of web-1")
        assert (await asyncio.wait_for(next_rows(second), 3))["order"] == [new.pk]
        await sync_to_async(search.add_new)()
        await asyncio.sleep(0.3)
        failing = False
        assert (await asyncio.wait_for(next_rows(first), 3))["order"] == [new.pk]
        await first.aclose()
        await second.aclose()

    run(story())


def test_a_full_board_sends_pages_to_ask_instead(monkeypatch: pytest.MonkeyPatch, source: AlertSource) -> None:
    async def story() -> None:
        board = Board()
        monkeypatch.setattr(live, "MAX_FOLLOWERS", 1)
        events = board.follow(VIEW, "", stays)
        await anext(events)
        assert board.is_full
        await events.aclose()
        assert not board.is_full

    run(story())


def test_an_open_page_holds_no_connection(source: AlertSource) -> None:
    async def events() -> AsyncGenerator[str, None]:
        yield "retry: 2000\n\n"

    async def story() -> None:
        await sync_to_async(database_now)()
        assert await sync_to_async(lambda: connection.connection is not None)()
        response = event_stream(events())
        assert await anext(aiter(response)) == b"retry: 2000\n\n"
        assert await sync_to_async(lambda: connection.connection is None)()

    run(story())


def test_a_source_that_gets_a_team_leaves_open_lists_at_once(source: AlertSource, bob: User) -> None:
    incident = open_incident(source, "breach at a customer")
    view = View(Filters.read(QueryDict(""), bob), "UTC", teams_of(bob))
    assert [row.pk for row in view.read().rows] == [incident.pk]

    AlertSource.objects.update(team=Team.objects.create(name="Security"))

    assert not view.read().rows


@pytest.mark.parametrize("what", ["deactivated", "signed out", "joined a team", "nothing"])
def test_rights_that_change_are_noticed(client: Client, source: AlertSource, bob: User, what: str) -> None:
    client.force_login(bob)
    request = HttpRequest()
    request.user, request.session = bob, client.session
    asks = may_stay(request)  # type: ignore[arg-type]
    assert asks()

    if what == "deactivated":
        User.objects.filter(pk=bob.pk).update(is_active=False)
    elif what == "signed out":
        client.logout()
    elif what == "joined a team":
        Team.objects.create(name="Blue").members.add(bob)

    assert asks() is (what == "nothing")


def test_a_stream_ends_at_the_heartbeat_however_busy_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "HEARTBEAT", 0.05)

    async def story() -> None:
        wake = asyncio.Event()
        heard = 0
        async for _ in live.stream(wake, lambda: "news", lambda: False):
            heard += 1
            wake.set()
            await asyncio.sleep(0.01)
        assert heard < 20

    run(story())
