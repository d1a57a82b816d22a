"""The accept time-out: an accepted incident on which nobody does anything asks again.

Its minutes are those of the run; of the policy, while no step has been taken. Nothing here saves.
"""

from datetime import datetime, timedelta

from incidents.engine import run as runs
from incidents.models import Incident, Status


def minutes(incident: Incident) -> int | None:
    """Return how long nobody may do anything about the incident once it is accepted; None: as long as they like."""
    if incident.run is not None:
        found: int | None = incident.run.get("accept_timeout")
        return found
    policy = incident.escalation_policy
    return policy.accept_timeout_minutes if policy else None


def is_counted(incident: Incident) -> bool:
    """Whether the minutes of an accepted incident are running. Those of a part never are, though it may be due."""
    is_due = incident.next_escalation_at is not None
    return incident.status == Status.ACCEPTED and incident.merged_into_id is None and is_due


def count(incident: Incident, now: datetime) -> None:
    """Let an accepted incident's minutes begin now: somebody has done something about it."""
    wait = None if incident.merged_into_id else minutes(incident)
    incident.next_escalation_at = now + timedelta(minutes=wait) if wait else None
    if incident.run is not None:
        incident.run = runs.answered(incident.run)
