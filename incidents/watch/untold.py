"""Pending incidents that nobody is being told about: there should be none, whatever happened."""

from datetime import datetime, timedelta

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from incidents.models import Incident, LogEntry, Priority, Status
from incidents.timeline import Kind
from incidents.watch.models import Audit
from notifications.models import Notification

# The first step and its messages need a moment.
SETTLED_AFTER = timedelta(seconds=60)
# No rule has more than a day.
LONGEST_WAIT = timedelta(hours=25)
NEWEST = 200
SLICE = 800
SHOWN = 20


def untold(now: datetime, audit: Audit) -> list[int]:
    """Return some of them. `audit` remembers how far the slow part has come.

    HIGH: nothing is due any more, or absurdly late; its escalation never ends by itself. LOW is asked once and then
    rests: it is untold if no message went out. That is looked up one by one, for the newest and for a slice of the
    older ones each time.
    """
    # Without order and limit, for which the planner would go through all that is open instead of the few there are.
    pending = Incident.objects.filter(status=Status.PENDING, reported_at__lt=now - SETTLED_AFTER).order_by()
    resting = pending.filter(next_escalation_at__isnull=True)
    stuck = resting.filter(priority=Priority.HIGH)
    # Only open ones ask, says the database: pending ones their next level, accepted ones again. No accept time-out has
    # more than a day either. That an accepted one asks nobody is no fault, as somebody has it. Should there be many,
    # the index of due times has the latest first.
    far = Incident.objects.filter(next_escalation_at__gt=now + LONGEST_WAIT).order_by("-next_escalation_at")
    far = far.exclude(snoozed_until__gte=F("next_escalation_at"))
    quiet = resting.filter(pk__in=_slice(resting.filter(priority=Priority.LOW), audit)).filter(~Exists(_messages()))
    found = {pk for rows in (stuck, far[:SHOWN], quiet) for pk in rows.values_list("pk", flat=True)}
    return sorted(found, reverse=True)[:SHOWN]


def _slice(resting: QuerySet[Incident], audit: Audit) -> list[int]:
    ids = resting.values_list("pk", flat=True)
    newest = list(ids.order_by("-pk")[:NEWEST])
    older = list(ids.filter(pk__gt=audit.untold_cursor).order_by("pk")[:SLICE])
    # At the end it begins again.
    audit.untold_cursor = older[-1] if len(older) == SLICE else 0
    return newest + older


def _messages() -> QuerySet[LogEntry]:
    """Return the messages about an incident that went out or still may."""
    gone_wrong = [Notification.State.FAILED, Notification.State.CANCELLED]
    return LogEntry.objects.filter(
        ~Q(notification__state__in=gone_wrong),
        incident=OuterRef("pk"),
        kind=Kind.NOTIFIED,
        notification__isnull=False,
    )
