"""What a tool is told, as the contract spells it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson
from django.conf import settings
from django.urls import reverse

from ilert.common.links import absolute
from incidents.intake.batch import Applied, Request

RETRY_AFTER = {"Retry-After": "5"}
OVERLOADED_RETRY_AFTER = {"Retry-After": "2"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool is told: an HTTP status, a JSON object, and headers."""

    status: int
    content: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


def encoded(answer: Answer) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return an answer's HTTP headers and body."""
    body = orjson.dumps(answer.content)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    headers += [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
    return headers, body


def error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Answer:
    """Return an error as the contract spells it."""
    return Answer(status, {"status": status, "message": message, "code": code}, headers or {})


def answer(request: Request, applied: Sequence[Applied] | None) -> Answer:
    """Return what a tool is told about its request when it is committed."""
    if applied is None:
        return unknown_key()
    if request.prepared.rejected:
        return error(400, "BAD_PAYLOAD", request.prepared.rejected)
    if applied and applied[0].code and request.source.integration.refuses_unmatched:
        return error(400, applied[0].code, applied[0].reason)
    return _stored(applied)


def too_large() -> Answer:
    return error(413, "BODY_TOO_LARGE", f"The body is larger than {settings.ILERT_MAX_BODY} bytes (ILERT_MAX_BODY).")


def unknown_key() -> Answer:
    return error(
        404, "UNKNOWN_KEY", "The key in the URL is unknown or was revoked. Copy the URL from the alert source."
    )


def too_many_unknown_keys(wait: float) -> Answer:
    message = "Too many requests with unknown keys came from this address. Check the URL of the webhook."
    return error(429, "TOO_MANY_UNKNOWN_KEYS", message, {"Retry-After": str(math.ceil(wait))})


def over_rate(wait: int) -> Answer:
    """The source floods while there is little room: it is the first to be refused."""
    message = "This source is over its rate, and there is no room for more. Send it again."
    return error(429, "OVER_RATE", message, {"Retry-After": str(wait)})


def stored_for_later(event_id: int) -> Answer:
    return Answer(202, {"status": "stored", "eventId": event_id})


def unavailable() -> Answer:
    return error(503, "UNAVAILABLE", "The event could not be stored now. Send it again.", RETRY_AFTER)


def overloaded() -> Answer:
    message = "More events come than can be stored. Send this one again."
    return error(503, "OVERLOADED", message, OVERLOADED_RETRY_AFTER)


def _stored(applied: Sequence[Applied]) -> Answer:
    events = [
        {"eventId": one.event_id, "incidentKey": one.incident_key, "outcome": one.outcome.value} for one in applied
    ]
    incident_id = applied[0].incident_id if applied else None
    url = f"{_incidents_page(settings.PUBLIC_URL)}{incident_id}/" if incident_id else None
    first: dict[str, Any] = events[0] if events else {"eventId": None, "incidentKey": None, "outcome": "ignored"}
    return Answer(200, {"status": "ok", **first, "incidentUrl": url, "events": events})


@lru_cache(maxsize=8)
def _incidents_page(public_url: str) -> str:
    """Return where incidents are, once: making a URL from its name takes longer than all the rest of an answer."""
    return absolute(reverse("incident-list"))
