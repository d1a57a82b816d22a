"""What came of attempts, written for many at once: an attempt's row, the message's fate, the provider's health."""

import random
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import F

from notifications import breaker, bundles
from notifications.channels import DeliveryError, OnlyShown
from notifications.models import Attempt, Notification
from notifications.outbox import State

FIRST_RETRY = timedelta(seconds=5)
LONGEST_RETRY = timedelta(minutes=3)
# A message that could not be handed over for so long after its first attempt is given up; after so many at least, as
# an outage of ours may lie in between.
RETRY_FOR = timedelta(minutes=30)
LEAST_ATTEMPTS = 7

_CLOSE = """
UPDATE notifications_notification n SET
    state = r.state, due_at = r.due_at, finished_at = r.finished_at, answer = r.answer, lease_until = NULL,
    session = NULL
FROM unnest(%(ids)s::uuid[], %(attempts)s::int[], %(states)s::text[], %(dues)s::timestamptz[],
            %(ends)s::timestamptz[], %(answers)s::text[]) AS r(id, attempt, state, due_at, finished_at, answer)
WHERE n.id = r.id AND n.state = 'sending' AND n.attempt_count = r.attempt RETURNING n.id
"""


@dataclass(frozen=True)
class Result:
    """What a provider said to one attempt, or the error there was."""

    notification: Notification
    started_at: datetime
    finished_at: datetime
    answer: str
    error: DeliveryError | None = None


@dataclass(frozen=True)
class Fate:
    """How a message goes on. `due_at` is when it is tried again."""

    state: Notification.State
    answer: str
    due_at: datetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether the message will reach nobody, so that the person's next contact method is needed at once."""
        return self.state in (State.FAILED, State.SHOWN)


def fate(result: Result, jitter: Callable[[], float]) -> Fate:
    """Decide how a message goes on. `jitter` returns numbers from 0 to 1, so that retries spread."""
    error = result.error
    if error is None:
        return Fate(State.SHOWN if isinstance(result.answer, OnlyShown) else State.ACCEPTED, result.answer)
    if error.permanent:
        return Fate(State.FAILED, error.answer)
    count = result.notification.attempt_count
    delay = min(FIRST_RETRY * 2 ** min(count - 1, 10), LONGEST_RETRY) * (0.5 + jitter() / 2)
    wish = timedelta(seconds=min(error.retry_after or 0, RETRY_FOR.total_seconds() * 2))
    due_at = result.finished_at + max(delay, wish + FIRST_RETRY * jitter() if wish else wish)
    if wish > RETRY_FOR:
        return Fate(State.FAILED, f"Given up, as the provider wants no other attempt for too long: {error.answer}")
    first = result.notification.first_attempt_at or result.started_at
    if due_at > first + RETRY_FOR and count >= LEAST_ATTEMPTS:
        minutes = (result.finished_at - first).total_seconds() / 60
        return Fate(
            State.FAILED, f"Given up, as {count} attempts within {minutes:.0f} min came to nothing: {error.answer}"
        )
    return Fate(State.PLANNED, error.answer, due_at)


@transaction.atomic(savepoint=False)
def finish(results: Collection[Result], jitter: Callable[[], float] = random.random) -> list[uuid.UUID]:
    """Write what came of attempts. Returns the messages whose people need their next contact method at once.

    Whoever has lost a lease changes nothing about the message any more. Written again, nothing changes.
    """
    fates = {result.notification.pk: fate(result, jitter) for result in results}
    closed = _close([result.notification for result in results], fates, max(result.finished_at for result in results))
    new = _not_written_yet(results, set(closed))
    Attempt.objects.bulk_create([_attempt(result) for result in new])
    _tell_breaker(new)
    return [result.notification.pk for result in new if fates[result.notification.pk].is_over]


def _not_written_yet(results: Collection[Result], closed: set[uuid.UUID]) -> list[Result]:
    """Leave out what was written before, by a commit whose answer was lost."""
    others = [result.notification.pk for result in results if result.notification.pk not in closed]
    written = Attempt.objects.filter(notification__in=others).values_list("notification_id", "number") if others else ()
    known = set(written)
    return [one for one in results if (one.notification.pk, one.notification.attempt_count) not in known]


@transaction.atomic
def drop(reasons: dict[Notification, str], now: datetime) -> None:
    """Give up messages whose lease is held: they are not wanted any more, and nothing was sent."""
    fates = {notification.pk: Fate(State.CANCELLED, reason) for notification, reason in reasons.items()}
    dropped = _close(list(reasons), fates, now)
    Notification.objects.filter(pk__in=dropped, attempt_count=1).update(first_attempt_at=None)


@transaction.atomic
def release(notifications: list[Notification], now: datetime) -> None:
    """Give leases back unused: the messages are due again, and nothing was sent."""
    released = _close(notifications, {row.pk: Fate(State.PLANNED, "", now) for row in notifications}, now)
    Notification.objects.filter(pk__in=released).update(attempt_count=F("attempt_count") - 1)


def _close(notifications: list[Notification], fates: dict[uuid.UUID, Fate], now: datetime) -> list[uuid.UUID]:
    """Write fates. Returns whose: a message whose lease was lost meanwhile is another's, and nothing of it changes."""
    rows = [(row, fates[row.pk]) for row in notifications]
    values: dict[str, Any] = {
        "ids": [row.pk for row, _ in rows],
        "attempts": [row.attempt_count for row, _ in rows],
        "states": [str(each.state) for _, each in rows],
        "dues": [each.due_at for _, each in rows],
        "ends": [None if each.due_at else now for _, each in rows],
        "answers": [str(each.answer) for _, each in rows],
    }
    with connection.cursor() as cursor:
        cursor.execute(_CLOSE, values)
        closed = [pk for (pk,) in cursor.fetchall()]
    if carriers := [row.pk for row, _ in rows if row.member_count]:
        bundles.follow(carriers)
    return closed


def _attempt(result: Result) -> Attempt:
    return Attempt(
        notification=result.notification,
        number=result.notification.attempt_count,
        started_at=result.started_at,
        finished_at=max(result.finished_at, result.started_at),
        succeeded=result.error is None,
        answer=result.error.answer if result.error else str(result.answer),
    )


def _tell_breaker(results: Collection[Result]) -> None:
    if not results:
        return
    worked: set[str] = set()
    failed: dict[str, list[str]] = defaultdict(list)
    for result in results:
        name = result.notification.provider_id
        if result.error is None or result.error.permanent:
            # A refusal is an answer: the provider is there.
            worked.add(name)
        else:
            failed[name].append(result.error.answer)
    breaker.record(worked, failed, max(result.finished_at for result in results))
