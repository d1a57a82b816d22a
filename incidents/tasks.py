"""What the Celery workers do when the bell rings. Thin: the engine does the work, the rows say what is due."""

from time import monotonic

from celery import Task, shared_task

from ilert.common.clock import database_now
from incidents import services
from incidents.engine import delivery, escalation
from incidents.intake import again
from notifications import outbox

# As many workers as may send at once for one ring; the others stay free for what comes next.
HELPERS = 3
EXPIRES = 5


@shared_task(name="incidents.work_due")
def work_due() -> None:
    """Let what is stale end, take the due steps, call workers to send the due messages, try again what has failed."""
    services.resolve_stale(database_now())
    if escalation.escalate_batch(database_now()) == escalation.BATCH:
        # There is more than this one can do in time: every process of the pool takes its share.
        _call(take_steps)
        take_steps()
    if outbox.oldest_due_at(database_now()):
        _call(deliver_due)
    again.retry_failed(database_now())
    # The rest of what is stale comes last: nobody waits for it.
    end = monotonic() + escalation.BUDGET.total_seconds()
    while services.resolve_stale(database_now()) and monotonic() < end:
        pass


@shared_task(name="incidents.take_steps")
def take_steps() -> None:
    """Take the due steps, beside others who do the same."""
    escalation.escalate_due(database_now())


@shared_task(name="incidents.deliver_due")
def deliver_due() -> None:
    """Send what is due, beside others who do the same."""
    delivery.deliver_due()


def _call(task: Task) -> None:
    for _ in range(HELPERS):
        # While there is work every ring calls again; old calls must not pile up.
        task.apply_async(expires=EXPIRES)
