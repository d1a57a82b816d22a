"""One message on its way to its provider. This is what the threads do; none of it touches the database."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

from notifications.channels import DeliveryError, Message, TemporaryError
from notifications.models import Notification
from notifications.outbox import LEASE
from notifications.outcomes import Result

logger = logging.getLogger(__name__)

# A message that has not been begun so long after its claim is somebody else's soon: a send takes up to 8 s.
CLAIM_AGE = LEASE.total_seconds() - 9
# A message whose incident was looked at longer ago than this is looked at again.
LOOK_AGE = 0.8


@dataclass(frozen=True)
class Outgoing:
    """A message on its way to its provider.

    On the monotonic clock: `claimed` is when its lease began, `looked` when its incident was looked at.
    """

    notification: Notification
    message: Message
    started_at: datetime
    claimed: float
    looked: float


def send(outgoing: Outgoing) -> Result | None:
    """Hand one message to its provider. None when its claim or the look at its incident has become too old."""
    started = monotonic()
    if started - outgoing.looked > LOOK_AGE or started - outgoing.claimed > CLAIM_AGE:
        return None
    answer, error = "", None
    try:
        answer = _hand_over(outgoing)
    except DeliveryError as caught:
        error = caught
    started_at = outgoing.started_at + timedelta(seconds=started - outgoing.looked)
    finished_at = started_at + timedelta(seconds=monotonic() - started)
    return Result(outgoing.notification, started_at, finished_at, answer, error)


def _hand_over(outgoing: Outgoing) -> str:
    method = outgoing.notification.contact_method
    assert method is not None
    try:
        return method.channel_type.send(method.address, method.secret, outgoing.message)
    except DeliveryError as error:
        logger.warning(
            "notification %s by %s failed: %s", outgoing.notification.pk, outgoing.notification.channel, error.answer
        )
        raise
    except Exception as error:
        # A bug of a channel must not stop the message: it is tried again, and the log has the traceback.
        logger.exception("channel %s failed", outgoing.notification.channel)
        raise TemporaryError(f"Our own fault in the channel: {type(error).__name__}") from error
