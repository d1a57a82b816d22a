"""What the supervisor looks after: programs, the processes they run as, and how soon one that ended is replaced."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Channels:
    """The ends of two pipes that a new process writes to: lines for the terminal, and news for the supervisor."""

    output: int
    news: int


@dataclass(frozen=True)
class Program:
    """Something that shall run. `start` returns the process id at once."""

    name: str
    start: Callable[[Channels], int]
    # What ends it, each with the seconds to wait before the next.
    stops: tuple[tuple[signal.Signals, float], ...] = ((signal.SIGTERM, 4.0), (signal.SIGKILL, 2.0))
    # Asked again and again until true; without it the process says so itself through its news.
    is_ready: Callable[[int], bool] | None = None
    ready_timeout: float = 30.0
    keep_alive: bool = True
    # A hangup starts a new process, and the old one goes when the new one is ready.
    rolls: bool = False
    # Called when the process ended before it was ready; returns what it mended, or None.
    mend: Callable[[], str | None] | None = None
    stage: int = 0  # a higher one stops later


class Failed(Exception):
    """A program ended before it was ready for the first time, or a task without success."""

    def __init__(self, program: Program, code: int) -> None:
        said = f"{program.name} did not start" if program.keep_alive else f"{program.name} failed, see above"
        super().__init__(f"{said} ({how(code)}).")
        self.name = program.name


@dataclass(eq=False)
class Running:
    """One process of a program."""

    program: Program
    pid: int
    since: float
    pipes: dict[str, int]
    ready: bool = False
    news: bytes = b""
    partial: bytes = b""
    step: int = 0  # how many of `program.stops` were sent
    next_step: float | None = None

    @property
    def ending(self) -> bool:
        return self.step > 0


@dataclass
class RestartDelay:
    """How long to wait before a program is started again.

    What has worked and was killed is missed at once. What ends soon after each start would keep the machine busy with
    starting, so its delays double; but if it had been ready they stay short, as it works in between.
    """

    SHORTEST = 0.1
    LONGEST_IF_READY = 1.0
    LONGEST = 10.0
    STABLE_AFTER = 10.0

    seconds: float = SHORTEST

    def after(self, *, was_ready: bool, lived: float) -> float:
        """Return the delay for a process that ended after `lived` seconds."""
        if was_ready and lived > self.STABLE_AFTER:
            self.seconds = self.SHORTEST
        delay = self.seconds
        self.seconds = min(delay * 2, self.LONGEST_IF_READY if was_ready else self.LONGEST)
        return delay


@dataclass(eq=False)
class Slot:
    """A program with its processes: normally one, two while a new one takes over."""

    program: Program
    processes: list[Running] = field(default_factory=list)
    delay: RestartDelay = field(default_factory=RestartDelay)
    due: float | None = None
    been_ready: bool = False
    mended: bool = False
    exit_code: int | None = None
    result: bytes = b""

    @property
    def settled(self) -> bool:
        """Whether it runs as one process that is ready."""
        return self.due is None and len(self.processes) == 1 and self.processes[0].ready


def how(code: int) -> str:
    """An exit code in words."""
    if code > 128:
        try:
            return signal.Signals(code - 128).name
        except ValueError:
            pass
    return f"exit code {code}"
