"""Moments as ids: times of incidents grow with their ids, so that the primary key finds a day as well as a number.

An index over the times would cost each new incident something, and the newest of a filter would still be looked for by
walking back from today.
"""

from datetime import datetime, timedelta
from typing import LiteralString

from django.db import connection
from django.db.models import QuerySet

from incidents.models import Incident

# Transactions at the same time, and clocks that are set back a little, put ids and times out of order by seconds.
SLACK = timedelta(hours=1)

# Halves what is left until it has the first incident that was not reported before the moment.
_FIRST_AT: LiteralString = """
WITH RECURSIVE search(low, high) AS (
    SELECT min(id), max(id) + 1 FROM incidents_incident
    UNION ALL
    SELECT
        CASE WHEN found.reported_at < %(moment)s THEN found.id + 1 ELSE low END,
        CASE WHEN found.reported_at < %(moment)s THEN high ELSE (low + high) / 2 END
    FROM search, LATERAL (
        SELECT id, reported_at FROM incidents_incident WHERE id >= (low + high) / 2 ORDER BY id LIMIT 1
    ) AS found
    WHERE low < high
)
SELECT low FROM search WHERE low >= high
"""


def reported_from(incidents: QuerySet[Incident], moment: datetime) -> QuerySet[Incident]:
    """Return those of `incidents` that were reported at `moment` or later."""
    first = _first_at(moment - SLACK)
    return incidents.filter(reported_at__gte=moment, pk__gte=first)


def reported_before(incidents: QuerySet[Incident], moment: datetime) -> QuerySet[Incident]:
    """Return those of `incidents` that were reported before `moment`."""
    first = _first_at(moment + SLACK)
    return incidents.filter(reported_at__lt=moment, pk__lt=first)


def _first_at(moment: datetime) -> int:
    """Return the id of the first incident of `moment` or later; one that is still to come if there is none."""
    with connection.cursor() as cursor:
        cursor.execute(_FIRST_AT, {"moment": moment})
        row = cursor.fetchone()
    return int(row[0]) if row else 0
