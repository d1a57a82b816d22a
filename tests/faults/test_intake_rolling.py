"""A rolling restart and long runs: nobody is refused, nothing grows."""

from __future__ import annotations

import signal
import time
from collections import Counter

import pytest

from benchmarks.traffic import Alerts
from tests.faults.house import LONG, House
from tests.faults.running import eventually

pytestmark = pytest.mark.faults

RESTARTS = 10 if LONG else 2
RUNS = 10 if LONG else 4


def test_rolling_restart_loses_and_refuses_nothing(house: House) -> None:
    answers = []
    for _ in range(RESTARTS):
        before = house.webs()
        load = house.client.start(house.plan(Alerts(house.path), 8))
        time.sleep(1)
        house.up.popen.send_signal(signal.SIGHUP)
        eventually(
            lambda before=before: not any(web.alive for web in before) and len(house.webs()) == len(before),
            20,
            "new web processes",
        )
        answers += load.result().answers
    statuses = Counter(answer.status for answer in answers)
    print(f"\nrolling restart of two web processes x {RESTARTS}: {dict(statuses)}")
    assert set(statuses) == {200}
    assert not house.lost(answers)


def test_memory_and_connections_stay_flat(house: House) -> None:
    def measured() -> tuple[int, int, int]:
        return house.memory(), house.descriptors(), house.database_connections()

    house.load(Alerts(house.path, keys=1000), 4)
    rows = [measured()]
    for _ in range(RUNS):
        house.load(Alerts(house.path, keys=1000), 3)
        time.sleep(1)  # the server takes its time to see that the client has gone
        rows.append(measured())
    print("\nmemory of the web processes in kB, descriptors, database connections after each run:", rows)
    (first, *_), (last, *_) = rows[0], rows[-1]
    assert last < first * 1.1
    assert rows[-1][1] <= rows[0][1] + 4
    assert max(row[2] for row in rows) < 60
