"""Three times what it can take, nearly all of it from one source: the others do not notice."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.client import ClientProcess, Plan, client_process
from benchmarks.traffic import Alerts, InTurn
from tests.faults.house import LONG, House, open_house, percentile
from tests.faults.running import Up

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not LONG, reason="says something only on a machine that does nothing else: ILERT_FAULTS=long"),
    pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores"),
]

SECONDS = 60
SOURCES = 50
OTHERS = 0.05
TIMES = 3


@pytest.fixture
def second_client() -> Iterator[ClientProcess]:
    with client_process() as client:
        yield client


def test_a_flood_is_borne_and_the_others_do_not_notice(
    up: Callable[..., Up], client: ClientProcess, second_client: ClientProcess
) -> None:
    house = open_house(up(ILERT_WEB_PROCESSES="1").runs(), client, sources=SOURCES)
    ours, theirs = sorted(os.sched_getaffinity(0))[:2]
    pin(house.webs()[0].pid, ours)
    flood, *others = house.paths

    house.client.run(Plan(house.up.port, Alerts(flood, 1000), 256, 2, cpu=theirs))
    calm = house.client.run(Plan(house.up.port, Alerts(flood, 1000), 256, 5, cpu=theirs))
    capacity = sum(answer.status == 200 for answer in calm.answers) / calm.seconds

    rate = TIMES * capacity
    with Memory(house) as memory:
        # The others are other machines: they do not queue behind the flood on its connections.
        loud = house.client.start(
            Plan(house.up.port, Alerts(flood, 1000), 3000, SECONDS, rate=rate * (1 - OTHERS), cpu=theirs)
        )
        quiet = second_client.start(
            Plan(house.up.port, InTurn(others, 20), 500, SECONDS, rate=rate * OTHERS, cpu=theirs)
        )
        flooding, calm_ones = loud.result(), quiet.result()
        ended = time.monotonic()
    back = normal_again(house)
    recovered = time.monotonic() - ended

    answers = flooding.answers + calm_ones.answers
    goodput = sum(answer.status == 200 for answer in answers) / flooding.seconds
    refused = [answer for answer in answers if answer.status in (429, 503)]
    statuses = Counter(answer.status for answer in answers)
    refusal = percentile((answer.done - answer.sent for answer in refused), 0.99)
    others_took = percentile((answer.latency for answer in calm_ones.answers), 0.99)
    told = dict(Counter(answer.status for answer in calm_ones.answers))
    print(f"\ncapacity {capacity:.0f}/s, offered {rate:.0f}/s, {flooding.unsent} unsent")
    print(f"goodput {goodput:.0f}/s = {goodput / capacity:.2f}; {dict(statuses)}, refusals p99 {1000 * refusal:.0f} ms")
    print(f"the others {told}, p99 {1000 * others_took:.0f} ms; memory {memory.early:.0f} -> {memory.late:.0f} MB")
    print(f"normal after {recovered:.1f} s ({1000 * back:.0f} ms)")
    assert not house.lost(answers)
    assert goodput >= 0.8 * capacity
    assert statuses[429] + statuses[503] > 0, "it was no overload"
    assert refusal < 0.5
    assert all(b"retry-after:" in answer.content.lower() for answer in refused)
    assert {answer.status for answer in calm_ones.answers} == {200}
    assert others_took < 1
    assert memory.late < 1.1 * memory.early + 10
    assert recovered < 30


def normal_again(house: House) -> float:
    """Wait until twenty events in a row are taken as on a calm day; returns how long the slowest of them took."""
    deadline = time.monotonic() + 60
    slowest, in_a_row = 0.0, 0
    while in_a_row < 20:
        assert time.monotonic() < deadline
        answer = house.post()
        calm = answer.status == 200 and answer.seconds < 0.25
        in_a_row, slowest = (in_a_row + 1, max(slowest, answer.seconds)) if calm else (0, 0.0)
    return slowest


def pin(pid: int, cpu: int) -> None:
    """All threads of a process to one processor."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {cpu})


class Memory:
    """What the web process uses in the second and the last quarter of a run, in MB."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.seen: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(SECONDS / 40):
            self.seen.append(self.house.memory() / 1024)

    @property
    def early(self) -> float:
        return max(self.seen[len(self.seen) // 4 : len(self.seen) // 2])

    @property
    def late(self) -> float:
        return max(self.seen[-len(self.seen) // 4 :])
