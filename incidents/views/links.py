"""The link in a message: accept with one button and without signing in.

Mail scanners open every link, so a GET changes nothing. The token in the path is the credential; that is also why these
views need no CSRF token: an ntfy action posts here from a phone that never saw a page of ours.
"""

from dataclasses import dataclass

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from accounts.models import User
from ilert.common.clock import database_now
from incidents import services
from incidents.models import Incident, LogEntry, Status
from incidents.views import bundles
from notifications import outbox, tokens
from notifications.models import Notification


@dataclass(frozen=True)
class Found:
    """What a link leads to: a message, whom it was sent to, and its incident; None if it is a bundle of many."""

    notification: Notification
    person: User
    incident: Incident | None


@never_cache
@require_http_methods(["GET", "HEAD"])
def incident_link(request: HttpRequest, token: str) -> HttpResponse:
    """The page behind the link: what is wrong, and one button."""
    found = _find(token)
    if found is None:
        return _invalid(request)
    if found.incident is None:
        return bundles.bundle_page(request, token, found.notification, found.person)
    return _page(request, token, found.incident, found.person)


@never_cache
@csrf_exempt
@require_POST
def incident_link_accept(request: HttpRequest, token: str) -> HttpResponse:
    """Accept in the name of the person that the message was sent to."""
    found = _find(token)
    if found is None:
        return _invalid(request)
    if not found.person.is_responder:
        raise PermissionDenied("Stakeholders can read incidents, but not accept them.")
    now = database_now()
    outbox.answered(found.notification.pk, now)
    if found.incident is None:
        accepted = bundles.accept_all(found.notification, found.person, now)
        return bundles.bundle_page(request, token, found.notification, found.person, accepted)
    result = services.accept(found.incident.pk, found.person, now)
    return _page(request, token, result.incident, found.person, just_accepted=result.changed)


def _find(token: str) -> Found | None:
    ticket = tokens.read(token)
    if ticket is None:
        return None
    person = User.objects.filter(pk=ticket.user_id, is_active=True).first()
    notification = Notification.objects.filter(pk=ticket.notification_id).first()
    if person is None or notification is None or ticket.access != person.access_mark:
        return None
    if notification.member_count:
        return Found(notification, person, None)
    entry = (
        LogEntry.objects.filter(notification=notification)
        .select_related("incident__alert_source", "incident__responder")
        .defer("incident__alert_source__integration_key")
        .first()
    )
    return Found(notification, person, entry.incident) if entry else None


def _page(
    request: HttpRequest, token: str, incident: Incident, person: User, just_accepted: bool = False
) -> HttpResponse:
    context = {
        "incident": incident,
        "person": person,
        "token": token,
        "just_accepted": just_accepted,
        "is_pending": incident.status == Status.PENDING or incident.asks_again,
        "may_accept": person.is_responder,
        "first": services.who_was_first(incident),
    }
    return render(request, "incidents/link.html", context)


def _invalid(request: HttpRequest) -> HttpResponse:
    return render(request, "incidents/link_invalid.html", status=404)
