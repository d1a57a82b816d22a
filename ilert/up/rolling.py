"""Replacing processes one after the other, so that a hangup never takes more than one of them away."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ilert.up.program import Running, Slot


class Roll:
    """Goes through the slots: a new process is started, the old one leaves when it is ready, then the next slot."""

    def __init__(self, start: Callable[[Slot], None], say: Callable[[str], None]) -> None:
        self._start = start
        self._say = say
        self._waiting: list[Slot] = []
        self._current: tuple[Slot, Running] | None = None

    def ask(self, slots: Iterable[Slot]) -> None:
        """Replace the processes of all these, beginning anew if some are being replaced already."""
        self._waiting = list(slots)

    def go_on(self) -> None:
        """Do what can be done now; called in every turn of the supervisor."""
        if self._current is not None:
            slot, old = self._current
            if not slot.settled:
                return
            self._current = None
            if slot.processes == [old]:
                self._say(f"the new process of {slot.program.name} did not start; the old one stays, and all others")
                self._waiting = []
        # One that is being started has nobody to take over from, but whoever follows must wait for it.
        if self._waiting and all(slot.settled for slot in self._waiting):
            slot = self._waiting.pop(0)
            self._say(f"starting a new process of {slot.program.name}; the old one goes when it is ready")
            self._current = (slot, slot.processes[0])
            self._start(slot)
