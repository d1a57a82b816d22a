"""`kill -9` under load: what was acknowledged is there afterwards, and nobody was told that the event is to blame."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable

import pytest

from benchmarks.client import Answer
from benchmarks.traffic import Alerts
from tests.faults.house import LONG, House, engine
from tests.faults.running import Process, eventually

pytestmark = pytest.mark.faults

KILLS = 10 if LONG else 2


def a_web_process(house: House) -> Process:
    return house.webs()[0]


def a_backend(house: House) -> Process:
    """One that serves the product."""
    rows = house.query(
        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() "
        "ORDER BY state_change DESC"
    )
    # Some end by themselves at any time.
    return next(found for (pid,) in rows if (found := Process.of(pid)))


def the_database(house: House) -> Process:
    return house.up.member("postgres")


@pytest.mark.parametrize("victim", [a_web_process, a_backend, the_database])
def test_no_acknowledged_event_is_lost(house: House, victim: Callable[[House], Process]) -> None:
    answers: list[Answer] = []
    disturbed = 0
    slowest = 0.0
    for _ in range(KILLS):
        load = house.client.start(house.plan(Alerts(house.path), 3))
        time.sleep(1.2)
        target = victim(house)
        os.kill(target.pid, signal.SIGKILL)
        result = load.result()
        answers += result.answers
        slowest = max(slowest, house.takes_events(30))
        disturbed += any(answer.status != 200 for answer in result.answers)
        eventually(lambda target=target: not target.alive, 5, f"the end of {target}")
    statuses = Counter(answer.status for answer in answers)
    lost = house.lost(answers)
    print(f"\n{victim.__name__} x {KILLS}: {dict(statuses)}, {len(lost)} lost, back within {slowest:.1f} s")
    assert not lost
    assert statuses[200] > 100 * KILLS
    assert disturbed, "nobody noticed: the kill did not meet the load"
    assert not [status for status in statuses if 400 <= status < 500]


def test_killing_the_whole_database_leaves_the_web_process_alone(house: House) -> None:
    webs = house.webs()
    os.kill(the_database(house).pid, signal.SIGKILL)
    # Between its end and its next start there is none.
    eventually(lambda: house.up.members("postgres") and len(engine(house, "postgres")) > 1, 20, "the database again")
    house.takes_events(20)
    assert house.webs() == webs
