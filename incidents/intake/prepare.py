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
_ANY_KEY_BYTES = re.compile(rb"il1[a-z]{3}[2-9a-hjkmnp-z]{28}", re.IGNORECASE)
# Texts may have been shortened in the middle of one.
_CUT_KEY = re.compile(r"il1[a-z]{3}[2-9a-hjkmnp-z]{8,28}", re.IGNORECASE)
# Letters, digits and what else a key, a token or a URL is made of. A quote or a backslash stays as it is.
_ESCAPED_ASCII = re.compile(rb"\\u00(2[d-f]|3[0-9a]|4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9ae])", re.IGNORECASE)
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
    body = _plain(body)
    body = _ANY_KEY_BYTES.sub(REDACTED.encode(), body)
    for secret in secrets:
        for spelling in _spellings(secret):
            body = body.replace(spelling.encode("utf-8", "replace"), REDACTED.encode())
    return body


def redact_text(text: str, secrets: list[str]) -> str:
    """Return `text` fit to be stored and without secrets. A cut off key is none any more, but goes all the same."""
    text = _CUT_KEY.sub(REDACTED, clean(text))
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    return text


def _plain(body: bytes) -> bytes:
    """Return `body` as UTF-8 with its letters unescaped: no spelling may carry a secret past the search for it."""
    encoding = json.detect_encoding(body)
    if not encoding.startswith("utf-8"):
        body = body.decode(encoding, "replace").encode("utf-8", "replace")
    return _ESCAPED_ASCII.sub(lambda found: bytes([int(found[1], 16)]), body)


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
        return redact_text(value, secrets)

    return Event(
        type=event.type,
        summary=text(event.summary),
        key=text(event.key),
        details=text(event.details),
        scope=text(event.scope),
        priority=event.priority,
        links=tuple(type(link)(text(link.label), text(link.url)) for link in event.links),
        labels={text(name): text(value) for name, value in event.labels.items()},
        fields={text(name): text(value) for name, value in clean_deep(event.fields).items()},
        occurred_at=event.occurred_at,
    )
