"""What the Celery workers do when the bell rings. Thin: the engine does the work, the rows say what is due."""

import uuid

from celery import shared_task

from ilert.common.clock import database_now
from incidents import services
from incidents.engine import delivery, escalation
from notifications import outbox

CHUNK = 4
LIMIT = 400
EXPIRES = 5


@shared_task(name="incidents.work_due")
def work_due() -> None:
    """Let what is stale end, take the due steps, then hand out the due messages, in chunks that all workers share."""
    services.resolve_stale(database_now())
    escalation.escalate_due(database_now())
    for chunk in outbox.chunks(outbox.due_ids(database_now(), LIMIT), CHUNK):
        # Until a message is started every ring hands it out again; old ones of these must not pile up.
        deliver.apply_async(([str(notification_id) for notification_id in chunk],), expires=EXPIRES)


@shared_task(name="incidents.deliver")
def deliver(ids: list[str]) -> None:
    """Send those messages that are still due."""
    delivery.deliver(uuid.UUID(notification_id) for notification_id in ids)
