"""What comes before everything else."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from ilert.common.client import client_address, is_trusted_proxy

# These answer programs, and nothing in their answers depends on what the program calls this host.
HOST_DOES_NOT_MATTER = ("/api/", "/healthz", "/readyz", "/metrics")


class TrustedProxiesMiddleware:
    """Makes REMOTE_ADDR the client's own address, and believes only trusted proxies about it and about https."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        peer = request.META.get("REMOTE_ADDR", "")
        forwarded_for = request.META.pop("HTTP_X_FORWARDED_FOR", "")
        if not is_trusted_proxy(peer):
            request.META.pop("HTTP_X_FORWARDED_PROTO", None)
        request.META["REMOTE_ADDR"] = client_address(peer, forwarded_for)
        return self.get_response(request)


class AnyHostForProgramsMiddleware:
    """Lets tools post, and load balancers probe, under any name and address: an event must not be refused for that."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # A browser that is signed in sends its cookie, and then the host says whether a page of ours is asking.
        is_program = settings.SESSION_COOKIE_NAME not in request.COOKIES
        if is_program and request.path_info.startswith(HOST_DOES_NOT_MATTER):
            request.META["HTTP_HOST"] = "localhost"  # always allowed, see ALLOWED_HOSTS
        return self.get_response(request)
