"""What both ways through the lane share: the keys that are known, who is refused, and who commits."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from alertsources.cache import KnownKeys
from alertsources.models import AlertSource
from incidents.intake import admission
from incidents.intake.answers import Answer, over_rate, overloaded, unavailable
from incidents.intake.committer import Committer
from incidents.intake.limits import rates
from incidents.intake.unknown_keys import unknown_keys
from integrations import Payload

logger = logging.getLogger(__name__)

Reply = Callable[[Answer], None]

HOLD = 0.25
"""Seconds that a refusal is held back: a sender that waits for its answers sends fewer of them."""
MAX_HELD = 1000


@dataclass(slots=True)
class _Arrival:
    """What a source sent, not read yet. `since` is when its end came, by the monotonic clock."""

    source: AlertSource
    payload: Payload
    since: float
    reply: Reply


class Desk:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._known = KnownKeys()
        self._running: Committer | None = None
        self._arrived: list[_Arrival] = []
        self._held = 0

    def close(self) -> None:
        """Commit what is there, and end the committer."""
        self._read_arrived()
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
        return None

    def take(self, source: AlertSource, payload: Payload, since: float, reply: Reply) -> None:
        """Read and commit what a source sent. `reply` is called once, within 5 s of `since`: the end of the body."""
        if self._committer.is_full_for(source.id):
            self.hold_back(overloaded(), reply)
            return
        self._arrived.append(_Arrival(source, payload, since, reply))
        if len(self._arrived) == 1:
            asyncio.get_running_loop().call_soon(self._read_arrived)

    def _read_arrived(self) -> None:
        """Read all that this turn of the loop has brought: one after the other that takes two thirds of the time.

        Between two requests the processor would do something else, and forget how one is read.
        """
        arrived, self._arrived = self._arrived, []
        for one in arrived:
            try:
                self._read(one)
            except Exception:
                logger.exception("an event could not be taken")
                one.reply(unavailable())

    def _read(self, one: _Arrival) -> None:
        request, source_id = admission.read(one.source, one.payload), one.source.id
        if rates.over(source_id, request.size) and self._committer.is_half_full():
            rates.refused(source_id, request.size)
            self.hold_back(over_rate(rates.retry_after(source_id)), one.reply)
            return
        self._committer.submit(request, one.since, one.reply)

    def hold_back(self, refusal: Answer, reply: Reply) -> None:
        """Answer a refusal a moment later."""
        if self._held >= MAX_HELD:
            reply(refusal)
            return
        self._held += 1
        asyncio.get_running_loop().call_later(HOLD, self._let_go, refusal, reply)

    def _let_go(self, refusal: Answer, reply: Reply) -> None:
        self._held -= 1
        reply(refusal)

    @property
    def _committer(self) -> Committer:
        if self._running is None:
            self._running = Committer()
        return self._running
