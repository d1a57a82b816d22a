"""The page of a single incident, and what people do to it."""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts.models import User
from accounts.requests import SignedInRequest
from ilert.common.clock import database_now
from incidents import services, timeline
from incidents.engine import run as runs
from incidents.models import Event, Incident

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
    context = {
        "incident": incident,
        "items": items,
        "version": version,
        "escalation": _escalation(incident),
        "first": services.who_was_first(incident),
        "priority_word": f"{incident.get_priority_display()} priority",
        "first_event": event,
        "links": safe_links(event.links) if event else [],
        "raw": bytes(event.body or b"").decode("utf-8", "replace") if event else "",
    }
    return render(request, "incidents/detail_live.html" if request.htmx else "incidents/detail.html", context)


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


@require_POST
def incident_accept(request: SignedInRequest, pk: int) -> HttpResponse:
    return _act(request, pk, services.accept)


@require_POST
def incident_resolve(request: SignedInRequest, pk: int) -> HttpResponse:
    return _act(request, pk, services.resolve)


def _act(request: SignedInRequest, pk: int, verb: services.Verb) -> HttpResponse:
    if not request.user.is_responder:
        raise PermissionDenied("Stakeholders can read incidents, but not accept or resolve them.")
    get_object_or_404(Incident, pk=pk)
    result = verb(pk, request.user, database_now())
    if result.changed:
        messages.success(request, f"Incident #{pk} {result.incident.get_status_display().lower()}.")
    else:
        messages.info(request, f"Somebody was first: {services.who_was_first(result.incident)}")
    return redirect(result.incident)
