"""The page behind the link of a message that stands for many incidents: all of them, and one button."""

from collections.abc import Iterator
from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.models import User
from incidents import services
from incidents.models import Incident, IncidentQuerySet
from notifications.models import Notification

PAGE_SIZE = 100
# Accepted at one time: the locks of each are held for a moment only.
CHUNK = 500


def incidents_of(carrier: Notification) -> IncidentQuerySet:
    """Return the incidents that a bundle told of, the newest first."""
    told = Incident.objects.filter(log_entries__notification__carrier=carrier)
    return told.select_related("alert_source").defer("alert_source__integration_key").order_by("-pk")


def accept_all(carrier: Notification, person: User, now: datetime) -> int:
    """Accept what nobody has accepted yet. Returns how many that were."""
    asking = list(incidents_of(carrier).asking().values_list("pk", flat=True))
    return sum(result.changed for chunk in _chunks(asking) for result in services.accept_all(chunk, person, now))


def bundle_page(
    request: HttpRequest, token: str, carrier: Notification, person: User, accepted: int | None = None
) -> HttpResponse:
    """Show the list. `accepted` is how many the person has just accepted."""
    incidents = incidents_of(carrier)
    pending = incidents.asking().count()
    page = list(_before(incidents, request.GET.get("before", ""))[: PAGE_SIZE + 1])
    context = {
        "carrier": carrier,
        "person": person,
        "token": token,
        "incidents": page[:PAGE_SIZE],
        "older": f"?before={page[PAGE_SIZE - 1].pk}" if len(page) > PAGE_SIZE else "",
        "total": incidents.count(),
        "pending": pending,
        "accepted": accepted,
        "accepted_text": f"You have accepted {accepted} incidents. Nobody else is asked.",
        "accept_label": f"Accept all {pending}" if pending > 1 else "Accept the one that is left",
        "may_accept": person.is_responder and not carrier.notice,
    }
    return render(request, "incidents/link_bundle.html", context)


def _before(incidents: IncidentQuerySet, pk: str) -> IncidentQuerySet:
    return incidents.filter(pk__lt=int(pk)) if pk.isascii() and pk.isdecimal() and len(pk) < 19 else incidents


def _chunks(ids: list[int]) -> Iterator[list[int]]:
    return (ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK))
