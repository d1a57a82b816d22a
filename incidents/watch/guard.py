"""What a ticker does besides ticking: its pulse, the minute's audit, and crying out when the database is away."""

import logging
import os
import threading
import time
from collections.abc import Callable
from datetime import datetime

from django.db import connection

from ilert.common.clock import database_now
from incidents.watch import auditor, heartbeat, tally, tell
from incidents.watch.models import Role
from incidents.watch.pulses import INTERVAL, Beat, steady

logger = logging.getLogger(__name__)

# The other processes may need this long to start, and to write their first pulse.
FIRST_AUDIT_AFTER = 20.0
TRY_EVERY = 5.0
DATABASE_PATIENCE = 60.0
TELL_AGAIN = 3600.0


class Guard:
    """Stands beside one ticker. Nothing it does holds the tick: all but the pulse is done in a thread."""

    def __init__(self) -> None:
        self._beat = Beat(Role.TICKER, os.getpid(), steady())
        self._next_pulse = 0.0
        self._next_audit = time.monotonic() + FIRST_AUDIT_AFTER
        self._busy: threading.Thread | None = None
        self._ways: list[tell.Way] = []
        self._away_since: float | None = None
        self._told_away: float | None = None

    def ticked(self) -> None:
        """A tick has been done: the database works, and so does this ticker."""
        self._away_since = None
        moment = time.monotonic()
        if moment >= self._next_pulse:
            self._next_pulse = moment + INTERVAL
            self._beat.write("Ticked")
        if moment >= self._next_audit:
            self._next_audit = moment + TRY_EVERY
            self._start(self._audit)

    def failed(self, error: Exception) -> None:
        """A tick could not be done, as the database cannot be used. After a minute the admins are told."""
        moment = time.monotonic()
        self._away_since = self._away_since or moment
        away = moment - self._away_since
        told_lately = self._told_away is not None and moment - self._told_away < TELL_AGAIN
        if away < DATABASE_PATIENCE or told_lately:
            return
        self._told_away = moment
        message = tell.about_database(" ".join(str(error).split()), away)
        self._start(lambda: tell.send(message, self._ways))

    def close(self) -> None:
        if self._busy:
            self._busy.join(timeout=3)
        self._beat.remove()

    def _start(self, work: Callable[[], object]) -> None:
        """Do something beside the tick, one thing at a time."""
        if self._busy and self._busy.is_alive():
            return
        self._busy = threading.Thread(target=_safely, args=(work,), name="guard", daemon=True)
        self._busy.start()

    def _audit(self) -> None:
        now = database_now()
        tally.count(now)
        if not auditor.claim(now):
            self._ways = tell.ways()
            return
        report = auditor.audit(now)
        self._ways = tell.ways()
        follow(report, self._ways)


def follow(report: auditor.Report, ways: list[tell.Way]) -> None:
    """Do what an audit asks for: heartbeat first, as telling may take seconds."""
    now: datetime = report.now
    heartbeat.hold_back(now) if report.grave else heartbeat.beat(now)
    message = tell.about(report)
    if message and tell.send(message, ways):
        auditor.mark_told(report.tell, now)


def _safely(work: Callable[[], object]) -> None:
    try:
        work()
    except Exception:
        # Without an audit there is no heartbeat, so that the watchdog outside notices.
        logger.exception("the guard failed")
    finally:
        connection.close()
