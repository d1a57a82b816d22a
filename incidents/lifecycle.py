"""What people do with an incident beside accepting and resolving it. Pages, API and bulk actions call these verbs.

Each locks the incident, asks the table of transitions, changes what it changes, and leaves one entry on the timeline.
`Refused` says why a deed makes no sense; a `Result` without change says that somebody was first.
"""

import contextlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from accounts.models import User
from alertsources.models import AlertSource
from ilert.common.text import clean, typed
from ilert.common.transactions import atomic_verb
from incidents import attention
from incidents.engine import run as runs
from incidents.engine.bell import bell
from incidents.engine.transitions import Deed, after
from incidents.intake.batch import key_hash
from incidents.models import Incident, Priority, Status
from incidents.services import LOCK_ORDER, Result, messages, something_done
from incidents.timeline import Kind, entry
from notifications import outbox
from oncall.models import EscalationPolicy
from oncall.services import snapshot

# How long somebody who is asked by name has before the admins are told that nobody answered.
ASSIGNED_MINUTES = 15
UNDO = timedelta(minutes=1)
LONGEST_SNOOZE = timedelta(days=30)
MAX_COMMENT = 10_000
MAX_SUMMARY = 500
MAX_DETAILS = 32_768


class Refused(Exception):
    """A deed that makes no sense as it was asked for; the text says why, in a sentence."""


@atomic_verb
def escalate(incident_id: int, actor: User, now: datetime) -> Result:
    """Ask the next level now, without waiting for its minute; after the last one start again from the first."""
    incident = _locked(incident_id)
    if not _move(incident, Deed.ESCALATE):
        return Result(incident, changed=False)
    incident.responder = None
    _cancel(incident, f"{actor} asked the next level.", now)
    _start(incident, _onwards(incident), now)
    return _done(incident, Kind.ESCALATED, actor, now)


@atomic_verb
def assign_person(incident_id: int, person: User, actor: User, now: datetime) -> Result:
    """Ask one person by name instead of everybody who would be asked."""
    if person.why_not_asked:
        raise Refused(f"{person} cannot be asked: only active members and admins can accept incidents.")
    incident = _locked(incident_id)
    if not _move(incident, Deed.ASSIGN):
        return Result(incident, changed=False)
    rules = {
        "policy": str(person),
        "rounds": 1,
        "accept_timeout": attention.minutes(incident),
        "rules": [{"minutes": ASSIGNED_MINUTES, "users": [person.pk]}],
    }
    incident.responder = person
    _cancel(incident, f"{actor} reassigned the incident to {person}.", now)
    _start(incident, _run(incident, rules), now)
    return _done(incident, Kind.ASSIGNED, actor, now, to=str(person))


@atomic_verb
def assign_policy(incident_id: int, policy: EscalationPolicy, actor: User, now: datetime) -> Result:
    """Ask along another escalation policy, from its first level on."""
    if not EscalationPolicy.objects.select_for_update(no_key=True).filter(pk=policy.pk).exists():
        raise Refused(f"{policy} has been deleted meanwhile. Choose another escalation policy.")
    incident = _locked(incident_id)
    if not _move(incident, Deed.ASSIGN):
        return Result(incident, changed=False)
    incident.responder, incident.escalation_policy = None, policy
    _cancel(incident, f"{actor} reassigned the incident to {policy}.", now)
    _start(incident, _run(incident, snapshot(policy)), now)
    return _done(incident, Kind.ASSIGNED, actor, now, to=str(policy))


@atomic_verb
def snooze(incident_id: int, until: datetime, actor: User, now: datetime) -> Result:
    """Ask nobody until `until`, and then from the first level on, unless it is resolved before."""
    if not now < until <= now + LONGEST_SNOOZE:
        raise Refused(f"Snooze until a time in the next {LONGEST_SNOOZE.days} days.")
    incident = _locked(incident_id)
    if not _move(incident, Deed.SNOOZE):
        return Result(incident, changed=False)
    incident.responder = actor
    _cancel(incident, f"{actor} snoozed the incident.", now)
    _start(incident, _run(incident, snapshot(incident.escalation_policy)), until)
    incident.snoozed_until = until
    return _done(incident, Kind.SNOOZED, actor, now, until=until.isoformat(timespec="seconds"))


@atomic_verb
def raise_priority(incident_id: int, actor: User, now: datetime) -> Result:
    """Make a LOW incident HIGH; while nobody has accepted it, the escalation starts. A part raises its whole too."""
    incident, whole, _ = _family(incident_id)
    if incident.priority == Priority.HIGH or not _move(incident, Deed.RAISE):
        return Result(incident, changed=False)
    if whole is not None:
        _raise_whole(whole, incident, actor, now)
    elif incident.merged_into_id is not None:
        # Merged while this waited for it, and the whole cannot be locked any more in the order in which everybody does.
        incident.next_escalation_at = now
        transaction.on_commit(bell.ring)
    return _raise(incident, actor, now)


def raise_wholes(parts: Sequence[Incident], now: datetime) -> int:
    """Let parts that an event has made HIGH raise what they belong to. Returns how many did.

    The engine has locked them, in no order, and waits for nothing more: while somebody has the whole, a part stays due.
    """
    ids = {part.merged_into_id for part in parts if part.merged_into_id}
    free = {whole.pk: whole for whole in _lockable(skip_locked=True).filter(pk__in=ids)}
    heard = {part.pk: free[part.merged_into_id] for part in parts if part.merged_into_id in free}
    for part in parts:
        if part.pk in heard:
            _raise_whole(heard[part.pk], part, None, now)
    Incident.objects.filter(pk__in=heard).update(next_escalation_at=None)
    return len(heard)


def _raise_whole(whole: Incident, part: Incident, actor: User | None, now: datetime) -> None:
    """Nobody is asked about a part: what it belongs to has to be as urgent."""
    if whole.is_open and whole.priority == Priority.LOW:
        _raise(whole, actor, now, detail=f"Its part #{part.pk} is of high priority now.")


def _raise(incident: Incident, actor: User | None, now: datetime, **data: Any) -> Result:
    incident.priority = Priority.HIGH
    if incident.status == Status.PENDING:
        _cancel(incident, f"{actor} raised the priority." if actor else "An event raised the priority.", now)
        _start(incident, _run(incident, snapshot(incident.escalation_policy)), now)
    else:
        # Nobody is asked now. But whoever reopens it may let it ask over this run again, and that must not rest then.
        incident.run = runs.over_all_levels(incident.run) if incident.run else None
        if actor:
            something_done(incident, actor, now)
    return _done(incident, Kind.RAISED, actor, now, **data)


@atomic_verb
def comment(incident_id: int, text: str, actor: User, now: datetime) -> Result:
    """Write something on the timeline; `text` is Markdown."""
    text = typed(text).strip()
    if not text:
        raise Refused("Write something first.")
    if len(text) > MAX_COMMENT:
        raise Refused(f"A comment can have {MAX_COMMENT} characters; this one has {len(text)}.")
    incident = _locked(incident_id)
    something_done(incident, actor, now)
    entry(incident, Kind.COMMENTED, now, actor=actor, text=text).save()
    return Result(incident, changed=True)


@atomic_verb
def merge(incident_id: int, into_id: int, actor: User, now: datetime) -> Result:
    """Let an incident go on as a part of another: nobody is asked about it, and it is resolved with the other.

    Its events still come to it, so that an alert that goes on opens nothing new. What is HIGH and waits for somebody,
    or would have asked again, makes the other HIGH too: a LOW one that has asked its level rests, and nobody would be
    asked about either.
    """
    if incident_id == into_id:
        raise Refused("An incident cannot be merged into itself.")
    # Both at once, in the order in which everybody locks.
    both = {
        incident.pk: incident for incident in _lockable().filter(pk__in=(incident_id, into_id)).order_by(*LOCK_ORDER)
    }
    if len(both) < 2:
        raise Incident.DoesNotExist
    incident, into = both[incident_id], both[into_id]
    if not into.is_open:
        raise Refused(f"#{into.pk} is resolved. Merge into an open incident.")
    if into.merged_into_id is not None:
        raise Refused(f"#{into.pk} is a part of #{into.merged_into_id} itself. Merge into that one.")
    raises = incident.priority == Priority.HIGH and _is_left(incident, into)
    if incident.merged_into_id is not None or not _move(incident, Deed.MERGE):
        return Result(incident, changed=False)
    incident.accepted_at = incident.accepted_at or now
    incident.next_escalation_at = incident.snoozed_until = None
    incident.merged_into = into
    incident.run = runs.answered(incident.run) if incident.run else None
    Incident.objects.filter(merged_into=incident).update(merged_into=into)
    _cancel(incident, f"{actor} merged the incident into #{into.pk}.", now)
    something_done(into, actor, now)
    entry(into, Kind.MERGED_HERE, now, actor=actor, number=incident.pk).save()
    if raises and into.priority == Priority.LOW:
        _raise(into, actor, now)
    return _done(incident, Kind.MERGED, actor, now, number=into.pk)


def _is_left(incident: Incident, into: Incident) -> bool:
    """Whether nobody would be sure to look at an incident once it is a part.

    Nobody has it yet, or whoever has it may forget it: a part has no accept time-out, nor has what nobody has accepted.
    """
    if incident.status == Status.PENDING or incident.asks_again:
        return True
    return attention.is_counted(incident) and into.status == Status.PENDING


@atomic_verb
def reopen(incident_id: int, actor: User, now: datetime) -> Result:
    """Take a resolve back within a minute. Whoever had accepted and takes it back has it again; else it asks anew.

    Those who were told that it is over, the responder among them, would not know otherwise. The parts that ended
    together with the incident come back with it. A part goes on as one while its whole is open.
    """
    incident, whole, parts = _family(incident_id)
    if not _move(incident, Deed.REOPEN):
        return Result(incident, changed=False)
    if incident.resolved_at is None or now - incident.resolved_at > UNDO:
        raise Refused("A resolve can be taken back for a minute. If the problem goes on, the next alert opens it anew.")
    together = [part for part in parts if part.resolved_at == incident.resolved_at]
    _go_on(incident, now)
    _cancel(incident, f"{actor} reopened the incident.", now)
    if _is_accepted_still(incident, whole, actor):
        incident.status = Status.ACCEPTED
        attention.count(incident, now)
    else:
        _ask_anew(incident, now)
    try:
        with transaction.atomic():
            result = _done(incident, Kind.REOPENED, actor, now)
    except IntegrityError as error:
        raise Refused("A new incident of the same problem has been opened meanwhile. Go on with that one.") from error
    for part in together:
        _reopen_part(part, actor, now)
    return result


def _family(incident_id: int) -> tuple[Incident, Incident | None, list[Incident]]:
    """Lock an incident with the one that it is a part of and its own parts, in the order in which everybody locks."""
    known = Incident.objects.filter(pk=incident_id).values_list("pk", "merged_into_id").first()
    mine = Q(pk__in=[pk for pk in known or () if pk]) | Q(merged_into=incident_id)
    locked = {incident.pk: incident for incident in _lockable().filter(mine).order_by(*LOCK_ORDER)}
    if incident_id not in locked:
        raise Incident.DoesNotExist
    incident = locked.pop(incident_id)
    whole = locked.get(incident.merged_into_id) if incident.merged_into_id else None
    return incident, whole, [one for one in locked.values() if one.merged_into_id == incident_id]


def _go_on(incident: Incident, now: datetime) -> None:
    """Let an incident go on as if its last event had just come: else what has ended by itself would at once again."""
    incident.resolved_at = None
    if incident.auto_resolve_at is not None:
        minutes = incident.alert_source.auto_resolution_minutes
        incident.auto_resolve_at = now + timedelta(minutes=minutes) if minutes else None


def _is_accepted_still(incident: Incident, whole: Incident | None, actor: User) -> bool:
    if incident.merged_into_id is not None:
        return whole is not None and whole.is_open
    return incident.accepted_at is not None and incident.responder_id == actor.pk


def _ask_anew(incident: Incident, now: datetime) -> None:
    """Start the escalation again over the rules that it had, so that who was asked by name is; nobody has it any more.

    Whoever had accepted is asked with the first level, whichever level they are in.
    """
    number = _number(incident) + 1
    run = runs.anew(incident.run, number) if incident.run else _run(incident, snapshot(incident.escalation_policy))
    if incident.accepted_at:
        run = runs.asking_first(run, incident.responder_id, ASSIGNED_MINUTES) if incident.responder_id else run
        incident.responder = None
    _start(incident, run, now)


def _reopen_part(part: Incident, actor: User, now: datetime) -> None:
    """Let a part go on with its whole, unless its problem goes on as a new incident already."""
    part.status = Status.ACCEPTED
    _go_on(part, now)
    with contextlib.suppress(IntegrityError), transaction.atomic():
        _done(part, Kind.REOPENED, actor, now)
        _cancel(part, f"{actor} reopened the incident.", now)


@dataclass(frozen=True)
class Report:
    """What somebody who opens an incident by hand says about it."""

    source: AlertSource
    summary: str
    details: str = ""
    priority: str = Priority.HIGH


@atomic_verb
def open_by_hand(report: Report, actor: User, now: datetime) -> Incident:
    """Open an incident that no tool has reported. It follows the policy of the alert source it is filed under."""
    summary = " ".join(clean(report.summary).split())
    if not summary:
        raise Refused("Say in a line what is wrong.")
    source = AlertSource.objects.select_for_update(no_key=True).filter(pk=report.source.pk).first()
    if source is None:
        raise Refused(f"{report.source} has been deleted meanwhile. Choose another alert source.")
    # No tool's event has such a key.
    key = f"by hand {uuid.uuid4()}"
    incident = Incident.objects.create(
        alert_source=source,
        escalation_policy_id=source.escalation_policy_id,
        summary=summary[:MAX_SUMMARY],
        details=typed(report.details).strip()[:MAX_DETAILS],
        priority=report.priority,
        event_count=0,
        reported_at=now,
        last_event_at=now,
        next_escalation_at=now,
        incident_key=key,
        key_hash=key_hash(key),
    )
    entry(incident, Kind.OPENED, now, actor=actor).save()
    transaction.on_commit(bell.ring)
    return incident


def _locked(incident_id: int) -> Incident:
    return _lockable().get(pk=incident_id)


def _lockable(*, skip_locked: bool = False) -> QuerySet[Incident]:
    incidents = Incident.objects.select_for_update(of=("self",), skip_locked=skip_locked)
    return incidents.select_related("alert_source", "escalation_policy").defer("alert_source__integration_key")


def _move(incident: Incident, deed: Deed) -> bool:
    """Change the status if the table of transitions says so."""
    status = after(incident.status, deed)
    if status is None:
        return False
    incident.status = status
    return True


def _cancel(incident: Incident, reason: str, now: datetime) -> None:
    outbox.cancel(messages(incident), reason, now)


def _start(incident: Incident, run: dict[str, Any], at: datetime) -> None:
    incident.run, incident.next_escalation_at = run, at
    incident.accepted_at = incident.snoozed_until = incident.merged_into = None
    transaction.on_commit(bell.ring)


def _run(incident: Incident, rules: dict[str, Any]) -> dict[str, Any]:
    """Return a new run over `rules`. Its number tells its messages from those of the runs before."""
    fresh = runs.begin(rules, number=_number(incident) + 1, single_level=incident.priority == Priority.LOW)
    return runs.at_once(fresh)


def _onwards(incident: Incident) -> dict[str, Any]:
    """Return a run that goes on where the present one stands, over all levels; from the start if no level is left."""
    run = incident.run
    if run is None or run["reminder"] or runs.upcoming(run) is None:
        run = runs.begin(snapshot(incident.escalation_policy), number=0, single_level=False)
    onwards = runs.over_all_levels(runs.answered(run))
    return runs.at_once({**onwards, "number": _number(incident) + 1, "reminder": 0})


def _number(incident: Incident) -> int:
    return int(incident.run["number"]) if incident.run else 1


def _done(incident: Incident, kind: Kind, actor: User | None, now: datetime, **data: Any) -> Result:
    incident.save()
    entry(incident, kind, now, actor=actor, **data).save()
    return Result(incident, changed=True)
