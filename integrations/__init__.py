"""Adapters: what tools send goes in, events come out. A new one is its file and one line in `ALL`."""

from integrations.api import Api
from integrations.base import Event, EventType, Grouping, Integration, Link, Priority
from integrations.eswatcher import ElasticsearchWatcher
from integrations.payload import Payload, PayloadError
from integrations.prometheus import Prometheus
from integrations.sematext import Sematext

__all__ = [
    "ALL",
    "Event",
    "EventType",
    "Grouping",
    "Integration",
    "Link",
    "Payload",
    "PayloadError",
    "Priority",
    "by_type",
    "choices",
    "get",
]

ALL: tuple[Integration, ...] = (
    Sematext(),
    ElasticsearchWatcher(),
    Prometheus(),
    Api(),
)


def get(slug: str) -> Integration | None:
    """Return the integration whose webhook URLs contain `slug`."""
    return next((integration for integration in ALL if integration.slug == slug), None)


def by_type(integration_type: str) -> Integration:
    """Return the integration that iLert calls `integration_type`; KeyError if there is none."""
    for integration in ALL:
        if integration.type == integration_type:
            return integration
    raise KeyError(integration_type)


def choices() -> list[tuple[str, str]]:
    """Return (type, name) of every integration, for a model field."""
    return [(integration.type, integration.name) for integration in ALL]
