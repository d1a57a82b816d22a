"""How fast messages follow each other to one contact method, played through second by second."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications import pace

START = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
STEP = 0.25


@dataclass
class Phone:
    """One contact method: what came in at which second, and what went out, as (second, incidents)."""

    arrivals: Callable[[float], int]
    waiting: list[float] = field(default_factory=list)
    sent: list[tuple[float, int]] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)

    def run(self, seconds: float) -> "Phone":
        for step in range(int(seconds / STEP) + 1):
            second = step * STEP
            self.waiting += [second] * self.arrivals(second)
            if self.waiting:
                self._tick(second)
        return self

    def _tick(self, second: float) -> None:
        lately = self._lately(second)
        if pace.one_by_one(lately):
            for _ in range(len(self.waiting)):
                self._send(second, 1)
        elif pace.bundle_at(lately, START + timedelta(seconds=second)) <= START + timedelta(seconds=second):
            self._send(second, len(self.waiting))

    def _send(self, second: float, number: int) -> None:
        self.sent.append((second, number))
        self.lateness += [second - self.waiting.pop(0) for _ in range(number)]

    def _lately(self, second: float) -> pace.Lately:
        moments = [at for at, _ in self.sent if at > second - 300]
        bundles = [at for at, number in self.sent if at > second - 300 and number > 1]
        return pace.Lately(
            len(self.waiting),
            sum(number for at, number in self.sent if at > second - 60),
            _at(moments[-1:]),
            _at(bundles[-1:]),
            _at(moments[-pace.MOST :][:1]) if len(moments) >= pace.MOST else None,
        )


def _at(seconds: list[float]) -> datetime | None:
    return START + timedelta(seconds=seconds[0]) if seconds else None


def most_in_five_minutes(phone: Phone) -> int:
    return max(sum(1 for at, _ in phone.sent if start <= at < start + 300) for start, _ in phone.sent)


def test_a_few_are_told_at_once_and_one_by_one() -> None:
    phone = Phone(lambda second: 1 if second % 12 == 0 and second < 600 else 0).run(600)
    assert [number for _, number in phone.sent] == [1] * 50
    assert max(phone.lateness) == 0


def storm(per_second: int) -> Callable[[float], int]:
    left = 10_000

    def arrivals(second: float) -> int:
        nonlocal left
        number = min(left, int(per_second * STEP))
        left -= number
        return number

    return arrivals


@pytest.mark.parametrize("per_second", [36, 200, 2000, 40_000])
def test_a_storm_is_at_most_ten_messages_in_five_minutes_the_first_at_once(per_second: int) -> None:
    phone = Phone(storm(per_second)).run(600)
    assert most_in_five_minutes(phone) <= 10
    assert phone.sent[0][0] == 0
    assert next(at for at, number in phone.sent if number > 1) <= 15
    assert max(phone.lateness) <= 60


@pytest.mark.parametrize("per_second", [4, 12, 20])
def test_a_flood_that_is_no_storm_waits_for_a_minute_at_most(per_second: int) -> None:
    phone = Phone(storm(per_second)).run(600)
    assert most_in_five_minutes(phone) <= 15
    assert max(phone.lateness) <= 60


def test_a_storm_after_a_shower_is_at_most_ten_messages_too() -> None:
    phone = Phone(lambda second: 1 if second < 12 and second % 0.5 == 0 else 500 * (12 <= second < 17)).run(600)
    sent = [at for at, number in phone.sent if at >= 12]
    assert len([at for at in sent if at < 312]) <= 10
    assert sum(number for _, number in phone.sent) == 24 + 500 * 20


def test_a_storm_in_one_moment_is_one_message() -> None:
    phone = Phone(lambda second: 10_000 if second == 0 else 0).run(300)
    assert phone.sent == [(0, 10_000)]


def test_somewhat_more_than_a_handful_waits_for_a_second_or_two() -> None:
    """Twelve a minute: twice what twenty incidents a second are for each of two hundred people."""
    phone = Phone(lambda second: 1 if second % 5 == 0 else 0).run(600)
    assert max(phone.lateness) <= 2


def test_after_a_storm_things_are_as_before() -> None:
    phone = Phone(lambda second: 500 if second < 10 else int(second == 400)).run(500)
    assert phone.sent[-1] == (400, 1)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=240))
def test_everything_is_told_in_the_end(numbers: list[int]) -> None:
    phone = Phone(lambda second: numbers[int(second / STEP)] if second / STEP < len(numbers) else 0).run(500)
    assert sum(number for _, number in phone.sent) == sum(numbers)
