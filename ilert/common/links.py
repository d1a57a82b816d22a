"""Addresses of this installation as the outside sees them."""

from django.conf import settings


def absolute(path: str) -> str:
    """Return `path` below PUBLIC_URL: a link must not depend on whose request made it."""
    return f"{settings.PUBLIC_URL}{path}"
