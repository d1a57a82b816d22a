"""The check of the check: faults that such engines have had are planted, and the machine has to find each."""

from collections.abc import Callable
from datetime import datetime

import pytest
from hypothesis import Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from incidents.engine import composition, escalation
from incidents.models import Incident, Status
from tests.model.machine import Machine
from tests.model.product import Violation
from tests.model.reference import VERY_LATE
from tests.model.test_machine import COMMON

# Finding is enough; what a failure looks like when it is made small is of no interest here.
BOUNDED = settings(COMMON, max_examples=300, stateful_step_count=50, phases=[Phase.generate])
escalate_due = escalation.escalate_due


def due_incidents(now: datetime) -> dict[int, datetime]:
    return dict(Incident.objects.filter(next_escalation_at__lte=now).values_list("pk", "next_escalation_at"))


def lost_wake_up(clock: Callable[[], datetime]) -> int:
    """What is due is taken off the row, and only memory knows it until the work is done."""
    claimed = due_incidents(clock())
    Incident.objects.filter(pk__in=claimed).update(next_escalation_at=None)
    for pk, due_at in claimed.items():
        Incident.objects.filter(pk=pk, status=Status.PENDING).update(next_escalation_at=due_at)
    return escalate_due(clock)


def next_due_from_now(clock: Callable[[], datetime]) -> int:
    """The next level's minutes count from when somebody got round to it."""
    now = clock()
    was_due = due_incidents(now)
    done = escalate_due(clock)
    for incident in Incident.objects.filter(pk__in=was_due, next_escalation_at__gt=now):
        late = now - was_due[incident.pk]
        if late <= VERY_LATE:
            Incident.objects.filter(pk=incident.pk).update(next_escalation_at=incident.next_escalation_at + late)
    return done


def plant_next_due_from_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(escalation, "escalate_due", next_due_from_now)


def plant_send_without_a_last_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what concerns the incident; that somebody has left is still seen."""
    look = composition._why_unwanted

    def half_a_look(*args: object) -> str:
        reason = look(*args)
        return "" if reason.startswith("Not needed any more") else reason

    monkeypatch.setattr(composition, "_why_unwanted", half_a_look)


FAULTS = [
    pytest.param(plant_next_due_from_now, "due=datetime", id="the next due time counted from now"),
    pytest.param(plant_send_without_a_last_look, "told .* again", id="a send without a last look at the incident"),
]


@pytest.mark.model
@pytest.mark.parametrize(("plant", "complaint"), FAULTS)
def test_the_machine_finds_a_planted_fault(
    cast: None, monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None], complaint: str
) -> None:
    plant(monkeypatch)
    machine = seed(20261122)(type("SeededMachine", (Machine,), {}))
    with pytest.raises(Violation, match=complaint):
        run_state_machine_as_test(machine, settings=BOUNDED)


def test_a_lost_wake_up_is_seen(cast: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that the machine may take, by hand: by chance it needs many examples to die at just this statement."""
    monkeypatch.setattr(escalation, "escalate_due", lost_wake_up)
    machine = Machine()
    try:
        Machine.a_tool_alerts(machine, source="api", key="disk", priority=None, fuse=None)
        with pytest.raises(Violation, match=r"product .*due=None(.|\n)*model .*due=datetime"):
            Machine.the_engine_dies(machine, fuse=2, part="escalate", wait=0)
    finally:
        machine.bench.close()
