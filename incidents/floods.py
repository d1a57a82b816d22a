"""Sources that send more than they may: noted by the web processes, shown to people."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import connection

from incidents.models import FLOOD_ENDS_AFTER, Flood

# For so long the page of the source says that there was a flood.
SHOWN_FOR = timedelta(hours=24)

_NOTE = """
INSERT INTO incidents_flood AS flood (alert_source_id, since, last_at, events_per_second, refused)
SELECT id, %(now)s, %(now)s, %(rate)s, %(refused)s FROM alertsources_alertsource WHERE id = %(source)s FOR KEY SHARE
ON CONFLICT (alert_source_id) DO UPDATE SET
    since = CASE WHEN flood.last_at < %(ended)s THEN EXCLUDED.since ELSE flood.since END,
    refused = EXCLUDED.refused + CASE WHEN flood.last_at < %(ended)s THEN 0 ELSE flood.refused END,
    last_at = GREATEST(flood.last_at, EXCLUDED.last_at),
    events_per_second = EXCLUDED.events_per_second
"""


def note(source_id: int, rate: float, refused: int, now: datetime) -> None:
    """Write down that a source is over its rate, and how many of its events were just refused for it."""
    ended = now - FLOOD_ENDS_AFTER
    with connection.cursor() as cursor:
        cursor.execute(
            _NOTE, {"source": source_id, "rate": round(rate), "refused": refused, "now": now, "ended": ended}
        )


def current(source_ids: Iterable[int], now: datetime) -> dict[int, Flood]:
    """Return the floods that go on among the sources."""
    floods = Flood.objects.filter(alert_source__in=list(source_ids), last_at__gte=now - FLOOD_ENDS_AFTER)
    return {flood.alert_source_id: flood for flood in floods}


def latest(source_id: int, now: datetime) -> Flood | None:
    """Return the source's last flood, if it is not too long ago to be of interest."""
    return Flood.objects.filter(alert_source=source_id, last_at__gte=now - SHOWN_FOR).first()
