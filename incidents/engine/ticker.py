"""The ticker: once a second it looks for due work, rings the workers, and works itself when they are late."""

import logging
import threading
import time
from datetime import datetime, timedelta

from django.db import Error, connection

from ilert.common.clock import database_now
from incidents import retention, search, services
from incidents.engine import escalation
from incidents.engine.bell import Bell
from incidents.engine.dispatcher import Dispatcher
from incidents.engine.hand import Hand, apart
from incidents.intake import again
from incidents.watch.guard import Guard
from notifications import outbox

logger = logging.getLogger(__name__)

INTERVAL = timedelta(seconds=1)
# What falls due in between is not waited for longer than that.
SHORTEST = timedelta(seconds=0.05)
# Of what is due only the oldest is looked at, so that nobody knows when more falls due.
BUSY = timedelta(seconds=0.25)
# Due work that is later than this is not being done by anybody, whatever the reason.
PATIENCE = timedelta(seconds=1.5)
HOUSEKEEPING = timedelta(minutes=1)
# How often failed events are looked for; most of the time there are none.
RETRY_FAILED = timedelta(seconds=5)


class Ticker:
    """The engine's heartbeat. Any number of them may run: whoever takes a row first has it.

    The tick itself only looks and rings. All work is done by threads of its own, so that none can hold the tick.
    """

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._engine = Hand("engine in the ticker", take_late_steps)
        self._dispatcher = Dispatcher()
        self._retries = Hand("failed events in the ticker", lambda: again.retry_failed(database_now()))
        self._search = Hand("search", search.add_new)
        self._housekeeping = Hand("housekeeping", self._keep_house)
        self._house_kept = self._retried = 0.0
        self._stop = threading.Event()
        self._guard = Guard()

    def run(self) -> None:
        """Tick until `stop` is called. A database that is away is waited for."""
        while not self._stop.is_set():
            started = time.monotonic()
            wait = INTERVAL
            try:
                wait = self.tick(database_now())
                self._guard.ticked()
                self._ask_for_housekeeping()
                if search.any_new():
                    self._search.ask()
            except Error as error:
                self._guard.failed(error)
                logger.warning("tick failed, the database cannot be used: %s", error)
                connection.close()
            self._stop.wait(max(0.0, started + wait.total_seconds() - time.monotonic()))
        self.close()
        self._guard.close()

    def close(self) -> None:
        """Let the messages that are being sent here end."""
        self._stop.set()
        self._dispatcher.close()
        self._engine.close()
        self._retries.close()
        self._search.close()
        self._housekeeping.close()

    def stop(self) -> None:
        self._stop.set()

    def tick(self, now: datetime) -> timedelta:
        """Ring the workers if anything is due, and do it here if it has been due for too long.

        Returns when to look again: when the next thing falls due, but in a second at the latest, and soon if any is.
        """
        soon = now + INTERVAL
        waits = (services.oldest_stale_at(soon), escalation.oldest_due_at(soon), outbox.oldest_due_at(soon))
        moments = [moment for moment in waits if moment is not None]
        due = [moment for moment in moments if moment <= now]
        if due:
            self._bell.ring()
            if now - min(due) > PATIENCE:
                self._work()
            return BUSY
        upcoming = min(moments, default=soon)
        return max(upcoming - now, SHORTEST)

    def _ask_for_housekeeping(self) -> None:
        if time.monotonic() - self._house_kept > HOUSEKEEPING.total_seconds():
            self._house_kept = time.monotonic()
            self._housekeeping.ask()
        if time.monotonic() - self._retried > RETRY_FAILED.total_seconds():
            self._retried = time.monotonic()
            self._retries.ask()

    def _keep_house(self) -> None:
        retention.remove_old_bodies(database_now, self._stop.wait)

    def _work(self) -> None:
        self._engine.ask()
        self._dispatcher.ask()


def take_late_steps() -> None:
    """Do what the workers are late with, batch by batch, and leave them the rest as soon as they keep up again."""
    done = 1
    while done:
        done = 0
        for what, work in (("ending what is stale", _resolve_late), ("taking steps", _escalate_late)):
            with apart(what):
                done += work()


def _resolve_late() -> int:
    now = database_now()
    return services.resolve_stale(now) if _is_late(services.oldest_stale_at(now), now) else 0


def _escalate_late() -> int:
    now = database_now()
    return escalation.escalate_batch(now) if _is_late(escalation.oldest_due_at(now), now) else 0


def _is_late(moment: datetime | None, now: datetime) -> bool:
    return moment is not None and now - moment > PATIENCE
