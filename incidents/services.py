"""What can be done with an incident. Pages, API, links in messages and tools all call the same verbs."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from django.db import transaction
from django.db.models import QuerySet

from accounts.models import User
from incidents.engine.transitions import Deed, after
from incidents.models import Incident, LogEntry, Status
from incidents.timeline import Kind, entry
from notifications import outbox
from notifications.models import ContactMethod, Notification


@dataclass(frozen=True)
class Result:
    """`changed` is False when somebody was first; the incident shows who and when."""

    incident: Incident
    changed: bool


class Verb(Protocol):
    def __call__(self, incident_id: int, actor: User | None, now: datetime) -> Result: ...


@transaction.atomic
def accept(incident_id: int, actor: User | None, now: datetime) -> Result:
    """Somebody takes the incident on: nobody else is asked any more. Raises Incident.DoesNotExist."""
    incident = _locked(incident_id)
    if not _move(incident, Deed.ACCEPT, now):
        return Result(incident, changed=False)
    incident.responder = actor
    incident.save(update_fields=["status", "accepted_at", "next_escalation_at", "responder"])
    if actor:
        entry(incident, Kind.ACCEPTED, now, actor=actor).save()
    return Result(incident, changed=True)


@transaction.atomic
def resolve(incident_id: int, actor: User | None, now: datetime) -> Result:
    """The problem is over. `actor` is None when the tool itself said so. Raises Incident.DoesNotExist.

    Those who had been told get a notice, except the one who resolved it.
    """
    incident = _locked(incident_id)
    if not _move(incident, Deed.RESOLVE, now):
        return Result(incident, changed=False)
    incident.save(update_fields=["status", "resolved_at", "next_escalation_at"])
    if actor:
        entry(incident, Kind.RESOLVED, now, actor=actor).save()
    _plan_resolve_notices(incident, actor, now)
    return Result(incident, changed=True)


def who_was_first(incident: Incident) -> str:
    """Return in a sentence who accepted or resolved an incident; nothing while it is pending."""
    if incident.status == Status.PENDING:
        return ""
    word = Status(incident.status).label.lower()
    kinds = [Kind.ACCEPTED] if incident.status == Status.ACCEPTED else [Kind.RESOLVED, Kind.AUTO_RESOLVED]
    last = LogEntry.objects.filter(incident=incident, kind__in=kinds).order_by("-pk").first()
    if last and last.kind == Kind.AUTO_RESOLVED:
        return "No event came for a while, so it was resolved by itself."
    return f"{last.actor_name if last else 'The tool itself'} {word} it."


def oldest_stale_at(now: datetime) -> datetime | None:
    """Return since when an incident should have been resolved by itself, or None when none should."""
    return _stale(now).values_list("auto_resolve_at", flat=True).first()


@transaction.atomic
def resolve_stale(now: datetime, limit: int = 200) -> int:
    """Resolve the incidents whose source lets them end when no event has come for a while. Returns how many."""
    locked = _stale(now).select_for_update(skip_locked=True, of=("self",))
    stale = list(locked.values_list("pk", flat=True)[:limit])
    for incident_id in stale:
        result = resolve(incident_id, None, now)
        entry(result.incident, Kind.AUTO_RESOLVED, now).save()
    return len(stale)


def _stale(now: datetime) -> QuerySet[Incident]:
    return Incident.objects.filter(auto_resolve_at__lte=now, status__lt=Status.RESOLVED).order_by("auto_resolve_at")


def _locked(incident_id: int) -> Incident:
    incidents = Incident.objects.select_for_update(of=("self",)).select_related("alert_source")
    return incidents.defer("alert_source__integration_key").get(pk=incident_id)


def _move(incident: Incident, deed: Deed, now: datetime) -> bool:
    """Change the status if the table of transitions says so, and stop what is pending."""
    status = after(incident.status, deed)
    if status is None:
        return False
    incident.status = status
    incident.next_escalation_at = None
    if status == Status.ACCEPTED:
        incident.accepted_at = now
    else:
        incident.resolved_at = now
    outbox.cancel(messages(incident), f"Not needed any more: the incident was {status.label.lower()}.", now)
    return True


def messages(incident: Incident) -> QuerySet[Notification]:
    """Return all messages about `incident`."""
    ids = LogEntry.objects.filter(incident=incident, notification__isnull=False).values("notification")
    return Notification.objects.filter(pk__in=ids)


def _plan_resolve_notices(incident: Incident, actor: User | None, now: datetime) -> None:
    states = [Notification.State.SENDING, Notification.State.ACCEPTED, Notification.State.DELIVERED]
    told = messages(incident).filter(state__in=states)
    methods = ContactMethod.objects.filter(pk__in=told.values("contact_method")).select_related("user")
    if actor:
        methods = methods.exclude(user=actor)
    by = f" by {actor}" if actor else " by itself"
    content = outbox.Content(
        title=f"Resolved: {incident.summary} [{incident.alert_source.name}]",
        text=f"Resolved{by}. Nothing more is to be done.",
        urgent=False,
    )
    notices = [
        outbox.plan(f"incident:{incident.pk}:resolved:{method.pk}", method, content, now, now) for method in methods
    ]
    outbox.insert(notices)
    LogEntry.objects.bulk_create([entry(incident, Kind.RESOLVE_NOTICE, now, notification=notice) for notice in notices])
