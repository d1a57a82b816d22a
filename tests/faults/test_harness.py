"""Short forms of the runs of `tests/faults/harness`: the same bounds, a smaller load, fewer blows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import uvloop

from tests.faults.harness import compare, figures, runs, world
from tests.faults.harness.compare import Due, Incident, Verdict
from tests.faults.harness.havoc import KINDS, POSTGRES, VALKEY, Plan, schedule
from tests.faults.harness.load import Rates
from tests.faults.harness.runs import Options
from tests.faults.harness.sinks import Arrival
from tests.faults.house import LONG

SLOW = Rates(events=100, openings=5)


def _run(run: Callable[[Options], Awaitable[list[figures.Line]]], options: Options) -> None:
    lines = uvloop.run(run(options))  # type: ignore[arg-type]
    assert all(line.ok for line in lines), figures.table(run.__name__, lines)


@pytest.mark.faults
@pytest.mark.skipif(not LONG, reason="its bounds are those of a machine that does nothing else: ILERT_FAULTS=long")
def test_load_without_faults_is_neither_late_nor_repeated() -> None:
    _run(runs.storm, Options(seconds=30, plan=Plan(30), rates=SLOW))


@pytest.mark.faults
def test_killed_and_frozen_processes_lose_nothing() -> None:
    _run(runs.storm, Options(seconds=60, plan=Plan(60, kills=15, crashes=1, freezes=1), rates=SLOW))


@pytest.mark.faults
def test_everything_killed_at_once_catches_up() -> None:
    _run(runs.restarts, Options(seconds=40, restarts=2, rates=SLOW))


@pytest.mark.faults
def test_pages_go_out_without_a_broker_and_with_a_frozen_one() -> None:
    _run(runs.broker, Options(seconds=40, rates=SLOW))


@pytest.mark.faults
def test_hanging_mail_server_delays_nobody_else() -> None:
    _run(runs.smtp, Options(seconds=30, rates=SLOW))


@pytest.mark.faults
@pytest.mark.skipif(not LONG, reason="takes minutes, as bundles have pauses between them: ILERT_FAULTS=long")
def test_a_flood_for_one_person_is_a_few_messages_that_name_everything() -> None:
    _run(runs.flood, Options(seconds=180, flood=2000))


# The harness itself: a fault must not hide behind a mistake of its own.


def test_schedule_is_the_seed_s_and_has_every_blow() -> None:
    plan = Plan(600, kills=200, crashes=5, freezes=5)
    blows = schedule(plan, seed=7)
    assert blows == schedule(plan, seed=7)
    assert blows != schedule(plan, seed=8)
    kills = [blow.name for blow in blows if not blow.freeze]
    assert sum(name in KINDS for name in kills) == 200
    assert (kills.count(POSTGRES), kills.count(VALKEY)) == (5, 5)
    assert sum(blow.freeze > 0 for blow in blows) == 5
    assert all(10 <= blow.at <= 590 for blow in blows)


def _page(at: float, person: int, incident: int, message_id: str = "a", title: str = "Disk") -> Arrival:
    body = f'{{"id": "{message_id}", "title": "{title}", "text": "Since then, from a source (#{incident})."}}'
    return Arrival(at, world.WEBHOOK, person, body.encode())


def _compared(dues: list[Due], *arrivals: Arrival) -> Verdict:
    verdict = Verdict()
    compare.compare(dues, list(arrivals), verdict, lambda due, _: due)
    return verdict


DUE = Due(incident=7, person=2, channel=world.WEBHOOK, at=100.0, optional=False)


def test_step_without_a_message_is_missing() -> None:
    notice = _page(101, 2, 7, title="Resolved: Disk")
    notices = _page(101, 2, 7, title="3 messages, newest: Resolved: Disk")
    for arrivals in ([], [_page(101, 3, 7)], [_page(101, 2, 8)], [notice], [notices]):
        assert _compared([DUE], *arrivals).missing == [DUE]


def test_lateness_counts_from_the_due_time_to_the_first_arrival() -> None:
    verdict = _compared([DUE], _page(104.0, 2, 7), _page(103.5, 2, 7))
    assert verdict.lateness == [3.5]
    assert (verdict.repeats, verdict.told_twice) == (1, 0)


def test_second_message_under_another_id_is_told_twice() -> None:
    verdict = _compared([DUE], _page(101, 2, 7, "a"), _page(102, 2, 7, "b"))
    assert (verdict.repeats, verdict.told_twice) == (0, 1)


def test_bundle_does_the_steps_of_all_it_names() -> None:
    body = '{"id": "b", "title": "2 new incidents, newest: Disk", "text": "#8 Disk\\n\\nAll of them: #7–#8"}'.encode()
    other = Due(incident=8, person=2, channel=world.WEBHOOK, at=100.5, optional=False)
    verdict = _compared([DUE, other], Arrival(101.0, world.WEBHOOK, 2, body))
    assert (verdict.missing, verdict.bundled, verdict.lateness) == ([], 1, [1.0, 0.5])


def test_steps_are_due_until_their_incident_is_resolved() -> None:
    # Person 0 at once by both; person 1 a minute later by webhook, and a minute after that by mail.
    steps = {(step.person, step.channel): step.delay for step in world.steps(0)}
    assert steps == {(0, "webhook"): 0, (0, "email"): 0, (1, "webhook"): 60, (1, "email"): 120}
    open_still = Incident(1, key=0, reported_at=1000.0, resolved_at=None)
    assert len(compare.expected([open_still], until=1061.0)) == 3
    ended = Incident(1, key=0, reported_at=1000.0, resolved_at=1070.0)
    dues = compare.expected([ended], until=2000.0)
    assert [(due.person, due.optional) for due in dues] == [(0, False), (0, False), (1, True)]


def test_lateness_after_a_restart_counts_from_the_start() -> None:
    outages = [(50.0, 52.0), (90.0, 93.0)]
    assert runs._from_start(40.0, 45.0, outages) == 40.0
    assert runs._from_start(49.9, 60.0, outages) == 52.0
    assert runs._from_start(51.0, 60.0, outages) == 52.0
    assert runs._from_start(60.0, 70.0, outages) == 60.0
    assert runs._from_start(89.0, 99.0, outages) == 93.0
