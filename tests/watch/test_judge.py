"""What is wrong, and how it is said: each fault is named, and each says what to do."""

from dataclasses import replace
from datetime import timedelta

import pytest

from incidents.models import Retention
from incidents.watch.facts import Broker, Database, Deliveries, Facts, Waiting
from incidents.watch.judge import judge
from incidents.watch.models import Role
from tests.conftest import NOW
from tests.watch.conftest import pulse

SECOND = timedelta(seconds=1)


def kinds(facts: Facts) -> list[str]:
    return [problem.kind for problem in judge(facts)]


def test_nothing_is_wrong_when_all_is_well(well: Facts) -> None:
    assert judge(well) == []


@pytest.mark.parametrize(
    ("change", "kind", "grave", "words", "advice"),
    [
        ({"oldest_step": NOW - 31 * SECOND}, "steps-late", True, "due for 31 s", "Restart the tickers"),
        ({"oldest_stale": NOW - 400 * SECOND}, "resolves-late", False, "6 min late", "restart"),
        ({"waiting": [Waiting("email", 7, NOW - 31 * SECOND)]}, "messages-late", True, "7 wait", "restart workers"),
        ({"over_leases": 2}, "leases-over", False, "sending 2 of them has died", "Restart workers"),
        ({"untold": [7, 3]}, "untold", True, "#7, #3", "accept it or tell the right person"),
        ({"broker": Broker("refused", 1, 0)}, "broker", False, "pages still go out", "REDIS_URL"),
        ({"failed_events": 3, "oldest_failed_event": NOW}, "events-failed", True, "3 are stored", "event log"),
        ({"disk_free": 400_000_000}, "disk", False, "400 MB", "Free some space"),
        ({"disk_free": 40_000_000}, "disk", True, "40 MB", "Free some space"),
        ({"retention": Retention(due_at=NOW - timedelta(hours=3))}, "retention", False, "due for 3 h", "tickers"),
        ({"database": Database("18", 1, 81, 100, 1)}, "connections", False, "81 of 100", "max_connections"),
        ({"database": Database("18", 300, 1, 100, 1)}, "database-slow", False, "300 ms", "pg_stat_activity"),
    ],
)
def test_fault_is_told_with_what_to_do(
    well: Facts, change: dict[str, object], kind: str, grave: bool, words: str, advice: str
) -> None:
    (problem,) = judge(replace(well, **change))
    assert (problem.kind, problem.grave) == (kind, grave)
    assert words in problem.text
    assert advice in problem.advice


@pytest.mark.parametrize(
    "change",
    [
        {"oldest_step": NOW - 30 * SECOND},
        {"waiting": [Waiting("email", 7, NOW - 30 * SECOND)]},
        {"disk_free": 500_000_000},
        {"disk_free": None},
        {"retention": Retention(due_at=NOW - timedelta(hours=2))},
        {"database": Database("18", 250, 80, 100, 1)},
    ],
)
def test_what_is_within_its_bounds_is_no_fault(well: Facts, change: dict[str, object]) -> None:
    assert kinds(replace(well, **change)) == []


def test_the_gravest_comes_first(well: Facts) -> None:
    facts = replace(well, broker=Broker("refused", 1, 0), untold=[1])
    assert kinds(facts) == ["untold", "broker"]


@pytest.mark.parametrize(("role", "grave"), [(Role.WEB, True), (Role.WORKER, False), (Role.TICKER, True)])
def test_a_role_that_nobody_plays_any_more(well: Facts, role: Role, grave: bool) -> None:
    pulses = [one for one in well.pulses if one.role != role]
    dead = pulse(role, 77, seen=NOW - 26 * SECOND)
    (problem,) = judge(replace(well, pulses=[*pulses, dead]))
    assert (problem.kind, problem.grave) == (f"no-{role}", grave)
    assert "26 s ago" in problem.text
    assert "kill -9 77" in problem.advice
    (problem,) = judge(replace(well, pulses=pulses))
    assert problem.kind == f"no-{role}"
    assert "make up" in problem.advice


def test_roles_may_be_missing_for_the_first_half_minute(well: Facts) -> None:
    ticker = pulse(Role.TICKER, started_at=NOW - 29 * SECOND)
    assert kinds(replace(well, pulses=[ticker])) == []
    ticker.started_at = NOW - 31 * SECOND
    assert kinds(replace(well, pulses=[ticker])) == ["no-web", "no-worker"]


def test_one_silent_worker_of_two_is_named(well: Facts) -> None:
    silent = pulse(Role.WORKER, 99, seen=NOW - 26 * SECOND, host="b")
    (problem,) = judge(replace(well, pulses=[*well.pulses, silent]))
    assert (problem.kind, problem.subject, problem.grave) == ("silent", "worker b:99", False)
    assert "On b, `kill -9 99`" in problem.advice


def test_a_worker_that_cannot_hear_is_the_broker_s_fault(well: Facts) -> None:
    pulses = [one for one in well.pulses if one.role != Role.WORKER]
    found = {p.kind: p for p in judge(replace(well, pulses=pulses, broker=Broker("refused", 1, 0)))}
    assert set(found) == {"broker", "no-worker"}
    assert "mend the broker first" in found["no-worker"].advice


@pytest.mark.parametrize(
    ("succeeded", "failed", "answer", "fails"),
    [(0, 1, "550 no", True), (4, 1, "550 no", True), (5, 1, "550 no", False), (0, 9, "", False), (9, 0, "", False)],
)
def test_a_channel_fails_when_a_fifth_of_it_fails_and_the_last_one_did(
    well: Facts, succeeded: int, failed: int, answer: str, fails: bool
) -> None:
    facts = replace(well, deliveries=[Deliveries("email", succeeded, failed, answer)])
    assert kinds(facts) == (["channel-failing"] if fails else [])


def test_a_failing_mail_server_is_told_in_its_own_words(well: Facts) -> None:
    (problem,) = judge(replace(well, deliveries=[Deliveries("email", 1, 3, "550 relaying denied")]))
    assert problem.text == "3 of 4 attempts in the last 10 minutes. The last answer: 550 relaying denied"
    assert "EMAIL_URL" in problem.advice


def test_clocks_that_jumped_or_are_wrong(well: Facts) -> None:
    jumped = pulse(Role.TICKER, 5, clock_jump=-300.0, clock_jump_at=NOW - timedelta(minutes=9))
    wrong = pulse(Role.WEB, 6, host="b", clock_skew=6.0)
    jump, skew = judge(replace(well, pulses=[*well.pulses, jumped, wrong]))
    assert (jump.kind, skew.kind, skew.subject) == ("clock-jump", "clock-skew", "b")
    assert "300 s back" in jump.text
    assert "6 s ahead" in skew.text
    jumped.clock_jump_at = NOW - timedelta(minutes=11)
    assert kinds(replace(well, pulses=[*well.pulses, jumped])) == []


def test_a_time_without_any_ticker_is_told_afterwards(well: Facts) -> None:
    until = NOW - timedelta(minutes=1)
    ticker = pulse(Role.TICKER, 5, gap_from=until - timedelta(minutes=4), gap_until=until)
    (problem,) = judge(replace(well, pulses=[*well.pulses, ticker]))
    assert problem.text.startswith("From 02:55:00 to 02:59:00 UTC (4 min) no ticker could work.")
