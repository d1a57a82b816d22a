"""The bell: tells the Celery workers to look for due work now.

It carries nothing. Publishing happens in a thread of its own, as no state of the broker may hold a request or a tick;
a bell that is not heard costs nothing but time, since the ticker does what stays undone.
"""

import contextlib
import logging
import threading
import time

from celery import current_app
from kombu import Producer

logger = logging.getLogger(__name__)

PUBLISH_TIMEOUT = 0.5
# In a storm one ring says as much as a hundred, and what is done for it is done for more messages at once.
MIN_INTERVAL = 0.25


class Bell:
    """Rings at most once at a time: rings that come while one is being published become one more."""

    def __init__(self) -> None:
        self._wanted = threading.Event()
        self._start = threading.Lock()
        self._thread: threading.Thread | None = None
        self._producer: Producer | None = None

    def ring(self) -> None:
        """Ask for a ring and return at once."""
        self._wanted.set()
        if self._thread is None or not self._thread.is_alive():
            with self._start:
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(target=self._run, name="bell", daemon=True)
                    self._thread.start()

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            try:
                self._publish()
            except Exception as error:
                # Nobody hears the bell now; the ticker works itself.
                logger.warning("the broker cannot be reached: %s", error)
            time.sleep(MIN_INTERVAL)

    def _publish(self) -> None:
        """Publish on the connection that is there; one that the broker has closed meanwhile is replaced."""
        try:
            self._producer = self._producer or connect()
            publish(self._producer)
        except Exception:
            self._hang_up()
            self._producer = connect()
            publish(self._producer)

    def _hang_up(self) -> None:
        if self._producer is not None:
            with contextlib.suppress(Exception):
                self._producer.connection.release()
            self._producer = None


def connect() -> Producer:
    """Connect to the broker, which takes half a second at most."""
    options = current_app.conf.broker_transport_options | {
        "socket_timeout": PUBLISH_TIMEOUT,
        "socket_connect_timeout": PUBLISH_TIMEOUT,
    }
    connection = current_app.connection_for_write(connect_timeout=PUBLISH_TIMEOUT, transport_options=options)
    return current_app.amqp.Producer(connection)


def publish(producer: Producer) -> None:
    """Publish one ring, within about half a second whatever the broker does."""
    current_app.send_task("incidents.work_due", producer=producer, retry=False, ignore_result=True, expires=30)


bell = Bell()
