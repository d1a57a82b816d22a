"""The requests of a process that wait for their commit: bounded, and fair to every source."""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from incidents.intake.answers import Answer
from incidents.intake.batch import Request

MAX_REQUESTS = 4096
MAX_BYTES = 64 * 1024 * 1024
# No source may have more than its share, so that there is room left for the others.
SHARE = 0.5
BATCH = 256
"""Events in one transaction; a request with more is a batch of its own."""


@dataclass(slots=True, eq=False)
class Waiting:
    """A request, and who waits for its answer."""

    request: Request
    reply: Callable[[Answer], None]
    until: float
    """When an answer is due, by the monotonic clock."""
    is_answered: bool = False

    @property
    def size(self) -> int:
        return len(self.request.prepared.body)

    @property
    def events(self) -> int:
        return len(self.request.prepared.events) or 1


class WaitingRoom:
    """Requests are taken source by source in turn, those of each source in the order in which they came.

    A request counts until it has left, which is when it is answered.
    """

    def __init__(self) -> None:
        self._lines: dict[int, deque[Waiting]] = {}
        self._counts: Counter[int] = Counter()
        self._requests = 0
        self._bytes = 0

    def is_full_for(self, source_id: int) -> bool:
        """Whether a request of this source must be turned away: its share is taken, or there is no room at all."""
        return (
            self._requests >= MAX_REQUESTS
            or self._bytes >= MAX_BYTES
            or self._counts[source_id] >= MAX_REQUESTS * SHARE
        )

    def is_half_full(self) -> bool:
        return self._requests * 2 > MAX_REQUESTS or self._bytes * 2 > MAX_BYTES

    def enter(self, waiting: Waiting) -> None:
        source_id = waiting.request.source.id
        line = self._lines.get(source_id)
        if line is None:
            line = self._lines[source_id] = deque()
        line.append(waiting)
        self._counts[source_id] += 1
        self._requests += 1
        self._bytes += waiting.size

    def take(self) -> list[Waiting]:
        """Return what is to be committed next: of each source as much as of the others, as long as it has something."""
        taken: list[Waiting] = []
        room = BATCH
        while self._lines and room > 0:
            turn = max(1, room // len(self._lines))
            for source_id in list(self._lines):
                room -= self._take_from(source_id, min(turn, room), taken)
                if room <= 0:
                    break
        return taken

    def leave(self, gone: Iterable[Waiting]) -> None:
        for waiting in gone:
            source_id = waiting.request.source.id
            self._requests -= 1
            self._bytes -= waiting.size
            if self._counts[source_id] > 1:
                self._counts[source_id] -= 1
            else:
                del self._counts[source_id]

    def _take_from(self, source_id: int, events: int, taken: list[Waiting]) -> int:
        """Take about `events` of a source, which then is the last in turn. Returns how many they are."""
        line = self._lines.pop(source_id)
        count = 0
        while line and count < events:
            waiting = line.popleft()
            taken.append(waiting)
            count += waiting.events
        if line:
            self._lines[source_id] = line
        return count
