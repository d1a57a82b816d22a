"""The front door's whole way, for callers that wait: bytes in, an answer of the contract out."""

import logging

from django.conf import settings
from django.db import InterfaceError, InternalError, OperationalError

from alertsources.services import find_by_key
from incidents.intake import admission
from incidents.intake.answers import Answer, too_large, unavailable
from incidents.intake.commit import commit
from incidents.intake.limits import rates
from incidents.intake.unknown_keys import unknown_keys
from integrations import Integration, Payload

logger = logging.getLogger(__name__)


def receive(slug: str, key: str, method: str, payload: Payload, address: str = "") -> Answer:
    """Take a request of a tool; without a slug its key is a field of its body.

    An answer of 200 means that it is committed; a fault of ours is a 503, never a 4xx.
    """
    integration = admission.admit(slug, method)
    if isinstance(integration, Answer):
        return integration
    if len(payload.body) > settings.ILERT_MAX_BODY:
        return too_large()
    found = key if slug else admission.key_inside(integration, payload)
    if isinstance(found, Answer):
        return found
    try:
        return admission.look_up_allowed(address) or _committed(integration, found, payload, address)
    except (OperationalError, InterfaceError, InternalError) as problem:
        logger.error("a key could not be looked up: %s", problem)
    except Exception:
        logger.exception("an event could not be read")
    return unavailable()


def _committed(integration: Integration, key: str, payload: Payload, address: str) -> Answer:
    source = find_by_key(key)
    if source is None:
        unknown_keys.miss(address)
    refusal = admission.check(source, integration)
    if source is None or refusal:
        return refusal or unavailable()
    request = admission.read(source, payload)
    # Nothing waits in line here, so nothing is refused; the source's page says that it floods.
    rates.over(source.pk, request.size)
    return commit([request])[0]
