"""A process's dispatcher: a thread that sends what is due.

No task waits for a provider: when one hung, every process of a worker's pool waited for it, and the steps and messages
of everybody else came when the tickers took pity on them, seconds late.
"""

import logging
import os
import threading
from functools import cache
from time import sleep

from django.db import Error, connection

from ilert.common.clock import database_now
from incidents.engine.delivery import Shift
from incidents.engine.hand import Hand
from incidents.engine.senders import senders

logger = logging.getLogger(__name__)

RETRY_EVERY = 0.2


class Dispatcher:
    """Sends due messages when asked, in a thread of its own."""

    def __init__(self) -> None:
        self._closing = threading.Event()
        self._hand = Hand("delivery", self._deliver)

    def ask(self) -> None:
        """Have the due messages sent, and return at once."""
        self._hand.ask()

    def close(self) -> None:
        """Begin nothing more, and let the messages that are on their way end."""
        self._closing.set()
        self._hand.close()

    def _deliver(self) -> None:
        shift = Shift(senders(), database_now)
        while not self._worked(shift) and shift.holds_leases:
            # A database that restarts is waited for: what was sent meanwhile is written down, and not sent again.
            sleep(RETRY_EVERY)

    def _worked(self, shift: Shift) -> bool:
        try:
            shift.keep()
            shift.work(lambda: not self._closing.is_set())
        except Error as error:
            logger.warning("delivery was interrupted: %s", error)
            # With its session a process loses what it has claimed; a statement that timed out is no reason for that.
            if not connection.is_usable():
                connection.close()
            return False
        except Exception:
            logger.exception("delivery was interrupted")
            return False
        return True


def dispatcher() -> Dispatcher:
    """Return this process's dispatcher."""
    return _of_process(os.getpid())


@cache
def _of_process(pid: int) -> Dispatcher:
    # A fork has none of its parent's threads.
    return Dispatcher()
