"""The requests of a process that wait for their commit: bounded, and fair to every source."""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from alertsources.models import AlertSource
from incidents.intake.answers import Answer
from incidents.intake.batch import Request
from integrations import Payload

MAX_REQUESTS = 4096
MAX_BYTES = 64 * 1024 * 1024
# No source may have more than its share, so that there is room left for the others.
SHARE = 0.5


@dataclass(slots=True, eq=False)
class Waiting:
    """What a source sent, and who waits for the answer. `request` is what has been read of it."""

    source: AlertSource
    payload: Payload
    reply: Callable[[Answer], None]
    until: float
    """When an answer is due, by the monotonic clock."""
    request: Request | None = None
    is_answered: bool = False

    @property
    def size(self) -> int:
        return len(self.payload.body)


class WaitingRoom:
    """Requests are taken source by source in turn, those of each source in the order in which they came.

    A request counts until it has left, which is when it is answered.
    """

    def __init__(self) -> None:
        self._lines: OrderedDict[int, deque[Waiting]] = OrderedDict()
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
        source_id = waiting.source.id
        line = self._lines.get(source_id)
        if line is None:
            line = self._lines[source_id] = deque()
        line.append(waiting)
        self._counts[source_id] += 1
        self._requests += 1
        self._bytes += waiting.size

    def take(self) -> Waiting | None:
        """Return the request that is to be read next, or None if all are."""
        if not self._lines:
            return None
        source_id, line = next(iter(self._lines.items()))
        waiting = line.popleft()
        if line:
            self._lines.move_to_end(source_id)
        else:
            del self._lines[source_id]
        return waiting

    @property
    def is_read(self) -> bool:
        """Whether nobody waits to be read."""
        return not self._lines

    def leave(self, gone: Iterable[Waiting]) -> None:
        for waiting in gone:
            source_id = waiting.source.id
            self._requests -= 1
            self._bytes -= waiting.size
            if self._counts[source_id] > 1:
                self._counts[source_id] -= 1
            else:
                del self._counts[source_id]
