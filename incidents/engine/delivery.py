"""Delivery: due messages are handed to their providers, after one more look at what they are about."""

import logging
from collections.abc import Callable
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic, sleep

from ilert.common.clock import database_now
from incidents.engine import composition
from incidents.engine.next_method import pass_on
from incidents.engine.senders import WIDTH, senders
from notifications import breaker, claims, outbox, outcomes
from notifications.channels import DeliveryError, Message, TemporaryError
from notifications.models import Notification
from notifications.outbox import LEASE

logger = logging.getLogger(__name__)

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
    """A message on its way to its provider. `looked` is when its incident was looked at, on the monotonic clock."""

    notification: Notification
    message: Message
    started_at: datetime
    looked: float


Flying = dict["Future[outcomes.Result | None]", Outgoing]


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
        return any(monotonic() - one.looked < LEASE.total_seconds() for one in self.flying.values())

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
        room = WIDTH - len(self.flying)
        claim = claims.claim(now, room)
        if claim.notifications:
            wanted, looked = composition.compose(claim.notifications, now)
            for notification, message in wanted:
                one = Outgoing(notification, message, now, looked)
                self.flying[self.pool.submit(_send, one)] = one
            self.started += len(wanted)
        there_may_be_more = claim.moved or len(claim.notifications) == room
        self._look_at = monotonic() + (0 if there_may_be_more else POLL)
        return claim

    def _bring_home(self) -> None:
        """Write down what came of those that have ended; wait a moment for the first of them."""
        if wait(self.flying, timeout=POLL, return_when=FIRST_COMPLETED).done:
            done = wait(self.flying, timeout=TOGETHER, return_when=ALL_COMPLETED).done
            _finish([(self.flying[future], future.result()) for future in done], self.clock())
            # Only now: what could not be written down is still to be written down.
            for future in done:
                del self.flying[future]


def _help_who_waits(now: datetime) -> None:
    """Take over from senders that have died; call in the next contact method where a message does not get through."""
    claims.release_orphans(now)
    stuck = outbox.struggling(now)
    if breaker.is_any_open():
        stuck += breaker.waiting(now)
    if stuck:
        pass_on(stuck, now)


def _send(outgoing: Outgoing) -> outcomes.Result | None:
    """Hand one message to its provider. None when the look at its incident has become too old."""
    started = monotonic()
    if started - outgoing.looked > LOOK_AGE:
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


def _finish(sent: list[tuple[Outgoing, outcomes.Result | None]], now: datetime) -> None:
    stale = [outgoing.notification for outgoing, result in sent if result is None]
    results = [result for _, result in sent if result is not None]
    if stale:
        outcomes.release(stale, now)
    if results and (lost := outcomes.finish(results)):
        pass_on(lost, now)
