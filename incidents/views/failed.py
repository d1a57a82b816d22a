"""Events that a fault of ours keeps from being applied: the banner on every page of an admin, and their own page."""

import uuid
from typing import Any

from django.contrib import messages
from django.db.models import Min
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.functional import SimpleLazyObject
from django.views.decorators.http import require_POST, require_safe

from accounts.access import is_admin
from ilert.common.clock import database_now
from incidents.intake import again
from incidents.intake.again import Fate
from incidents.models import FailedRequest

SHOWN = 100


def banner(request: HttpRequest) -> dict[str, Any]:
    """Context processor: `failed_banner` is what the frame says to admins, looked up when a page asks for it."""
    # A request that failed before anybody was recognised gets its error page too.
    if not hasattr(request, "user"):
        return {}
    return {"failed_banner": SimpleLazyObject(lambda: _waiting() if is_admin(request) else {})}


def _waiting() -> dict[str, Any]:
    """Return how many requests wait, up to a number that costs nothing to count, and when the next one is tried."""
    some = FailedRequest.objects.order_by("pk")[: SHOWN + 1]
    count = some.count()
    if not count:
        return {}
    first = FailedRequest.objects.aggregate(at=Min("next_attempt_at"))["at"]
    return {"count": min(count, SHOWN), "more": count > SHOWN, "next_attempt_at": first}


@require_safe
def failed_requests(request: HttpRequest) -> HttpResponse:
    waiting = FailedRequest.objects.select_related("alert_source", "first_event").defer("first_event__body")
    found = list(waiting.order_by("first_event_id")[: SHOWN + 1])
    return render(request, "incidents/failed.html", {"requests": found[:SHOWN], "more": len(found) > SHOWN})


@require_POST
def process(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Try one again, now."""
    fate = again.process(pk, database_now())
    if fate == Fate.APPLIED:
        messages.success(request, "The event is applied.")
    elif fate == Fate.FAILED:
        messages.error(request, "It failed again. It is kept and tried again by itself.")
    else:
        messages.info(request, "Nothing to do: it has just been applied, or its source is disabled.")
    return redirect("failed-requests")


@require_POST
def process_all(request: HttpRequest) -> HttpResponse:
    """Try all again, now."""
    fates = again.process_all(database_now())
    text = f"{fates[Fate.APPLIED]} applied, {fates[Fate.FAILED]} failed again."
    if again.oldest_due_at(database_now()):
        text += " The rest follows by itself."
    (messages.error if fates[Fate.FAILED] else messages.success)(request, text)
    return redirect("failed-requests")
