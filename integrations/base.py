"""What an adapter is, and what it makes of a payload."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from integrations.payload import Payload, PayloadError

__all__ = ["Event", "EventType", "Integration", "Link", "PayloadError", "Priority"]


class EventType(StrEnum):
    ALERT = "ALERT"
    ACCEPT = "ACCEPT"
    RESOLVE = "RESOLVE"
    TEST = "TEST"
    """The tool only tries whether it can reach us. Recorded and shown; pages nobody."""


class Priority(StrEnum):
    HIGH = "HIGH"
    LOW = "LOW"


@dataclass(frozen=True)
class Link:
    """A page of the tool's that belongs to an event."""

    label: str
    url: str


@dataclass(frozen=True)
class Event:
    """One message of a tool in the product's own words.

    `key` is what makes two events the same incident, compared without case. `scope` is a coarser key, for tools
    whose recovery cannot always name its alert: it is tried when `key` never had an incident. `fields` is what the
    tool sent, readable, in its order. `priority` is None when the tool does not say.
    """

    type: EventType
    summary: str
    key: str
    details: str = ""
    scope: str = ""
    priority: Priority | None = None
    links: tuple[Link, ...] = ()
    fields: dict[str, str] = field(default_factory=dict)
    occurred_at: datetime | None = None


class Integration(ABC):
    """A kind of tool: how it is called, what it can do, and how its payloads are read.

    An adapter is pure: bytes in, events out. It knows neither database nor settings.
    """

    type: ClassVar[str]
    """iLert's name for the kind of tool, such as SEMATEXT."""
    slug: ClassVar[str]
    """Its place in the webhook URL."""
    name: ClassVar[str]
    description: ClassVar[str]
    """One line for the gallery."""
    category: ClassVar[str]
    icon: ClassVar[str]
    """A Lucide icon name."""
    key_infix: ClassVar[str]
    """Three letters in the integration keys of this kind."""
    methods: ClassVar[tuple[str, ...]] = ("POST",)
    """What the tool's requests may be."""
    resolves: ClassVar[bool]
    """Whether the tool says by itself that a problem is over."""
    secret_fields: ClassVar[tuple[str, ...]] = ()
    """Fields that hold a secret of the tool's; their values are never stored."""

    @abstractmethod
    def parse(self, payload: Payload) -> list[Event]:
        """Return the events in `payload`; PayloadError names what cannot be understood."""
