"""What a due step adds up to: messages, entries of the timeline, and the next due time. Pure: no clock, no database."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from accounts.quiet import QuietHours
from incidents.engine import run as runs
from incidents.models import Incident, LogEntry, Priority
from incidents.timeline import Kind, entry
from notifications import outbox
from notifications.models import Notification

VERY_LATE = timedelta(minutes=2)
# A step that our own fault keeps from being taken is tried again: the fault may be mended by then.
TRY_AGAIN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Way:
    """A notification rule of a person's: where a message goes, and how long after the person is asked."""

    rule_id: int
    delay: timedelta
    to: outbox.Recipient


@dataclass(frozen=True)
class Person:
    """Somebody who may have to be told, with the ways that a message takes, by priority."""

    name: str
    ways: dict[str, list[Way]]
    quiet_hours: QuietHours | None = None
    muted_until: datetime | None = None

    def is_muted(self, now: datetime) -> bool:
        return self.muted_until is not None and self.muted_until > now

    def waits_until(self, due_at: datetime, priority: str) -> datetime:
        """Return when a message that is due then may go out: low priority waits for the end of quiet hours."""
        quiet = self.quiet_hours if priority == Priority.LOW else None
        return (quiet.until(due_at) if quiet else None) or due_at


@dataclass(frozen=True)
class People:
    """Those whom a batch may have to tell."""

    by_id: dict[int, Person]
    admins: list[Person]


@dataclass(frozen=True)
class _Ask:
    """What a step's messages have in common. `place` tells those of one run apart."""

    place: str
    title: str
    kind: Kind = Kind.NOTIFIED
    why: str = ""


@dataclass
class Plan:
    """What one incident's step asks for, ready to be written."""

    incident: Incident
    now: datetime
    run: dict[str, Any]
    next_due_at: datetime | None = None
    notifications: list[Notification] = field(default_factory=list)
    entries: list[LogEntry] = field(default_factory=list)

    @property
    def due_at(self) -> datetime:
        """When the step was due; after an outage, when it is taken.

        Lateness of one step must not add up over the levels, so that all is counted from the due time. After an
        outage that would ask everybody at once: a level that is asked very late has its minutes from then.
        """
        due_at = self.incident.next_escalation_at
        return self.now if due_at is None or self.now - due_at > VERY_LATE else due_at

    def say(self, kind: Kind, **data: Any) -> None:
        self.entries.append(entry(self.incident, kind, self.now, **data))


def plan(incident: Incident, step: runs.Step, people: People, now: datetime) -> Plan:
    """Return what `step` of `incident` asks for.

    A level where nobody could be reached costs no time: the incident stays due and takes its next step at once.
    """
    planned = Plan(incident, now, step.run, incident.next_escalation_at)
    for level in step.skipped:
        planned.say(Kind.LEVEL_SKIPPED, level=level)
    if step.again:
        _ask_again(planned, step, people)
    elif step.finished:
        _tell_admins(planned, step, people.admins)
    elif not step.level:
        if step.minutes is not None:
            planned.say(Kind.DELAYED, minutes=step.minutes)
    elif not _ask(planned, step, people):
        return planned
    planned.next_due_at = None if step.minutes is None else planned.due_at + timedelta(minutes=step.minutes)
    return planned


def set_aside(incident: Incident, fresh: dict[str, Any], admins: list[Person], now: datetime) -> Plan:
    """Return what happens when a step cannot be taken through our own fault: the admins are told.

    The escalation starts `fresh` in a minute, as a stored run that cannot be read would fail for ever.
    """
    planned = Plan(incident, now, fresh, now + TRY_AGAIN)
    planned.say(Kind.STEP_FAILED)
    for person in admins:
        _message_to(planned, person, _Ask("fault", f"Escalation failed, look at it yourself: {incident.summary}"))
    return planned


def _ask(planned: Plan, step: runs.Step, people: People) -> bool:
    """Plan the messages to a level. Returns whether there is a way to reach anybody."""
    asked = [people.by_id[user_id] for user_id in step.users if user_id in people.by_id]
    if not asked:
        planned.say(Kind.LEVEL_SKIPPED, level=step.level)
        return False
    for person in asked:
        if person.muted_until and person.is_muted(planned.now):
            planned.say(
                Kind.MUTED, people=person.name, until=f"{person.muted_until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
            )
    asked = [person for person in asked if not person.is_muted(planned.now)]
    if not asked:
        planned.say(Kind.LEVEL_MUTED, level=step.level)
        return False
    planned.say(Kind.LEVEL_ASKED, level=step.level, round=step.round, people=", ".join(person.name for person in asked))
    message = _Ask(f"{step.round}:{step.level}", planned.incident.summary)
    reached = [_message_to(planned, person, message) for person in asked]
    return any(reached)


def _ask_again(planned: Plan, step: runs.Step, people: People) -> None:
    """Ask those who may have forgotten an accepted incident; the admins, if none of them can be reached."""
    asked = [people.by_id[user_id] for user_id in step.users if user_id in people.by_id]
    responder = planned.incident.responder
    by = f" by {responder}" if responder else ""
    why = f"Accepted{by}, and nobody has done anything about it for {step.again * (step.minutes or 0)} minutes."
    planned.say(Kind.ASKED_AGAIN, why=why, people=", ".join(person.name for person in asked) or "the admins")
    message = _Ask(f"again:{step.again}", f"Still on it? {planned.incident.summary}", Kind.NOTIFIED_AGAIN, why)
    reached = [_message_to(planned, person, message) for person in asked if not person.is_muted(planned.now)]
    if not any(reached):
        for person in _last_resort(planned, people.admins):
            _message_to(planned, person, replace(message, place=f"{message.place}:end"))


def _tell_admins(planned: Plan, step: runs.Step, admins: list[Person]) -> None:
    """Nobody is left to ask: the admins are told, and told again until somebody looks."""
    reminder = step.run["reminder"]
    if reminder == 1:
        reaches_nobody = len(step.skipped) == len(step.run["rules"])
        planned.say(Kind.NOBODY_TO_ASK if reaches_nobody else Kind.NOBODY_ANSWERED)
    for person in _last_resort(planned, admins):
        _message_to(planned, person, _Ask(f"end:{reminder}", f"Nobody answered: {planned.incident.summary}"))


def _last_resort(planned: Plan, admins: list[Person]) -> list[Person]:
    """Those who are not muted; if all are, they are told all the same, as nobody would know otherwise."""
    return [admin for admin in admins if not admin.is_muted(planned.now)] or admins


def _message_to(planned: Plan, person: Person, ask: _Ask) -> bool:
    """Plan one message for each of the person's ways for the incident's priority. Returns whether there is any."""
    ways = person.ways.get(planned.incident.priority, [])
    if not ways:
        planned.say(Kind.UNREACHABLE, people=person.name)
    for way in ways:
        notification = _message(planned, person, way, ask)
        planned.notifications.append(notification)
        planned.say(ask.kind, notification=notification)
    return bool(ways)


def _message(planned: Plan, person: Person, way: Way, ask: _Ask) -> Notification:
    incident = planned.incident
    content = outbox.Content(
        title=f"{ask.title} [{incident.alert_source.name}]",
        text="\n\n".join(filter(None, (ask.why, incident.details))),
        urgent=incident.priority == Priority.HIGH,
    )
    return outbox.plan(
        f"incident:{incident.pk}:{incident.priority}:{planned.run['number']}:{ask.place}:{way.to.user_id}:{way.rule_id}",
        way.to,
        content,
        person.waits_until(planned.due_at + way.delay, incident.priority),
        planned.now,
    )
