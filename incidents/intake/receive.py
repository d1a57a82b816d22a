"""The front door's whole way, for callers that wait: bytes in, an answer of the contract out."""

import logging

from django.conf import settings
from django.db import InterfaceError, InternalError, OperationalError

from alertsources.services import find_by_key
from incidents.intake import admission
from incidents.intake.answers import Answer, too_large, unavailable
from incidents.intake.commit import commit
from integrations import Integration, Payload

logger = logging.getLogger(__name__)


def receive(slug: str, key: str, method: str, payload: Payload) -> Answer:
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
        return _committed(integration, found, payload)
    except (OperationalError, InterfaceError, InternalError) as problem:
        logger.error("a key could not be looked up: %s", problem)
    except Exception:
        logger.exception("an event could not be read")
    return unavailable()


def _committed(integration: Integration, key: str, payload: Payload) -> Answer:
    source = find_by_key(key)
    refusal = admission.check(source, integration)
    if source is None or refusal:
        return refusal or unavailable()
    return commit([admission.read(source, payload)])[0]
