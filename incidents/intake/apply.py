"""Applying events to the database: the only place where an event changes an incident."""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from alertsources.models import AlertSource
from incidents import models, services
from incidents.intake.prepare import Prepared
from incidents.models import Incident, LogEntry, Outcome, Priority, Status
from incidents.timeline import Kind, entry
from integrations import Event, EventType

# One statement opens an incident or appends to the open one, whoever races. A HIGH event raises an open LOW incident
# and starts its escalation.
_UPSERT = """
INSERT INTO incidents_incident AS incident (
    alert_source_id, escalation_policy_id, summary, details, status, priority, incident_key, key_hash, scope_hash,
    event_count, reported_at, last_event_at, next_escalation_at
) VALUES (
    %(source)s, %(policy)s, %(summary)s, %(details)s, 1, %(priority)s, %(key)s, %(key_hash)s, %(scope_hash)s,
    1, %(now)s, %(now)s, %(now)s
)
ON CONFLICT (alert_source_id, key_hash) WHERE status < 3 DO UPDATE SET
    event_count = incident.event_count + 1,
    last_event_at = GREATEST(incident.last_event_at, EXCLUDED.last_event_at),
    priority = CASE WHEN EXCLUDED.priority = 'high' THEN 'high' ELSE incident.priority END,
    run = CASE WHEN EXCLUDED.priority = 'high' AND incident.priority = 'low' THEN NULL ELSE incident.run END,
    next_escalation_at = CASE
        WHEN EXCLUDED.priority = 'high' AND incident.priority = 'low' AND incident.status = 1
        THEN EXCLUDED.next_escalation_at ELSE incident.next_escalation_at END
RETURNING id, xmax = 0
"""
REJECTED_KEPT = 100


@dataclass(frozen=True)
class Applied:
    """What became of one event."""

    event_id: int
    incident_id: int | None
    incident_key: str
    outcome: Outcome


@dataclass(frozen=True)
class _Verdict:
    outcome: Outcome
    incident_id: int | None = None
    reason: str = ""


class SourceGone(Exception):
    """The source was deleted or disabled since its key was looked up."""


@transaction.atomic
def apply(source: AlertSource, prepared: Prepared, now: datetime) -> list[Applied]:
    """Apply all events of a request or none, and record each. Raises SourceGone."""
    _hold(source)
    request_id = uuid.uuid4()
    applied = []
    for number, event in enumerate(prepared.events):
        verdict = _APPLY[event.type](source, event, now)
        row = models.Event(
            alert_source=source,
            incident_id=verdict.incident_id,
            request_id=request_id,
            body=prepared.body if number == 0 else None,
            content_type=prepared.content_type,
            received_at=now,
            occurred_at=event.occurred_at,
            type=event.type,
            outcome=verdict.outcome,
            reason=verdict.reason,
            incident_key=event.key,
            summary=event.summary,
            details=event.details,
            fields=event.fields,
            links=[{"label": link.label, "url": link.url} for link in event.links],
        )
        row.save(force_insert=True)
        applied.append(Applied(row.pk, verdict.incident_id, event.key, verdict.outcome))
    return applied


def record_rejected(source: AlertSource, body: bytes, content_type: str, reason: str, now: datetime) -> int:
    """Keep a request that could not be understood, so that an admin sees what the tool sends. Returns its id."""
    row = models.Event(
        alert_source=source,
        body=body,
        content_type=content_type,
        received_at=now,
        outcome=Outcome.REJECTED,
        reason=reason,
    )
    with transaction.atomic():
        row.save(force_insert=True)
        rejected = models.Event.objects.filter(alert_source=source, outcome=Outcome.REJECTED).order_by("-pk")
        # Only the newest are kept: a tool that always sends rubbish must not fill the disk.
        oldest = rejected.values_list("pk", flat=True)[REJECTED_KEPT - 1 : REJECTED_KEPT].first()
        if oldest is not None:
            rejected.filter(pk__lt=oldest).delete()
    return row.pk


def key_hash(key: str) -> bytes:
    """Return what an incident key is matched by: trimmed, and without case."""
    return hashlib.sha256(key.strip().casefold().encode("utf-8", "surrogatepass")).digest()


def _hold(source: AlertSource) -> None:
    """Keep the source from being deleted until the events are in."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM alertsources_alertsource WHERE id = %s AND active FOR KEY SHARE", [source.pk])
        if cursor.fetchone() is None:
            raise SourceGone


def _alert(source: AlertSource, event: Event, now: datetime) -> _Verdict:
    with connection.cursor() as cursor:
        cursor.execute(
            _UPSERT,
            {
                "source": source.pk,
                "policy": source.escalation_policy_id,
                "summary": event.summary,
                "details": event.details,
                "priority": (event.priority or Priority.HIGH).lower(),
                "key": event.key,
                "key_hash": key_hash(event.key),
                "scope_hash": key_hash(event.scope) if event.scope else None,
                "now": now,
            },
        )
        incident_id, opened = cursor.fetchone()
    return _Verdict(Outcome.OPENED if opened else Outcome.APPENDED, incident_id)


def _accept(source: AlertSource, event: Event, now: datetime) -> _Verdict:
    incident = _latest(source, event)
    if incident is None:
        return _Verdict(Outcome.IGNORED, reason="No incident has this key.")
    result = services.accept(incident.pk, None, now)
    if not result.changed:
        return _Verdict(Outcome.IGNORED, incident.pk, "The incident had been accepted or resolved before.")
    return _Verdict(Outcome.ACCEPTED, incident.pk)


def _resolve(source: AlertSource, event: Event, now: datetime) -> _Verdict:
    """Resolve the incident of the event's key; the coarser scope is tried only if the key never had an incident."""
    incident = _latest(source, event)
    if incident is None:
        return _resolve_by_scope(source, event, now)
    if not services.resolve(incident.pk, None, now).changed:
        return _Verdict(Outcome.IGNORED, incident.pk, "The incident had been resolved before.")
    return _Verdict(Outcome.RESOLVED, incident.pk)


def _resolve_by_scope(source: AlertSource, event: Event, now: datetime) -> _Verdict:
    candidates = _open_of_scope(source, event)
    if not candidates:
        return _Verdict(Outcome.IGNORED, reason="No open incident belongs to this recovery.")
    if len(candidates) > 1:
        LogEntry.objects.bulk_create(
            [
                entry(incident, Kind.RECOVERY_AMBIGUOUS, now, count=len(candidates), detail=event.summary)
                for incident in candidates
            ]
        )
        ids = ", ".join(f"#{incident.pk}" for incident in candidates)
        return _Verdict(Outcome.AMBIGUOUS, reason=f"It may belong to any of {ids}, so none was resolved.")
    services.resolve(candidates[0].pk, None, now)
    return _Verdict(Outcome.RESOLVED, candidates[0].pk, "The only open incident it can belong to.")


def _test(source: AlertSource, event: Event, now: datetime) -> _Verdict:
    return _Verdict(Outcome.TEST, reason="A test of the tool's. It pages nobody.")


_APPLY = {
    EventType.ALERT: _alert,
    EventType.ACCEPT: _accept,
    EventType.RESOLVE: _resolve,
    EventType.TEST: _test,
}


def _latest(source: AlertSource, event: Event) -> Incident | None:
    """Return the newest incident of the event's key, locked; it is the open one if there is an open one."""
    return (
        Incident.objects.filter(alert_source=source, key_hash=key_hash(event.key))
        .order_by("-pk")
        .select_for_update(of=("self",))
        .first()
    )


def _open_of_scope(source: AlertSource, event: Event) -> list[Incident]:
    if not event.scope:
        return []
    return list(
        Incident.objects.filter(alert_source=source, scope_hash=key_hash(event.scope), status__lt=Status.RESOLVED)
        .order_by("pk")
        .select_for_update(of=("self",))
    )
