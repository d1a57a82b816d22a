"""Delivery as tests want it: by the thread of the test, at the moment that the story has come to."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from datetime import datetime
from typing import Any

from accounts.models import User
from alertsources.models import AlertSource
from ilert.common.clock import database_now
from incidents.engine import delivery, escalation
from incidents.intake.receive import receive
from integrations import Payload
from notifications.channels import Channel, Message
from notifications.models import ContactMethod, NotificationRule, Priority
from tests.payloads import payload


class Inline(Executor):
    """Does what it is given at once. It takes the place of a process's senders."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Recorder(Channel):
    """A channel that keeps what it is given, and fails on demand as a provider would. Its provider is the address."""

    slug, name, icon = "recorder", "Recorder", "circle"

    def __init__(self) -> None:
        self.sent: list[tuple[str, Message]] = []
        self.behaviour: Callable[[], None] = lambda: None

    def provider(self, address: str) -> str:
        return f"{self.slug}:{address}"

    def send(self, address: str, secret: str, message: Message) -> str:
        self.sent.append((address, message))
        self.behaviour()
        return f"taken as {len(self.sent)}"

    @property
    def addresses(self) -> list[str]:
        return [address for address, _ in self.sent]


def add_method(user: User, address: str, delay_minutes: int = 0, priority: str = Priority.HIGH) -> ContactMethod:
    method = ContactMethod.objects.create(user=user, channel="recorder", address=address, verified_at=database_now())
    NotificationRule.objects.create(user=user, contact_method=method, priority=priority, delay_minutes=delay_minutes)
    return method


def alert(source: AlertSource, count: int = 1, name: str = "web") -> None:
    """Let a tool report `count` problems."""
    for number in range(count):
        body = payload("sematext", "alert", description=f"disk of {name}-{number} full")
        assert receive("sematext", source.integration_key, "POST", Payload(body)).status == 200


def ask(source: AlertSource, count: int = 1, name: str = "web") -> None:
    """Let a tool report problems, and ask the first level."""
    alert(source, count, name)
    escalation.escalate_due(database_now)


def deliver(moment: datetime | None = None) -> int:
    """Send what is due, now or at `moment`."""
    return delivery.deliver_due(clock=(lambda: moment) if moment else database_now)
