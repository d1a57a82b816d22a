"""A thread that does one piece of work at a time, so that whoever asks is never held up."""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from django.db import Error, close_old_connections

logger = logging.getLogger(__name__)


@contextmanager
def apart(what: str) -> Iterator[None]:
    """Do one part of something whose other parts are done, too, when it fails."""
    try:
        yield
    except Error as error:
        logger.warning("%s has to wait, the database does not let it: %s", what, error)
    except Exception:
        logger.exception("%s failed", what)


class Hand:
    """Does `work` in a thread of its own; asked again while it is at it, it does it once more."""

    def __init__(self, name: str, work: Callable[[], object]) -> None:
        self._name = name
        self._work = work
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._wanted = threading.Event()
        self._begin = threading.Lock()

    def ask(self) -> None:
        """Have the work done, and return at once."""
        with self._begin:
            if not self._wanted.is_set():
                self._wanted.set()
                try:
                    self._thread.submit(self._run)
                except RuntimeError:
                    # There is no more room for a thread, or it is closed: the next question tries again.
                    self._wanted.clear()
                    raise

    def close(self) -> None:
        """Let the work that is being done end."""
        self._thread.shutdown(wait=True)

    def _run(self) -> None:
        # Whatever is asked from here on is asked about what this time may not see any more.
        self._wanted.clear()
        try:
            # One that the server has cut meanwhile is replaced.
            close_old_connections()
            self._work()
        except Exception:
            # The next question starts it again.
            logger.exception("%s failed", self._name)
        finally:
            close_old_connections()
