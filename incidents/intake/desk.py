"""What both ways through the lane share: the keys that are known, who is refused, and who commits."""

import asyncio
import random
from collections.abc import Callable

from alertsources.cache import KnownKeys
from alertsources.models import AlertSource
from incidents.intake import admission
from incidents.intake.answers import Answer, over_rate, overloaded, unavailable
from incidents.intake.batch import Request
from incidents.intake.committer import Committer
from incidents.intake.limits import rates
from incidents.intake.unknown_keys import unknown_keys
from integrations import Payload

Reply = Callable[[Answer], None]

HOLD = (0.1, 0.3)
"""Seconds that a refusal is held back: a sender that waits for its answers sends fewer of them. Not the same for all:
those who were refused together would come again together."""
MAX_HELD = 4096


class Desk:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._known = KnownKeys()
        self._running: Committer | None = None
        self._held = 0

    def close(self) -> None:
        """Commit what is there, and end the committer."""
        if self._running:
            self._running.stop()
            self._running = None

    def known(self, key: str) -> AlertSource | None:
        """Return the source of a key that was looked up not long ago."""
        return self._known.get(key)

    async def look_up(self, key: str, address: str) -> AlertSource | None:
        """Ask the database for the source of a key. For as long as a database takes to answer."""
        source = await self._committer.look_up(key)
        if source is None:
            unknown_keys.miss(address)
        elif source.active:
            self._known.put(key, source)
        return source

    def refusal(self, source: AlertSource | None) -> Answer | None:
        """Return why nothing of a source can be taken now, if so: to refuse must cost much less than to take."""
        if self._committer.is_stuck:
            return unavailable()
        if source and self._committer.is_full_for(source.id):
            return overloaded()
        if source and self._committer.is_half_full() and rates.used_up(source.id):
            rates.over(source.id)
            rates.refused(source.id)
            return over_rate(rates.retry_after(source.id))
        return None

    def take(self, source: AlertSource, payload: Payload, since: float, reply: Reply) -> None:
        """Read and commit what a source sent. `reply` is called once, within 5 s of `since`: the end of the body."""
        if refusal := self.refusal(source):
            self.hold_back(refusal, reply)
            return
        self._committer.submit(source, payload, since, reply)

    def _read(self, source: AlertSource, payload: Payload) -> Request:
        request = admission.read(source, payload)
        rates.over(source.id, request.size)
        return request

    def hold_back(self, refusal: Answer, reply: Reply) -> None:
        """Answer a refusal a moment later."""
        if self._held >= MAX_HELD:
            reply(refusal)
            return
        self._held += 1
        wait = random.uniform(*HOLD)  # noqa: S311  # nosec B311: no secret
        asyncio.get_running_loop().call_later(wait, self._let_go, refusal, reply)

    def _let_go(self, refusal: Answer, reply: Reply) -> None:
        self._held -= 1
        reply(refusal)

    @property
    def _committer(self) -> Committer:
        if self._running is None:
            self._running = Committer(self._read)
        return self._running
