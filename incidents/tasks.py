"""What the Celery workers do when the bell rings. Thin: the engine does the work, the rows say what is due."""

from celery import shared_task

from ilert.common.clock import database_now
from incidents import services
from incidents.engine import delivery, escalation
from notifications import outbox

# As many workers as may send at once for one ring; the others stay free for what comes next.
HELPERS = 3
EXPIRES = 5


@shared_task(name="incidents.work_due")
def work_due() -> None:
    """Let what is stale end, take the due steps, then call workers to send the due messages."""
    services.resolve_stale(database_now())
    escalation.escalate_due(database_now())
    if outbox.oldest_due_at(database_now()):
        for _ in range(HELPERS):
            # While messages are due every ring calls again; old calls must not pile up.
            deliver_due.apply_async(expires=EXPIRES)


@shared_task(name="incidents.deliver_due")
def deliver_due() -> None:
    """Send what is due, beside others who do the same."""
    delivery.deliver_due()
