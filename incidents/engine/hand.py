"""A thread that does one piece of work at a time, so that whoever asks for it is never held up."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from django.db import connection

logger = logging.getLogger(__name__)


class Hand:
    """Does `work` in a thread of its own; asked again while it is at it, it goes on and forgets the question."""

    def __init__(self, name: str, work: Callable[[], object]) -> None:
        self._name = name
        self._work = work
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._current: Future[None] | None = None
        self._ask = threading.Lock()

    def ask(self) -> None:
        """Start the work unless it is being done, and return at once."""
        with self._ask:
            if self._current is None or self._current.done():
                self._current = self._thread.submit(self._run)

    def close(self) -> None:
        """Let the work that is being done end."""
        self._thread.shutdown(wait=True)

    def _run(self) -> None:
        try:
            self._work()
        except Exception:
            # The next question starts it again.
            logger.exception("%s failed", self._name)
        finally:
            connection.close()
