"""Applying events to the database: the only place where an event changes an incident."""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from alertsources.models import AlertSource, Grouping
from incidents import models, services
from incidents.intake.prepare import Prepared
from incidents.intake.rejected import tell_admins
from incidents.models import Incident, LogEntry, Outcome, Status
from incidents.timeline import Kind, entry
from integrations import Event, EventType

# One statement opens an incident or appends to the open one, whoever races. A HIGH event raises an open LOW incident
# and starts its escalation.
_UPSERT = """
INSERT INTO incidents_incident AS incident (
    alert_source_id, escalation_policy_id, summary, details, status, priority, incident_key, key_hash, scope_hash,
    event_count, reported_at, last_event_at, next_escalation_at, auto_resolve_at
) VALUES (
    %(source)s, %(policy)s, %(summary)s, %(details)s, 1, %(priority)s, %(key)s, %(key_hash)s, %(scope_hash)s,
    1, %(now)s, %(now)s, %(now)s, %(auto_resolve_at)s
)
ON CONFLICT (alert_source_id, key_hash) WHERE status < 3 DO UPDATE SET
    event_count = incident.event_count + 1,
    last_event_at = GREATEST(incident.last_event_at, EXCLUDED.last_event_at),
    auto_resolve_at = EXCLUDED.auto_resolve_at,
    priority = CASE WHEN EXCLUDED.priority = 'high' THEN 'high' ELSE incident.priority END,
    run = CASE WHEN EXCLUDED.priority = 'high' AND incident.priority = 'low' THEN NULL ELSE incident.run END,
    next_escalation_at = CASE
        WHEN EXCLUDED.priority = 'high' AND incident.priority = 'low' AND incident.status = 1
        THEN EXCLUDED.next_escalation_at ELSE incident.next_escalation_at END
RETURNING id, xmax = 0
"""
REJECTED_KEPT = 100
AMBIGUOUS_ENTRIES = 50
ONE_OPEN_KEY = "one open incident"


@dataclass(frozen=True)
class Applied:
    """What became of one event. `code` is iLert's word for why it changed nothing."""

    event_id: int
    incident_id: int | None
    incident_key: str
    outcome: Outcome
    reason: str
    code: str


@dataclass(frozen=True)
class _Verdict:
    outcome: Outcome
    incident_id: int | None = None
    reason: str = ""
    code: str = ""


class SourceGone(Exception):
    """The source was deleted or disabled since its key was looked up."""


@transaction.atomic
def apply(source: AlertSource, prepared: Prepared, now: datetime) -> list[Applied]:
    """Apply all events of a request or none, and record each. Raises SourceGone."""
    _hold(source)
    request_id = uuid.uuid4()
    applied: dict[int, Applied] = {}
    # In one order of keys, so that two requests with the same problems do not lock each other out.
    for place in sorted(range(len(prepared.events)), key=lambda place: key_hash(prepared.events[place].key)):
        event = prepared.events[place]
        verdict = _APPLY[event.type](source, event, now)
        row = models.Event(
            alert_source=source,
            incident_id=verdict.incident_id,
            request_id=request_id,
            body=prepared.body if place == 0 else None,
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
        applied[place] = Applied(row.pk, verdict.incident_id, event.key, verdict.outcome, verdict.reason, verdict.code)
    return [applied[place] for place in range(len(prepared.events))]


@transaction.atomic
def record_rejected(source: AlertSource, body: bytes, content_type: str, reason: str, now: datetime) -> int:
    """Keep a request that could not be understood, so that an admin sees what the tool sends. Returns its id."""
    tell_admins(source, reason, now)
    row = models.Event(
        alert_source=source,
        body=body,
        content_type=content_type,
        received_at=now,
        outcome=Outcome.REJECTED,
        reason=reason,
    )
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


@dataclass(frozen=True)
class _Place:
    """Where an alert belongs, by the source's grouping: the key it is matched by, and its coarser scope."""

    key: str
    scope: str


def _place(source: AlertSource, event: Event) -> _Place:
    if source.grouping == Grouping.ONE_OPEN:
        return _Place(ONE_OPEN_KEY, "")
    if source.grouping == Grouping.EVENT or not event.key:
        # Each is an incident of its own; its recovery is found by what they have in common.
        return _Place(str(uuid.uuid4()), _common(event))
    return _Place(event.key, event.scope)


def _common(event: Event) -> str:
    return f"key:{event.key}" if event.key else ""


def _alert(source: AlertSource, event: Event, now: datetime) -> _Verdict:
    place = _place(source, event)
    minutes = source.auto_resolution_minutes
    with connection.cursor() as cursor:
        cursor.execute(
            _UPSERT,
            {
                "source": source.pk,
                "policy": source.escalation_policy_id,
                "summary": event.summary,
                "details": event.details,
                "priority": (event.priority or source.priority).lower(),
                "key": event.key or place.key,
                "key_hash": key_hash(place.key),
                "scope_hash": key_hash(place.scope) if place.scope else None,
                "now": now,
                "auto_resolve_at": now + timedelta(minutes=minutes) if minutes else None,
            },
        )
        incident_id, opened = cursor.fetchone()
    return _Verdict(Outcome.OPENED if opened else Outcome.APPENDED, incident_id)


def _accept(source: AlertSource, event: Event, now: datetime) -> _Verdict:
    incidents = _addressed(source, event)
    if not any(incident.is_open for incident in incidents):
        return _nothing_open(incidents)
    results = [services.accept(incident.pk, None, now) for incident in incidents if incident.is_open]
    if not any(result.changed for result in results):
        reason = "The incident had been accepted before."
        return _Verdict(Outcome.IGNORED, results[0].incident.pk, reason, "INCIDENT_ALREADY_ACCEPTED")
    return _Verdict(Outcome.ACCEPTED, results[0].incident.pk)


def _resolve(source: AlertSource, event: Event, now: datetime) -> _Verdict:
    """Resolve what the event's key stands for; the coarser scope is tried only if the key never had an incident."""
    incidents = _addressed(source, event)
    if not incidents:
        return _resolve_by_scope(source, event, now)
    incidents = [incident for incident in incidents if incident.is_open]
    if not incidents:
        return _nothing_open(_addressed(source, event))
    if source.grouping == Grouping.ONE_OPEN and (others := _still_firing(incidents[0], event)):
        return _Verdict(Outcome.APPENDED, incidents[0].pk, f"Over, but {others} other problems of it are not yet.")
    for incident in incidents:
        services.resolve(incident.pk, None, now)
    return _Verdict(Outcome.RESOLVED, incidents[0].pk)


def _nothing_open(incidents: list[Incident]) -> _Verdict:
    if incidents:
        reason = "The incident had been resolved before."
        return _Verdict(Outcome.IGNORED, incidents[0].pk, reason, "NO_OPEN_INCIDENT_WITH_KEY")
    return _Verdict(Outcome.IGNORED, None, "No open incident belongs to this key.", "NO_OPEN_INCIDENT_WITH_KEY")


def _still_firing(incident: Incident, event: Event) -> int:
    """Return how many problems of an incident beside the event's own have not been reported as over."""
    latest = (
        models.Event.objects.filter(incident=incident, type__in=[EventType.ALERT, EventType.RESOLVE])
        .exclude(incident_key=event.key)
        .order_by("incident_key", "-pk")
        .distinct("incident_key")
        .values_list("type", flat=True)
    )
    return sum(kind == EventType.ALERT for kind in latest)


def _resolve_by_scope(source: AlertSource, event: Event, now: datetime) -> _Verdict:
    candidates = _open_of_scope(source, event)
    first_two = list(candidates.values_list("pk", flat=True)[:2])
    if not first_two:
        return _nothing_open([])
    if len(first_two) > 1:
        _say_ambiguous(candidates, event, now)
        return _Verdict(
            Outcome.AMBIGUOUS, reason="It may belong to any of several open incidents, so none was resolved."
        )
    if not services.resolve(first_two[0], None, now).changed:
        return _nothing_open([])
    return _Verdict(Outcome.RESOLVED, first_two[0], "The only open incident it can belong to.")


def _comment(source: AlertSource, event: Event, now: datetime) -> _Verdict:
    incidents = [incident for incident in _addressed(source, event) if incident.is_open]
    if not incidents:
        return _nothing_open(_addressed(source, event))
    return _Verdict(Outcome.APPENDED, incidents[0].pk, "A comment of the tool's.")


def _test(source: AlertSource, event: Event, now: datetime) -> _Verdict:
    return _Verdict(Outcome.TEST, reason="A test of the tool's. It pages nobody.")


_APPLY = {
    EventType.ALERT: _alert,
    EventType.ACCEPT: _accept,
    EventType.RESOLVE: _resolve,
    EventType.COMMENT: _comment,
    EventType.TEST: _test,
}


def _addressed(source: AlertSource, event: Event) -> list[Incident]:
    """Return the incidents that an event's key stands for, locked: the open ones, else the newest of them.

    Grouped by key that is one at most; with an incident for each alert it is all that the key has opened. Incidents
    that were opened under another grouping are found too, as the tool knows nothing of our options.
    """
    if not event.key:
        return []
    hashes = {key_hash(event.key), key_hash(_place(source, event).key)}
    ours = Incident.objects.filter(alert_source=source).select_for_update(of=("self",))
    matching = Q(key_hash__in=hashes) | Q(scope_hash=key_hash(_common(event)))
    is_open = Q(status__lt=Status.RESOLVED)
    return list(ours.filter(is_open, matching).order_by("pk")) or list(
        ours.filter(key_hash__in=hashes).order_by("-pk")[:1]
    )


def _open_of_scope(source: AlertSource, event: Event) -> QuerySet[Incident]:
    if not event.scope or source.grouping != Grouping.KEY:
        return Incident.objects.none()
    return Incident.objects.filter(
        alert_source=source, scope_hash=key_hash(event.scope), status__lt=Status.RESOLVED
    ).order_by("-pk")


def _say_ambiguous(candidates: QuerySet[Incident], event: Event, now: datetime) -> None:
    """Say it on the timelines, once on each: a storm of such recoveries must not cost an entry for every pair."""
    count = candidates.count()
    said = LogEntry.objects.filter(incident=OuterRef("pk"), kind=Kind.RECOVERY_AMBIGUOUS)
    incidents = candidates.exclude(Exists(said))[:AMBIGUOUS_ENTRIES]
    LogEntry.objects.bulk_create(
        [entry(incident, Kind.RECOVERY_AMBIGUOUS, now, count=count, detail=event.summary) for incident in incidents]
    )
