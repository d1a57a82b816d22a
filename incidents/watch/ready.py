"""Whether this process can commit: tried for real, and answered in time whatever state the database is in."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from django.db import connection, transaction

from ilert.common.clock import database_now
from incidents.watch.models import Finding, Pulse, Role
from incidents.watch.pulses import SILENT_AFTER

PATIENCE = 2.0


@dataclass(frozen=True)
class Answer:
    """`obstacle` says why nothing can be committed. `degraded` are the troubles that do not keep events out."""

    obstacle: str
    degraded: tuple[str, ...] = ()


class Check:
    """One attempt at a time for all who ask: a frozen database must not collect waiting threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ready")
        self._under_way: Future[Answer] | None = None

    def ask(self) -> Answer:
        with self._lock:
            if self._under_way is None or self._under_way.done():
                self._under_way = self._pool.submit(_attempt)
            attempt = self._under_way
        try:
            return attempt.result(timeout=PATIENCE)
        except TimeoutError:
            return Answer(f"the database did not commit within {PATIENCE:g} s")


def _attempt() -> Answer:
    try:
        obstacle = commit()
        return Answer(obstacle) if obstacle else Answer("", degraded())
    except Exception as error:
        # Whatever it is, a load balancer must get its answer.
        return Answer(f"the database cannot be used ({type(error).__name__})")
    finally:
        connection.close()


@transaction.atomic
def commit() -> str:
    """Commit a note in the write-ahead log, which no table keeps. Returns what forbids it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::bool")
        if cursor.fetchone()[0]:
            return "the database is read-only"
        cursor.execute("SELECT pg_logical_emit_message(true, 'ilert', 'ready')")
    return ""


def degraded() -> tuple[str, ...]:
    """Return what is wrong without keeping events out: what the auditor found, or that there is no auditor."""
    now = database_now()
    found = list(Finding.objects.filter(closed_at=None).order_by("-grave", "pk").values_list("title", flat=True))
    tickers = Pulse.objects.filter(role=Role.TICKER)
    if not tickers.filter(last_seen_at__gte=now - SILENT_AFTER).exists():
        found.insert(0, "No ticker runs")
    return tuple(dict.fromkeys(found))
