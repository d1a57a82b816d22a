"""What messages say: composed when they are sent, from what is known about their incidents at that moment."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from time import monotonic

from django.db import connection
from django.urls import reverse

from ilert.common.links import absolute
from incidents.models import Incident, LogEntry, Status
from incidents.timeline import Kind
from notifications import bundles, outcomes, tokens
from notifications.channels import Link, Message
from notifications.models import Notification

Wanted = list[tuple[Notification, Message]]
# A bundle names every incident by its number, and the newest of them in words.
NEWEST = 20


def compose(claimed: list[Notification], now: datetime) -> tuple[Wanted, float]:
    """Look at the incidents once more. Returns what is still wanted, with its message; the rest is dropped.

    Also returns when the look was, on the monotonic clock.
    """
    carriers = [one for one in claimed if one.member_count]
    # Before the look, as it takes long when there are thousands.
    loads = _take_loads([carrier.pk for carrier in carriers], now)
    looked = monotonic()
    if carriers and _cancel_unwanted([carrier.pk for carrier in carriers], now):
        loads = _loads([carrier.pk for carrier in carriers])
    singles = [one for one in claimed if not one.member_count]
    unwanted: dict[Notification, str] = {}
    wanted = _singles(singles, unwanted) + _bundles(carriers, loads, unwanted)
    if unwanted:
        outcomes.drop(unwanted, now)
    return wanted, looked


def _singles(notifications: list[Notification], unwanted: dict[Notification, str]) -> Wanted:
    if not notifications:
        return []
    entries = LogEntry.objects.filter(notification__in=notifications).select_related("incident__alert_source")
    by_id = {entry.notification_id: entry for entry in entries.defer("incident__alert_source__integration_key")}
    wanted: Wanted = []
    for notification in notifications:
        entry = by_id.get(notification.pk)
        if reason := _why_unreachable(notification) or _why_unwanted(notification, entry):
            unwanted[notification] = reason
        else:
            wanted.append((notification, single(notification, entry.incident if entry else None)))
    return wanted


def _why_unreachable(notification: Notification) -> str:
    if notification.contact_method is None:
        return "The contact method was removed."
    if notification.user is None or not notification.user.is_active:
        return "The person is not active any more."
    if not (notification.user.is_responder or notification.notice):
        return "The person is a stakeholder now, and cannot accept."
    return ""


def _why_unwanted(notification: Notification, entry: LogEntry | None) -> str:
    if entry is None or notification.notice or entry.incident.status == Status.PENDING:
        return ""
    incident = entry.incident
    if entry.kind == Kind.NOTIFIED_AGAIN and incident.asks_again:
        return ""
    if entry.kind == Kind.NOTIFIED_AGAIN and incident.status == Status.ACCEPTED:
        return "Not needed any more: somebody is on it."
    return f"Not needed any more: the incident was {incident.get_status_display().lower()}."


def single(notification: Notification, incident: Incident | None) -> Message:
    """Return a message about one incident, or about none, with fresh links."""
    if incident is None:
        return Message(
            id=str(notification.pk), title=notification.title, text=notification.text, urgent=notification.urgent
        )
    facts = f"Since {incident.reported_at:%Y-%m-%d %H:%M:%S} UTC, from {incident.alert_source.name} (#{incident.pk})."
    return Message(
        id=str(notification.pk),
        title=notification.title,
        text=f"{notification.text}\n\n{facts}" if notification.text else facts,
        urgent=notification.urgent,
        link=Link("Open incident", absolute(incident.get_absolute_url())),
        **_accept_links(notification, "Accept"),
        data={
            "incidentId": incident.pk,
            "incidentKey": incident.incident_key,
            "status": Status(incident.status).name,
            "priority": incident.priority.upper(),
            "summary": incident.summary,
            "alertSource": incident.alert_source.name,
            "reportTime": incident.reported_at.isoformat(),
        },
    )


@dataclass(frozen=True)
class Load:
    """What one carrier carries: all incidents by their numbers, the titles of the newest."""

    count: int
    incident_ids: list[int] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)


# An incident that was accepted or resolved while its message was on the way is left out of the repeat.
_CANCEL_UNWANTED = """
UPDATE notifications_notification n SET
    state = 'cancelled', due_at = NULL, lease_until = NULL, finished_at = %(now)s,
    answer = 'Not needed any more: the incident was ' || CASE i.status WHEN 2 THEN 'accepted.' ELSE 'resolved.' END
FROM incidents_logentry l JOIN incidents_incident i ON i.id = l.incident_id
WHERE l.notification_id = n.id AND n.carrier_id = ANY(%(carriers)s) AND n.state IN ('planned', 'sending')
  AND NOT n.notice AND i.status <> 1
  AND NOT (l.kind = 'notified.again' AND i.status = 2 AND COALESCE((i.run->>'again')::int, 0) > 0)
"""
_LOADS = """
SELECT n.carrier_id, count(*), array_agg(l.incident_id ORDER BY l.incident_id) FILTER (WHERE l.id IS NOT NULL),
       (array_agg(CASE WHEN l.id IS NULL THEN n.title ELSE '#' || l.incident_id || ' ' || n.title END
                  ORDER BY l.id DESC NULLS LAST))[:%(newest)s]
FROM notifications_notification n LEFT JOIN incidents_logentry l ON l.notification_id = n.id
WHERE n.carrier_id = ANY(%(carriers)s) AND n.state = 'sending' GROUP BY n.carrier_id
"""


def _bundles(carriers: list[Notification], loads: dict[uuid.UUID, Load], unwanted: dict[Notification, str]) -> Wanted:
    wanted: Wanted = []
    for carrier in carriers:
        load = loads.get(carrier.pk)
        if load is None:
            unwanted[carrier] = "Not needed any more: nothing in it was waiting for an answer."
        elif reason := _why_unreachable(carrier):
            unwanted[carrier] = reason
        else:
            carrier.member_count = load.count
            carrier.title, carrier.text = _title(carrier, load), _text(load)
            wanted.append((carrier, bundle(carrier, load)))
    Notification.objects.bulk_update([carrier for carrier, _ in wanted], ["member_count", "title", "text"])
    return wanted


def _take_loads(carriers: list[uuid.UUID], now: datetime) -> dict[uuid.UUID, Load]:
    """Take the members of carriers, and return what is wanted of them so far."""
    if not carriers:
        return {}
    bundles.take_members(carriers)
    _cancel_unwanted(carriers, now)
    return _loads(carriers)


def _cancel_unwanted(carriers: list[uuid.UUID], now: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_CANCEL_UNWANTED, {"carriers": carriers, "now": now})
        return int(cursor.rowcount)


def _loads(carriers: list[uuid.UUID]) -> dict[uuid.UUID, Load]:
    with connection.cursor() as cursor:
        cursor.execute(_LOADS, {"carriers": carriers, "newest": NEWEST})
        return {carrier: Load(count, ids or [], titles) for carrier, count, ids, titles in cursor.fetchall()}


def bundle(carrier: Notification, load: Load) -> Message:
    """Return the message that stands for many."""
    token = _token(carrier)
    return Message(
        id=str(carrier.pk),
        title=carrier.title,
        text=carrier.text,
        urgent=carrier.urgent,
        link=Link("Open the list", absolute(reverse("incident-link", args=[token]))),
        **_accept_links(carrier, "Accept all"),
        data={"incidentIds": load.incident_ids, "count": load.count},
    )


def _title(carrier: Notification, load: Load) -> str:
    newest = load.titles[0].partition(" ")[2] if load.incident_ids else load.titles[0]
    if load.count == 1:
        return newest
    what = "messages" if carrier.notice else "new incidents"
    return f"{load.count} {what}, newest: {newest}"


def _text(load: Load) -> str:
    lines = list(load.titles)
    if load.count > len(lines):
        lines.append(f"… and {load.count - len(lines)} more.")
    if load.incident_ids:
        lines.append(f"\nAll of them: {ranges(load.incident_ids)}")
    return "\n".join(lines)


def ranges(numbers: Iterable[int]) -> str:
    """Return numbers in short: "#4–#7, #9"."""
    ordered = sorted(set(numbers))
    starts = [ordered[0], *(right for left, right in pairwise(ordered) if right - left > 1)]
    ends = [*(left for left, right in pairwise(ordered) if right - left > 1), ordered[-1]]
    return ", ".join(
        f"#{start}" if start == end else f"#{start}–#{end}" for start, end in zip(starts, ends, strict=True)
    )


def _accept_links(notification: Notification, label: str) -> dict[str, Link]:
    if notification.notice or notification.user_id is None:
        return {}
    token = _token(notification)
    return {
        "accept": Link(label, absolute(reverse("incident-link", args=[token]))),
        "accept_now": Link(label, absolute(reverse("incident-link-accept", args=[token]))),
    }


def _token(notification: Notification) -> str:
    """Return what lets whoever has the message act; its person is loaded already."""
    access = notification.user.access_mark if notification.user else ""
    return tokens.sign(tokens.Ticket(notification.pk, notification.user_id or 0, access))
