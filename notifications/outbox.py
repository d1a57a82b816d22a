"""The outbox: messages are rows with a due time. A row exists before anything is sent, and its fate is written after.

planned → sending → accepted / failed, or cancelled. `due_at` says when somebody has to look at a row next: when its
message is due, or, while it is being sent, when its lease runs out and the sender is taken for dead.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet, Window
from django.db.models.functions import RowNumber

from ilert.common import bulk
from notifications.channels import DeliveryError
from notifications.models import Attempt, ContactMethod, Notification

State = Notification.State
# A send takes 8 s at most and a task 12 s, so whoever holds a lease for longer is dead.
LEASE = timedelta(seconds=15)
RETRY_DELAYS = tuple(timedelta(seconds=seconds) for seconds in (5, 10, 20, 40, 80, 160))
# At one time through one channel.
SENDERS = 4
MAX_RETRY_AFTER = timedelta(minutes=5)
_NAMESPACE = uuid.UUID("6a8f4f0e-3a55-4b8e-9d8c-0f6f3c7a1c11")


@dataclass(frozen=True)
class Content:
    """What a planned message says. Links are made when it is sent, as they carry a signature with an expiry."""

    title: str
    text: str
    urgent: bool


def plan(dedupe_key: str, method: ContactMethod, content: Content, due_at: datetime, now: datetime) -> Notification:
    """Return an unsaved message to `method`. The same `dedupe_key` always gives the same id."""
    return Notification(
        id=uuid.uuid5(_NAMESPACE, dedupe_key),
        dedupe_key=dedupe_key,
        user=method.user,
        user_name=str(method.user),
        contact_method=method,
        channel=method.channel,
        target=method.description,
        title=content.title,
        text=content.text,
        urgent=content.urgent,
        created_at=now,
        due_at=due_at,
    )


def insert(notifications: list[Notification]) -> None:
    """Store planned messages; one that is there already stays as it is."""
    bulk.insert(notifications)


def due_ids(now: datetime, limit: int) -> list[uuid.UUID]:
    """Return the ids of the messages that somebody has to look at: of each channel the longest waiting first.

    The channels take turns, so that a heap of messages in one leaves the others their places.
    """
    ranked = _due(now).annotate(place=Window(RowNumber(), partition_by="channel", order_by="due_at"))
    return list(ranked.order_by("place", "due_at").values_list("pk", flat=True)[:limit])


def oldest_due_at(now: datetime) -> datetime | None:
    return _due(now).order_by("due_at").values_list("due_at", flat=True).first()


@transaction.atomic
def start(notification_id: uuid.UUID, now: datetime) -> Notification | None:
    """Take the lease of a message that is due.

    None if somebody else has it, if there is nothing to send any more, or if the channel is busy: then it stays due.
    """
    notification = (
        _due(now)
        .filter(pk=notification_id)
        .select_for_update(skip_locked=True, of=("self",))
        .select_related("contact_method", "user")
        .first()
    )
    if notification is None:
        return None
    if _is_busy(notification.channel, now):
        return None
    notification.state = State.SENDING
    notification.lease_until = notification.due_at = now + LEASE
    notification.attempt_count += 1
    notification.save(update_fields=["state", "lease_until", "due_at", "attempt_count"])
    return notification


def succeed(notification: Notification, answer: str, started_at: datetime, now: datetime) -> None:
    """Record that the provider took the message."""
    _record(notification, True, answer, started_at, now)
    _close(notification, State.ACCEPTED, answer, now)


def fail(notification: Notification, error: DeliveryError, started_at: datetime, now: datetime) -> bool:
    """Record a failed attempt. Returns whether the message is tried again."""
    _record(notification, False, error.answer, started_at, now)
    retry_at = _retry_at(notification, error, now)
    if retry_at is None:
        _close(notification, State.FAILED, error.answer, now)
        return False
    _leased(notification).update(state=State.PLANNED, due_at=retry_at, lease_until=None, answer=error.answer)
    return True


def drop(notification: Notification, reason: str, now: datetime) -> None:
    """Give up a message whose lease is held: it is not wanted any more."""
    _close(notification, State.CANCELLED, reason, now)


def cancel(notifications: QuerySet[Notification], reason: str, now: datetime) -> int:
    """Cancel those of `notifications` that have not been started. Returns how many."""
    return notifications.filter(state=State.PLANNED).update(
        state=State.CANCELLED, due_at=None, lease_until=None, finished_at=now, answer=reason
    )


def hurry(notifications: QuerySet[Notification], now: datetime) -> None:
    """Let planned messages go out at once."""
    notifications.filter(state=State.PLANNED, due_at__gt=now).update(due_at=now)


def _due(now: datetime) -> QuerySet[Notification]:
    return Notification.objects.filter(Q(state__in=[State.PLANNED, State.SENDING]), due_at__lte=now)


def _is_busy(channel: str, now: datetime) -> bool:
    """Whether a channel has all the senders it may have: a provider that hangs must not take everybody's."""
    return Notification.objects.filter(channel=channel, state=State.SENDING, lease_until__gt=now).count() >= SENDERS


def _leased(notification: Notification) -> QuerySet[Notification]:
    """The row, if nobody else has taken it over: the lease that was taken is what the row still shows."""
    return Notification.objects.filter(
        pk=notification.pk, state=State.SENDING, attempt_count=notification.attempt_count
    )


def _record(notification: Notification, succeeded: bool, answer: str, started_at: datetime, now: datetime) -> None:
    Attempt.objects.create(
        notification=notification,
        number=notification.attempt_count,
        started_at=started_at,
        finished_at=max(now, started_at),
        succeeded=succeeded,
        answer=answer,
    )


def _close(notification: Notification, state: State, answer: str, now: datetime) -> None:
    _leased(notification).update(state=state, due_at=None, lease_until=None, finished_at=now, answer=answer)
    notification.state = state


def _retry_at(notification: Notification, error: DeliveryError, now: datetime) -> datetime | None:
    if error.permanent or notification.attempt_count > len(RETRY_DELAYS):
        return None
    delay = RETRY_DELAYS[notification.attempt_count - 1]
    if error.retry_after:
        delay = max(delay, min(timedelta(seconds=error.retry_after), MAX_RETRY_AFTER))
    return now + delay
