"""Applying requests to the database: the only place where an event changes an incident."""

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import groupby

from django.db import connection, transaction

from ilert.common.clock import database_now
from incidents.intake import rejected, store, verdicts
from incidents.intake.batch import Applied, Item, Request, items, waves

__all__ = ["Applied", "Request", "apply"]


def apply(requests: Sequence[Request]) -> list[list[Applied] | None]:
    """Apply all requests or none, and record each: what became of its events, in their order.

    None for a request whose source was deleted or disabled since its key was looked up.
    """
    batch = items(requests)
    if all(item.is_alert for item in batch) and not any(request.prepared.rejected for request in requests):
        # One statement is a transaction of its own.
        results = dict(enumerate(store.alerts(batch))) if batch else {}
        return _of_requests(requests, batch, results, {})
    with transaction.atomic():
        active, now = _hold({request.source.pk for request in requests})
        refused = rejected.record(
            {n: one for n, one in enumerate(requests) if one.prepared.rejected and one.source.pk in active}, now
        )
        applied = _in_waves([item for item in batch if item.source.pk in active], now)
    return _of_requests(requests, batch, applied, refused)


def _in_waves(batch: Sequence[Item], now: datetime) -> dict[int, Applied | None]:
    applied: dict[int, Applied | None] = {}
    for wave in waves(batch):
        results = store.alerts(wave) if wave[0].is_alert else store.others(wave, verdicts.carry_out(wave, now))
        applied |= {item.place: result for item, result in zip(wave, results, strict=True)}
    return applied


def _of_requests(
    requests: Sequence[Request],
    batch: Sequence[Item],
    applied: dict[int, Applied | None],
    refused: dict[int, Applied],
) -> list[list[Applied] | None]:
    results: list[list[Applied] | None] = [None if one.prepared.rejected else [] for one in requests]
    for number, one in refused.items():
        results[number] = [one]
    for number, group in groupby(batch, key=lambda item: item.request):
        found = [result for item in group if (result := applied.get(item.place))]
        # A source is there for all events of a request or for none.
        results[number] = found or None
    return results


def _hold(source_ids: Collection[int]) -> tuple[set[int], datetime]:
    """Lock the sources; returns those that are active, and the time.

    Only one such batch at a time works on a source: its waves lock incidents again and again, in no order of keys.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM alertsources_alertsource WHERE id = ANY(%s) AND active ORDER BY id FOR UPDATE",
            [sorted(source_ids)],
        )
        active = {source_id for (source_id,) in cursor.fetchall()}
    # After the wait for the locks: what is resolved now must not end before it began.
    return active, database_now()
