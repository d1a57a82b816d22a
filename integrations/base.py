"""What an adapter is, and what it makes of a payload."""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cache, lru_cache
from typing import ClassVar
from urllib.parse import unquote, unquote_plus, urlsplit

from integrations.payload import Payload, PayloadError, one_line

__all__ = [
    "Event",
    "EventType",
    "Grouping",
    "Integration",
    "Link",
    "PayloadError",
    "Priority",
    "links",
    "priority_of",
]

MAX_URL = 2000
MAX_LABEL = 100
# Our own events paths: a tool that sends its webhook's URL back sends the integration key with it.
_OUR_DOOR = re.compile(r"/api/(?:v\d+/)?events(?:/|$)", re.IGNORECASE)
_NOT_IN_A_URL = re.compile(r"[\s\x00-\x20\x7f-\x9f<>\"\\^`{|}\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class EventType(StrEnum):
    ALERT = "ALERT"
    ACCEPT = "ACCEPT"
    RESOLVE = "RESOLVE"
    COMMENT = "COMMENT"
    """Something to know about an incident. It changes no state."""
    TEST = "TEST"
    """The tool only tries whether it can reach us. Recorded and shown; pages nobody."""


class Priority(StrEnum):
    HIGH = "HIGH"
    LOW = "LOW"


class Grouping(StrEnum):
    """What becomes one incident."""

    KEY = "key"
    """One incident for each key."""
    EVENT = "event"
    """Each ALERT is an incident of its own."""
    ONE_OPEN = "one_open"
    """One open incident at a time; everything else belongs to it."""


@dataclass(frozen=True)
class Link:
    """A page of the tool's that belongs to an event."""

    label: str
    url: str


@dataclass(frozen=True)
class Event:
    """One message of a tool in the product's own words.

    `key` is what makes two events the same incident, compared without case; an ALERT without a key is an incident of
    its own. `scope` is a coarser key, for tools whose recovery cannot always name its alert: it is tried when `key`
    never had an incident. `details` is Markdown. `fields` is what the tool sent, readable. `priority`
    is None when the tool does not say.
    """

    type: EventType
    summary: str
    key: str
    details: str = ""
    scope: str = ""
    priority: Priority | None = None
    links: tuple[Link, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
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
    resolves_note: ClassVar[str] = ""
    """A few words for pages, where “resolves by itself” or “people resolve its incidents” would not be the truth."""
    grouping: ClassVar[Grouping] = Grouping.KEY
    """What a new source of this kind starts with."""
    key_fields: ClassVar[tuple[str, ...]] = ()
    """Fields of the body that may hold the integration key, for requests whose URL has none."""
    refuses_unmatched: ClassVar[bool] = False
    """Whether the tool wants a 400 with a code for an ACCEPT or RESOLVE that changes nothing."""
    secret_fields: ClassVar[tuple[str, ...]] = ()
    """Fields that hold a secret of the tool's; their values are never stored."""

    @abstractmethod
    def parse(self, payload: Payload) -> list[Event]:
        """Return the events in `payload`; PayloadError names what cannot be understood."""

    def secrets(self, payload: Payload) -> set[str]:
        """Return what stands in `secret_fields`, also in a request that cannot be understood or names one twice."""
        try:
            text = payload.text
        except PayloadError:
            text = payload.body.decode("utf-8", "replace")
        if payload.query:
            text = f"{text}\n{payload.query}\n{unquote(payload.query)}"
        found: set[str] = set()
        for name in self.secret_fields:
            for value in _values_of(name, text):
                found |= {value, unquote_plus(value)}
        return found - {""}


# A tool sends the same few addresses again and again.
@lru_cache(maxsize=1000)
def links(*pairs: tuple[str, str]) -> tuple[Link, ...]:
    """Return links made of (label, URL), without those that are no web pages, or that are our own webhook URL."""
    made = (Link(one_line(label, MAX_LABEL) or _host(url), url) for label, url in pairs if is_web_page(url))
    return tuple(dict.fromkeys(made))


def is_web_page(url: str) -> bool:
    """Whether `url` may be shown as a link: http or https, a host, and nothing that a browser would rewrite."""
    if not url or len(url) > MAX_URL or _NOT_IN_A_URL.search(url) or _OUR_DOOR.search(unquote(url)):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


_PRIORITIES = {
    **dict.fromkeys(("critical", "crit", "fatal", "emergency", "page", "high", "error"), Priority.HIGH),
    **dict.fromkeys(("p1", "p2", "sev1", "sev2", "1", "2"), Priority.HIGH),
    **dict.fromkeys(("info", "information", "informational", "low", "none", "debug"), Priority.LOW),
    **dict.fromkeys(("p3", "p4", "p5", "sev3", "sev4", "sev5", "3", "4", "5"), Priority.LOW),
}


def priority_of(word: str) -> Priority | None:
    """Return what a tool's word for a severity means; None (the source's own priority) for any other word."""
    return _PRIORITIES.get(word.strip().lower())


def _host(url: str) -> str:
    return one_line(urlsplit(url).hostname or url, MAX_LABEL)


def _values_of(name: str, text: str) -> list[str]:
    """Return what follows a field's name in JSON, a form or a query, however the name is spelt: `apiKey`, `api_key`."""
    words, pattern = _words_and_pattern(name)
    # Beyond ASCII there are letters that are the same as others but for their case and yet have no lower case.
    if text.isascii():
        lowered = text.lower()
        for word in words:
            if word not in lowered:
                return []
    return [quoted or bare for quoted, bare in pattern.findall(text)]


@cache
def _words_and_pattern(name: str) -> tuple[list[str], re.Pattern[str]]:
    """Return the words of a field's name, and what finds its values."""
    spelling = re.sub("(?<=[a-z])(?=[A-Z])", "[_-]?", name)
    # Bounded, and without a need for the closing quote: the time grows with the text and not faster.
    pattern = (
        rf"""{spelling}\\*["']?\s{{0,9}}[:=]\s{{0,9}}(?:\\*"((?:[^"\\]|\\.){{1,2000}})|([^&,}}\s"\\]{{1,2000}}))"""
    )
    return spelling.lower().split("[_-]?"), re.compile(pattern, re.IGNORECASE)
