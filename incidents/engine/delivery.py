"""Delivery: due messages are handed to their channels, after one more look at the incident."""

import logging
import random
import uuid
from datetime import timedelta
from time import monotonic

from django.urls import reverse

from ilert.common.clock import database_now
from ilert.common.links import absolute
from incidents.models import Incident, LogEntry, Status
from incidents.services import messages
from incidents.timeline import Kind
from notifications import outbox, tokens
from notifications.channels import DeliveryError, Link, Message, TemporaryError
from notifications.models import Notification

logger = logging.getLogger(__name__)

# A send takes 8 s at most and a task 12 s: whoever starts no message after 3 s ends in time.
BUDGET = timedelta(seconds=3)
BATCH = 20


def deliver_due() -> int:
    """Send due messages until none is left that is free, or `BUDGET` is used up. Returns how many were started."""
    end = monotonic() + BUDGET.total_seconds()
    total = 0
    while started := _deliver_some(end):
        total += started
    return total


def _deliver_some(end: float) -> int:
    ids = outbox.due_ids(database_now(), BATCH)
    # Others look at the same rows; in another order they seldom want the same one.
    random.shuffle(ids)  # nosec B311: no secret
    return sum(deliver_one(notification_id) for notification_id in ids if monotonic() < end)


def deliver_one(notification_id: uuid.UUID) -> bool:
    """Send one message if it is due and still wanted. Returns whether a lease was taken."""
    started_at = database_now()
    notification = outbox.start(notification_id, started_at)
    if notification is None:
        return False
    entry = _log_entry(notification)
    unwanted = _why_unwanted(notification, entry)
    if unwanted:
        outbox.drop(notification, unwanted, started_at)
        return True
    try:
        answer = _send(notification, entry)
    except DeliveryError as error:
        again = outbox.fail(notification, error, started_at, database_now())
        logger.warning("notification %s by %s failed: %s", notification.pk, notification.channel, error.answer)
        if not again and entry:
            _use_next_method(notification, entry.incident)
    else:
        outbox.succeed(notification, answer, started_at, database_now())
    return True


def _send(notification: Notification, entry: LogEntry | None) -> str:
    method = notification.contact_method
    assert method is not None
    try:
        return method.channel_type.send(method.address, method.secret, compose(notification, entry))
    except DeliveryError:
        raise
    except Exception as error:
        # A bug of a channel must not stop the message: it is tried again, and the log has the traceback.
        logger.exception("channel %s failed", notification.channel)
        raise TemporaryError(f"Our own fault in the channel: {type(error).__name__}") from error


def compose(notification: Notification, entry: LogEntry | None) -> Message:
    """Return the message as it goes out now, with fresh links."""
    if entry is None:
        return Message(
            id=str(notification.pk), title=notification.title, text=notification.text, urgent=notification.urgent
        )
    incident = entry.incident
    return Message(
        id=str(notification.pk),
        title=notification.title,
        text=_text(notification, incident),
        urgent=notification.urgent,
        link=Link("Open incident", absolute(incident.get_absolute_url())),
        **_accept_links(notification, entry),
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


def _text(notification: Notification, incident: Incident) -> str:
    facts = f"Since {incident.reported_at:%Y-%m-%d %H:%M:%S} UTC, from {incident.alert_source.name} (#{incident.pk})."
    return f"{notification.text}\n\n{facts}" if notification.text else facts


def _accept_links(notification: Notification, entry: LogEntry) -> dict[str, Link]:
    if entry.kind != Kind.NOTIFIED or notification.user_id is None:
        return {}
    token = tokens.sign(tokens.Ticket(notification.pk, notification.user_id))
    return {
        "accept": Link("Accept", absolute(reverse("incident-link", args=[token]))),
        "accept_now": Link("Accept", absolute(reverse("incident-link-accept", args=[token]))),
    }


def _log_entry(notification: Notification) -> LogEntry | None:
    entries = LogEntry.objects.filter(notification=notification).select_related("incident__alert_source")
    return entries.defer("incident__alert_source__integration_key").first()


def _why_unwanted(notification: Notification, entry: LogEntry | None) -> str:
    """Return why a message must not go out any more, or nothing."""
    if notification.contact_method is None:
        return "The contact method was removed."
    if notification.user is None or not notification.user.is_active:
        return "The person is not active any more."
    if entry and entry.kind == Kind.NOTIFIED and entry.incident.status != Status.PENDING:
        return f"Not needed any more: the incident was {entry.incident.get_status_display().lower()}."
    return ""


def _use_next_method(notification: Notification, incident: Incident) -> None:
    """A method that failed for good must not leave a person waiting for the delay of the next one."""
    theirs = messages(incident).filter(user=notification.user_id, state=Notification.State.PLANNED)
    following = theirs.order_by("due_at").values("pk")[:1]
    outbox.hurry(Notification.objects.filter(pk__in=following), database_now())
