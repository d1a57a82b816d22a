"""Delivery: due messages are handed to their providers, after one more look at what they are about."""

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic, sleep

from django.db import Error, InterfaceError, InternalError, OperationalError, transaction

from ilert.common.clock import database_now
from incidents.engine import composition
from incidents.engine.next_method import pass_on
from incidents.engine.senders import WIDTH, senders
from incidents.engine.sending import Outgoing, send
from notifications import breaker, claims, outbox, outcomes
from notifications.models import Notification
from notifications.outbox import LEASE

logger = logging.getLogger(__name__)

# How often others' messages are looked for while some are on their way.
POLL = 0.1
# What comes of messages that end within this time is written down together.
TOGETHER = 0.03
# Whoever finds somebody else claiming looks again so often: what has just fallen due may have been overlooked there.
TURNS = 5
TURN_WAIT = 0.03
# How often people are looked for whose message does not get through.
HELP_EVERY = timedelta(seconds=0.5)
# What takes longer than this to compose, as it names thousands of incidents, gets a new lease before it is sent.
LONG = 2.0

Landed = Future[outcomes.Result | None]
# The database's faults, which pass; anything else is the fault of what is read or written.
_LATER = (OperationalError, InterfaceError, InternalError)


def always() -> bool:
    return True


def deliver_due(
    going: Callable[[], bool] = always,
    pool: Executor | None = None,
    clock: Callable[[], datetime] = database_now,
) -> int:
    """Send due messages until there are none or `going` says no; then wait for those that are on their way.

    Returns how many were started. Any number of processes may do this at once.
    """
    shift = Shift(pool or senders(), clock)
    shift.work(going)
    return shift.started


@dataclass
class Shift:
    """What a process has on its way to providers. Whatever interrupts its work, it can be gone on with."""

    pool: Executor
    clock: Callable[[], datetime]
    flying: dict[Landed, Outgoing] = field(default_factory=dict)
    started: int = 0
    _helped_at: datetime | None = None
    _look_at: float = 0.0

    @property
    def holds_leases(self) -> bool:
        """Whether something is on its way that is not another's yet."""
        return any(monotonic() - one.claimed < LEASE.total_seconds() for one in self.flying.values())

    def keep(self) -> None:
        """Say again what is on its way from here: the session that said so may be lost."""
        if self.flying:
            claims.keep([one.notification for one in self.flying.values()])

    def work(self, going: Callable[[], bool]) -> None:
        """Send until nothing is due, or `going` says no, and nothing is on its way any more."""
        turns = TURNS
        while True:
            if self.flying:
                self._bring_home()
            claim = self._take_on() if going() and self._may_look() else claims.Claim([])
            if self.flying or claim.moved or claim.notifications:
                continue
            if not (claim.is_busy and turns):
                return
            turns -= 1
            sleep(TURN_WAIT)

    def _may_look(self) -> bool:
        """Whether to claim now: not when there is no room, and not all the time while messages are on their way."""
        return not self.flying or (len(self.flying) < WIDTH and monotonic() >= self._look_at)

    def _take_on(self) -> claims.Claim:
        """Claim messages, and hand those that are still wanted to senders."""
        now, claimed = self.clock(), monotonic()
        if self._helped_at is None or now - self._helped_at > HELP_EVERY:
            self._helped_at = now
            _help_who_waits(now)
        room = WIDTH - len(self.flying)
        claim = claims.claim(now, room)
        if claim.notifications:
            self._hand_over(claim.notifications, now, claimed)
        there_may_be_more = claim.moved or len(claim.notifications) == room
        self._look_at = monotonic() + (0 if there_may_be_more else POLL)
        return claim

    def _hand_over(self, notifications: list[Notification], now: datetime, claimed: float) -> None:
        try:
            self._send(notifications, now, claimed)
        except _LATER:
            self._give_back(notifications)
            raise
        except Exception:
            # Whatever is wrong with one, the others go out; its own lease runs out, and it is tried again.
            logger.exception("%s messages cannot be sent together", len(notifications))
            if len(notifications) > 1:
                for one in self._without_flying(notifications):
                    self._hand_over([one], now, claimed)

    def _send(self, notifications: list[Notification], now: datetime, claimed: float) -> None:
        wanted, looked = composition.compose(notifications, now)
        if monotonic() - claimed > LONG:
            now, claimed = self.clock(), monotonic()
            ours = claims.renew([notification for notification, _ in wanted], now)
            wanted = [(notification, message) for notification, message in wanted if notification.pk in ours]
        for notification, message in wanted:
            one = Outgoing(notification, message, now, claimed, looked)
            self.flying[self.pool.submit(send, one)] = one
            self.started += 1

    def _give_back(self, notifications: list[Notification]) -> None:
        try:
            outcomes.release(self._without_flying(notifications), self.clock())
        except Error as error:
            # Their leases run out, or with them the session.
            logger.warning("claimed messages could not be given back: %s", error)

    def _without_flying(self, notifications: list[Notification]) -> list[Notification]:
        flying = {one.notification.pk for one in self.flying.values()}
        return [notification for notification in notifications if notification.pk not in flying]

    def _bring_home(self) -> None:
        """Write down what came of those that have ended; wait a moment for the first of them."""
        if not wait(self.flying, timeout=POLL, return_when=FIRST_COMPLETED).done:
            # Whoever has lost the session must notice before others take its messages for a dead sender's.
            self.clock()
            return
        done = list(wait(self.flying, timeout=TOGETHER, return_when=ALL_COMPLETED).done)
        try:
            self._write_down(done)
        except _LATER:
            raise
        except Exception:
            # Whatever is wrong with one, the others are written down.
            logger.exception("what came of %s messages cannot be written down together", len(done))
            for future in done:
                self._write_down_alone(future)

    def _write_down(self, done: list[Landed]) -> None:
        stale = [future for future in done if future.result() is None]
        if stale:
            released = [self.flying[future].notification for future in stale]
            # Never twice: released and claimed again, a message looks as it did before.
            self._forget(stale)
            outcomes.release(released, self.clock())
        ended = [future for future in done if future in self.flying]
        if results := [result for future in ended if (result := future.result())]:
            _finish(results, self.clock())
            self._forget(ended)

    def _write_down_alone(self, future: Landed) -> None:
        try:
            if future in self.flying:
                self._write_down([future])
        except _LATER:
            raise
        except Exception:
            # Its lease runs out, and it is sent again.
            logger.exception("what came of a message cannot be written down")
            self._forget([future])

    def _forget(self, done: Iterable[Landed]) -> None:
        """Only what is written down is forgotten: the rest can still be, when the database is back."""
        for future in done:
            self.flying.pop(future, None)


def _help_who_waits(now: datetime) -> None:
    """Take over from senders that have died; call in the next contact method where a message does not get through."""
    claims.end_orphans_leases(now)
    stuck = outbox.struggling(now)
    if breaker.is_any_open():
        stuck += breaker.waiting(now)
    if stuck:
        pass_on(stuck, now)


@transaction.atomic
def _finish(results: list[outcomes.Result], now: datetime) -> None:
    if lost := outcomes.finish(results):
        pass_on(lost, now)
