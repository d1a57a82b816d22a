"""Counts of events that web processes tell each other through Valkey."""

import logging
from dataclasses import dataclass

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)

TIMEOUT = 0.5
# After a failure the limits are local for a while; whoever does not answer is not asked twice a second.
PAUSE = 5.0
# Counts of a source that has been quiet for that long begin anew.
KEPT = 60
# The rate that is shown is measured over at least this long.
MEASURED_OVER = 2.0


@dataclass(slots=True)
class Counts:
    """Events of a source: all that came, and those within its rate."""

    seen: int = 0
    taken: int = 0


@dataclass(slots=True)
class _Total:
    """What all processes together have counted for a source, when it was last asked for."""

    counts: Counts
    is_shared: bool
    asked_at: float
    measured_at: float
    measured_seen: int
    rate: float = 0.0


class SharedCounts:
    """Sums over all web processes, which only ever grow; what the others did is what they grew by beside us."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(
            url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, retry=Retry(NoBackoff(), 0)
        )
        self._paused_until = float("-inf")
        self._totals: dict[int, _Total] = {}

    def exchange(self, mine: dict[int, Counts], now: float) -> dict[int, Counts]:
        """Add what was counted here, and return what the others have counted for the same sources since."""
        sums = self._sums(mine, now)
        others = {source_id: self._others(source_id, own, sums.get(source_id), now) for source_id, own in mine.items()}
        self._totals = {pk: total for pk, total in self._totals.items() if now - total.asked_at < KEPT}
        return others

    def _others(self, source_id: int, own: Counts, shared: Counts | None, now: float) -> Counts:
        before = self._totals.get(source_id)
        # Alone, the sum is what this process knows.
        sums = shared or _added(before.counts if before else Counts(), own)
        is_shared = shared is not None
        if before is None or is_shared != before.is_shared or sums.seen < before.counts.seen:
            # The first look, or the sums are others than before: what the others did in between is not known.
            # The rate is measured anew from here, and until then the last one is the best that is known.
            rate = before.rate if before else 0.0
            self._totals[source_id] = _Total(sums, is_shared, now, now, sums.seen, rate)
            return Counts()
        others = Counts(
            max(0, sums.seen - before.counts.seen - own.seen), max(0, sums.taken - before.counts.taken - own.taken)
        )
        before.counts, before.asked_at = sums, now
        _measure(before, now)
        return others

    def rate(self, source_id: int) -> float:
        """Return how many events a second a source has been sending of late, over all processes that are known of."""
        total = self._totals.get(source_id)
        return total.rate if total else 0.0

    def _sums(self, mine: dict[int, Counts], now: float) -> dict[int, Counts]:
        if not mine or now < self._paused_until:
            return {}
        pipeline = self._client.pipeline(transaction=False)
        for source_id, counts in mine.items():
            key = f"ilert:rate:{source_id}"
            pipeline.hincrby(key, "seen", counts.seen)
            pipeline.hincrby(key, "taken", counts.taken)
            pipeline.expire(key, KEPT)
        try:
            answers = pipeline.execute()
        except redis.RedisError as error:
            logger.warning("the rates are counted by each process alone, as Valkey cannot be used: %s", error)
            self._paused_until = now + PAUSE
            return {}
        return {source_id: Counts(*answers[3 * place : 3 * place + 2]) for place, source_id in enumerate(mine)}


def _added(one: Counts, other: Counts) -> Counts:
    return Counts(one.seen + other.seen, one.taken + other.taken)


def _measure(total: _Total, now: float) -> None:
    passed = now - total.measured_at
    if passed >= MEASURED_OVER:
        total.rate = (total.counts.seen - total.measured_seen) / passed
        total.measured_at, total.measured_seen = now, total.counts.seen
