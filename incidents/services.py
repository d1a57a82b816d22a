"""What can be done with an incident. Pages, API, links in messages and tools all call the same verbs."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from accounts.models import User
from ilert.common.transactions import atomic_verb
from incidents import attention
from incidents.engine.transitions import Deed, after
from incidents.models import Incident, LogEntry, Status
from incidents.timeline import Kind, entry
from notifications import outbox
from notifications.models import ContactMethod, Notification

# The order in which the intake locks them too.
LOCK_ORDER = ("alert_source_id", "key_hash", "pk")


@dataclass(frozen=True)
class Result:
    """`changed` is False when somebody was first; the incident shows who and when."""

    incident: Incident
    changed: bool


def accept(incident_id: int, actor: User | None, now: datetime) -> Result:
    """Somebody takes the incident on: nobody else is asked any more. Raises Incident.DoesNotExist."""
    return _only(accept_all([incident_id], actor, now))


def resolve(incident_id: int, actor: User | None, now: datetime) -> Result:
    """The problem is over. `actor` is None when the tool itself said so. Raises Incident.DoesNotExist.

    Those who had been told get a notice, except the one who resolved it.
    """
    return _only(resolve_all([incident_id], actor, now))


@atomic_verb
def accept_all(incident_ids: Collection[int], actor: User | None, now: datetime) -> list[Result]:
    """Accept many incidents at the price of one, whatever their number.

    Whoever accepts again what is theirs, or what asks again, says that they are on it: its accept time-out begins anew.
    """
    results = _moved(incident_ids, Deed.ACCEPT, now)
    changed = _changed(results)
    for incident in changed:
        incident.responder = actor
        attention.count(incident, now)
    _save(changed, ["status", "accepted_at", "snoozed_until", "responder"])
    _save_next(changed)
    if actor:
        LogEntry.objects.bulk_create([entry(incident, Kind.ACCEPTED, now, actor=actor) for incident in changed])
        results = [result if result.changed else _accept_again(result.incident, actor, now) for result in results]
    return results


def _accept_again(incident: Incident, actor: User, now: datetime) -> Result:
    is_theirs = incident.responder_id == actor.pk
    if not attention.is_counted(incident) or not (is_theirs or incident.asks_again):
        return Result(incident, changed=False)
    if not is_theirs:
        incident.responder, incident.accepted_at = actor, now
    something_done(incident, actor, now)
    entry(incident, Kind.STILL_ON_IT if is_theirs else Kind.ACCEPTED, now, actor=actor).save()
    return Result(incident, changed=True)


def something_done(incident: Incident, actor: User, now: datetime) -> None:
    """A person has done something about an incident: if it is accepted, its accept time-out begins anew."""
    if not attention.is_counted(incident) or after(incident.status, Deed.RENEW) is None:
        return
    if incident.asks_again:
        outbox.cancel(messages(incident), f"Not needed any more: {actor} is on it.", now)
    attention.count(incident, now)
    incident.save(update_fields=["run", "next_escalation_at", "responder", "accepted_at"])


@atomic_verb
def resolve_all(incident_ids: Collection[int], actor: User | None, now: datetime) -> list[Result]:
    """Resolve many incidents at the price of one, whatever their number."""
    results = _moved(incident_ids, Deed.RESOLVE, now)
    changed = _changed(results)
    _save(changed, ["status", "resolved_at", "next_escalation_at", "snoozed_until"])
    if actor:
        LogEntry.objects.bulk_create([entry(incident, Kind.RESOLVED, now, actor=actor) for incident in changed])
    _plan_resolve_notices(changed + _resolve_parts(changed, now), actor, now)
    return results


def _resolve_parts(incidents: list[Incident], now: datetime) -> list[Incident]:
    """What was merged into an incident ends with it. Returns the parts that did."""
    parts = Incident.objects.filter(merged_into__in=[incident.pk for incident in incidents], status__lt=Status.RESOLVED)
    into = dict(parts.values_list("pk", "merged_into"))
    if not into:
        return []
    ended = _changed(_moved(into, Deed.RESOLVE, now))
    _save(ended, ["status", "resolved_at", "next_escalation_at", "snoozed_until"])
    LogEntry.objects.bulk_create([entry(part, Kind.RESOLVED_WITH, now, number=into[part.pk]) for part in ended])
    return ended


_ENDS = (Kind.RESOLVED, Kind.AUTO_RESOLVED, Kind.RESOLVED_WITH)


def who_was_first(incident: Incident) -> str:
    """Return in a sentence who accepted or resolved an incident; nothing while it is pending."""
    return who_were_first([incident])[incident.pk]


def who_were_first(incidents: Collection[Incident]) -> dict[int, str]:
    """Return it for many incidents at once, by their ids."""
    moved = [incident.pk for incident in incidents if incident.status != Status.PENDING]
    said = LogEntry.objects.filter(incident__in=moved, kind__in=(Kind.ACCEPTED, *_ENDS)).order_by("pk")
    # The last of each kind and time wins.
    known = {(row.incident_id, row.kind == Kind.ACCEPTED, row.created_at): row for row in said}
    return {incident.pk: _who(incident, known.get(_moment(incident))) for incident in incidents}


def _moment(incident: Incident) -> tuple[int, bool, datetime]:
    """Return what tells the entry of an incident's present status.

    By its time too: an entry of before a reopening says nothing about how the incident came to its status now.
    """
    is_accepted = incident.status == Status.ACCEPTED
    moment = incident.accepted_at if is_accepted else incident.resolved_at
    return incident.pk, is_accepted, moment or incident.reported_at


def _who(incident: Incident, last: LogEntry | None) -> str:
    if incident.status == Status.PENDING:
        return ""
    if incident.merged_into_id and incident.is_open:
        return f"It is a part of #{incident.merged_into_id} and is resolved with it."
    if last and last.kind == Kind.AUTO_RESOLVED:
        return "No event came for a while, so it was resolved by itself."
    if last and last.kind == Kind.RESOLVED_WITH:
        return f"It was resolved together with #{last.data['number']}."
    word = Status(incident.status).label.lower()
    return f"{last.actor_name if last else 'The tool itself'} {word} it."


def oldest_stale_at(now: datetime) -> datetime | None:
    """Return since when an incident should have been resolved by itself, or None when none should."""
    return _stale(now).values_list("auto_resolve_at", flat=True).first()


@atomic_verb
def resolve_stale(now: datetime, limit: int = 200) -> int:
    """Resolve the incidents whose source lets them end when no event has come for a while. Returns how many."""
    locked = _stale(now).select_for_update(skip_locked=True, of=("self",))
    stale = list(locked.values_list("pk", flat=True)[:limit])
    ended = _changed(resolve_all(stale, None, now))
    LogEntry.objects.bulk_create([entry(incident, Kind.AUTO_RESOLVED, now) for incident in ended])
    return len(stale)


def _stale(now: datetime) -> QuerySet[Incident]:
    return Incident.objects.filter(auto_resolve_at__lte=now, status__lt=Status.RESOLVED).order_by("auto_resolve_at")


def _only(results: list[Result]) -> Result:
    if not results:
        raise Incident.DoesNotExist
    return results[0]


def _changed(results: list[Result]) -> list[Incident]:
    return [result.incident for result in results if result.changed]


def _moved(incident_ids: Collection[int], deed: Deed, now: datetime) -> list[Result]:
    """Lock incidents, change the status of those that the table of transitions moves, and stop what is pending."""
    locked = (
        Incident.objects.filter(pk__in=incident_ids)
        .select_for_update(of=("self",))
        .select_related("alert_source", "escalation_policy")
        .defer("alert_source__integration_key")
        .order_by(*LOCK_ORDER)
    )
    results = [Result(incident, _move(incident, deed, now)) for incident in locked]
    if changed := _changed(results):
        word = Status(changed[0].status).label.lower()
        about = _messages([incident.pk for incident in changed])
        outbox.cancel(about, f"Not needed any more: the incident was {word}.", now)
    return results


def _move(incident: Incident, deed: Deed, now: datetime) -> bool:
    status = after(incident.status, deed)
    if status is None:
        return False
    incident.status = status
    incident.next_escalation_at = incident.snoozed_until = None
    if status == Status.ACCEPTED:
        incident.accepted_at = now
    else:
        incident.resolved_at = now
    return True


def _save(incidents: list[Incident], fields: list[str]) -> None:
    """Save fields that have the same values in all of `incidents`."""
    if incidents:
        values = {name: getattr(incidents[0], name) for name in fields}
        Incident.objects.filter(pk__in=[incident.pk for incident in incidents]).update(**values)


def _save_next(incidents: list[Incident]) -> None:
    """Save when accepted incidents ask again: few different times, whatever their number."""
    by_time: dict[datetime | None, list[int]] = {}
    for incident in incidents:
        by_time.setdefault(incident.next_escalation_at, []).append(incident.pk)
    for at, ids in by_time.items():
        Incident.objects.filter(pk__in=ids).update(next_escalation_at=at)


def messages(incident: Incident) -> QuerySet[Notification]:
    """Return all messages about `incident`."""
    return _messages([incident.pk])


def _messages(incident_ids: Collection[int]) -> QuerySet[Notification]:
    ids = LogEntry.objects.filter(incident__in=incident_ids, notification__isnull=False).values("notification")
    return Notification.objects.filter(pk__in=ids)


def _plan_resolve_notices(incidents: list[Incident], actor: User | None, now: datetime) -> None:
    """Tell those who had been told of any of `incidents` that it is over: once of what ends together."""
    by_id = {incident.pk: incident for incident in incidents}
    # Whoever acted on a message has had it, even if its sender died before it could say so.
    had_it = Q(notification__state__in=outbox.TOLD) | Q(notification__answered_at__isnull=False)
    told = LogEntry.objects.filter(had_it, incident__in=by_id)
    if actor:
        told = told.exclude(notification__contact_method__user=actor)
    pairs = sorted(set(told.values_list("incident_id", "notification__contact_method_id")), key=str)
    methods = ContactMethod.objects.select_related("user").in_bulk({method_id for _, method_id in pairs if method_id})
    by = f" by {actor}" if actor else " by itself"
    told_of: dict[tuple[int, int], list[Incident]] = {}
    for incident_id, method_id in pairs:
        if method_id in methods:
            told_of.setdefault((_whole(incident_id, by_id), method_id), []).append(by_id[incident_id])
    planned = []
    for (whole_id, method_id), ended in told_of.items():
        # Whoever had not been told of the whole hears of the part that they know.
        incident = min(ended, key=lambda one: (one.pk != whole_id, one.pk))
        planned.append((incident, _resolve_notice(incident, methods[method_id], by, len(ended) - 1, now)))
    outbox.insert([notice for _, notice in planned])
    LogEntry.objects.bulk_create(
        [entry(incident, Kind.RESOLVE_NOTICE, now, notification=notice) for incident, notice in planned]
    )


def _whole(incident_id: int, ended: dict[int, Incident]) -> int:
    """Return what an incident has ended with, itself if it has ended alone."""
    into = ended[incident_id].merged_into_id
    return into if into in ended else incident_id


def _resolve_notice(incident: Incident, method: ContactMethod, by: str, others: int, now: datetime) -> Notification:
    more = f", with {others} other{'s' if others > 1 else ''} that you were told of" if others else ""
    content = outbox.Content(
        title=f"Resolved: {incident.summary} [{incident.alert_source.name}]",
        text=f"Resolved{by}{more}. Nothing more is to be done.",
        urgent=False,
        notice=True,
    )
    # Each resolve has its own: one that was taken back must not stand for the next.
    key = f"incident:{incident.pk}:resolved:{now.isoformat()}:{method.pk}"
    return outbox.plan(key, outbox.Recipient.of(method), content, now, now)
