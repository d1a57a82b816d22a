"""Signs of life."""

from datetime import datetime, timedelta

import pytest

from incidents.watch import pulses
from incidents.watch.models import Pulse, Role
from incidents.watch.pulses import Beat, clock_jump, forget_replaced, steady
from tests.conftest import NOW
from tests.watch.conftest import pulse

SECOND = timedelta(seconds=1)


@pytest.mark.django_db
def test_a_process_has_one_row_and_renews_it() -> None:
    beat = Beat(Role.WEB, 4711, steady() - 60)
    beat.write("first")
    seen = Pulse.objects.get().last_seen_at
    beat.write("second")
    row = Pulse.objects.get()
    assert (row.role, row.pid, row.did) == ("web", 4711, "second")
    assert row.last_seen_at > seen
    assert timedelta(seconds=59) < row.last_seen_at - row.started_at < timedelta(seconds=65)
    assert abs(row.clock_skew) < 1
    assert row.clock_jump_at is None


@pytest.mark.django_db
def test_who_ends_as_it_should_is_not_missed() -> None:
    beat, other = Beat(Role.WEB, 1, steady()), Beat(Role.WORKER, 1, steady())
    beat.write("")
    other.write("")
    beat.remove()
    assert [row.role for row in Pulse.objects.all()] == [Role.WORKER]


@pytest.mark.django_db
def test_a_ticker_notes_the_time_in_which_none_ticked(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([NOW, NOW + 10 * SECOND, NOW + 200 * SECOND, NOW + 205 * SECOND])
    monkeypatch.setattr(pulses, "database_now", lambda: next(moments))
    first, second = Beat(Role.TICKER, 1, steady()), Beat(Role.TICKER, 2, steady())
    first.write("")
    second.write("")
    assert list(Pulse.objects.filter(gap_from__isnull=False)) == []
    first.write("")
    second.write("")
    row = Pulse.objects.get(gap_from__isnull=False)
    assert (row.pid, row.gap_from, row.gap_until) == (1, NOW + 10 * SECOND, NOW + 200 * SECOND)


@pytest.mark.django_db
def test_a_clock_that_jumps_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([NOW, NOW + 3600 * SECOND, NOW + 3600 * SECOND])
    monkeypatch.setattr(pulses, "database_now", lambda: next(moments))
    beat = Beat(Role.WEB, 1, steady())
    beat.write("")
    beat.write("")
    row = Pulse.objects.get()
    assert row.clock_jump == pytest.approx(3600, abs=1)
    assert row.clock_jump_at == NOW + 3600 * SECOND


def reading(seconds: float, before: float, after: float) -> pulses._Reading:
    return pulses._Reading(NOW + seconds * SECOND, before, after)


@pytest.mark.parametrize(
    ("earlier", "later", "jump"),
    [
        (reading(0, 100, 100), reading(5, 105, 105), 0),
        (reading(0, 100, 100), reading(15, 105, 105), 10),
        (reading(0, 100, 100), reading(-15, 105, 105), -20),
        # The database was frozen while it was asked: whenever it looked at its clock in that time, all is well.
        (reading(0, 100, 100), reading(5, 104, 164), 0),
        (reading(0, 100, 100), reading(63, 104, 164), 0),
        (reading(0, 100, 160), reading(3, 161, 161), 0),
    ],
)
def test_slow_answers_are_no_jump(earlier: pulses._Reading, later: pulses._Reading, jump: float) -> None:
    assert clock_jump(earlier, later) == jump


def left(now: datetime, *rows: Pulse) -> set[int]:
    Pulse.objects.bulk_create(rows)
    forget_replaced(now)
    return set(Pulse.objects.values_list("pid", flat=True))


@pytest.mark.django_db
def test_a_killed_process_with_a_successor_is_forgotten() -> None:
    dead = pulse(Role.WORKER, 1, seen=NOW - 30 * SECOND)
    heir = pulse(Role.WORKER, 2, started_at=NOW - 29 * SECOND)
    assert left(NOW, dead, heir) == {2}


@pytest.mark.django_db
def test_one_successor_replaces_one() -> None:
    dead = [pulse(Role.WORKER, number, seen=NOW - (40 - number) * SECOND) for number in (1, 2)]
    assert left(NOW, *dead, pulse(Role.WORKER, 3, started_at=NOW - 29 * SECOND)) == {2, 3}


@pytest.mark.django_db
def test_who_was_there_before_and_who_is_elsewhere_replaces_nobody() -> None:
    dead = pulse(Role.WORKER, 1, seen=NOW - 30 * SECOND)
    older = pulse(Role.WORKER, 2, started_at=NOW - 40 * SECOND)
    elsewhere = pulse(Role.WORKER, 3, host="b", started_at=NOW - 20 * SECOND)
    other_role = pulse(Role.WEB, 4, started_at=NOW - 20 * SECOND)
    assert left(NOW, dead, older, elsewhere, other_role) == {1, 2, 3, 4}


@pytest.mark.django_db
def test_the_last_of_its_role_is_missed_until_another_lives() -> None:
    dead = pulse(Role.WORKER, 1, seen=NOW - timedelta(hours=2))
    assert left(NOW, dead) == {1}
    assert left(NOW, pulse(Role.WORKER, 2, host="b")) == {2}
