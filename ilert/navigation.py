"""The entries of the frame's navigation. What is not there has no entry."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

OUTBOX_BACKEND = "notifications.mail.OutboxBackend"


@dataclass(frozen=True)
class Entry:
    url_name: str
    label: str
    short: str
    """For the bottom bar of a phone, where five of them share 320 px."""
    icon: str
    shown: Callable[[HttpRequest], bool] = lambda request: True
    second: bool = False
    """On a phone it is in the menu, so that the bar keeps four and the menu itself."""


def _is_admin(request: HttpRequest) -> bool:
    return request.user.is_authenticated and request.user.is_admin


def _outbox_shown(request: HttpRequest) -> bool:
    return settings.EMAIL_BACKEND == OUTBOX_BACKEND and _is_admin(request)


ENTRIES = (
    Entry("incident-list", "Incidents", "Incidents", "siren"),
    Entry("policy-list", "Escalation policies", "Policies", "waypoints"),
    Entry("source-list", "Alert sources", "Sources", "plug-zap"),
    Entry("people", "People", "People", "users"),
    Entry("audit-log", "Audit log", "Audit", "scroll-text", _is_admin, second=True),
    Entry("system", "System", "System", "activity", _is_admin, second=True),
    Entry("outbox", "Outbox", "Outbox", "mails", _outbox_shown, second=True),
)


def navigation(request: HttpRequest) -> dict[str, Any]:
    """Context processor: `navigation` is the list of entries for this viewer."""
    # A request that failed before anybody was recognised gets its error page too.
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"navigation": []}
    return {"navigation": [item for entry in ENTRIES if entry.shown(request) and (item := _item(entry, request))]}


def _item(entry: Entry, request: HttpRequest) -> dict[str, Any] | None:
    try:
        url = reverse(entry.url_name)
    except NoReverseMatch:
        return None
    return {
        "url": url,
        "label": entry.label,
        "short": entry.short,
        "icon": entry.icon,
        "second": entry.second,
        "current": request.path.startswith(url),
        "exact": request.path == url,
    }
