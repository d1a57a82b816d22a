"""The threads of a process that talk to providers, so that one that hangs holds up none of the others."""

import os
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import cache
from typing import Any

from django.db import connection

# As many messages as a process sends at one time; a provider has fewer slots than that.
WIDTH = 24


class Senders(ThreadPoolExecutor):
    """Gives back a database connection that a channel may have used."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return super().submit(_and_disconnect, fn, *args, **kwargs)


def _and_disconnect(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    try:
        return fn(*args, **kwargs)
    finally:
        connection.close()


def senders() -> Executor:
    """Return this process's senders."""
    return _of_process(os.getpid())


@cache
def _of_process(pid: int) -> Senders:
    # A fork has none of its parent's threads.
    return Senders(WIDTH, thread_name_prefix="sender")
