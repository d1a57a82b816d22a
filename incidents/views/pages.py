"""The page of a single incident."""

import re
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.core.handlers.asgi import ASGIRequest
from django.db.models.functions import Lower
from django.http import HttpResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from accounts.models import User
from accounts.requests import SignedInRequest
from ilert.common import markdown
from ilert.common.clock import database_now
from ilert.common.text import number
from incidents import services, timeline
from incidents.engine import run as runs
from incidents.export import as_markdown
from incidents.fields import readable
from incidents.lifecycle import UNDO
from incidents.listing import Filters, neighbours
from incidents.live_detail import fingerprints, watch
from incidents.models import Event, Incident, Status
from incidents.views.deeds import SNOOZES
from incidents.views.streams import event_stream, may_stay, no_stream
from oncall.models import EscalationPolicy

# Decrypting a key that no page here shows would cost time, and an error if its encryption key were lost.
SOURCE_KEY = "alert_source__integration_key"
RELATED = 5
MAX_PARTS = 20


@require_GET
def incident_detail(request: SignedInRequest, pk: int) -> HttpResponse:
    """One incident; the page asks for it again whenever something has happened to it."""
    # Before anything is read: what happens in between is shown by the next look.
    version = fingerprints([pk]).get(pk, "")
    if request.htmx and request.GET.get("version") == version:
        return HttpResponse(status=204)
    incident = _incident(pk)
    show = request.GET.get("show", "") if request.GET.get("show", "") in timeline.SHOWS else ""
    before = str(number(request.GET.get("before", "")) or "")
    section = timeline.section(incident, show, before, viewer=request.user)
    context = _shown(incident, request.user) | {
        "version": version,
        "section": section,
        "before": before,
        "tabs": _tabs(request.GET, show),
        "here": _with(request.GET, version=version),
        "older": _with(request.GET, before=section.next),
        "newest": _with(request.GET, before=""),
        "related": _related(incident, request.user),
    }
    if request.htmx:
        return render(request, "incidents/detail_live.html", context)
    filters = Filters.read(QueryDict(request.GET.get("in", "")), request.user)
    more = {
        "filters": filters,
        "in_list": f"?{urlencode({'in': filters.query})}" if filters.query else "",
        "neighbours": neighbours(filters, pk),
    }
    return render(request, "incidents/detail.html", context | more | _choices(incident, request.user))


@require_GET
@never_cache
def incident_stream(request: SignedInRequest, pk: int) -> HttpResponse | StreamingHttpResponse:
    """Server-sent events that say when the incident's page would show something else."""
    if not isinstance(request, ASGIRequest) or watch.is_full:
        return no_stream()
    return event_stream(watch.follow(pk, request.GET.get("version", ""), may_stay(request)))


@require_GET
def incident_export(request: SignedInRequest, pk: int) -> HttpResponse:
    """The incident with its timeline as Markdown."""
    headers = {"Content-Disposition": f'attachment; filename="incident-{pk}.md"'}
    return HttpResponse(
        as_markdown(_incident(pk), request.user), content_type="text/markdown; charset=utf-8", headers=headers
    )


def _incident(pk: int) -> Incident:
    found = Incident.objects.select_related("alert_source", "escalation_policy", "responder").defer(SOURCE_KEY)
    return get_object_or_404(found, pk=pk)


def _shown(incident: Incident, viewer: User) -> dict[str, object]:
    """Return what the page tells of an incident beside its timeline."""
    event = Event.objects.filter(incident=incident).order_by("pk").first()
    now = database_now()
    return {
        "incident": incident,
        "details": markdown.render(incident.details),
        "escalation": _escalation(incident),
        "first": services.who_was_first(incident),
        "priority_word": f"{incident.get_priority_display()} priority",
        "fields": readable(event.fields) if event else [],
        "links": safe_links(event.links) if event else [],
        "parts": _parts(incident, viewer),
        "is_snoozed": bool(incident.snoozed_until and incident.snoozed_until > now),
        "may_reopen": bool(incident.resolved_at and now - incident.resolved_at < UNDO),
        "raw": bytes(event.body or b"").decode("utf-8", "replace") if event else "",
    }


def _parts(incident: Incident, viewer: User) -> list[Incident]:
    parts = Incident.objects.filter(merged_into=incident).only("pk", "summary").order_by("pk")
    # Most have none, and pay nothing for asking what is hidden.
    return list(parts.visible_to(viewer)[:MAX_PARTS]) if parts.exists() else []


def _tabs(query: QueryDict, show: str) -> list[dict[str, object]]:
    """Return the kinds of lines that the timeline can be narrowed to."""
    return [
        {"url": _with(query, show=kind, before=""), "label": label, "current": kind == show, "count": None}
        for kind, label in timeline.SHOWS.items()
    ]


def _with(query: QueryDict, **changes: str) -> str:
    """Return the address of this page with some of its parameters changed; empty ones are left out."""
    known = {name: query.get(name, "") for name in ("show", "before", "in")} | changes
    return "?" + urlencode({name: value for name, value in known.items() if value})


def _related(incident: Incident, viewer: User) -> list[Incident]:
    """Return other open incidents of the same source: what is wrong there too."""
    others = Incident.objects.visible_to(viewer).filter(
        alert_source=incident.alert_source_id, status__lt=Status.RESOLVED
    )
    return list(others.exclude(pk=incident.pk).only("pk", "summary", "status").order_by("-pk")[:RELATED])


def _choices(incident: Incident, viewer: User) -> dict[str, object]:
    """Return what the dialogs offer."""
    responders = User.objects.askable()
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
    at = database_now()
    names = {user.pk: f"{user} (muted)" if user.is_muted(at) else str(user) for user in User.objects.filter(pk__in=ids)}

    def level(place: tuple[int, tuple[int, ...]] | None) -> Level | None:
        return Level(place[0], [names[user_id] for user_id in place[1] if user_id in names]) if place else None

    return Escalation(level(now), level(following), incident.next_escalation_at)
