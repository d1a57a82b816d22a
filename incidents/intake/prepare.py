"""From bytes to events that are fit to be stored. Pure: no database, no clock."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, quote_plus

from alertsources.models import AlertSource
from ilert.common.text import clean, clean_deep
from integrations import Event, Integration, Payload
from integrations.payload import encoding_of

REDACTED = "[removed]"
# An integration key as alertsources.keys makes them, wherever a tool puts it.
_ANY_KEY_BYTES = re.compile(rb"il1[a-z]{3}[2-9a-hjkmnp-z]{28}", re.IGNORECASE)
# Texts may have been shortened in the middle of one.
_CUT_KEY = re.compile(r"il1[a-z]{3}[2-9a-hjkmnp-z]{8,28}", re.IGNORECASE)
# Letters, digits and what else a key, a token or a URL is made of. A quote or a backslash stays as it is.
_ESCAPED_ASCII = re.compile(rb"\\u00(2[d-f]|3[0-9a]|4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9ae])", re.IGNORECASE)
# Shorter values would redact half of the text; no tool's token is as short.
MIN_SECRET = 6
MAX_REPEATED = 4096
"""Bytes of a body up to which it is worth while to remember what was made of it."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request ready to be applied: its events, and its body as it may be stored.

    `rejected` says why it could not be understood; it has no events then.
    """

    events: tuple[Event, ...]
    body: bytes
    content_type: str
    rejected: str = ""


def prepare(source: AlertSource, payload: Payload) -> Prepared:
    """Read a request with the source's adapter, and take out what must not be stored. Raises PayloadError."""
    if len(payload.body) + len(payload.query) > MAX_REPEATED:
        return _prepare(source.integration, source.integration_key, payload)
    return _prepare_repeated(source.integration, source.integration_key, payload)


def _prepare(integration: Integration, integration_key: str, payload: Payload) -> Prepared:
    events = integration.parse(payload)
    secrets = _secrets_in(integration, integration_key, payload, events)
    return Prepared(
        events=tuple(_cleaned(event, secrets) for event in events),
        body=redact_body(_raw(payload), secrets),
        content_type=_content_type(payload),
    )


# What floods is mostly one message again and again, from a loop or a flapping check.
_prepare_repeated = lru_cache(maxsize=64)(_prepare)


def prepare_rejected(source: AlertSource, payload: Payload, reason: str) -> Prepared:
    """Make ready what is kept of a request that could not be understood."""
    secrets = _secrets_in(source.integration, source.integration_key, payload)
    return Prepared(
        events=(),
        body=redact_body(_raw(payload), secrets),
        content_type=_content_type(payload),
        rejected=redact_text(reason, secrets),
    )


def _raw(payload: Payload) -> bytes:
    """Return what a request said: its body, or its query string when there is none."""
    return payload.body or payload.query.encode("utf-8", "replace")


def _content_type(payload: Payload) -> str:
    return clean(payload.content_type)[:255]


def redact_body(body: bytes, secrets: Sequence[str]) -> bytes:
    """Return `body` without `secrets` and without anything that looks like an integration key."""
    body = _plain(body)
    # Most bodies hold no key; looking for its beginning first costs a tenth of the search for the whole.
    if b"il1" in body.lower():
        body = _ANY_KEY_BYTES.sub(REDACTED.encode(), body)
    for secret in secrets:
        for spelling in _spellings(secret):
            body = body.replace(spelling, REDACTED.encode())
    return body


def redact_text(text: str, secrets: Sequence[str]) -> str:
    """Return `text` fit to be stored and without secrets. A cut off key is none any more, but goes all the same."""
    text = _CUT_KEY.sub(REDACTED, clean(text))
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    return text


def _is_harmless(text: str, secrets: Sequence[str]) -> bool:
    """Whether `redact_text` would surely change nothing. Not being sure costs time and nothing else."""
    return (
        text.isascii()
        and "\x00" not in text
        and "il1" not in text.lower()
        and not any(secret in text for secret in secrets)
    )


def _plain(body: bytes) -> bytes:
    """Return `body` as UTF-8 with its letters unescaped: no spelling may carry a secret past the search for it."""
    encoding = encoding_of(body)
    if not encoding.startswith("utf-8"):
        body = body.decode(encoding, "replace").encode("utf-8", "replace")
    if b"\\" not in body:
        return body
    return _ESCAPED_ASCII.sub(lambda found: bytes([int(found[1], 16)]), body)


@lru_cache(maxsize=1000)
def _spellings(secret: str) -> tuple[bytes, ...]:
    """Return how a text may look in a body: plain, inside JSON, inside a form or a query."""
    spellings = {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret, safe=""),
        quote_plus(secret),
    }
    return tuple(spelling.encode("utf-8", "replace") for spelling in spellings)


def _secrets_in(
    integration: Integration, integration_key: str, payload: Payload, events: Sequence[Event] = ()
) -> Sequence[str]:
    """Return what must not be stored of a request: the source's key, and what the tool is known to send of its own.

    Both as it stands in the body and as it was read from there, which differ when it was escaped.
    """
    if not integration.secret_fields:
        return (integration_key,)
    own = integration.secrets(payload)
    for event in events:
        for name in integration.secret_fields:
            if value := event.fields.get(name):
                own.add(value)
    # The longest first, as one may be a part of another.
    return sorted([integration_key, *(value for value in own if len(value) >= MIN_SECRET)], key=len, reverse=True)


def _cleaned(event: Event, secrets: Sequence[str]) -> Event:
    if _is_harmless("\n".join(_texts(event)), secrets):
        return event

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


def _texts(event: Event) -> list[str]:
    """Return every text of an event."""
    texts = [event.summary, event.key, event.details, event.scope]
    for link in event.links:
        texts += (link.label, link.url)
    for pairs in (event.labels, event.fields):
        texts += pairs
        texts += pairs.values()
    return texts
