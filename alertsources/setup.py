"""What the set-up page has to say about addresses."""

import ipaddress
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest


def is_loopback(host: str) -> bool:
    """Whether `host` only means this machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def address_warning(request: HttpRequest) -> str:
    """Say why a tool elsewhere may not reach the webhook URL; empty when nothing speaks against it."""
    public = urlsplit(settings.PUBLIC_URL)
    if is_loopback(public.hostname or ""):
        return (
            f"The URL starts with {settings.PUBLIC_URL}, which only this machine itself can reach. Tools elsewhere "
            "need the address of this installation: set PUBLIC_URL to it, for example "
            "PUBLIC_URL=https://ilert.example.com, and start again."
        )
    if _host_and_port(request.get_host(), request.scheme or "http") != _host_and_port(public.netloc, public.scheme):
        return (
            f"You are looking at {request.scheme}://{request.get_host()}, but the URL starts with "
            f"{settings.PUBLIC_URL}. If tools cannot reach that address, set PUBLIC_URL to the right one and start "
            "again."
        )
    return ""


def _host_and_port(netloc: str, scheme: str) -> tuple[str, int]:
    parts = urlsplit(f"//{netloc}")
    return parts.hostname or "", parts.port or (443 if scheme == "https" else 80)
