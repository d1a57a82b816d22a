"""A person whose message does not get through is not left waiting for the delay of the next contact method."""

import uuid
from datetime import datetime

from django.db import connection

# Of each message: the one to another contact method that was planned with it and comes next. One that is on its way or
# has arrived comes before all, so that the person is not told by a third method beside it.
_CALL_NEXT = """
WITH stuck AS (
    UPDATE notifications_notification SET passed_on_at = %(now)s
    WHERE id IN (
        SELECT id FROM notifications_notification
        WHERE (id = ANY(%(ids)s::uuid[]) OR carrier_id = ANY(%(ids)s::uuid[])) AND passed_on_at IS NULL
        FOR UPDATE SKIP LOCKED
    )
    RETURNING id, user_id, contact_method_id, notice, created_at
), following AS (
    SELECT DISTINCT ON (stuck.id) other.id
    FROM stuck
    JOIN incidents_logentry told ON told.notification_id = stuck.id
    JOIN incidents_logentry line ON line.incident_id = told.incident_id
    JOIN notifications_notification other ON other.id = line.notification_id
    WHERE other.user_id = stuck.user_id AND other.notice = stuck.notice AND other.created_at = stuck.created_at
      AND other.contact_method_id <> stuck.contact_method_id AND other.passed_on_at IS NULL
      AND other.id NOT IN (SELECT id FROM stuck) AND other.state IN ('planned', 'sending', 'accepted', 'delivered')
    ORDER BY stuck.id, CASE WHEN other.state = 'planned' THEN other.due_at END NULLS FIRST
)
UPDATE notifications_notification SET due_at = %(now)s WHERE id IN (
    SELECT id FROM notifications_notification
    WHERE id IN (SELECT id FROM following) AND state = 'planned' AND attempt_count = 0 AND due_at > %(now)s
    FOR UPDATE SKIP LOCKED
)
"""


def pass_on(ids: list[uuid.UUID], now: datetime) -> None:
    """Let the next contact method of people whose message is stuck start at once; of a bundle, for all in it."""
    with connection.cursor() as cursor:
        cursor.execute(_CALL_NEXT, {"ids": ids, "now": now})
