"""Who may see and do what. The page for those who may not says why."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]


def admin_required(sentence: str) -> Callable[[View[P]], View[P]]:
    """Let admins in; others get a 403 page with `sentence`, which says whom this is for.

    Signed-out people never come here: LoginRequiredMiddleware has sent them to sign in.
    """

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            if not is_admin(request):
                raise PermissionDenied(sentence)
            return view(request, *args, **kwargs)

        return guarded

    return decorate


def is_admin(request: HttpRequest) -> bool:
    return request.user.is_authenticated and request.user.is_admin
