"""The core of the front door: bytes in, an answer of the contract out. The doors in front of it are thin."""

import logging
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import OperationalError
from django.urls import reverse

import integrations
from alertsources.models import AlertSource
from alertsources.services import find_by_key
from ilert.common.clock import database_now
from ilert.common.links import absolute
from ilert.common.text import clean
from incidents.engine.bell import bell
from incidents.intake.apply import Applied, SourceGone, apply, record_rejected
from incidents.intake.prepare import prepare, raw, redact_body, redact_text, secrets_in
from incidents.models import Outcome
from integrations import Integration, Payload, PayloadError

logger = logging.getLogger(__name__)

RETRY_AFTER = {"Retry-After": "5"}
# Serialization failure, deadlock: the database undid one of two so that both can go on.
WORTH_TRYING_AGAIN = ("40001", "40P01")
TRIES = 3


@dataclass(frozen=True)
class Answer:
    """What a tool is told: an HTTP status, a JSON object, and headers."""

    status: int
    content: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


def error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Answer:
    """Return an error as the contract spells it."""
    return Answer(status, {"status": status, "message": message, "code": code}, headers or {})


def receive(slug: str, key: str, method: str, payload: Payload) -> Answer:
    """Take a request of a tool. An answer of 200 means that it is committed; a fault of ours is a 503, never a 4xx."""
    integration = integrations.get(slug)
    if integration is None:
        known = ", ".join(known.slug for known in integrations.ALL)
        return error(404, "UNKNOWN_INTEGRATION", f"There is no integration “{clean(slug)[:80]}”. Known: {known}.")
    if method not in integration.methods:
        allowed = ", ".join(integration.methods)
        return error(405, "METHOD_NOT_ALLOWED", f"{integration.name} sends {allowed}.", {"Allow": allowed})
    if len(payload.body) > settings.ILERT_MAX_BODY:
        return too_large()
    for _ in range(TRIES):
        try:
            return _receive(integration, key, payload)
        except OperationalError as problem:
            logger.error("an event could not be committed: %s", problem)
            if getattr(problem.__cause__, "sqlstate", None) not in WORTH_TRYING_AGAIN:
                break
        except Exception:
            logger.exception("an event could not be applied")
            break
    return error(503, "UNAVAILABLE", "The event could not be stored now. Send it again.", RETRY_AFTER)


def receive_with_key_inside(method: str, payload: Payload) -> Answer:
    """Take a request whose integration key is a field of its body, as iLert's events API has it."""
    integration = next(one for one in integrations.ALL if one.key_fields)
    if method not in integration.methods:
        return receive(integration.slug, "", method, payload)
    try:
        fields = payload.fields()
        key = next((key for name in integration.key_fields if (key := fields.text(name))), "")
    except PayloadError as problem:
        return error(400, "BAD_PAYLOAD", str(problem))
    if not key:
        names = " or ".join(f"“{name}”" for name in integration.key_fields)
        return error(400, "BAD_PAYLOAD", f"The integration key is missing: put it into the field {names}.")
    return receive(integration.slug, key, method, payload)


def too_large() -> Answer:
    return error(413, "BODY_TOO_LARGE", f"The body is larger than {settings.ILERT_MAX_BODY} bytes (ILERT_MAX_BODY).")


def _receive(integration: Integration, key: str, payload: Payload) -> Answer:
    source = find_by_key(key)
    if source is None or not source.active:
        return _unknown_key()
    if source.integration_type != integration.type:
        right = f"/api/v1/events/{source.integration.slug}/…"
        return error(404, "WRONG_INTEGRATION", f"This key belongs to {source.integration.name}: post to {right}")
    try:
        prepared = prepare(source, payload)
    except PayloadError as problem:
        return _reject(source, payload, str(problem))
    try:
        applied = apply(source, prepared, database_now())
    except SourceGone:
        return _unknown_key()
    if any(one.outcome != Outcome.APPENDED for one in applied):
        bell.ring()
    if integration.refuses_unmatched and applied and applied[0].code:
        return error(400, applied[0].code, applied[0].reason)
    return _stored(applied)


def _unknown_key() -> Answer:
    return error(
        404, "UNKNOWN_KEY", "The key in the URL is unknown or was revoked. Copy the URL from the alert source."
    )


def _reject(source: AlertSource, payload: Payload, reason: str) -> Answer:
    secrets = secrets_in(source, payload)
    body = redact_body(raw(payload), secrets)
    reason = redact_text(reason, secrets)
    record_rejected(source, body, clean(payload.content_type)[:255], clean(reason), database_now())
    return error(400, "BAD_PAYLOAD", reason)


def _stored(applied: list[Applied]) -> Answer:
    events = [
        {"eventId": one.event_id, "incidentKey": one.incident_key, "outcome": one.outcome.value} for one in applied
    ]
    incident_id = applied[0].incident_id if applied else None
    url = absolute(reverse("incident-detail", args=[incident_id])) if incident_id else None
    first: dict[str, Any] = events[0] if events else {"eventId": None, "incidentKey": None, "outcome": "ignored"}
    return Answer(200, {"status": "ok", **first, "incidentUrl": url, "events": events})
