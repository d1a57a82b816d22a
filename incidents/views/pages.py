"""The page of a single incident."""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime

from django.db.models.functions import Lower
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from accounts.models import Role, User
from accounts.requests import SignedInRequest
from ilert.common.clock import database_now
from incidents import services, timeline
from incidents.engine import run as runs
from incidents.lifecycle import UNDO
from incidents.models import Event, Incident, Status
from incidents.views.deeds import SNOOZES
from oncall.models import EscalationPolicy

# Decrypting a key that no page here shows would cost time, and an error if its encryption key were lost.
SOURCE_KEY = "alert_source__integration_key"


@require_GET
def incident_detail(request: SignedInRequest, pk: int) -> HttpResponse:
    """One incident; htmx asks for it again, so that it tells what happens while somebody looks at it."""
    incident = get_object_or_404(
        Incident.objects.select_related("alert_source", "escalation_policy", "responder").defer(SOURCE_KEY), pk=pk
    )
    items = timeline.items(incident)
    version = _digest([(item.id, item.state, item.detail) for item in items], incident.status, incident.event_count)
    if request.htmx and request.GET.get("version") == version:
        return HttpResponse(status=204)
    event = Event.objects.filter(incident=incident).order_by("pk").first()
    now = database_now()
    context = {
        "incident": incident,
        "items": items,
        "version": version,
        "escalation": _escalation(incident),
        "first": services.who_was_first(incident),
        "priority_word": f"{incident.get_priority_display()} priority",
        "first_event": event,
        "links": safe_links(event.links) if event else [],
        "parts": list(Incident.objects.filter(merged_into=incident).only("pk", "summary").order_by("pk")[:20]),
        "is_snoozed": bool(incident.snoozed_until and incident.snoozed_until > now),
        "may_reopen": bool(incident.resolved_at and now - incident.resolved_at < UNDO),
        "raw": bytes(event.body or b"").decode("utf-8", "replace") if event else "",
    }
    if request.htmx:
        return render(request, "incidents/detail_live.html", context)
    return render(request, "incidents/detail.html", context | _choices(incident, request.user))


def _choices(incident: Incident, viewer: User) -> dict[str, object]:
    """Return what the dialogs offer."""
    responders = User.objects.filter(is_active=True, role__in=[Role.ADMIN, Role.MEMBER])
    others = Incident.objects.visible_to(viewer).filter(
        alert_source=incident.alert_source_id, status__lt=Status.RESOLVED, merged_into=None
    )
    return {
        "snoozes": SNOOZES.items(),
        "responders": responders.order_by(Lower("name"), "email"),
        "policies": EscalationPolicy.objects.visible_to(viewer),
        "others": others.only("pk", "summary").order_by("-pk")[:20],
    }


def safe_links(links: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the links that lead to a web page; a `javascript:` one from a hostile payload must not be clickable."""
    return [link for link in links if re.match(r"https?://[^/]", link["url"], re.IGNORECASE)]


def _digest(*parts: object) -> str:
    """Return a word that changes whenever what is shown does, so that a page left open costs little."""
    return hashlib.sha256(repr(parts).encode("utf-8", "replace")).hexdigest()[:16]


@dataclass(frozen=True)
class Level:
    """One level of an escalation, as the page tells it."""

    number: int
    people: list[str]


@dataclass(frozen=True)
class Escalation:
    """Who is being asked now and who is next, at what time. `ends` is None once nothing follows any more."""

    now: Level | None
    next: Level | None
    ends: datetime | None


def _escalation(incident: Incident) -> Escalation:
    if incident.run is None:
        return Escalation(None, None, incident.next_escalation_at)
    now, following = runs.current(incident.run), runs.upcoming(incident.run)
    ids = {user_id for level in (now, following) if level for user_id in level[1]}
    names = {user.pk: str(user) for user in User.objects.filter(pk__in=ids)}

    def level(place: tuple[int, tuple[int, ...]] | None) -> Level | None:
        return Level(place[0], [names[user_id] for user_id in place[1] if user_id in names]) if place else None

    return Escalation(level(now), level(following), incident.next_escalation_at)
