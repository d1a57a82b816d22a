"""Keys that nobody has: how many an address may try.

A fleet behind one address that was given a wrong URL is told 404 for hours; somebody who tries keys, or who wants the
database to look them up, is told 429. Ask only about keys that are not known already: a tool with a good key must not
suffer for a neighbour with a bad one.
"""

import threading
import time
from collections.abc import Callable

from ilert.common.client import throttled_as
from incidents.intake.bucket import Bucket, Limit

# Two hundred hosts that post every ten seconds stay below it.
LIMIT = Limit(rate=20, burst=1000)
# Some 2 MB. Beyond it the addresses that have not been heard of for the longest time are forgotten.
ADDRESSES = 10_000


class UnknownKeys:
    def __init__(self, limit: Limit = LIMIT, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, Bucket] = {}

    def blocked(self, address: str) -> float:
        """Return for how many seconds `address` may not try another unknown key: 0 when it may now."""
        bucket = self._buckets.get(throttled_as(address)) if self._buckets else None
        if bucket is None:
            return 0.0
        with self._lock:
            bucket.refill(self._limit, self._clock())
            return bucket.wait(1, self._limit)

    def miss(self, address: str) -> None:
        """Count an unknown key of `address`."""
        network, now = throttled_as(address), self._clock()
        with self._lock:
            # Taken out and put back, so that the dict is in the order of the last misses.
            bucket = self._buckets.pop(network, None) or Bucket(self._limit, now)
            bucket.take(1, self._limit, now)
            self._buckets[network] = bucket
            if len(self._buckets) > ADDRESSES:
                del self._buckets[next(iter(self._buckets))]


unknown_keys = UnknownKeys()
