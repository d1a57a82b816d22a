"""Where the table of rights is held against a request: for pages by a middleware, for REST by a permission."""

from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase
from rest_framework.permissions import BasePermission

from accounts.models import User
from accounts.rights import LEVELS, Level, Rule, rule_of

if TYPE_CHECKING:
    # At run time REST framework imports this module while it starts.
    from rest_framework.request import Request
    from rest_framework.views import APIView


class RightsMiddleware(LoginRequiredMiddleware):
    """Opens a route to those whom the table names; the signed out are sent to sign in."""

    def process_view(
        self, request: HttpRequest, view_func: Any, view_args: tuple[Any, ...], view_kwargs: dict[str, Any]
    ) -> HttpResponseBase | None:
        if RightsPermission in getattr(getattr(view_func, "cls", None), "permission_classes", ()):
            return None  # who asks is known once the key has been read
        rule = rule_of_request(request)
        if rule.asks(request.method or "") > Level.ANYBODY and not request.user.is_authenticated:
            return self.handle_no_permission(request, view_func)
        check(rule, request, view_kwargs)
        return None


class RightsPermission(BasePermission):
    """The same for REST, where a key says who asks."""

    def has_permission(self, request: "Request", view: "APIView") -> bool:
        user = request.user  # reads the key
        rule = rule_of_request(request._request)
        if rule.asks(request.method or "") > Level.ANYBODY and not (user and user.is_authenticated):
            return False
        check(rule, request._request, view.kwargs)
        return True


def rule_of_request(request: HttpRequest) -> Rule:
    """Return the rule of the route that was asked for; 404 when the table does not know it or closes it."""
    match = request.resolver_match
    rule = rule_of(match.view_name) if match else None
    if rule is None or rule.read == Level.NOBODY:
        raise Http404
    return rule


def check(rule: Rule, request: HttpRequest, kwargs: dict[str, Any]) -> None:
    """403 for those whose role is not enough, 404 when the route is about something they may not see."""
    if level(request) < rule.asks(request.method or ""):
        raise PermissionDenied(rule.why)
    if rule.about and not _sees(request, rule.about, kwargs["pk"]):
        raise Http404


def level(request: HttpRequest) -> Level:
    user = request.user
    return LEVELS[user.role] if user and user.is_authenticated else Level.ANYBODY


def is_admin(request: HttpRequest) -> bool:
    return level(request) == Level.ADMIN


def viewer(request: "HttpRequest | Request") -> User:
    """Return who asks, where the table lets nobody in who is signed out."""
    assert request.user.is_authenticated
    return request.user


def _sees(request: HttpRequest, label: str, pk: int) -> bool:
    if is_admin(request):
        return True  # whether it exists at all is for the view to say
    return bool(apps.get_model(label)._default_manager.visible_to(request.user).filter(pk=pk).exists())
