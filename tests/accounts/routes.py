"""Every route of the product, with an address that leads somewhere."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver, reverse

from accounts.access import RightsPermission


@dataclass(frozen=True)
class Route:
    name: str
    pattern: URLPattern

    @property
    def is_rest(self) -> bool:
        """Whether a key says who asks, and not a session."""
        return RightsPermission in getattr(getattr(self.pattern.callback, "cls", None), "permission_classes", ())

    def address(self, known: dict[str, dict[str, Any]]) -> str:
        """Return an address of the route: its variables are taken from `known`, by the name of the route."""
        return reverse(self.name, kwargs=known.get(self.name, {}))


def all_routes() -> list[Route]:
    return list(_routes(get_resolver(), ""))


def product_routes() -> list[Route]:
    """Return the routes without the sites of others, which are opened or closed as a whole."""
    return [route for route in all_routes() if ":" not in route.name]


def _routes(resolver: URLResolver, prefix: str) -> Iterator[Route]:
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern, f"{prefix}{pattern.namespace}:" if pattern.namespace else prefix)
        else:
            yield Route(f"{prefix}{pattern.name or ''}", pattern)


def fixed_variables() -> dict[str, dict[str, Any]]:
    """Variables that are not the number of a row."""
    return {
        "source-create-of": {"slug": "sematext"},
        "contact-method-add": {"channel": "ntfy"},
        "contact-method-setup": {"channel": "ntfy"},
        "failed-process": {"pk": uuid.UUID(int=7)},
        "incident-link": {"token": "no-such-token"},
        "incident-link-accept": {"token": "no-such-token"},
        "notification-rules": {"priority": "high"},
        "contact-method-link": {"token": "no-such-token"},
        "invitation": {"token": "no-such-token"},
        "events": {"integration": "sematext", "key": "no-such-key"},
        "account_reset_password_from_key": {"uidb36": "1", "key": "no-good"},
        "account_confirm_email": {"key": "no-good"},
    }
