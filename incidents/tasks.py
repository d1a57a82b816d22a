"""What the Celery workers do when the bell rings. Thin: the engine does the work, the rows say what is due."""

from time import monotonic
from typing import Any

from celery import shared_task, signals

from ilert.common.clock import database_now
from incidents import services
from incidents.engine import escalation
from incidents.engine.dispatcher import dispatcher
from incidents.engine.hand import apart
from incidents.intake import again
from notifications import outbox

# As many workers as are called for many steps; the others stay free for what comes next.
HELPERS = 3
EXPIRES = 5


@shared_task(name="incidents.work_due")
def work_due() -> None:
    """Let what is stale end, take the due steps, have the due messages sent, try again what has failed."""
    with apart("ending what is stale"):
        services.resolve_stale(database_now())
    with apart("taking steps"):
        if escalation.escalate_batch(database_now()) == escalation.BATCH:
            # There is more than this one can do in time: every process of the pool takes its share.
            with apart("calling for help"):
                _call_helpers()
            # The first messages go out meanwhile.
            with apart("asking for messages"):
                dispatcher().ask()
            take_steps()
    with apart("looking for due messages"):
        if outbox.oldest_due_at(database_now()):
            dispatcher().ask()
    again.retry_failed(database_now())
    # The rest of what is stale comes last: nobody waits for it.
    end = monotonic() + escalation.BUDGET.total_seconds()
    while services.resolve_stale(database_now()) and monotonic() < end:
        pass


@shared_task(name="incidents.take_steps")
def take_steps() -> None:
    """Take the due steps, beside others who do the same."""
    escalation.escalate_due(database_now)


@signals.worker_process_shutdown.connect
def _let_messages_end(**_: Any) -> None:
    dispatcher().close()


def _call_helpers() -> None:
    for _ in range(HELPERS):
        # While there is work every ring calls again; old calls must not pile up.
        take_steps.apply_async(expires=EXPIRES)
