"""The ticker: once a second it looks for due work, rings the workers, and works itself when they are late."""

import logging
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from django.db import Error, connection

from ilert.common.clock import database_now
from incidents import services
from incidents.engine import delivery, escalation
from incidents.engine.bell import Bell
from incidents.watch.guard import Guard
from notifications import outbox

logger = logging.getLogger(__name__)

INTERVAL = 1.0
# Due work that is later than this is not being done by anybody, whatever the reason.
PATIENCE = timedelta(seconds=1.5)
SENDERS = 8


class Ticker:
    """The engine's heartbeat. Any number of them may run: whoever takes a row first has it."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._senders = ThreadPoolExecutor(SENDERS, thread_name_prefix="sender")
        self._handed_out: set[uuid.UUID] = set()
        self._stop = threading.Event()
        self._guard = Guard()

    def run(self) -> None:
        """Tick until `stop` is called. A database that is away is waited for."""
        next_tick = time.monotonic()
        while not self._stop.is_set():
            try:
                self.tick(database_now())
                self._guard.ticked()
            except Error as error:
                self._guard.failed(error)
                logger.warning("tick failed, the database cannot be used: %s", error)
                connection.close()
            next_tick = max(next_tick + INTERVAL, time.monotonic())
            self._stop.wait(next_tick - time.monotonic())
        self.close()
        self._guard.close()

    def close(self) -> None:
        """Let the messages that are being sent here end."""
        self._senders.shutdown(wait=True)

    def stop(self) -> None:
        self._stop.set()

    def tick(self, now: datetime) -> None:
        """Ring the workers if anything is due, and do it here if it has been due for too long."""
        waits = (services.oldest_stale_at(now), escalation.oldest_due_at(now), outbox.oldest_due_at(now))
        oldest = min(filter(None, waits), default=None)
        if oldest is None:
            return
        self._bell.ring()
        if now - oldest > PATIENCE:
            self._work(now)

    def _work(self, now: datetime) -> None:
        services.resolve_stale(now)
        escalation.escalate_due(now)
        for notification_id in outbox.due_ids(database_now(), SENDERS * 4):
            # What still waits for a sender of this process must not be handed out once more every second.
            if notification_id not in self._handed_out:
                self._handed_out.add(notification_id)
                self._senders.submit(self._send, notification_id)

    def _send(self, notification_id: uuid.UUID) -> None:
        try:
            delivery.deliver_one(notification_id)
        except Exception:
            logger.exception("delivery in the ticker failed")
        finally:
            self._handed_out.discard(notification_id)
            connection.close()
