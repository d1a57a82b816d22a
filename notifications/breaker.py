"""A breaker for each provider: what keeps failing is left alone for a while, then one message tries.

Its state is a row that all processes share. No message is lost by it: messages wait, and the next contact method of
their person is used meanwhile.
"""

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from notifications.models import Provider
from notifications.outbox import LEASE

# This many failures in a row open it.
LIMIT = 3
PAUSE = timedelta(seconds=10)
MAX_PAUSE = timedelta(seconds=60)

_PROBE = """
UPDATE notifications_provider SET open_until = %(lease)s, probing = TRUE WHERE name IN (
    SELECT p.name FROM notifications_provider p
    WHERE p.open_until <= %(now)s AND EXISTS (
        SELECT FROM notifications_notification n
        WHERE n.provider_id = p.name AND n.state IN ('planned', 'sending') AND n.carrier_id IS NULL
          AND n.due_at <= %(now)s
    )
    FOR UPDATE SKIP LOCKED
) RETURNING name
"""
# Whoever waits says so once; whose turn has not come yet says nothing.
_WAITING = """
UPDATE notifications_notification SET answer = 'Waits, as ' || shut.name || ' fails: ' || shut.answer
FROM notifications_provider shut WHERE shut.open_until > %(now)s AND id IN (
    SELECT n.id FROM notifications_notification n
    WHERE n.provider_id = shut.name AND n.state = 'planned' AND n.carrier_id IS NULL AND n.due_at <= %(now)s
      AND n.passed_on_at IS NULL
    ORDER BY n.due_at LIMIT 1000 FOR UPDATE SKIP LOCKED
) RETURNING id
"""
_FAILED = """
UPDATE notifications_provider p SET
    failures = p.failures + r.count,
    answer = r.answer,
    probing = FALSE,
    pause_seconds = CASE WHEN opens THEN %(pause)s WHEN p.probing THEN least(p.pause_seconds * 2, %(max_pause)s)
                         ELSE p.pause_seconds END,
    open_until = CASE WHEN opens THEN %(now)s + make_interval(secs => %(pause)s)
                      WHEN p.probing THEN %(now)s + make_interval(secs => least(p.pause_seconds * 2, %(max_pause)s))
                      ELSE p.open_until END,
    opened_at = CASE WHEN opens THEN %(now)s ELSE p.opened_at END
FROM (
    SELECT r.name, r.count, r.answer, p.open_until IS NULL AND p.failures + r.count >= %(limit)s AS opens
    FROM unnest(%(names)s::text[], %(counts)s::int[], %(answers)s::text[]) AS r(name, count, answer)
    JOIN notifications_provider p USING (name) ORDER BY name FOR UPDATE OF p
) r WHERE p.name = r.name
"""


def is_any_open() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM notifications_provider WHERE open_until IS NOT NULL)")
        return bool(cursor.fetchone()[0])


def take_probes(now: datetime) -> list[str]:
    """Return the providers that one message may be sent to, to see whether they work again. Nobody else gets them."""
    with connection.cursor() as cursor:
        cursor.execute(_PROBE, {"now": now, "lease": now + LEASE})
        return [name for (name,) in cursor.fetchall()]


def waiting(now: datetime) -> list[uuid.UUID]:
    """Return the due messages that have begun to wait for a provider, and write on them what they wait for."""
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, {"now": now})
        return [pk for (pk,) in cursor.fetchall()]


def record(worked: set[str], failed: dict[str, list[str]], now: datetime) -> None:
    """Take note of what came of attempts: the providers that answered, and of the others what went wrong."""
    if worked:
        sick = Provider.objects.filter(name__in=worked, failures__gt=0)
        sick.update(failures=0, open_until=None, opened_at=None, probing=False, pause_seconds=0)
    names = sorted(set(failed) - worked)
    if not names:
        return
    values: dict[str, Any] = {
        "now": now,
        "names": names,
        "counts": [len(failed[name]) for name in names],
        "answers": [failed[name][-1] for name in names],
        "limit": LIMIT,
        "pause": PAUSE.total_seconds(),
        "max_pause": MAX_PAUSE.total_seconds(),
    }
    with connection.cursor() as cursor:
        cursor.execute(_FAILED, values)
