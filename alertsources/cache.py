"""Sources by integration key, as they were a moment ago: a burst of events costs no look-ups."""

import time
from collections.abc import Callable

from alertsources.models import AlertSource

MAX_AGE = 3.0
"""Seconds. As long may a change of a source's options go unnoticed; one that is deleted or disabled is noticed later
on, when its events are applied."""
MAX_SOURCES = 20_000


class KnownKeys:
    """Remembers keys that belong to a source. Unknown ones are not remembered: anybody can send as many as he likes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sources: dict[str, tuple[float, AlertSource]] = {}

    def get(self, key: str) -> AlertSource | None:
        """Return the source of a key that was looked up not long ago."""
        until, source = self._sources.get(key, (0.0, None))
        return source if until > self._clock() else None

    def put(self, key: str, source: AlertSource) -> None:
        if len(self._sources) >= MAX_SOURCES:
            self._sources.clear()
        self._sources[key] = (self._clock() + MAX_AGE, source)
