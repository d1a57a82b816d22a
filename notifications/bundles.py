"""Bundles: in a flood one message carries many. The carrier is a row of the outbox like any other.

Its members keep their own rows, wait with it and share its fate. Once its first attempt has begun nothing is added,
as a repeat must be the same message; members that are cancelled meanwhile are left out.
"""

import uuid
from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from notifications import outbox, pace
from notifications.models import ContactMethod, Notification
from notifications.outbox import State


class Lane(NamedTuple):
    """What is bundled: messages to one contact method that are alike."""

    method_id: int
    urgent: bool
    notice: bool


# More need not be counted.
_ENOUGH = pace.STORM + 1
_IN_LANE = "n.contact_method_id = l.method AND n.urgent = l.urgent AND n.notice = l.notice"
_LOOK = f"""
SELECT l.method, l.urgent, l.notice, waiting.number, sent.recent, sent.last_at, sent.last_bundle_at, sent.tenth_at
FROM unnest(%(methods)s::bigint[], %(urgents)s::bool[], %(notices)s::bool[]) AS l(method, urgent, notice)
CROSS JOIN LATERAL (
    SELECT count(*) AS number FROM (
        SELECT FROM notifications_notification n
        WHERE {_IN_LANE} AND n.state = 'planned' AND n.carrier_id IS NULL AND n.due_at <= %(now)s
          AND n.attempt_count = 0 AND n.member_count = 0
        LIMIT {_ENOUGH}
    ) enough
) waiting
CROSS JOIN LATERAL (
    SELECT coalesce(sum(greatest(n.member_count, 1)) FILTER (WHERE n.first_attempt_at > %(minute_ago)s), 0) AS recent,
           max(n.first_attempt_at) AS last_at,
           max(n.first_attempt_at) FILTER (WHERE n.member_count > 0) AS last_bundle_at,
           (array_agg(n.first_attempt_at ORDER BY n.first_attempt_at DESC))[{pace.MOST}] AS tenth_at
    FROM notifications_notification n
    WHERE {_IN_LANE} AND n.carrier_id IS NULL AND n.first_attempt_at > %(window_ago)s
) sent
"""  # noqa: S608  # nosec B608: constants of this module
_GATHER = """
WITH waiting AS (
    SELECT id FROM notifications_notification
    WHERE contact_method_id = %(method_id)s AND urgent = %(urgent)s AND notice = %(notice)s AND state = 'planned'
      AND carrier_id IS NULL AND due_at <= %(now)s AND attempt_count = 0 AND member_count = 0
    FOR UPDATE SKIP LOCKED
)
UPDATE notifications_notification n SET carrier_id = %(carrier)s, due_at = %(due_at)s
FROM waiting WHERE n.id = waiting.id
"""
# A member that is locked is just being cancelled.
_TAKE = """
UPDATE notifications_notification m SET
    state = 'sending', lease_until = c.lease_until, due_at = c.lease_until,
    first_attempt_at = coalesce(m.first_attempt_at, c.first_attempt_at)
FROM notifications_notification c
WHERE m.carrier_id = c.id AND m.id IN (
    SELECT id FROM notifications_notification
    WHERE carrier_id = ANY(%s) AND state IN ('planned', 'sending') FOR UPDATE SKIP LOCKED
)
"""
_FOLLOW = """
UPDATE notifications_notification m SET
    state = c.state, answer = c.answer, due_at = c.due_at, lease_until = c.lease_until, finished_at = c.finished_at
FROM notifications_notification c
WHERE m.carrier_id = c.id AND c.id = ANY(%s) AND m.state = 'sending' AND c.state <> 'sending'
"""


def may_be_carried(row: Notification) -> bool:
    """Whether a message can still go out as a part of another one: it was never tried, and carries none itself."""
    return row.attempt_count == 0 and row.member_count == 0 and row.contact_method_id is not None


def lane_of(row: Notification) -> Lane:
    assert row.contact_method_id is not None
    return Lane(row.contact_method_id, row.urgent, row.notice)


def look(lanes: Collection[Lane], now: datetime) -> dict[Lane, pace.Lately]:
    """Return what waits in each lane, and what has gone out there lately."""
    if not lanes:
        return {}
    methods, urgents, notices = (list(column) for column in zip(*lanes, strict=True))
    values: dict[str, Any] = {
        "methods": methods, "urgents": urgents, "notices": notices,
        "now": now, "minute_ago": now - pace.MINUTE, "window_ago": now - pace.WINDOW,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_LOOK, values)
        return {Lane(*row[:3]): pace.Lately(*row[3:]) for row in cursor.fetchall()}


def gather(lane: Lane, due_at: datetime, now: datetime) -> Notification:
    """Let one message carry all that waits in a lane: the one that waits there already, or a new one."""
    carrier = _open_carrier(lane) or _new_carrier(lane, due_at, now)
    values = {**lane._asdict(), "now": now, "carrier": carrier.pk, "due_at": carrier.due_at}
    with connection.cursor() as cursor:
        cursor.execute(_GATHER, values)
    return carrier


def take_members(carrier_ids: list[uuid.UUID]) -> None:
    """Let the members share their carrier's lease. What is not wanted any more is cancelled after that."""
    if not carrier_ids:
        return
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, [carrier_ids])


def follow(carrier_ids: list[uuid.UUID]) -> None:
    """Give members their carrier's fate. One that was missed when it started goes its own way again."""
    with connection.cursor() as cursor:
        cursor.execute(_FOLLOW, [carrier_ids])
    missed = Notification.objects.filter(carrier__in=carrier_ids, state=State.PLANNED)
    missed.exclude(carrier__state__in=[State.PLANNED, State.SENDING]).update(carrier=None)


def _open_carrier(lane: Lane) -> Notification | None:
    in_lane = Notification.objects.filter(contact_method=lane.method_id, urgent=lane.urgent, notice=lane.notice)
    waiting = in_lane.filter(state=State.PLANNED, carrier=None, member_count__gt=0, attempt_count=0)
    return waiting.select_related("contact_method__user", "user").first()


def _new_carrier(lane: Lane, due_at: datetime, now: datetime) -> Notification:
    method = ContactMethod.objects.select_related("user").get(pk=lane.method_id)
    content = outbox.Content(title="Several incidents", text="", urgent=lane.urgent, notice=lane.notice)
    carrier = outbox.plan(f"bundle:{uuid.uuid4()}", outbox.Recipient.of(method), content, due_at, now)
    carrier.member_count = 1
    carrier.save(force_insert=True)
    return carrier
