"""The request as a page for signed-in people gets it, for the type checker."""

from typing import TYPE_CHECKING

from django.http import HttpRequest

from accounts.models import User

if TYPE_CHECKING:
    from django_htmx.middleware import HtmxDetails


class SignedInRequest(HttpRequest):
    """RightsMiddleware has sent everybody else to sign in before a view sees this."""

    user: User
    htmx: "HtmxDetails"
