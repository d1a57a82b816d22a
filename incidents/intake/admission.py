"""Whether a request may come in, and what is read from it. No database here."""

from django.conf import settings

import integrations
from alertsources.models import AlertSource
from ilert.common.text import clean
from incidents.intake import body
from incidents.intake.answers import Answer, error, too_large, too_many_unknown_keys, unknown_key
from incidents.intake.batch import Request
from incidents.intake.prepare import prepare, prepare_rejected
from incidents.intake.unknown_keys import unknown_keys
from integrations import Integration, Payload, PayloadError


def admit(slug: str, method: str) -> Integration | Answer:
    """Return the integration that a request is for, by what is known before its body. No slug means the events API."""
    integration = integrations.get(slug) if slug else with_key_inside()
    if integration is None:
        known = ", ".join(known.slug for known in integrations.ALL)
        return error(404, "UNKNOWN_INTEGRATION", f"There is no integration “{clean(slug)[:80]}”. Known: {known}.")
    if method not in integration.methods:
        allowed = ", ".join(integration.methods)
        return error(405, "METHOD_NOT_ALLOWED", f"{integration.name} sends {allowed}.", {"Allow": allowed})
    return integration


def with_key_inside() -> Integration:
    """Return the integration of requests whose key is a field of the body, as iLert's events API has it."""
    return next(one for one in integrations.ALL if one.key_fields)


def decoded(raw: bytes, encoding: str) -> bytes | Answer:
    """Return a body without what its Content-Encoding says."""
    try:
        return body.decoded(raw, encoding, settings.ILERT_MAX_BODY)
    except body.TooLarge:
        return too_large()
    except body.UnknownEncoding as problem:
        return error(415, "UNKNOWN_ENCODING", str(problem))
    except body.Broken as problem:
        return error(400, "BAD_ENCODING", str(problem))


def look_up_allowed(address: str) -> Answer | None:
    """Return why an address may not try another key that is not known, if it may not."""
    wait = unknown_keys.blocked(address)
    return too_many_unknown_keys(wait) if wait else None


def key_inside(integration: Integration, payload: Payload) -> str | Answer:
    """Return the integration key in a body."""
    try:
        fields = payload.fields()
        key = next((key for name in integration.key_fields if (key := fields.text(name))), "")
    except PayloadError as problem:
        return error(400, "BAD_PAYLOAD", str(problem))
    if not key:
        names = " or ".join(f"“{name}”" for name in integration.key_fields)
        return error(400, "BAD_PAYLOAD", f"The integration key is missing: put it into the field {names}.")
    return key


def check(source: AlertSource | None, integration: Integration) -> Answer | None:
    """Return why a source may not take a request of `integration`, if there is a reason."""
    if source is None or not source.active:
        return unknown_key()
    if source.integration_type != integration.type:
        right = f"/api/v1/events/{source.integration.slug}/…"
        return error(404, "WRONG_INTEGRATION", f"This key belongs to {source.integration.name}: post to {right}")
    return None


def read(source: AlertSource, payload: Payload) -> Request:
    """Read a body; what cannot be understood becomes a request that is kept, as rejected or failed."""
    try:
        return Request(source, prepare(source, payload))
    except PayloadError as problem:
        return Request(source, prepare_rejected(source, payload, str(problem)))
    except Exception as fault:
        # An adapter must not do this. What came is kept, and read when the adapter has been mended.
        return Request(source, prepare_rejected(source, payload, ""), fault)
