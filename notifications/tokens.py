"""Signed links in messages: whoever holds the message may act, without signing in. Nothing of it is stored."""

import uuid
from dataclasses import dataclass
from datetime import timedelta

from django.core import signing

MAX_AGE = timedelta(days=7)
_SALT = "notifications.link"


@dataclass(frozen=True)
class Ticket:
    """What a link proves: this message was sent to this person, who had this access then (`User.access_mark`)."""

    notification_id: uuid.UUID
    user_id: int
    access: str = ""


def sign(ticket: Ticket) -> str:
    """Return a token that is good for `MAX_AGE`: an HMAC of message, person and time."""
    value = f"{ticket.notification_id.hex}-{ticket.user_id}" + (f"-{ticket.access}" if ticket.access else "")
    return signing.TimestampSigner(salt=_SALT, sep="~").sign(value)


def read(token: str) -> Ticket | None:
    """Return what `token` proves, or None when it is forged or too old."""
    try:
        value = signing.TimestampSigner(salt=_SALT, sep="~").unsign(token, max_age=MAX_AGE)
        notification_id, user_id, *access = value.split("-")
        return Ticket(uuid.UUID(notification_id), int(user_id), "".join(access))
    except (signing.BadSignature, ValueError):
        return None
