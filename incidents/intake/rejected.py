"""Requests that could not be understood: kept, so that an admin sees what the tool sends, and told about."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime

from django.urls import reverse

from accounts.models import Role
from alertsources.models import AlertSource
from ilert.common.links import absolute
from incidents.intake.batch import Applied, Request
from incidents.models import Event, Outcome
from notifications import outbox
from notifications.models import NotificationRule, Priority

# Only the newest of a source: a tool that always sends rubbish must not fill the disk.
KEPT = 100


def record(requests: Mapping[int, Request], now: datetime) -> dict[int, Applied]:
    """Keep rejected requests, and tell the admins of each source at most once an hour."""
    of_sources: dict[int, list[int]] = defaultdict(list)
    for number, request in requests.items():
        of_sources[request.source.pk].append(number)
    applied: dict[int, Applied] = {}
    for numbers in of_sources.values():
        _tell_admins(requests[numbers[0]].source, requests[numbers[0]].prepared.rejected, now)
        for number in numbers:
            applied[number] = _keep(requests[number], now)
        _remove_old(requests[numbers[0]].source)
    return applied


def _keep(request: Request, now: datetime) -> Applied:
    row = Event(
        alert_source=request.source,
        body=request.prepared.body,
        content_type=request.prepared.content_type,
        received_at=now,
        outcome=Outcome.REJECTED,
        reason=request.prepared.rejected,
    )
    row.save(force_insert=True)
    return Applied(row.pk, None, "", Outcome.REJECTED, request.prepared.rejected)


def _remove_old(source: AlertSource) -> None:
    rejected = Event.objects.filter(alert_source=source, outcome=Outcome.REJECTED).order_by("-pk")
    oldest = rejected.values_list("pk", flat=True)[KEPT - 1 : KEPT].first()
    if oldest is not None:
        rejected.filter(pk__lt=oldest).delete()


def _tell_admins(source: AlertSource, reason: str, now: datetime) -> None:
    """Plan the messages, unless this hour has had a rejected request of the source already."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    if Event.objects.filter(alert_source=source, outcome=Outcome.REJECTED, received_at__gte=hour).exists():
        return
    rules = (
        NotificationRule.objects.usable()
        .filter(priority=Priority.LOW, user__role=Role.ADMIN, user__is_active=True)
        .select_related("contact_method__user")
    )
    page = absolute(reverse("source-events", args=[source.pk]))
    content = outbox.Content(
        title=f"{source.name} sends what cannot be read",
        text=f"{reason}\n\nNo incident was opened by it. The request is kept: {page}",
        urgent=False,
        notice=True,
    )
    key = f"rejected:{source.pk}:{hour:%Y%m%d%H}"
    outbox.insert(
        [outbox.plan(f"{key}:{rule.pk}", outbox.Recipient.of(rule.contact_method), content, now, now) for rule in rules]
    )
