"""The ways to reach a person. A new channel is one file here and one line in `ALL`."""

from notifications.channels.base import Channel, DeliveryError, Link, Message, OnlyShown, PermanentError, TemporaryError
from notifications.channels.email import Email
from notifications.channels.ntfy import Ntfy
from notifications.channels.webhook import Webhook

__all__ = [
    "ALL",
    "Channel",
    "DeliveryError",
    "Link",
    "Message",
    "OnlyShown",
    "PermanentError",
    "TemporaryError",
    "choices",
    "get",
]

ALL: dict[str, Channel] = {channel.slug: channel for channel in (Email(), Ntfy(), Webhook())}


def get(slug: str) -> Channel:
    """Return the channel called `slug`; KeyError if there is none."""
    return ALL[slug]


def choices() -> list[tuple[str, str]]:
    """Return (slug, name) of every channel, for a model field."""
    return [(channel.slug, channel.name) for channel in ALL.values()]
