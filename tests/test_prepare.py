"""Several hosts that start at once on one database."""

import threading
import time

import pytest
from django.db import connection

from ilert.up import prepare

WAITS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
LOCK = "SELECT pg_advisory_lock(%s)"


@pytest.mark.django_db(transaction=True)
def test_who_waits_to_migrate_does_so_outside_of_any_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    """Indexes that are built beside the intake wait for every statement that has begun before."""
    asked, had_turn = threading.Event(), threading.Event()
    wait = time.sleep

    def sleep(seconds: float) -> None:
        asked.set()
        wait(0.01)

    def migrate() -> None:
        prepare._take_turn()
        had_turn.set()
        connection.close()

    monkeypatch.setattr(prepare.time, "sleep", sleep)
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [prepare._MIGRATION_LOCK])
        other = threading.Thread(target=migrate)
        other.start()
        assert asked.wait(10)
        cursor.execute(WAITS)
        assert cursor.fetchone() == (0,)
        assert not had_turn.is_set()
        cursor.execute("SELECT pg_advisory_unlock(%s)", [prepare._MIGRATION_LOCK])
    other.join(10)
    assert had_turn.is_set()
