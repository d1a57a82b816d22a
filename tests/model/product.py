"""The product's side of the comparison: its cast, and how its rows read in the model's words."""

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from incidents.models import Status
from tests.model.reference import Incident

SENT = ("notified", "notified.again", "notified.resolved")
_WORDS = {
    "accepted": ("actor",),
    "accepted.still": ("actor",),
    "asked.again": ("people",),
    "commented": ("actor",),
    "resolved": ("actor",),
    "delayed": ("minutes",),
    "level.asked": ("level", "round", "people"),
    "level.skipped": ("level",),
    "person.unreachable": ("people",),
    "notified": ("target",),
    "notified.again": ("target",),
    "notified.resolved": ("target",),
}


class Violation(AssertionError):
    """Product and model differ."""


@dataclass
class Seen:
    """An incident as both sides can describe it. Who is told in which order of methods does not matter."""

    status: str
    priority: str
    due: datetime | None
    ends: datetime | None
    alerts: int
    responder: str | None
    timeline: list[tuple[str, ...]]
    told: Counter[tuple[str, ...]]


def in_model(incident: Incident) -> Seen:
    return Seen(
        incident.status, incident.priority, incident.due, incident.ends if incident.is_open else None,
        incident.alerts, incident.responder,
        [entry for entry in incident.timeline if entry[0] not in SENT],
        Counter(entry for entry in incident.timeline if entry[0] in SENT),
    )  # fmt: skip


def in_product() -> dict[int, Seen]:
    """Return all incidents by id, oldest first."""
    seen = {
        pk: Seen(Status(status).name.lower(), priority, due, ends, alerts, responder, [], Counter())
        for pk, status, priority, due, ends, alerts, responder in _rows(
            "SELECT i.id, status, priority, next_escalation_at, CASE WHEN status < 3 THEN auto_resolve_at END,"
            " event_count, u.name FROM incidents_incident i"
            " LEFT JOIN accounts_user u ON u.id = responder_id ORDER BY i.id"
        )
    }
    for incident_id, kind, data, actor, target in _rows(
        "SELECT incident_id, kind, data, actor_name, target FROM incidents_logentry e"
        " LEFT JOIN notifications_notification n ON n.id = notification_id ORDER BY e.id"
    ):
        facts = {"actor": actor, "target": target, **json.loads(data)}
        entry = (kind, *(str(facts[name]) for name in _WORDS.get(kind, ())))
        if kind in SENT:
            seen[incident_id].told[entry] += 1
        else:
            seen[incident_id].timeline.append(entry)
    return seen


def being_sent() -> list[tuple[int, str]]:
    """Return (incident id, method) of the messages that a sender holds."""
    return _rows(
        "SELECT incident_id, target FROM notifications_notification n"
        " JOIN incidents_logentry e ON e.notification_id = n.id WHERE state = 'sending' ORDER BY n.due_at"
    )


def is_answered(message_id: str) -> bool:
    return bool(_rows("SELECT FROM notifications_notification WHERE id = %s AND answered_at IS NOT NULL", message_id))


def _rows(sql: str, *values: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return cursor.fetchall()
