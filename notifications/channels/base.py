"""What every channel has in common: a message goes in, the provider's answer or a delivery error comes out."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from notifications.channels.forms import AddressForm


@dataclass(frozen=True)
class Link:
    """Something that the reader of a message can open."""

    label: str
    url: str


@dataclass(frozen=True)
class Message:
    """What a person is told, before a channel gives it its form.

    `id` is the notification's id: it stays the same when a message has to be sent again, so that a receiver can tell
    a repeat. `accept` leads to a page that asks before it changes anything; `accept_now` takes a POST and needs no
    page. `data` is what a program that receives the message gets to read.
    """

    id: str
    title: str
    text: str
    urgent: bool = False
    link: Link | None = None
    accept: Link | None = None
    accept_now: Link | None = None
    data: dict[str, Any] = field(default_factory=dict)


class OnlyShown(str):
    """An answer that a channel gives itself: nobody took the message, it can only be looked at here."""


class DeliveryError(Exception):
    """A provider did not take a message; the text says what it answered."""

    permanent = False

    def __init__(self, answer: str, retry_after: float | None = None) -> None:
        super().__init__(answer)
        self.answer = answer
        self.retry_after = retry_after


class TemporaryError(DeliveryError):
    """Trying again later may work. `retry_after` is in seconds, when the provider named it."""


class PermanentError(DeliveryError):
    """Trying again cannot work: the address or the settings are wrong."""

    permanent = True


class Channel(ABC):
    """A way to reach a person. One channel is one file here and one line in `channels.ALL`."""

    slug: ClassVar[str]
    name: ClassVar[str]
    icon: ClassVar[str]
    """A Lucide icon name."""
    summary: ClassVar[str]
    """One sentence for whoever chooses a channel."""
    form_class: "ClassVar[type[AddressForm]]"
    """What the page asks for, and checks, before an address is stored."""
    wakes: ClassVar[bool] = False
    """Whether it is made to get a sleeping person's attention."""
    timeout: float = 8.0
    """Seconds that a send may take in all."""

    @abstractmethod
    def send(self, address: str, secret: str, message: Message) -> str:
        """Hand `message` to the provider within `timeout` and return the provider's answer in one line.

        Raises TemporaryError or PermanentError.
        """

    def provider(self, address: str) -> str:
        """Return the name of who takes messages for `address`: what fails or hangs there does so for all of them."""
        return self.slug

    def describe(self, address: str) -> str:
        """Return `address` as it may be shown to colleagues, without what would let them send or listen there."""
        return address

    def facts(self, address: str, secret: str) -> list[tuple[str, str]]:
        """Return (label, value) of what the owner of an address, and nobody else, gets to see of it again."""
        return []

    def obstacle(self) -> str:
        """Return a sentence on what keeps every message of this channel from arriving just now, or ""."""
        return ""

    def setup(self, form: "AddressForm") -> dict[str, Any]:
        """Return what `templates/notifications/channels/<slug>.html`, if there is one, shows beside the form."""
        return {}
