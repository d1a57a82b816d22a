"""The outbox: messages are rows with a due time. A row exists before anything is sent, and its fate is written after.

planned → sending → accepted / shown / failed, or cancelled. `due_at` says when somebody has to look at a row next: when
its message is due, or, while it is being sent, when its lease runs out and the sender is taken for dead.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Q, QuerySet

from ilert.common import bulk
from notifications.models import ContactMethod, Notification, Provider

State = Notification.State
# A send takes 8 s at most, and none begins in the last of these: whoever holds a lease for longer is dead.
LEASE = timedelta(seconds=15)
# The next method starts within 15 s of when a message was due. One that failed at once has had another try by then.
PASS_ON_AFTER = timedelta(seconds=6)
# All slots of a provider that hangs are taken for 8 s: what waits for one does not wait that long before its own try.
WAIT_FOR_SLOT = timedelta(seconds=3)
# The person was told, or will be in a moment.
TOLD = (State.SENDING, State.ACCEPTED, State.DELIVERED, State.SHOWN)
_NAMESPACE = uuid.UUID("6a8f4f0e-3a55-4b8e-9d8c-0f6f3c7a1c11")


@dataclass(frozen=True)
class Content:
    """What a planned message says. Links are made when it is sent, as they carry a signature with an expiry.

    A notice says that something is over and asks for nothing; it is never bundled with what asks for something.
    """

    title: str
    text: str
    urgent: bool
    notice: bool = False


@dataclass(frozen=True, slots=True)
class Recipient:
    """A contact method as the outbox writes it down, worked out once for all that is planned to it."""

    user_id: int
    user_name: str
    contact_method_id: int
    provider_id: str
    channel: str
    target: str

    @classmethod
    def of(cls, method: ContactMethod) -> "Recipient":
        return cls(
            user_id=method.user_id,
            user_name=str(method.user),
            contact_method_id=method.pk,
            provider_id=method.channel_type.provider(method.address),
            channel=method.channel,
            target=method.description,
        )


def plan(dedupe_key: str, to: Recipient, content: Content, due_at: datetime, now: datetime) -> Notification:
    """Return an unsaved message. The same `dedupe_key` always gives the same id."""
    return bulk.row(
        Notification,
        id=uuid.uuid5(_NAMESPACE, dedupe_key),
        dedupe_key=dedupe_key,
        user_id=to.user_id,
        user_name=to.user_name,
        contact_method_id=to.contact_method_id,
        provider_id=to.provider_id,
        channel=to.channel,
        target=to.target,
        title=content.title,
        text=content.text,
        urgent=content.urgent,
        notice=content.notice,
        created_at=now,
        due_at=due_at,
    )


def insert(notifications: list[Notification]) -> None:
    """Store planned messages; one that is there already stays as it is."""
    names = sorted({notification.provider_id for notification in notifications})
    bulk.insert([Provider(name=name) for name in names])
    bulk.insert(notifications)


# Whoever is killed loses the session with the database at once, so that nobody has to wait for the lease. Whoever lives
# and has lost it, as the server was restarted, has this long to come back (see `claims.keep`).
GRACE = timedelta(seconds=1)
ORPHANED = f"""
    state = 'sending' AND carrier_id IS NULL AND session IS NOT NULL
    AND lease_until > %(now)s + interval '{GRACE.total_seconds()} s'
    AND NOT EXISTS (SELECT FROM pg_stat_get_activity(session))
"""  # nosec B608: a constant of this module
_OLDEST_DUE = f"""
SELECT min(moment) FROM (
    SELECT due.moment FROM notifications_provider p
    CROSS JOIN LATERAL (
        SELECT min(n.due_at) AS moment FROM notifications_notification n
        WHERE n.provider_id = p.name AND n.state IN ('planned', 'sending') AND n.carrier_id IS NULL
          AND n.due_at <= %(now)s AND (p.open_until IS NULL OR p.open_until <= %(now)s OR n.passed_on_at IS NULL)
    ) due
    UNION ALL
    SELECT min(n.first_attempt_at) + make_interval(secs => %(seconds)s) FROM notifications_notification n
    WHERE n.state IN ('planned', 'sending') AND n.passed_on_at IS NULL AND n.carrier_id IS NULL
      AND n.first_attempt_at <= %(now)s - make_interval(secs => %(seconds)s)
    UNION ALL
    SELECT min(lease_until) - interval '{LEASE.total_seconds()} s' FROM notifications_notification WHERE {ORPHANED}
) waits
"""  # noqa: S608  # nosec B608: constants of this module


def oldest_due_at(now: datetime) -> datetime | None:
    """Return since when the longest waiting message is due, or None. What waits for a provider that is down is not."""
    with connection.cursor() as cursor:
        cursor.execute(_OLDEST_DUE, {"now": now, "seconds": PASS_ON_AFTER.total_seconds()})
        moment: datetime | None = cursor.fetchone()[0]
    return moment


def cancel(notifications: QuerySet[Notification], reason: str, now: datetime) -> int:
    """Cancel those of `notifications` that have not been started. Returns how many."""
    return notifications.filter(state=State.PLANNED).update(
        state=State.CANCELLED, due_at=None, lease_until=None, finished_at=now, answer=reason
    )


def answered(notification_id: uuid.UUID, now: datetime) -> None:
    """Record that the person acted on a message; of a bundle, on all that it carries.

    Whatever is known of the attempt, the message has arrived: its sender may have died before it could say so.
    """
    it = Q(pk=notification_id, first_attempt_at__isnull=False)
    members = Q(carrier=notification_id, state__in=TOLD)
    Notification.objects.filter(it | members, answered_at=None).update(answered_at=now)


_STRUGGLING = """
(SELECT id FROM notifications_notification
 WHERE state IN ('planned', 'sending') AND carrier_id IS NULL AND passed_on_at IS NULL AND first_attempt_at <= %(tried)s
 LIMIT 500)
UNION
(SELECT waiting.id FROM (
    SELECT DISTINCT provider_id FROM notifications_notification
    WHERE state = 'sending' AND carrier_id IS NULL AND first_attempt_at <= %(tried)s
 ) hanging CROSS JOIN LATERAL (
    SELECT id FROM notifications_notification n
    WHERE n.provider_id = hanging.provider_id AND n.state IN ('planned', 'sending') AND n.carrier_id IS NULL
      AND n.due_at <= %(due)s AND n.state = 'planned' AND n.passed_on_at IS NULL
    ORDER BY n.due_at LIMIT 500
 ) waiting)
"""


def struggling(now: datetime) -> list[uuid.UUID]:
    """Return the messages that get through so slowly that the person's next contact method is needed.

    They have been tried for long, or wait for a slot of a provider that hangs.
    """
    with connection.cursor() as cursor:
        cursor.execute(_STRUGGLING, {"tried": now - PASS_ON_AFTER, "due": now - WAIT_FOR_SLOT})
        return [pk for (pk,) in cursor.fetchall()]
