"""A batch of requests as it is applied: its events one by one, where each belongs, and in which order. Pure."""

import hashlib
import os
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from alertsources.models import AlertSource, Grouping
from incidents.intake.prepare import Prepared
from incidents.models import Outcome
from integrations import Event, EventType

ONE_OPEN_KEY = "one open incident"


@dataclass(frozen=True, slots=True)
class Request:
    """What a tool sent, ready to be applied; or the fault of ours that has kept it from being read."""

    source: AlertSource
    prepared: Prepared
    fault: Exception | None = None

    @property
    def size(self) -> int:
        """How many events it counts for."""
        return max(1, len(self.prepared.events))


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of one event. `code` is iLert's word for why it changed nothing."""

    event_id: int
    incident_id: int | None
    incident_key: str
    outcome: Outcome
    reason: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an event other than an ALERT does."""

    outcome: Outcome
    incident_id: int | None = None
    reason: str = ""
    code: str = ""


@dataclass(slots=True)
class Item:
    """One event of a batch. `key` is what an ALERT's incident is matched by; `body` stands with a request's first."""

    place: int
    request: int
    source: AlertSource
    event: Event
    request_id: bytes
    body: bytes | None
    content_type: str
    key: str
    key_hash: bytes
    scope_hash: bytes | None

    @property
    def is_alert(self) -> bool:
        return self.event.type is EventType.ALERT


def key_hash(key: str) -> bytes:
    """Return what an incident key is matched by: trimmed, and without case."""
    return hashlib.sha256(key.strip().casefold().encode("utf-8", "surrogatepass")).digest()


def common(event: Event) -> str:
    """Return what the alerts of one key have in common where each is an incident of its own."""
    return f"key:{event.key}" if event.key else ""


def items(requests: Sequence[Request]) -> list[Item]:
    """Return the events of all requests, in order."""
    batch: list[Item] = []
    for number, request in enumerate(requests):
        request_id = os.urandom(16)
        body: bytes | None = request.prepared.body
        for event in request.prepared.events:
            key, scope = _where(request.source, event)
            batch.append(
                Item(
                    place=len(batch),
                    request=number,
                    source=request.source,
                    event=event,
                    request_id=request_id,
                    body=body,
                    content_type=request.prepared.content_type,
                    key=key,
                    key_hash=key_hash(key),
                    scope_hash=key_hash(scope) if scope else None,
                )
            )
            body = None
    return batch


def waves(batch: Iterable[Item]) -> list[list[Item]]:
    """Split a batch into parts that are applied one after the other: ALERTs in one, everything else in the next.

    Events that may concern the same incident keep their order; all others share as few waves as possible.
    """
    parts: list[list[Item]] = []
    last: dict[tuple[int, bytes], int] = {}
    for item in batch:
        tokens = _tokens(item)
        at = max((last.get(token, 0) for token in tokens), default=0)
        # ALERTs have the even waves, so that what follows something of the other kind comes into a later one.
        if at % 2 == item.is_alert:
            at += 1
        while len(parts) <= at:
            parts.append([])
        parts[at].append(item)
        last |= dict.fromkeys(tokens, at)
    return [part for part in parts if part]


def _where(source: AlertSource, event: Event) -> tuple[str, str]:
    """Return where an alert belongs by the source's grouping: the key it is matched by, and its coarser scope."""
    if source.grouping == Grouping.ONE_OPEN:
        return ONE_OPEN_KEY, ""
    if source.grouping == Grouping.EVENT or not event.key:
        # Each is an incident of its own; its recovery is found by what they have in common.
        return str(uuid.uuid4()), common(event)
    return event.key, event.scope


def _tokens(item: Item) -> list[tuple[int, bytes]]:
    """Return what an event shares with those whose order beside it matters."""
    source_id = item.source.id
    tokens = [(source_id, item.key_hash)]
    if item.event.key:
        tokens.append((source_id, key_hash(item.event.key)))
    if item.scope_hash:
        tokens.append((source_id, item.scope_hash))
    return tokens
