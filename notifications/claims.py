"""Claims: who sends which messages now. A claim is one short transaction for a batch of messages.

Each provider has a few slots, so that one that hangs holds up nobody else. Claims take turns: how many slots are free,
and how many messages may go to one contact method, is decided by one process at a time. Nobody queues for a turn: under
load most of a machine's processes did that, and each found but a message or two when it came to it.
"""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from notifications import breaker, bundles, pace
from notifications.bundles import Lane
from notifications.models import ContactMethod, Notification
from notifications.outbox import GRACE, LEASE, ORPHANED, State

# At one time to one provider. On two busy cores a mail takes 0.2 to 0.5 s from its claim to its end: with 8 of them
# mail fell behind at 40 a second.
SLOTS = 16

# A process that freezes in here must not keep what it has locked.
_HURRY = "SET LOCAL idle_in_transaction_session_timeout = '2s'"
_CANDIDATES = """
SELECT n.* FROM notifications_provider p
CROSS JOIN LATERAL (
    SELECT CASE WHEN p.name = ANY(%(probes)s) THEN 1 ELSE %(slots)s - count(*) END AS free
    FROM notifications_notification s
    WHERE s.provider_id = p.name AND s.state = 'sending' AND s.carrier_id IS NULL AND s.lease_until > %(now)s
) slots
CROSS JOIN LATERAL (
    SELECT * FROM notifications_notification d
    WHERE d.provider_id = p.name AND d.state IN ('planned', 'sending') AND d.carrier_id IS NULL
      AND d.due_at <= %(now)s
    ORDER BY d.due_at LIMIT greatest(0, least(slots.free, %(room)s)) FOR UPDATE SKIP LOCKED
) n
WHERE p.open_until IS NULL OR p.name = ANY(%(probes)s)
ORDER BY n.due_at LIMIT %(room)s
"""
# Behind a pooler another session may write this than was connected to: then nobody can tell, and only the lease counts.
_SESSION = "CASE WHEN pg_backend_pid() = %(session)s THEN %(session)s END"
_START = f"""
UPDATE notifications_notification SET
    state = 'sending', lease_until = %(lease)s, due_at = %(lease)s, attempt_count = attempt_count + 1,
    first_attempt_at = coalesce(first_attempt_at, %(now)s), session = {_SESSION}
WHERE id = ANY(%(ids)s)
"""  # noqa: S608  # nosec B608: constants of this module
_KEEP = f"""
UPDATE notifications_notification n SET lease_until = held.lease, due_at = held.lease, session = {_SESSION}
FROM unnest(%(ids)s::uuid[], %(attempts)s::int[], %(leases)s::timestamptz[]) AS held(id, attempt, lease)
WHERE n.id = held.id AND n.state = 'sending' AND n.attempt_count = held.attempt RETURNING n.id
"""  # noqa: S608  # nosec B608: constants of this module
_END_LEASES = f"""
UPDATE notifications_notification SET lease_until = %(end)s, due_at = %(end)s
WHERE id IN (SELECT id FROM notifications_notification WHERE {ORPHANED} FOR UPDATE SKIP LOCKED)
"""  # noqa: S608  # nosec B608: constants of the outbox
_TURN = "SELECT pg_try_advisory_xact_lock(hashtext('notifications.claim'))"


@dataclass(frozen=True)
class Claim:
    """What was claimed.

    `moved` says whether anything else was done, so that it is worth claiming again; `is_busy` that somebody else was
    claiming, so that nothing was looked at.
    """

    notifications: list[Notification]
    moved: bool = False
    is_busy: bool = False


@transaction.atomic
def claim(now: datetime, room: int) -> Claim:
    """Take the leases of up to `room` due messages. Their contact methods and people are loaded."""
    with connection.cursor() as cursor:
        cursor.execute(_HURRY)
        cursor.execute(_TURN)
        if not cursor.fetchone()[0]:
            return Claim([], is_busy=True)
    probes = breaker.take_probes(now) if breaker.is_any_open() else []
    values = {"now": now, "slots": SLOTS, "room": room, "probes": probes}
    rows = _with_methods(list(Notification.objects.raw(_CANDIDATES, values)))
    claimed, crowded = _sort(rows, now)
    for lane, lately in crowded.items():
        carrier = bundles.gather(lane, pace.bundle_at(lately, now), now)
        # One that is due has been claimed already if it waited for that.
        if carrier.due_at and carrier.due_at <= now and carrier not in claimed:
            claimed.append(carrier)
    _start(claimed, now)
    return Claim(claimed, moved=bool(crowded))


def _with_methods(rows: list[Notification]) -> list[Notification]:
    """Load contact methods and people: all that a sender needs to know."""
    ids = {row.contact_method_id for row in rows if row.contact_method_id}
    methods = ContactMethod.objects.select_related("user").in_bulk(ids)
    for row in rows:
        row.contact_method = methods.get(row.contact_method_id) if row.contact_method_id else None
        row.user = row.contact_method.user if row.contact_method else None
    return rows


def _sort(rows: list[Notification], now: datetime) -> tuple[list[Notification], dict[Lane, pace.Lately]]:
    """Return the messages that go out by themselves, and the lanes in which so many wait that they are bundled."""
    lanes = {bundles.lane_of(row) for row in rows if bundles.may_be_carried(row)}
    crowded = {lane: lately for lane, lately in bundles.look(lanes, now).items() if _is_crowded(lately, now)}
    return [row for row in rows if not (bundles.may_be_carried(row) and bundles.lane_of(row) in crowded)], crowded


def _is_crowded(lately: pace.Lately, now: datetime) -> bool:
    is_alone_and_due = lately.waiting == 1 and pace.bundle_at(lately, now) <= now
    return not (pace.one_by_one(lately) or is_alone_and_due)


def end_orphans_leases(now: datetime) -> int:
    """Let the leases of senders that have died run out in a moment. Returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(_END_LEASES, {"now": now, "end": now + GRACE})
        return int(cursor.rowcount)


def keep(held: Collection[Notification]) -> set[uuid.UUID]:
    """Say that this process lives and still sends these, after it has lost its session with the database.

    Returns those that are still its own.
    """
    values: dict[str, Any] = {
        "ids": [row.pk for row in held],
        "attempts": [row.attempt_count for row in held],
        "leases": [row.lease_until for row in held],
    }
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, values | {"session": connection.connection.info.backend_pid})
        return {pk for (pk,) in cursor.fetchall()}


def renew(held: Collection[Notification], now: datetime) -> set[uuid.UUID]:
    """Let the leases of these begin anew. Returns those that are still this process's."""
    for row in held:
        row.lease_until = row.due_at = now + LEASE
    return keep(held)


def _start(claimed: list[Notification], now: datetime) -> None:
    if not claimed:
        return
    lease = now + LEASE
    session = connection.connection.info.backend_pid
    with connection.cursor() as cursor:
        cursor.execute(_START, {"ids": [row.pk for row in claimed], "lease": lease, "now": now, "session": session})
    for row in claimed:
        row.state, row.lease_until, row.due_at = State.SENDING, lease, lease
        row.attempt_count += 1
        row.first_attempt_at = row.first_attempt_at or now
