"""Replacing processes one after the other."""

from collections.abc import Callable

import pytest

from ilert.up.program import Channels, Program, Running, Slot
from ilert.up.rolling import Roll


def _start_nothing(channels: Channels) -> int:
    raise AssertionError


class Stage:
    """Slots whose processes start and leave when the test says so."""

    def __init__(self, count: int) -> None:
        self.said: list[str] = []
        self.started: list[Slot] = []
        self.slots = [Slot(Program(f"web-{number}", _start_nothing)) for number in range(count)]
        for slot in self.slots:
            slot.processes.append(self.process(slot, ready=True))
        self.roll = Roll(self.start, self.said.append)

    @staticmethod
    def process(slot: Slot, ready: bool) -> Running:
        return Running(slot.program, 1, 0.0, {}, ready)

    def start(self, slot: Slot) -> None:
        self.started.append(slot)
        slot.processes.append(self.process(slot, ready=False))

    def take_over(self, slot: Slot) -> None:
        slot.processes[-1].ready = True
        del slot.processes[0]

    def turns(self) -> None:
        for _ in range(5):
            self.roll.go_on()


@pytest.fixture
def stage() -> Callable[[int], Stage]:
    return Stage


def test_next_one_waits_until_the_one_before_serves(stage: Callable[[int], Stage]) -> None:
    it = stage(2)
    it.roll.ask(it.slots)
    it.turns()
    assert it.started == it.slots[:1]
    it.slots[0].processes[-1].ready = True
    it.turns()
    assert it.started == it.slots[:1]  # the old one is still answering
    del it.slots[0].processes[0]
    it.turns()
    assert it.started == it.slots
    it.take_over(it.slots[1])
    it.turns()
    assert it.started == it.slots


def test_new_process_that_does_not_start_ends_the_roll_and_takes_nobody_away(stage: Callable[[int], Stage]) -> None:
    it = stage(2)
    it.roll.ask(it.slots)
    it.turns()
    del it.slots[0].processes[-1]
    it.turns()
    assert it.started == it.slots[:1]
    assert "did not start" in it.said[-1]
    assert [len(slot.processes) for slot in it.slots] == [1, 1]


def test_nobody_is_replaced_while_another_is_away(stage: Callable[[int], Stage]) -> None:
    it = stage(2)
    it.slots[1].processes.clear()  # killed just now, it comes again by itself
    it.roll.ask(it.slots)
    it.turns()
    assert it.started == []
    it.slots[1].processes.append(it.process(it.slots[1], ready=True))
    it.turns()
    assert it.started == it.slots[:1]
