"""Escalation: due incidents take their next step. Every wait is a row with a due time; here it comes due."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from accounts.models import Role, User
from incidents.engine import run as runs
from incidents.models import Incident, LogEntry, Priority
from incidents.timeline import Kind, entry
from notifications import outbox
from notifications.models import Notification, NotificationRule
from oncall.services import snapshot

BATCH = 500
VERY_LATE = timedelta(minutes=2)


@dataclass
class _Plan:
    """What a batch of steps adds up to, so that it is written in few statements."""

    now: datetime
    notifications: list[Notification] = field(default_factory=list)
    entries: list[LogEntry] = field(default_factory=list)


def oldest_due_at(now: datetime) -> datetime | None:
    """Return since when the longest waiting incident is due, or None when none is."""
    return (
        Incident.objects.filter(next_escalation_at__lte=now)
        .order_by("next_escalation_at")
        .values_list("next_escalation_at", flat=True)
        .first()
    )


def escalate_due(now: datetime) -> int:
    """Let every due incident take its step. Returns how many did; others may work beside this one."""
    total = 0
    while count := _escalate_batch(now):
        total += count
    return total


@transaction.atomic
def _escalate_batch(now: datetime) -> int:
    incidents = list(
        Incident.objects.filter(next_escalation_at__lte=now)
        .order_by("next_escalation_at")
        .select_for_update(skip_locked=True, of=("self",))
        .select_related("escalation_policy", "alert_source")
        .defer("alert_source__integration_key")[:BATCH]
    )
    plan = _Plan(now)
    rules = _rules(incidents)
    steps = [(incident, _take_step(incident, rules)) for incident in incidents]
    people = _people(steps)
    for incident, step in steps:
        reached = _plan_step(plan, incident, step, people)
        _set_next_due(incident, step, reached, now)
    outbox.insert(plan.notifications)
    LogEntry.objects.bulk_create(plan.entries)
    Incident.objects.bulk_update(incidents, ["run", "next_escalation_at"])
    return len(incidents)


def _rules(incidents: list[Incident]) -> dict[int | None, dict[str, Any]]:
    """Return the rules, as they are now, of the policies that incidents are about to start."""
    policies = {incident.escalation_policy_id: incident.escalation_policy for incident in incidents if not incident.run}
    return {policy_id: snapshot(policy) for policy_id, policy in policies.items()}


def _take_step(incident: Incident, rules: dict[int | None, dict[str, Any]]) -> runs.Step:
    run = incident.run or runs.begin(
        rules[incident.escalation_policy_id], number=1, single_level=incident.priority == Priority.LOW
    )
    step = runs.step(run)
    incident.run = step.run
    return step


@dataclass(frozen=True)
class _People:
    """The people a batch may have to tell, each with the rules that say how they want to be told."""

    by_id: dict[int, User]
    admins: list[User]


def _people(steps: list[tuple[Incident, runs.Step]]) -> _People:
    ids = {user_id for _, step in steps for user_id in step.users}
    active = User.objects.filter(is_active=True).prefetch_related("notification_rules__contact_method")
    ended = any(step.finished for _, step in steps)
    return _People(active.in_bulk(ids), list(active.filter(role=Role.ADMIN).order_by("pk")) if ended else [])


def _set_next_due(incident: Incident, step: runs.Step, reached: bool, now: datetime) -> None:
    """Count from the old due time: lateness of one step must not add up over the levels.

    After an outage that would ask everybody at once, so a level that was asked very late has its minutes from then.
    A level where nobody could be reached costs no time: the incident stays due and takes its next step at once.
    """
    if not reached and not step.finished:
        return
    if step.minutes is None or incident.next_escalation_at is None:
        incident.next_escalation_at = None
        return
    incident.next_escalation_at = _asked_at(incident.next_escalation_at, now) + timedelta(minutes=step.minutes)


def _asked_at(due_at: datetime, now: datetime) -> datetime:
    return now if now - due_at > VERY_LATE else due_at


def _plan_step(plan: _Plan, incident: Incident, step: runs.Step, people: _People) -> bool:
    """Plan what a step asks for. Returns whether there is a way to reach anybody."""
    for level in step.skipped:
        plan.entries.append(entry(incident, Kind.LEVEL_SKIPPED, plan.now, level=level))
    if step.finished:
        return _plan_end(plan, incident, step, people.admins)
    asked = [people.by_id[user_id] for user_id in step.users if user_id in people.by_id]
    if not asked:
        plan.entries.append(entry(incident, Kind.LEVEL_SKIPPED, plan.now, level=step.level))
        return False
    names = ", ".join(str(user) for user in asked)
    plan.entries.append(entry(incident, Kind.LEVEL_ASKED, plan.now, level=step.level, round=step.round, people=names))
    place = f"{step.round}:{step.level}"
    reached = [_plan_messages(plan, incident, user, place, incident.summary) for user in asked]
    return any(reached)


def _plan_end(plan: _Plan, incident: Incident, step: runs.Step, admins: list[User]) -> bool:
    """Nobody is left to ask: the admins are told, and told again until somebody looks."""
    nobody = Kind.NOBODY_TO_ASK if len(step.skipped) == len(step.run["rules"]) else Kind.NOBODY_ANSWERED
    reminder = step.run["reminder"]
    if reminder == 1:
        plan.entries.append(entry(incident, nobody, plan.now))
    title = f"Nobody answered: {incident.summary}"
    reached = [_plan_messages(plan, incident, user, f"end:{reminder}", title) for user in admins]
    return any(reached)


def _plan_messages(plan: _Plan, incident: Incident, user: User, place: str, title: str) -> bool:
    """Plan one message for each of the person's rules of the incident's priority. Returns whether there is any."""
    rules = [rule for rule in user.notification_rules.all() if rule.priority == incident.priority]
    if not rules:
        plan.entries.append(entry(incident, Kind.UNREACHABLE, plan.now, people=str(user)))
    for rule in rules:
        rule.contact_method.user = user
        notification = _message(plan, incident, rule, place, title)
        plan.notifications.append(notification)
        plan.entries.append(entry(incident, Kind.NOTIFIED, plan.now, notification=notification))
    return bool(rules)


def _message(plan: _Plan, incident: Incident, rule: NotificationRule, place: str, title: str) -> Notification:
    assert incident.run is not None
    assert incident.next_escalation_at is not None
    run = f"{incident.priority}:{incident.run['number']}"
    content = outbox.Content(
        title=f"{title} [{incident.alert_source.name}]",
        text=incident.details,
        urgent=incident.priority == Priority.HIGH,
    )
    return outbox.plan(
        f"incident:{incident.pk}:{run}:{place}:{rule.user_id}:{rule.pk}",
        rule.contact_method,
        content,
        _asked_at(incident.next_escalation_at, plan.now) + timedelta(minutes=rule.delay_minutes),
        plan.now,
    )
