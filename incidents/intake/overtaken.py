"""Whether an event that is applied late has been overtaken: it belongs where it was received in the order of events.

What came after it has been applied already and says what is true now. What still waits to be applied counts too.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from alertsources.models import AlertSource
from incidents.intake.batch import ONE_OPEN_KEY, common, key_hash
from incidents.models import Event, Incident, Outcome, Status
from integrations import Event as Said
from integrations import EventType

_OVER = "The problem was reported as over by event {}, which came later. So it opens no incident."
_RESOLVED = "The incident that it belongs to has been resolved since."
_AGAIN = "The problem was reported again by event {}, which came later. So it resolves nothing."
_SINCE = "An incident that it may mean has had an alert since. So it resolves nothing."
_ANOTHER = "Its incident was opened after it. So it means another one."


@dataclass(frozen=True)
class Late:
    """An event that is applied late, and where it stands in the order."""

    source: AlertSource
    said: Said
    event_id: int
    received_at: datetime


@dataclass(frozen=True)
class Verdict:
    """What becomes of an event that has been overtaken."""

    outcome: Outcome
    reason: str
    incident_id: int | None = None


def verdict(late: Late) -> Verdict | None:
    """Return what becomes of an event that has been overtaken; None for one that is still to be applied."""
    judge = _JUDGES.get(late.said.type)
    return judge(late) if judge else None


def _alert(late: Late) -> Verdict | None:
    if not late.said.key:
        return None
    if newer := _first(_newer(late, EventType.RESOLVE).exclude(outcome=Outcome.REJECTED)):
        return Verdict(Outcome.IGNORED, _OVER.format(newer))
    resolved = Incident.objects.filter(
        alert_source=late.source, key_hash=key_hash(late.said.key), resolved_at__gt=late.received_at
    )
    if incident_id := _first(resolved):
        return Verdict(Outcome.APPENDED, _RESOLVED, incident_id)
    return None


def _resolve(late: Late) -> Verdict | None:
    alerts = _newer(late, EventType.ALERT)
    # Each is found by an index, whatever has come since: by the incidents' own, and by that of what has failed.
    for found in (alerts.filter(incident__in=_open(late)), alerts.filter(outcome=Outcome.FAILED)):
        if late.said.key and (newer := _first(found)):
            return Verdict(Outcome.IGNORED, _AGAIN.format(newer))
    if late.said.scope and _open_of_scope(late).filter(last_event_at__gt=late.received_at).exists():
        return Verdict(Outcome.IGNORED, _SINCE)
    return None


def _accept(late: Late) -> Verdict | None:
    if _open(late).filter(reported_at__gt=late.received_at).exists():
        return Verdict(Outcome.IGNORED, _ANOTHER)
    return None


_JUDGES = {
    EventType.ALERT: _alert,
    EventType.RESOLVE: _resolve,
    EventType.ACCEPT: _accept,
    EventType.COMMENT: _accept,
}


def _newer(late: Late, kind: EventType) -> QuerySet[Event]:
    return Event.objects.filter(
        alert_source=late.source, pk__gt=late.event_id, type=kind, incident_key__iexact=late.said.key
    )


def _open(late: Late) -> QuerySet[Incident]:
    """Return the open incidents that the key of an event stands for, whatever the source's grouping is or was."""
    of_key = Q(key_hash__in=[key_hash(late.said.key), key_hash(ONE_OPEN_KEY)])
    each = Q(scope_hash=key_hash(common(late.said)))
    return Incident.objects.filter(of_key | each, alert_source=late.source, status__lt=Status.RESOLVED)


def _open_of_scope(late: Late) -> QuerySet[Incident]:
    return Incident.objects.filter(
        alert_source=late.source, scope_hash=key_hash(late.said.scope), status__lt=Status.RESOLVED
    )


def _first(rows: QuerySet[Event] | QuerySet[Incident]) -> int | None:
    return rows.order_by("pk").values_list("pk", flat=True).first()
