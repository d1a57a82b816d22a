"""`/metrics`, for those who have the token, and for signed-in admins to look at."""

import secrets

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from accounts.access import is_admin
from ilert.common.clock import database_now
from incidents.watch.metrics import page

_REFUSED = (
    "Set ILERT_METRICS_TOKEN (or ILERT_METRICS_TOKEN_FILE) and send it as “Authorization: Bearer …”, or sign in as an "
    "admin.\n"
)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """All metrics. Where a request comes from opens nothing: behind a proxy everybody comes from nearby."""
    if not (_has_token(request) or is_admin(request)):
        return HttpResponse(
            _REFUSED, status=401, content_type="text/plain; charset=utf-8", headers={"WWW-Authenticate": "Bearer"}
        )
    return HttpResponse(page(database_now()), content_type=CONTENT_TYPE_LATEST)


def _has_token(request: HttpRequest) -> bool:
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    known = settings.ILERT_METRICS_TOKEN
    return bool(known) and kind.lower() == "bearer" and secrets.compare_digest(token.strip().encode(), known.encode())
