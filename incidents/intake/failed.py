"""Requests that a fault of ours keeps from being applied: kept, told to the admins, and tried again (again.py).

The sender was told 202, so nothing of them may be lost: not by a second fault either, and not by whatever made the
first.
"""

import logging
import traceback
import uuid
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.urls import reverse

from accounts.models import Role
from alertsources.models import AlertSource
from ilert.common.clock import database_now
from ilert.common.links import absolute
from incidents.engine.bell import bell
from incidents.intake.prepare import Prepared
from incidents.models import Event, FailedRequest, Outcome
from integrations import Event as Said
from notifications import outbox
from notifications.models import ContactMethod, Notification, Priority

logger = logging.getLogger(__name__)

FIRST_RETRY = timedelta(seconds=10)
TOLD_EVERY = timedelta(hours=1)


class SourceDeleted(Exception):
    """The source is not there any more, and its events with it."""


def store(source_id: int, prepared: Prepared, error: Exception) -> int:
    """Keep a request that `error` kept from being applied; returns its first event's id. Raises SourceDeleted.

    A request that could not even be read has no events: its body is kept, and read when it is tried again.
    """
    fault = fault_of(error)
    try:
        event_id = _store(source_id, prepared, fault)
    except SourceDeleted:
        raise
    except Exception:
        # What is wrong with it may be what it says. Its body is bytes, which are stored whatever they are.
        logger.exception("a failed request could not be stored with its events, so its body is stored alone")
        event_id = _store(source_id, Prepared((), prepared.body, ""), fault)
    bell.ring()
    return event_id


def fault_of(error: Exception) -> str:
    """Return what went wrong and where, without the error's text: it may quote what must not be stored."""
    ours = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(settings.BASE_DIR) and ".venv" not in frame.filename
    ]
    place = ""
    if ours:
        place = f" in {Path(ours[-1].filename).relative_to(settings.BASE_DIR)}, line {ours[-1].lineno}"
    state = getattr(error.__cause__, "sqlstate", None)
    return f"{type(error).__name__}{f' ({state})' if state else ''}{place}"


def tell_admins(source: AlertSource, fault: str, now: datetime) -> None:
    """Plan urgent messages to all admins, unless they were told of this source within the hour."""
    about = f"failed:{source.pk}:"
    if Notification.objects.filter(dedupe_key__startswith=about, created_at__gt=now - TOLD_EVERY).exists():
        return
    methods = (
        ContactMethod.objects.verified()
        .filter(rules__priority=Priority.HIGH, user__role=Role.ADMIN, user__is_active=True)
        .select_related("user")
    )
    content = outbox.Content(
        title=f"ilert cannot apply an event of {source.name}",
        text=(
            f"It is a fault of ilert's own: {fault}.\n\nThe event is kept and tried again by itself. Until then nobody "
            f"is asked about it, so look at what it says: {absolute(reverse('failed-requests'))}"
        ),
        urgent=True,
    )
    key = f"{about}{now:%Y%m%d%H%M}"
    outbox.insert(
        [
            outbox.plan(f"{key}:{method.pk}", outbox.Recipient.of(method), content, now, now)
            for method in methods.distinct()
        ]
    )


def waiting_sentence(fault: str) -> str:
    """Return the reason of an event that waits to be tried again."""
    return f"A fault of ilert's own keeps it from being applied: {fault}. It is tried again by itself."


@transaction.atomic
def _store(source_id: int, prepared: Prepared, fault: str) -> int:
    source = AlertSource.objects.select_for_update(of=("self",), no_key=True).filter(pk=source_id).first()
    if source is None:
        raise SourceDeleted
    now = database_now()
    request_id = uuid.uuid4()
    rows = [_row(said) for said in prepared.events] or [Event()]
    rows[0].body = prepared.body
    for row in rows:
        row.alert_source, row.request_id, row.received_at = source, request_id, now
        row.content_type, row.outcome, row.reason = prepared.content_type, Outcome.FAILED, waiting_sentence(fault)
        row.save(force_insert=True)
    FailedRequest.objects.create(
        request_id=request_id,
        alert_source=source,
        first_event=rows[0],
        rest=[
            {"id": row.pk, "priority": said.priority, "scope": said.scope, "labels": said.labels}
            for row, said in zip(rows, prepared.events, strict=False)
        ],
        fault=fault,
        received_at=now,
        next_attempt_at=now + FIRST_RETRY,
    )
    tell_safely(source, fault, now)
    return rows[0].pk


def tell_safely(source: AlertSource, fault: str, now: datetime) -> None:
    """Tell the admins if that is possible. That the event is kept matters more, and they are told at the next try."""
    try:
        with transaction.atomic():
            tell_admins(source, fault, now)
    except Exception:
        logger.exception("the admins could not be told of a failed event")


def _row(said: Said) -> Event:
    return Event(
        type=said.type,
        incident_key=said.key,
        occurred_at=said.occurred_at,
        summary=said.summary,
        details=said.details,
        fields=said.fields,
        links=[{"label": link.label, "url": link.url} for link in said.links],
    )
