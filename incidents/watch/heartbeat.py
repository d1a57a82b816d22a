"""The outgoing heartbeat: an outside watchdog that stops hearing it tells somebody that this installation is dead."""

import logging
from datetime import datetime

from django.conf import settings

from ilert.common import http
from incidents.watch.models import Audit

logger = logging.getLogger(__name__)


def beat(now: datetime) -> None:
    """Call the watchdog, and keep what it answered for the system page."""
    url = settings.ILERT_HEARTBEAT_URL
    if not url:
        return
    try:
        answer = f"HTTP {http.get_own(url).status}"
    except http.OutboundError as error:
        answer = str(error)
        logger.error("the heartbeat could not be sent: %s", error)
    Audit.objects.filter(pk=1).update(heartbeat_at=now, heartbeat_answer=answer)


def hold_back(now: datetime) -> None:
    """Note that the watchdog is not called, so that it notices."""
    if settings.ILERT_HEARTBEAT_URL:
        Audit.objects.filter(pk=1).update(heartbeat_answer="Held back while something grave is open.")
