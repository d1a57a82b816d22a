"""Telling the admins that a tool sends what cannot be read: at most once an hour for each source."""

from datetime import datetime

from django.urls import reverse

from accounts.models import Role
from alertsources.models import AlertSource
from ilert.common.links import absolute
from incidents.models import Event, Outcome
from notifications import outbox
from notifications.models import NotificationRule, Priority


def tell_admins(source: AlertSource, reason: str, now: datetime) -> None:
    """Plan the messages, unless this hour has had a rejected request of the source already."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    if Event.objects.filter(alert_source=source, outcome=Outcome.REJECTED, received_at__gte=hour).exists():
        return
    rules = NotificationRule.objects.filter(
        priority=Priority.LOW, user__role=Role.ADMIN, user__is_active=True
    ).select_related("contact_method__user")
    page = absolute(reverse("source-events", args=[source.pk]))
    content = outbox.Content(
        title=f"{source.name} sends what cannot be read",
        text=f"{reason}\n\nNo incident was opened by it. The request is kept: {page}",
        urgent=False,
    )
    outbox.insert(
        [
            outbox.plan(f"rejected:{source.pk}:{hour:%Y%m%d%H}:{rule.pk}", rule.contact_method, content, now, now)
            for rule in rules
        ]
    )
