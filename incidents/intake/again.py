"""Applying again what a fault of ours has kept from being applied: by itself with back-off, or when an admin asks.

Whoever holds the row of a failed request works on it, and it is gone in the transaction in which the request is
applied: so it is applied once, however many try at the same time.
"""

import logging
import time
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet

from incidents.engine.bell import bell
from incidents.intake import failed, overtaken
from incidents.intake.apply import Applied, Request, apply
from incidents.intake.prepare import Prepared, prepare
from incidents.models import Event, FailedRequest, Outcome
from integrations import Event as Said
from integrations import EventType, Link, Payload, PayloadError
from integrations import Priority as SaidPriority

logger = logging.getLogger(__name__)

MAX_RETRY = timedelta(hours=1)
AT_ONCE = 50
# Seconds. Whoever tries also has to page people: what is left is for the next second.
BUDGET = 2.0


class SourceDisabled(Exception):
    """The source was disabled a moment ago."""


class Fate(Enum):
    """What came of trying a failed request again."""

    APPLIED = "applied"
    FAILED = "failed"
    GONE = "gone"
    """Somebody else has applied it, or works on it, or its source was deleted or is disabled."""


@dataclass(frozen=True)
class _Stored:
    """An event of a failed request: its row, and what it said."""

    row: Event
    said: Said


def oldest_due_at(now: datetime) -> datetime | None:
    """Return since when a failed request should have been tried again, or None when none should."""
    return _due(now).values_list("next_attempt_at", flat=True).first()


def retry_failed(now: datetime) -> int:
    """Try the failed requests that are due again, the oldest first. Returns how many were applied."""
    return _process(_due(now).order_by("first_event_id"), now)[Fate.APPLIED]


def process_all(now: datetime) -> dict[Fate, int]:
    """Try all failed requests again, now; what is too much for one go follows by itself."""
    FailedRequest.objects.filter(next_attempt_at__gt=now).update(next_attempt_at=now)
    fates = _process(_due(now).order_by("first_event_id"), now)
    bell.ring()
    return fates


def process(request_id: uuid.UUID, now: datetime) -> Fate:
    """Try one failed request again, if it still is one."""
    with transaction.atomic():
        # Whoever comes second goes away with empty hands, now: what the first one does is shown in a moment.
        waiting = FailedRequest.objects.select_for_update(of=("self",), skip_locked=True).filter(
            request_id=request_id, alert_source__active=True
        )
        request = waiting.select_related("first_event", "alert_source__escalation_policy").first()
        if request is None:
            return Fate.GONE
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = '3s'; SET LOCAL lock_timeout = '1s'")
                _apply_again(request, now)
        except Exception as error:
            logger.exception("a failed request could not be applied again")
            _wait_longer(request, failed.fault_of(error), now)
            return Fate.FAILED
    bell.ring()
    return Fate.APPLIED


def _process(requests: QuerySet[FailedRequest], now: datetime) -> dict[Fate, int]:
    fates = dict.fromkeys(Fate, 0)
    started = time.monotonic()
    for request_id in requests.values_list("pk", flat=True)[:AT_ONCE]:
        fates[process(request_id, now)] += 1
        if time.monotonic() - started > BUDGET:
            break
    return fates


def _due(now: datetime) -> QuerySet[FailedRequest]:
    """What a disabled source has sent before waits until it is enabled."""
    return FailedRequest.objects.filter(next_attempt_at__lte=now, alert_source__active=True).order_by("next_attempt_at")


def _wait_longer(request: FailedRequest, fault: str, now: datetime) -> None:
    request.attempts += 1
    request.fault = fault
    request.next_attempt_at = now + min(failed.FIRST_RETRY * 2 ** min(request.attempts, 20), MAX_RETRY)
    request.save(update_fields=["attempts", "fault", "next_attempt_at"])
    _rows(request).update(reason=failed.waiting_sentence(fault))
    failed.tell_safely(request.alert_source, fault, now)


def _apply_again(request: FailedRequest, now: datetime) -> None:
    """Apply what nothing newer has overtaken, and let the rows of the events tell what became of each."""
    try:
        stored = _stored(request)
    except PayloadError as problem:
        _rows(request).update(outcome=Outcome.REJECTED, reason=str(problem))
        request.delete()
        return
    fresh: list[_Stored] = []
    for one in stored:
        late = overtaken.Late(request.alert_source, one.said, one.row.pk, request.received_at)
        verdict = overtaken.verdict(late)
        if verdict is None:
            fresh.append(one)
        else:
            _settle(one, verdict.outcome, verdict.reason, verdict.incident_id)
    delay = f"Applied {_words(now - request.received_at)} late, after a fault of ilert's own."
    for one, applied in zip(fresh, _applied(request, fresh), strict=True):
        Event.objects.filter(pk=applied.event_id).delete()
        _settle(one, applied.outcome, f"{applied.reason} {delay}".strip(), applied.incident_id)
    if not stored:
        _rows(request).update(outcome=Outcome.IGNORED, reason="It holds no event.")
    request.delete()


def _applied(request: FailedRequest, fresh: list[_Stored]) -> list[Applied]:
    """Apply events as if they came now. Their body is with the rows that they have already."""
    if not fresh:
        return []
    prepared = Prepared(tuple(one.said for one in fresh), b"", request.first_event.content_type)
    applied = apply([Request(request.alert_source, prepared)])[0]
    if applied is None:
        raise SourceDisabled
    return applied


def _settle(one: _Stored, outcome: Outcome, reason: str, incident_id: int | None) -> None:
    """Write what became of an event into the row that the sender knows by its id, at its place in the order."""
    Event.objects.filter(pk=one.row.pk).update(
        **_fields(one.said), outcome=outcome, reason=reason, incident=incident_id
    )


def _stored(request: FailedRequest) -> list[_Stored]:
    """Return the events of a request. One that could not be read when it came is read now. Raises PayloadError."""
    if request.rest:
        rows = _rows(request).defer("body").order_by("pk")
        return [_Stored(row, _said(row, rest)) for row, rest in zip(rows, request.rest, strict=True)]
    first = request.first_event
    read = prepare(request.alert_source, Payload(bytes(first.body or b""), first.content_type))
    more = [
        Event.objects.create(
            alert_source=request.alert_source,
            request_id=request.request_id,
            content_type=first.content_type,
            received_at=first.received_at,
            outcome=Outcome.FAILED,
        )
        for _ in read.events[1:]
    ]
    return [_Stored(row, said) for row, said in zip([first, *more], read.events, strict=False)]


def _rows(request: FailedRequest) -> QuerySet[Event]:
    return Event.objects.filter(pk__in=[request.first_event_id, *(rest["id"] for rest in request.rest)])


def _said(row: Event, rest: dict[str, Any]) -> Said:
    """Return an event as its adapter has said it, from what is stored of it."""
    return Said(
        type=EventType(row.type),
        summary=row.summary,
        key=row.incident_key,
        details=row.details,
        scope=rest["scope"],
        priority=SaidPriority(rest["priority"]) if rest["priority"] else None,
        links=tuple(Link(link["label"], link["url"]) for link in row.links),
        labels=rest["labels"],
        fields=row.fields,
        occurred_at=row.occurred_at,
    )


def _fields(said: Said) -> dict[str, object]:
    return {
        "type": said.type,
        "incident_key": said.key,
        "summary": said.summary,
        "details": said.details,
        "fields": said.fields,
        "links": [{"label": link.label, "url": link.url} for link in said.links],
        "occurred_at": said.occurred_at,
    }


def _words(late: timedelta) -> str:
    minutes = round(late / timedelta(minutes=1))
    return f"{minutes} min" if minutes else f"{round(late.total_seconds())} s"
