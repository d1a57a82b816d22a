"""What the set-up page has to say about addresses."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest


@dataclass(frozen=True)
class Address:
    """A webhook URL in its parts, for tools whose forms ask for each by itself."""

    scheme: str
    host: str
    port: int
    path: str
    events: str
    """The URL of the events API, for senders that have the key in the body."""
    key: str


def address_of(url: str) -> Address:
    """Take a webhook URL, `…/events/<integration>/<key>`, apart."""
    parts = urlsplit(url)
    events, _, key = url.rsplit("/", 2)
    return Address(parts.scheme, *_host_and_port(parts.netloc, parts.scheme), parts.path, events, key)


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
