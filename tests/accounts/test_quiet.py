"""Quiet hours on the clock on the wall, also on the nights when it is changed."""

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from accounts.quiet import QuietHours

BERLIN = ZoneInfo("Europe/Berlin")
WEEK = frozenset(range(7))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def hours(start: str, end: str, days: frozenset[int] = WEEK, zone: ZoneInfo = BERLIN) -> QuietHours:
    return QuietHours(time.fromisoformat(start), time.fromisoformat(end), days, zone)


@pytest.mark.parametrize(
    ("moment", "until"),
    [
        ("2026-01-14 20:59", None),
        ("2026-01-14 21:00", "2026-01-15 06:00"),
        ("2026-01-14 23:30", "2026-01-15 06:00"),
        ("2026-01-15 05:59", "2026-01-15 06:00"),
        ("2026-01-15 06:00", None),
    ],
)
def test_over_midnight(moment: str, until: str | None) -> None:
    assert hours("22:00", "07:00").until(utc(moment)) == (utc(until) if until else None)


def test_within_a_day() -> None:
    lunch = hours("12:00", "13:00")
    assert lunch.until(utc("2026-01-14 11:30")) == utc("2026-01-14 12:00")
    assert lunch.until(utc("2026-01-14 12:00")) is None


def test_the_same_time_twice_is_a_whole_day() -> None:
    assert hours("08:00", "08:00").until(utc("2026-01-14 06:59")) == utc("2026-01-14 07:00")
    assert hours("08:00", "08:00").until(utc("2026-01-14 07:00")) == utc("2026-01-15 07:00")


def test_days_are_those_on_which_it_begins() -> None:
    friday = hours("22:00", "07:00", frozenset({4}))
    assert friday.until(utc("2026-01-16 22:00")) == utc("2026-01-17 06:00")  # Friday night
    assert friday.until(utc("2026-01-17 03:00")) == utc("2026-01-17 06:00")  # Saturday morning
    assert friday.until(utc("2026-01-16 03:00")) is None  # Friday morning
    assert friday.until(utc("2026-01-17 22:00")) is None  # Saturday night


# In Berlin 02:00 becomes 03:00 on 2026-03-29 at 01:00 UTC, and 03:00 becomes 02:00 on 2026-10-25 at 01:00 UTC.


@pytest.mark.parametrize(
    ("night", "start", "end"),
    [
        ("2026-03-28", "2026-03-28 21:00", "2026-03-29 05:00"),  # an hour shorter
        ("2026-10-24", "2026-10-24 20:00", "2026-10-25 06:00"),  # an hour longer
    ],
)
def test_a_night_of_a_clock_change_ends_by_the_clock(night: str, start: str, end: str) -> None:
    quiet = hours("22:00", "07:00")
    assert quiet.until(utc(start)) == utc(end)
    assert quiet.until(utc(end)) is None


def test_a_time_that_is_left_out_counts_from_the_jump() -> None:
    assert hours("22:00", "02:30").until(utc("2026-03-29 00:59:59")) == utc("2026-03-29 01:00")
    assert hours("22:00", "02:30").until(utc("2026-03-29 01:00")) is None
    assert hours("02:30", "06:00").until(utc("2026-03-29 00:59:59")) is None
    assert hours("02:30", "06:00").until(utc("2026-03-29 01:00")) == utc("2026-03-29 04:00")
    assert hours("02:10", "02:50").until(utc("2026-03-29 01:00")) is None


def test_a_time_that_comes_twice_counts_from_its_first() -> None:
    assert hours("22:00", "02:30").until(utc("2026-10-25 00:29")) == utc("2026-10-25 00:30")
    assert hours("22:00", "02:30").until(utc("2026-10-25 01:15")) is None
    assert hours("02:30", "06:00").until(utc("2026-10-25 00:30")) == utc("2026-10-25 05:00")
    assert hours("02:30", "06:00").until(utc("2026-10-25 01:10")) == utc("2026-10-25 05:00")


def test_other_zones() -> None:
    kiritimati = hours("22:00", "07:00", zone=ZoneInfo("Pacific/Kiritimati"))
    assert kiritimati.until(utc("2026-01-14 08:00")) == utc("2026-01-14 17:00")
    lord_howe = hours("22:00", "02:15", zone=ZoneInfo("Australia/Lord_Howe"))  # changes by half an hour
    assert lord_howe.until(utc("2026-10-03 15:00")) == utc("2026-10-03 15:30")
