"""The requests that wait for their commit: bounded, in order, and fair to every source."""

import pytest

from alertsources.models import AlertSource
from incidents.intake import waiting
from incidents.intake.waiting import Waiting, WaitingRoom
from integrations import Payload


def request(source_id: int, body: bytes = b"") -> Waiting:
    return Waiting(AlertSource(pk=source_id), Payload(body), lambda answer: None, until=0.0)


def all_of(room: WaitingRoom) -> list[Waiting]:
    taken = []
    while one := room.take():
        taken.append(one)
    return taken


def test_sources_take_turns_and_each_keeps_its_order() -> None:
    room = WaitingRoom()
    flood = [request(1) for _ in range(5)]
    quiet = [request(2), request(3)]
    for one in (*flood, *quiet):
        room.enter(one)
    taken = all_of(room)
    assert taken[:3] == [flood[0], *quiet]
    assert taken[3:] == flood[1:]
    assert room.is_read
    assert room.take() is None


def test_who_comes_later_waits_for_one_request_of_each_other_source() -> None:
    room = WaitingRoom()
    for one in [request(1) for _ in range(100)]:
        room.enter(one)
    room.take()
    late = request(2)
    room.enter(late)
    assert [room.take(), room.take()].index(late) < 2


def test_no_source_gets_more_than_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MAX_REQUESTS", 4)
    room = WaitingRoom()
    mine = [request(1), request(1)]
    for one in mine:
        assert not room.is_full_for(1)
        room.enter(one)
    assert room.is_full_for(1)
    assert not room.is_full_for(2)
    # One that is read waits still: it counts until it is answered.
    assert all_of(room) == mine
    assert room.is_full_for(1)
    room.leave(mine)
    assert not room.is_full_for(1)


def test_large_bodies_fill_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MAX_BYTES", 10)
    room = WaitingRoom()
    room.enter(request(1, b"123456"))
    assert room.is_half_full()
    assert not room.is_full_for(2)
    room.enter(request(2, b"1234"))
    assert room.is_full_for(3)
