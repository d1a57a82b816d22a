"""The statements that store a batch of events: one each, however many events there are."""

from collections.abc import Sequence

import orjson
from django.db import connection

from ilert.common import arrays
from ilert.common.statement import Statement
from incidents.intake.batch import Applied, Item, Verdict
from incidents.models import Outcome

# One statement opens an incident for each problem or appends to the open one, whoever races, and stores all events.
# Incidents are locked in one order, and only after the sources, so that no two batches wait for each other. While a
# source's row is locked it is neither deleted nor given another policy, so that no foreign key need be checked. What
# concerns the incidents of a source is read from its row, as the sources of a batch may come from a cache.
# A HIGH event raises an open LOW incident. Pending, it starts its escalation, snoozed or not; accepted, it keeps its
# run, which knows whether it asks again, and asks all levels if it is reopened. The row of the event says so, as an
# entry would be one more statement: what is due, or raised by its run, as of this very statement has been raised. A
# part is due too, so that the engine raises what it is a part of. Ids are drawn when all incidents are locked.
_ALERTS = Statement(
    "ilert_alerts",
    """
WITH source AS MATERIALIZED (
    SELECT id, escalation_policy_id, priority, auto_resolution_minutes * interval '1 minute' AS patience
    FROM alertsources_alertsource WHERE id = ANY($1) AND active ORDER BY id FOR SHARE
), event AS MATERIALIZED (
    SELECT * FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) WITH ORDINALITY AS event(
        source_id, key_hash, scope_hash, times, priority, key,
        incident_key, summary, details, fields, links, occurred_at, request_id, body, content_type, place
    )
), opened AS (
    INSERT INTO incidents_incident AS incident (
        alert_source_id, escalation_policy_id, summary, details, status, priority, incident_key, key_hash, scope_hash,
        event_count, reported_at, last_event_at, next_escalation_at, auto_resolve_at
    )
    SELECT
        source.id, source.escalation_policy_id, event.summary, event.details, 1,
        COALESCE(NULLIF(event.priority, ''), source.priority), event.key, event.key_hash, event.scope_hash,
        event.times, statement_timestamp(), statement_timestamp(), statement_timestamp(),
        statement_timestamp() + source.patience
    FROM event JOIN source ON source.id = event.source_id
    WHERE event.times > 0
    ORDER BY event.source_id, event.key_hash
    ON CONFLICT (alert_source_id, key_hash) WHERE status < 3 DO UPDATE SET
        event_count = incident.event_count + EXCLUDED.event_count,
        last_event_at = GREATEST(incident.last_event_at, EXCLUDED.last_event_at),
        auto_resolve_at = EXCLUDED.auto_resolve_at,
        priority = CASE WHEN EXCLUDED.priority = 'high' THEN 'high' ELSE incident.priority END,
        run = CASE
            WHEN EXCLUDED.priority = 'high' AND incident.priority = 'low' THEN CASE
                WHEN incident.status = 2
                THEN incident.run || jsonb_build_object('single_level', false, 'raised_at', statement_timestamp()) END
            ELSE incident.run END,
        next_escalation_at = CASE
            WHEN EXCLUDED.priority = 'high' AND incident.priority = 'low'
                AND (incident.status = 1 OR incident.merged_into_id IS NOT NULL)
            THEN EXCLUDED.next_escalation_at ELSE incident.next_escalation_at END,
        snoozed_until = CASE
            WHEN EXCLUDED.priority = 'high' AND incident.priority = 'low' THEN NULL ELSE incident.snoozed_until END
    RETURNING
        id, alert_source_id, key_hash, xmax = 0 AS is_new,
        xmax <> 0 AND CASE
            WHEN status = 1 OR merged_into_id IS NOT NULL THEN next_escalation_at = statement_timestamp()
            WHEN priority = 'high' THEN run->'raised_at' = to_jsonb(statement_timestamp()) END AS is_raised
), placed AS MATERIALIZED (
    SELECT
        nextval('incidents_timeline_seq') AS id, event.*, opened.id AS incident_id,
        CASE WHEN opened.is_raised AND event.times > 0 THEN 'It made the priority high.' ELSE '' END AS reason,
        CASE WHEN opened.is_new AND event.times > 0 THEN 'opened' ELSE 'appended' END AS outcome
    FROM event JOIN opened ON opened.alert_source_id = event.source_id AND opened.key_hash = event.key_hash
    ORDER BY event.place
), stored AS (
    INSERT INTO incidents_event (
        id, alert_source_id, incident_id, request_id, body, content_type, received_at, occurred_at, type, outcome,
        reason, incident_key, summary, details, fields, links
    )
    SELECT
        id, source_id, incident_id, request_id, body, content_type, statement_timestamp(), occurred_at, 'ALERT',
        outcome, reason, incident_key, summary, details, fields::jsonb, links::jsonb
    FROM placed
)
SELECT place, id, incident_id, (outcome = 'opened')::int FROM placed
""",
)
_OTHERS = Statement(
    "ilert_others",
    """
WITH placed AS MATERIALIZED (
    SELECT nextval('incidents_timeline_seq') AS id, event.*
    FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) WITH ORDINALITY AS event(
        source_id, incident_id, type, outcome, reason,
        incident_key, summary, details, fields, links, occurred_at, request_id, body, content_type, place
    )
    ORDER BY event.place
), stored AS (
    INSERT INTO incidents_event (
        id, alert_source_id, incident_id, request_id, body, content_type, received_at, occurred_at, type, outcome,
        reason, incident_key, summary, details, fields, links
    )
    SELECT
        id, source_id, NULLIF(incident_id, 0), request_id, body, content_type, statement_timestamp(), occurred_at, type,
        outcome, reason, incident_key, summary, details, fields::jsonb, links::jsonb
    FROM placed
)
SELECT place, id FROM placed
""",
)


def alerts(batch: Sequence[Item]) -> list[Applied | None]:
    """Open or continue the incidents of ALERTs, and store them. None for an event whose source is gone."""
    folds = _folded(batch)
    rows = _rows(
        _ALERTS,
        arrays.integers(sorted({item.source.id for item in batch})),
        arrays.integers([item.source.id for item in batch]),
        arrays.binaries([item.key_hash for item in batch]),
        arrays.binaries([item.scope_hash for item in batch]),
        arrays.integers([times for times, _ in folds]),
        arrays.texts([priority for _, priority in folds]),
        arrays.texts([item.event.key or item.key for item in batch]),
        *_as_sent(batch),
    )
    applied: list[Applied | None] = [None] * len(batch)
    for place, event_id, incident_id, is_new in rows:
        outcome = Outcome.OPENED if is_new else Outcome.APPENDED
        applied[place - 1] = Applied(event_id, incident_id, batch[place - 1].event.key, outcome)
    return applied


def others(batch: Sequence[Item], verdicts: Sequence[Verdict]) -> list[Applied]:
    """Store events together with what became of each. Their sources are locked."""
    rows = _rows(
        _OTHERS,
        arrays.integers([item.source.id for item in batch]),
        arrays.integers([verdict.incident_id or 0 for verdict in verdicts]),
        arrays.texts([item.event.type for item in batch]),
        arrays.texts([verdict.outcome for verdict in verdicts]),
        arrays.texts([verdict.reason for verdict in verdicts]),
        *_as_sent(batch),
    )
    ids = {row[0]: row[1] for row in rows}
    return [
        Applied(ids[place], verdict.incident_id, item.event.key, verdict.outcome, verdict.reason, verdict.code)
        for place, (item, verdict) in enumerate(zip(batch, verdicts, strict=True), start=1)
    ]


def _folded(batch: Sequence[Item]) -> list[tuple[int, str]]:
    """Return for each event how many it stands for, and their priority: a problem's first counts, the rest are 0.

    The highest priority wins; an empty one means the source's.
    """
    first: dict[tuple[int, bytes], int] = {}
    times = [0] * len(batch)
    priorities = [(item.event.priority or "").lower() for item in batch]
    for place, item in enumerate(batch):
        at = first.setdefault((item.source.id, item.key_hash), place)
        times[at] += 1
        if priorities[at] != "high" and priorities[place] in ("high", ""):
            priorities[at] = priorities[place]
    return list(zip(times, priorities, strict=True))


def _as_sent(batch: Sequence[Item]) -> tuple[arrays.Array, ...]:
    events = [item.event for item in batch]
    return (
        arrays.texts([event.key for event in events]),
        arrays.texts([event.summary for event in events]),
        arrays.texts([event.details for event in events]),
        arrays.encoded([orjson.dumps(event.fields) for event in events]),
        arrays.encoded([_links(item) for item in batch]),
        arrays.times([event.occurred_at for event in events]),
        arrays.uuids([item.request_id for item in batch]),
        arrays.binaries([item.body for item in batch]),
        arrays.texts([item.content_type for item in batch]),
    )


def _links(item: Item) -> bytes:
    return orjson.dumps([{"label": link.label, "url": link.url} for link in item.event.links])


def _rows(statement: Statement, *parameters: arrays.Array) -> list[tuple[int, ...]]:
    """Run a statement whose columns are all numbers."""
    connection.ensure_connection()
    with connection.wrap_database_errors:
        result = statement.run(connection.connection, parameters)
    columns = range(result.nfields)
    return [tuple(_number(result.get_value(row, column)) for column in columns) for row in range(result.ntuples)]


def _number(value: bytes | None) -> int:
    return int.from_bytes(value or b"", "big", signed=True)
