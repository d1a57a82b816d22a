"""Signed links in messages: whoever holds the message may act, without signing in. Nothing of it is stored."""

import uuid
from dataclasses import dataclass
from datetime import timedelta

from django.core import signing

MAX_AGE = timedelta(days=7)
_SALT = "notifications.link"


@dataclass(frozen=True)
class Ticket:
    """What a link proves: this message was sent to this person."""

    notification_id: uuid.UUID
    user_id: int


def sign(ticket: Ticket) -> str:
    """Return a token that is good for `MAX_AGE`: an HMAC of message, person and time."""
    return signing.TimestampSigner(salt=_SALT, sep="~").sign(f"{ticket.notification_id.hex}-{ticket.user_id}")


def read(token: str) -> Ticket | None:
    """Return what `token` proves, or None when it is forged or too old."""
    try:
        value = signing.TimestampSigner(salt=_SALT, sep="~").unsign(token, max_age=MAX_AGE)
        notification_id, _, user_id = value.partition("-")
        return Ticket(uuid.UUID(notification_id), int(user_id))
    except (signing.BadSignature, ValueError):
        return None
