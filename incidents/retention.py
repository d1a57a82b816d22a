"""Raw bodies of events are removed when they are old: what a tool sent, not what happened, which stays for ever.

In small chunks with pauses, so that the intake does not notice. `Retention` is the place where the work stands: whoever
holds its row goes on, and the system page shows it.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from incidents.models import Retention

CHUNK = 1000
PAUSE = timedelta(seconds=1)
REST = timedelta(hours=1)

# Events of open incidents keep theirs, and so do those that have yet to be applied.
_REMOVE = """
WITH old AS MATERIALIZED (
    SELECT * FROM (
        SELECT id, incident_id, received_at FROM incidents_event
        WHERE body IS NOT NULL AND id > %(after_id)s ORDER BY id LIMIT %(chunk)s
    ) AS next WHERE received_at < %(before)s
), removed AS (
    UPDATE incidents_event AS event SET body = NULL
    FROM old LEFT JOIN incidents_incident AS incident ON incident.id = old.incident_id
    WHERE event.id = old.id AND event.outcome <> 'failed' AND COALESCE(incident.status, 3) = 3
    RETURNING 1
)
SELECT (SELECT max(id) FROM old), (SELECT count(*) FROM old), (SELECT count(*) FROM removed)
"""


def remove_old_bodies(clock: Callable[[], datetime], pause: Callable[[float], bool]) -> int:
    """Go on with the pass that is due, chunk by chunk, until it ends or `pause` says to stop. Returns how many."""
    total = 0
    while (removed := remove_chunk(clock())) is not None:
        total += removed
        if pause(PAUSE.total_seconds()):
            break
    return total


@transaction.atomic
def remove_chunk(now: datetime) -> int | None:
    """Remove the next bodies. None when nothing is due, or when somebody else is at it."""
    Retention.objects.get_or_create(pk=Retention.ONLY, defaults={"due_at": now})
    work = Retention.objects.filter(due_at__lte=now).select_for_update(skip_locked=True).first()
    if work is None:
        return None
    if work.started_at is None or work.finished_at is not None:
        work.started_at, work.finished_at, work.after_id, work.removed = now, None, 0, 0
    last_id, looked_at, removed = _remove(work.after_id, now - timedelta(days=settings.ILERT_RETENTION_DAYS))
    work.removed += removed
    if looked_at == CHUNK:
        work.after_id, work.due_at = last_id, now
    else:
        work.finished_at, work.due_at = now, now + REST
    work.save()
    return removed


def _remove(after_id: int, before: datetime) -> tuple[int, int, int]:
    with connection.cursor() as cursor:
        # A crash may bring the bodies of the last moment back: the next pass finds them. Nobody waits for the disk.
        cursor.execute("SET LOCAL synchronous_commit = off")
        cursor.execute(_REMOVE, {"after_id": after_id, "chunk": CHUNK, "before": before})
        result: tuple[int, int, int] = cursor.fetchone()
    return result
