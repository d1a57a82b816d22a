"""A worker's pulse. It goes the way of its work: from the consumer's loop through the pool to the database."""

import os
import threading
from typing import Any

from celery import bootsteps, signals
from django.db import close_old_connections

from incidents.watch.models import Role
from incidents.watch.pulses import INTERVAL, Beat, steady

_beats: dict[int, Beat] = {}


class PulseStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Part of the consumer, so that it runs only while the broker is heard."""

    requires = {"celery.worker.consumer.tasks:Tasks"}

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._born = steady()
        self._timer: Any = None
        self._under_way = threading.Lock()

    def start(self, consumer: Any) -> None:
        self._timer = consumer.timer.call_repeatedly(INTERVAL, self._send, (consumer,))
        # The pool takes nothing before the loop turns.
        consumer.timer.call_after(1, self._send, (consumer,))

    def stop(self, consumer: Any) -> None:
        if self._timer:
            self._timer.cancel()

    def _send(self, consumer: Any) -> None:
        """Hand the pulse to the pool, unless the last one is still waiting for a free process there."""
        if not self._under_way.acquire(blocking=False):
            return
        done = sum(consumer.controller.state.total_count.values())
        did = f"{done} tasks done since its start" if done else "Nothing was due yet"
        try:
            consumer.pool.apply_async(
                pulse, (os.getpid(), self._born, did), callback=self._answered, error_callback=self._answered
            )
        except Exception:
            self._under_way.release()
            raise

    def _answered(self, _: object) -> None:
        self._under_way.release()


def pulse(pid: int, born: float, did: str) -> None:
    """Runs in a process of the pool, and speaks for the worker."""
    close_old_connections()
    _beats.setdefault(pid, Beat(Role.WORKER, pid, born)).write(did)


@signals.worker_shutdown.connect  # type: ignore[untyped-decorator]
def _goodbye(**_: Any) -> None:
    Beat(Role.WORKER, os.getpid(), steady()).remove()
