"""Escalation: due incidents take their next step. Every wait is a row with a due time; here it comes due."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

import orjson
from django.db import OperationalError, connection, transaction
from django.db.models import Prefetch, QuerySet, prefetch_related_objects

from accounts.models import Role, User
from alertsources.models import AlertSource
from ilert.common import arrays, bulk
from ilert.common.statement import Statement
from incidents import lifecycle
from incidents.engine import run as runs
from incidents.engine import steps
from incidents.models import Incident, Priority, Status
from notifications import outbox
from notifications.models import NotificationRule
from oncall.services import snapshot, snapshots

logger = logging.getLogger(__name__)

BATCH = 250
# Whoever begins no batch after 3 s leaves its process to others in time; the next ring goes on.
BUDGET = timedelta(seconds=3)

_WRITE_INCIDENTS = Statement(
    "ilert_write_incidents",
    """
UPDATE incidents_incident AS incident SET run = step.run::jsonb, next_escalation_at = step.next_due_at
FROM unnest($1, $2, $3) AS step (id, run, next_due_at)
WHERE incident.id = step.id
""",
)


def oldest_due_at(now: datetime) -> datetime | None:
    """Return since when the longest waiting incident is due, or None when none is."""
    return _due(now).values_list("next_escalation_at", flat=True).first()


def escalate_due(clock: Callable[[], datetime]) -> int:
    """Let every due incident take its step. Returns how many did; others may work beside this one.

    Each batch asks the clock: what falls due meanwhile comes along, and a timeline says when each step was taken.
    """
    end = monotonic() + BUDGET.total_seconds()
    total = 0
    while count := escalate_batch(clock()):
        total += count
        if monotonic() > end:
            break
    return total


def escalate_batch(now: datetime) -> int:
    """Let the longest waiting of those that nobody else has take their steps. Returns how many did."""
    try:
        return _escalate(_due(now), now)
    except Exception:
        # Whatever is wrong with one incident, the others take their steps.
        logger.exception("a batch of steps failed: they are taken one by one")
    end, count = monotonic() + BUDGET.total_seconds(), 0
    for incident_id in _due(now).values_list("pk", flat=True)[:BATCH]:
        count += _escalate_alone(incident_id, now)
        if monotonic() > end:
            break
    return count


def _due(now: datetime) -> "QuerySet[Incident]":
    return Incident.objects.filter(next_escalation_at__lte=now).order_by("next_escalation_at")


def _escalate_alone(incident_id: int, now: datetime) -> int:
    due = _due(now).filter(pk=incident_id)
    try:
        return _escalate(due, now)
    except OperationalError as error:
        # It is not the incident's fault, such as a lock that somebody holds for too long: it stays due.
        logger.warning("incident %s cannot take its step now: %s", incident_id, error)
        return 0
    except Exception:
        logger.exception("incident %s cannot take its step: it is set aside", incident_id)
    return _set_aside(due, now)


@transaction.atomic
def _escalate(due: "QuerySet[Incident]", now: datetime) -> int:
    claimed = _claim(due)
    incidents = [incident for incident in claimed if incident.merged_into_id is None]
    if incidents:
        rules = _rules([incident for incident in incidents if not incident.run])
        taken = [(incident, _take_step(incident, rules)) for incident in incidents]
        people = _people([step for _, step in taken])
        _write([steps.plan(incident, step, people, now) for incident, step in taken])
    # After the steps: what is raised may have been among them.
    parts = [incident for incident in claimed if incident.merged_into_id is not None]
    return len(incidents) + (lifecycle.raise_wholes(parts, now) if parts else 0)


@transaction.atomic
def _set_aside(due: "QuerySet[Incident]", now: datetime) -> int:
    incidents = _claim(due)
    rules = _rules(incidents)
    # A number that no run has had within the hour: the new one tells people anew, and the admins not every minute.
    number = int(now.timestamp()) // 3600
    _write([steps.set_aside(item, runs.at_once(_begin(item, rules, number)), _admins(), now) for item in incidents])
    return len(incidents)


def _claim(due: "QuerySet[Incident]") -> list[Incident]:
    """Lock due incidents that nobody else has locked, each with the name of its source."""
    with connection.cursor() as cursor:
        # Whoever holds a person's row must not hold up the steps that tell others.
        cursor.execute("SET LOCAL lock_timeout = '1s'")
    incidents = list(
        due.select_for_update(skip_locked=True, of=("self",)).only(
            "summary", "details", "status", "priority", "run", "next_escalation_at", "escalation_policy",
            "alert_source", "responder", "merged_into",
        )[:BATCH]
    )  # fmt: skip
    sources = AlertSource.objects.only("name").in_bulk({incident.alert_source_id for incident in incidents})
    for incident in incidents:
        incident.alert_source = sources[incident.alert_source_id]
    prefetch_related_objects([one for one in incidents if one.status == Status.ACCEPTED], "responder")
    return incidents


def _rules(incidents: list[Incident]) -> dict[int | None, dict[str, Any]]:
    """Return the rules, as they are now, of the policies that incidents are about to start."""
    ids = {incident.escalation_policy_id for incident in incidents}
    found = snapshots([policy_id for policy_id in ids if policy_id])
    return dict.fromkeys(ids, snapshot(None)) | found


def _take_step(incident: Incident, rules: dict[int | None, dict[str, Any]]) -> runs.Step:
    run = incident.run or _begin(incident, rules, number=1)
    if incident.status == Status.ACCEPTED:
        return runs.ask_again(run, incident.responder_id)
    return runs.step(run)


def _begin(incident: Incident, rules: dict[int | None, dict[str, Any]], number: int) -> dict[str, Any]:
    single_level = incident.priority == Priority.LOW
    return runs.begin(rules[incident.escalation_policy_id], number=number, single_level=single_level)


def _people(taken: list[runs.Step]) -> steps.People:
    ids = {user_id for step in taken for user_id in step.users}
    by_id = {user.pk: _person(user) for user in _askable().filter(pk__in=ids)}
    return steps.People(by_id, _admins() if any(step.finished or step.again for step in taken) else [])


def _admins() -> list[steps.Person]:
    return [_person(user) for user in _askable().filter(role=Role.ADMIN).order_by("pk")]


def _person(user: User) -> steps.Person:
    ways: dict[str, list[steps.Way]] = {}
    for rule in user.notification_rules.all():
        rule.contact_method.user = user
        way = steps.Way(rule.pk, timedelta(minutes=rule.delay_minutes), outbox.Recipient.of(rule.contact_method))
        ways.setdefault(rule.priority, []).append(way)
    return steps.Person(str(user), ways, user.quiet_hours, user.muted_until)


def _askable() -> "QuerySet[User]":
    rules = NotificationRule.objects.usable().select_related("contact_method")
    return User.objects.askable().prefetch_related(Prefetch("notification_rules", rules))


def _write(plans: list[steps.Plan]) -> None:
    outbox.insert([notification for plan in plans for notification in plan.notifications])
    bulk.insert([entry for plan in plans for entry in plan.entries])
    bulk.execute(
        _WRITE_INCIDENTS,
        arrays.integers([plan.incident.pk for plan in plans]),
        arrays.encoded([orjson.dumps(plan.run) for plan in plans]),
        arrays.times([plan.next_due_at for plan in plans]),
    )
