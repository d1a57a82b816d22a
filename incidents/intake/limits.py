"""How many events a source may send before it is called a flood.

Nothing is refused here: a flood is stored as long as there is room. `rates.over` only says which events are beyond a
source's rate. It is asked on the request path, so it looks at memory and nothing else; a thread tells the other web
processes through Valkey what was given out here, asks the database for the sources' own limits, and writes down who
floods. Without Valkey, or with one that does not answer, every process keeps the limit by itself.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.db import Error, connection

from alertsources.models import AlertSource
from ilert.common.clock import database_now
from incidents import floods
from incidents.intake.bucket import Bucket, Limit
from incidents.intake.shared_counts import Counts, SharedCounts

logger = logging.getLogger(__name__)

INTERVAL = 0.5
OWN_LIMITS_EVERY = 5.0
FLOODS_EVERY = 2.0


@dataclass(slots=True)
class _Source:
    """What this process knows of one source."""

    bucket: Bucket
    limit: Limit
    counts: Counts
    """Since the thread last looked."""
    over: int = 0
    refused: int = 0


class Rates:
    """The rates of all sources, as one process sees them."""

    def __init__(self, shared: SharedCounts, clock: Callable[[], float] = time.monotonic) -> None:
        self._shared = shared
        self._clock = clock
        self._lock = threading.Lock()
        self._sources: dict[int, _Source] = {}
        self._own_limits: dict[int, Limit] = {}
        self._awake = threading.Event()
        self._thread: threading.Thread | None = None
        self._own_limits_at = self._floods_at = float("-inf")

    def over(self, source_id: int, events: int = 1) -> bool:
        """Count `events` of a source, and return whether they are beyond its rate."""
        now = self._clock()
        with self._lock:
            source = self._sources.get(source_id) or self._new(source_id, now)
            taken = source.bucket.take(events, source.limit, now)
            source.counts.seen += events
            source.counts.taken += events if taken else 0
            source.over += 0 if taken else events
        self._wake()
        return not taken

    def used_up(self, source_id: int) -> bool:
        """Return whether nothing is left of a source's rate just now. Counts nothing."""
        with self._lock:
            source = self._sources.get(source_id)
            if source is None:
                return False
            source.bucket.refill(source.limit, self._clock())
            return source.bucket.level < 1

    def refused(self, source_id: int, events: int = 1) -> None:
        """Note that events of a source were answered 429, so that its page can say so."""
        now = self._clock()
        with self._lock:
            source = self._sources.get(source_id) or self._new(source_id, now)
            source.refused += events
        self._wake()

    def retry_after(self, source_id: int) -> int:
        """Return the seconds after which a source that is over its rate may send again."""
        with self._lock:
            source = self._sources.get(source_id)
            return max(1, min(30, round(source.bucket.wait(1, source.limit)))) if source else 1

    def exchange(self) -> None:
        """Do once what the thread does all the time."""
        now = self._clock()
        if now - self._own_limits_at >= OWN_LIMITS_EVERY:
            self._own_limits_at = now
            self._read_own_limits()
        self._share(now)
        if now - self._floods_at >= FLOODS_EVERY:
            self._floods_at = now
            self._write_floods()

    def _new(self, source_id: int, now: float) -> _Source:
        limit = self._own_limits.get(source_id) or default_limit()
        source = self._sources[source_id] = _Source(Bucket(limit, now), limit, Counts())
        return source

    def _wake(self) -> None:
        if self._awake.is_set():
            return
        self._awake.set()
        with self._lock:
            # Started late, as web processes are forked from a parent that has imported this.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="rates", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._awake.wait()
            self._awake.clear()
            time.sleep(INTERVAL)
            try:
                self.exchange()
            except Error as error:
                # The limits go on as they are; a flood that is not shown loses nothing.
                logger.warning("the rates of the sources were not written down: %s", error)
            except Exception:
                # Without this thread the limits would be those of one process, and nobody would see a flood.
                logger.exception("the rates of the sources could not be exchanged")
            finally:
                connection.close()

    def _read_own_limits(self) -> None:
        own = own_limits()
        with self._lock:
            self._own_limits = own
            for source_id, source in self._sources.items():
                source.limit = own.get(source_id) or default_limit()

    def _share(self, now: float) -> None:
        with self._lock:
            mine = {source_id: source.counts for source_id, source in self._sources.items() if source.counts.seen}
            for source_id in mine:
                self._sources[source_id].counts = Counts()
        others = self._shared.exchange(mine, now)
        with self._lock:
            for source_id, counts in others.items():
                source = self._sources[source_id]
                source.bucket.debit(counts.taken, source.limit)
            self._forget(now)

    def _forget(self, now: float) -> None:
        """Drop the sources that have been quiet for so long that a new bucket would be the same."""
        quiet = [
            source_id
            for source_id, source in self._sources.items()
            if not (source.counts.seen or source.over or source.refused) and source.bucket.is_full(source.limit, now)
        ]
        for source_id in quiet:
            del self._sources[source_id]

    def _write_floods(self) -> None:
        with self._lock:
            flooding = {
                source_id: (source.over, source.refused)
                for source_id, source in self._sources.items()
                if source.over or source.refused
            }
            for source_id in flooding:
                self._sources[source_id].over = self._sources[source_id].refused = 0
        for source_id, (_, refused) in flooding.items():
            floods.note(source_id, self._shared.rate(source_id), refused, database_now())


def default_limit() -> Limit:
    return Limit(settings.ILERT_SOURCE_RATE, settings.ILERT_SOURCE_BURST)


def own_limits() -> dict[int, Limit]:
    """Return the limits of the sources that have limits of their own."""
    default = default_limit()
    rows = AlertSource.objects.exclude(rate_limit=None, burst_limit=None).values_list("pk", "rate_limit", "burst_limit")
    return {pk: Limit(rate or default.rate, burst or default.burst) for pk, rate, burst in rows}


rates = Rates(SharedCounts(settings.REDIS_URL))
