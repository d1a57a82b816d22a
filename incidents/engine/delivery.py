"""Delivery: due messages are handed to their providers, after one more look at what they are about."""

import logging
from collections.abc import Callable
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic, sleep

from django.db import InterfaceError, InternalError, OperationalError, transaction

from ilert.common.clock import database_now
from incidents.engine import composition
from incidents.engine.next_method import pass_on
from incidents.engine.senders import WIDTH, senders
from notifications import breaker, claims, outbox, outcomes
from notifications.channels import DeliveryError, Message, TemporaryError
from notifications.models import Notification
from notifications.outbox import LEASE

logger = logging.getLogger(__name__)

# A message that has not been begun so long after its claim is somebody else's soon: a send takes up to 8 s.
CLAIM_AGE = LEASE.total_seconds() - 9
# A message whose incident was looked at longer ago than this is looked at again.
LOOK_AGE = 0.8
# How often others' messages are looked for while some are on their way.
POLL = 0.1
# What comes of messages that end within this time is written down together.
TOGETHER = 0.03
# Whoever finds somebody else claiming looks again so often: what has just fallen due may have been overlooked there.
TURNS = 5
TURN_WAIT = 0.03
# How often people are looked for whose message does not get through.
HELP_EVERY = timedelta(seconds=0.5)


@dataclass(frozen=True)
class Outgoing:
    """A message on its way to its provider.

    On the monotonic clock: `claimed` is when its lease began, `looked` when its incident was looked at.
    """

    notification: Notification
    message: Message
    started_at: datetime
    claimed: float
    looked: float


Landed = Future[outcomes.Result | None]
Flying = dict[Landed, Outgoing]
# The database's faults, which pass; anything else is the fault of what is written.
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
    flying: Flying = field(default_factory=dict)
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
            claim = self._take_on() if going() and self._may_look() else claims.Claim([])
            if self.flying:
                self._bring_home()
            elif claim.is_busy and turns:
                turns -= 1
                sleep(TURN_WAIT)
            elif not (claim.moved or claim.notifications):
                return

    def _may_look(self) -> bool:
        """Whether to claim now: not when there is no room, and not all the time while messages are on their way."""
        return not self.flying or (len(self.flying) < WIDTH and monotonic() >= self._look_at)

    def _take_on(self) -> claims.Claim:
        """Claim messages, and hand those that are still wanted to senders."""
        now = self.clock()
        if self._helped_at is None or now - self._helped_at > HELP_EVERY:
            self._helped_at = now
            _help_who_waits(now)
        room, claimed = WIDTH - len(self.flying), monotonic()
        claim = claims.claim(now, room)
        if claim.notifications:
            wanted, looked = composition.compose(claim.notifications, now)
            for notification, message in wanted:
                one = Outgoing(notification, message, now, claimed, looked)
                self.flying[self.pool.submit(_send, one)] = one
            self.started += len(wanted)
        there_may_be_more = claim.moved or len(claim.notifications) == room
        self._look_at = monotonic() + (0 if there_may_be_more else POLL)
        return claim

    def _bring_home(self) -> None:
        """Write down what came of those that have ended; wait a moment for the first of them."""
        if not wait(self.flying, timeout=POLL, return_when=FIRST_COMPLETED).done:
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
            outcomes.release([self.flying[future].notification for future in stale], self.clock())
            self._forget(stale)
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

    def _forget(self, done: list[Landed]) -> None:
        """Only what is written down is forgotten: the rest can still be, when the database is back."""
        for future in done:
            del self.flying[future]


def _help_who_waits(now: datetime) -> None:
    """Take over from senders that have died; call in the next contact method where a message does not get through."""
    claims.end_orphans_leases(now)
    stuck = outbox.struggling(now)
    if breaker.is_any_open():
        stuck += breaker.waiting(now)
    if stuck:
        pass_on(stuck, now)


def _send(outgoing: Outgoing) -> outcomes.Result | None:
    """Hand one message to its provider. None when its claim or the look at its incident has become too old."""
    started = monotonic()
    if started - outgoing.looked > LOOK_AGE or started - outgoing.claimed > CLAIM_AGE:
        return None
    answer, error = "", None
    try:
        answer = _hand_over(outgoing)
    except DeliveryError as caught:
        error = caught
    started_at = outgoing.started_at + timedelta(seconds=started - outgoing.looked)
    finished_at = started_at + timedelta(seconds=monotonic() - started)
    return outcomes.Result(outgoing.notification, started_at, finished_at, answer, error)


def _hand_over(outgoing: Outgoing) -> str:
    method = outgoing.notification.contact_method
    assert method is not None
    try:
        return method.channel_type.send(method.address, method.secret, outgoing.message)
    except DeliveryError as error:
        logger.warning(
            "notification %s by %s failed: %s", outgoing.notification.pk, outgoing.notification.channel, error.answer
        )
        raise
    except Exception as error:
        # A bug of a channel must not stop the message: it is tried again, and the log has the traceback.
        logger.exception("channel %s failed", outgoing.notification.channel)
        raise TemporaryError(f"Our own fault in the channel: {type(error).__name__}") from error


@transaction.atomic
def _finish(results: list[outcomes.Result], now: datetime) -> None:
    if lost := outcomes.finish(results):
        pass_on(lost, now)
