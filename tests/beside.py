"""Two who do something at the same moment."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor

from django.db import connection


def beside(threads: ThreadPoolExecutor, deed: object, *arguments: object) -> "Future[object]":
    """Start `deed` on a connection of its own, and return when the database holds it, or it is done."""
    pid: Future[int] = Future()

    def run() -> object:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                pid.set_result(cursor.fetchone()[0])
            return deed(*arguments)  # type: ignore[operator]
        finally:
            connection.close()

    future = threads.submit(run)
    waits = "SELECT cardinality(pg_blocking_pids(%s)) > 0"
    with connection.cursor() as cursor:
        held = False
        while not held and not future.done():
            cursor.execute(waits, [pid.result(10)])
            held = cursor.fetchone()[0]
            threading.Event().wait(0.01)
    return future
