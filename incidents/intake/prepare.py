"""From bytes to events that are fit to be stored. Pure: no database, no clock."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

from alertsources.models import AlertSource
from ilert.common.text import clean, clean_deep
from integrations import Event, Payload

REDACTED = "[removed]"
# An integration key as alertsources.keys makes them, wherever a tool puts it.
_ANY_KEY = re.compile(r"il1[a-z]{3}[2-9a-hjkmnp-z]{28}", re.IGNORECASE)
_ANY_KEY_BYTES = re.compile(_ANY_KEY.pattern.encode(), re.IGNORECASE)
# Shorter values would redact half of the text; no tool's token is as short.
MIN_SECRET = 6


@dataclass(frozen=True)
class Prepared:
    """A request ready to be applied: its events, and its body as it may be stored."""

    events: tuple[Event, ...]
    body: bytes
    content_type: str


def prepare(source: AlertSource, payload: Payload) -> Prepared:
    """Read a request with the source's adapter, and take out what must not be stored. Raises PayloadError."""
    events = source.integration.parse(payload)
    secrets = secrets_in(source, payload, events)
    return Prepared(
        events=tuple(_cleaned(event, secrets) for event in events),
        body=redact_body(raw(payload), secrets),
        content_type=clean(payload.content_type)[:255],
    )


def raw(payload: Payload) -> bytes:
    """Return what a request said: its body, or its query string when there is none."""
    return payload.body or payload.query.encode("utf-8", "replace")


def redact_body(body: bytes, secrets: list[str]) -> bytes:
    """Return `body` without `secrets` and without anything that looks like an integration key."""
    body = _ANY_KEY_BYTES.sub(REDACTED.encode(), body)
    for secret in secrets:
        for spelling in _spellings(secret):
            body = body.replace(spelling.encode("utf-8", "replace"), REDACTED.encode())
    return body


def _spellings(secret: str) -> set[str]:
    """Return how a text may look in a body: plain, inside JSON, inside a form or a query."""
    return {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret, safe=""),
        quote_plus(secret),
    }


def secrets_in(source: AlertSource, payload: Payload, events: Sequence[Event] = ()) -> list[str]:
    """Return what must not be stored of a request: the source's key, and what the tool is known to send of its own.

    Both as it stands in the body and as it was read from there, which differ when it was escaped.
    """
    integration = source.integration
    read = {event.fields.get(name, "") for event in events for name in integration.secret_fields}
    own = {value for value in integration.secrets(payload) | read if len(value) >= MIN_SECRET}
    # The longest first, as one may be a part of another.
    return sorted([source.integration_key, *own], key=len, reverse=True)


def _cleaned(event: Event, secrets: list[str]) -> Event:
    def text(value: str) -> str:
        value = _ANY_KEY.sub(REDACTED, clean(value))
        for secret in secrets:
            value = value.replace(secret, REDACTED)
        return value

    return Event(
        type=event.type,
        summary=text(event.summary),
        key=text(event.key),
        details=text(event.details),
        scope=text(event.scope),
        priority=event.priority,
        links=tuple(type(link)(text(link.label), text(link.url)) for link in event.links),
        fields={text(name): text(value) for name, value in clean_deep(event.fields).items()},
        occurred_at=event.occurred_at,
    )
