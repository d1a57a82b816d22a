"""The kinds of entries a timeline has, and how each is said in a sentence."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.safestring import SafeString

from accounts.models import User
from ilert.common import bulk, markdown
from ilert.common.text import number
from incidents.models import Event, Incident, LogEntry, Outcome
from integrations import EventType
from notifications.models import Notification


class Kind(StrEnum):
    ACCEPTED = "accepted"
    STILL_ON_IT = "accepted.still"
    RESOLVED = "resolved"
    AUTO_RESOLVED = "resolved.auto"
    RESOLVED_WITH = "resolved.with"
    REOPENED = "reopened"
    OPENED = "opened.by_hand"
    ESCALATED = "escalated"
    ASSIGNED = "assigned"
    SNOOZED = "snoozed"
    RAISED = "raised"
    MERGED = "merged"
    MERGED_HERE = "merged.here"
    COMMENTED = "commented"
    DELAYED = "delayed"
    LEVEL_ASKED = "level.asked"
    LEVEL_SKIPPED = "level.skipped"
    NOBODY_ANSWERED = "nobody.answered"
    NOBODY_TO_ASK = "nobody.to_ask"
    UNREACHABLE = "person.unreachable"
    MUTED = "person.muted"
    LEVEL_MUTED = "level.muted"
    STEP_FAILED = "step.failed"
    ASKED_AGAIN = "asked.again"
    NOTIFIED = "notified"
    NOTIFIED_AGAIN = "notified.again"
    RESOLVE_NOTICE = "notified.resolved"
    RECOVERY_AMBIGUOUS = "recovery.ambiguous"


def entry(
    incident: Incident,
    kind: Kind,
    now: datetime,
    actor: User | None = None,
    notification: Notification | None = None,
    **data: Any,
) -> LogEntry:
    """Return an unsaved entry; `data` is what its sentence needs, as plain JSON."""
    return bulk.row(
        LogEntry,
        incident_id=incident.pk,
        kind=kind,
        created_at=now,
        actor_id=actor.pk if actor else None,
        actor_name=str(actor) if actor else "",
        notification_id=notification.pk if notification else None,
        data=data,
    )


@dataclass(frozen=True)
class Step:
    """One thing that happened to a message: when, and why or with which answer."""

    at: datetime
    what: str
    why: str = ""


@dataclass(frozen=True)
class Item:
    """One line of a timeline, ready to be shown. `kind` is an entry's own, or `event.` and what became of an event."""

    id: int
    at: datetime
    kind: str
    icon: str
    tone: str
    sentence: str
    actor: str = ""
    detail: str = ""
    is_markdown: bool = False
    notification: Notification | None = None
    event: Event | None = None
    steps: tuple[Step, ...] = ()

    @property
    def state(self) -> str:
        return self.notification.state if self.notification else ""

    @property
    def html(self) -> SafeString:
        """The detail as HTML, where it was written as Markdown."""
        return markdown.render(self.detail)

    @property
    def look(self) -> str:
        """The state as components/status.html knows it: an incident's "accepted" is another thing."""
        if self.notification and self.notification.answered_at:
            return "answered"
        return "sent" if self.state == Notification.State.ACCEPTED else self.state


PAGE_SIZE = 50
SHOWS = {
    "": "Everything",
    "events": "Events",
    "steps": "Steps",
    "notifications": "Notifications",
    "comments": "Comments",
    "deeds": "Deeds",
}
_KINDS = {
    "events": frozenset[Kind](),
    "steps": frozenset(
        (
            Kind.DELAYED, Kind.LEVEL_ASKED, Kind.LEVEL_SKIPPED, Kind.NOBODY_ANSWERED, Kind.NOBODY_TO_ASK,
            Kind.UNREACHABLE, Kind.MUTED, Kind.LEVEL_MUTED, Kind.STEP_FAILED, Kind.RECOVERY_AMBIGUOUS,
            Kind.ASKED_AGAIN,
        )
    ),
    "notifications": frozenset((Kind.NOTIFIED, Kind.NOTIFIED_AGAIN, Kind.RESOLVE_NOTICE)),
    "comments": frozenset((Kind.COMMENTED,)),
}  # fmt: skip
_KINDS["deeds"] = frozenset(Kind) - frozenset[Kind]().union(*_KINDS.values())


@dataclass(frozen=True)
class Section:
    """Lines of a timeline, newest first. `next` is the cursor of those that follow, empty at the end."""

    items: tuple[Item, ...]
    next: str


def section(
    incident: Incident, show: str = "", before: str = "", size: int = PAGE_SIZE, viewer: User | None = None
) -> Section:
    """Return the newest `size` lines of what `show` says, older than the one with the number `before`.

    Of other incidents it tells what `viewer` may see now, without one only their numbers.
    """
    cursor = number(before)
    older = Q(incident=incident) if cursor is None else Q(incident=incident, pk__lt=cursor)
    # No more of either than fits, however long the timeline is.
    entries = list(_entries(show).filter(older).order_by("-pk")[: size + 1])
    events = _events(show).filter(older).order_by("-pk")[: size + 1]
    merged = _merged(entries, viewer)
    lines = [_entry_item(row, merged) for row in entries] + [_event_item(row) for row in events]
    lines.sort(key=lambda item: item.id, reverse=True)
    return Section(tuple(lines[:size]), str(lines[size - 1].id) if len(lines) > size else "")


def past(incident: Incident, before: int, count: int) -> int:
    """Return the number of the `count`th line older than the one with the number `before`; 0 when there are fewer."""
    if not count:
        return before
    older = Q(incident=incident, pk__lt=before)
    entries = LogEntry.objects.filter(older).order_by().values_list("pk", flat=True)
    events = Event.objects.filter(older).order_by().values_list("pk", flat=True)
    return entries.union(events, all=True).order_by("-pk")[count - 1 : count].first() or 0


def _merged(entries: list[LogEntry], viewer: User | None) -> dict[int, str]:
    """Return the summaries of the incidents that were merged here, as far as `viewer` may see them, by their ids."""
    ids = {row.data["number"] for row in entries if row.kind == Kind.MERGED_HERE}
    if viewer is None or not ids:
        return {}
    return dict(Incident.objects.filter(pk__in=ids).visible_to(viewer).order_by().values_list("pk", "summary"))


def _entries(show: str) -> QuerySet[LogEntry]:
    found = LogEntry.objects.select_related("notification__carrier").prefetch_related(
        "notification__attempts", "notification__carrier__attempts"
    )
    return found.filter(kind__in=_KINDS[show]) if show in _KINDS else found


def _events(show: str) -> QuerySet[Event]:
    found = Event.objects.defer("body")
    if show == "comments":
        return found.filter(type=EventType.COMMENT)
    return found.none() if show in _KINDS and show != "events" else found


_EVENT_LOOKS = {
    Outcome.OPENED: ("siren", "pending", "Alert received, incident opened"),
    Outcome.APPENDED: ("copy-plus", "neutral", "The same alert again"),
    Outcome.ACCEPTED: ("circle-check", "accepted", "The tool said that somebody is on it"),
    Outcome.RESOLVED: ("circle-check-big", "resolved", "Back to normal: resolved by the tool itself"),
    Outcome.IGNORED: ("circle-slash", "neutral", "Event changed nothing"),
}


def _event_item(event: Event) -> Item:
    if event.type == EventType.COMMENT:
        return Item(
            id=event.pk, at=event.received_at, kind=f"event.{event.outcome}", icon="message-square",
            tone="neutral", sentence="The tool commented", detail=event.details or event.summary,
            is_markdown=True, event=event,
        )  # fmt: skip
    icon, tone, sentence = _EVENT_LOOKS.get(Outcome(event.outcome), ("circle", "neutral", event.get_outcome_display()))
    return Item(
        id=event.pk, at=event.received_at, kind=f"event.{event.outcome}", icon=icon, tone=tone, sentence=sentence,
        detail=event.reason or event.summary, event=event,
    )  # fmt: skip


_ENTRY_LOOKS = {
    Kind.ACCEPTED: ("circle-check", "accepted", "Accepted"),
    Kind.STILL_ON_IT: ("circle-check", "accepted", "Still on it"),
    Kind.ASKED_AGAIN: ("timer-reset", "warning", "{why} Asked again: {people}"),
    Kind.RESOLVED: ("circle-check-big", "resolved", "Resolved"),
    Kind.AUTO_RESOLVED: ("timer-off", "resolved", "Resolved by itself, as no event came for a while"),
    Kind.RESOLVED_WITH: ("circle-check-big", "resolved", "Resolved together with #{number}"),
    Kind.REOPENED: ("undo-2", "pending", "Reopened: the resolve was taken back"),
    Kind.OPENED: ("hand", "pending", "Opened by hand"),
    Kind.ESCALATED: ("chevrons-up", "warning", "Escalated: the next level is asked now"),
    Kind.ASSIGNED: ("user-round-pen", "info", "Reassigned to {to}"),
    Kind.SNOOZED: ("alarm-clock", "info", "Snoozed"),
    Kind.RAISED: ("arrow-up", "warning", "Priority raised to high"),
    Kind.MERGED: ("merge", "info", "Merged into #{number}"),
    Kind.MERGED_HERE: ("merge", "info", "#{number} was merged into this one"),
    Kind.COMMENTED: ("message-square", "neutral", "Commented"),
    Kind.DELAYED: ("hourglass", "neutral", "Waits {minutes} min before the first level, as the escalation policy says"),
    Kind.LEVEL_ASKED: ("arrow-up-narrow-wide", "neutral", "Level {level} asked: {people}"),
    Kind.LEVEL_SKIPPED: ("skip-forward", "warning", "Level {level} skipped: nobody is in it"),
    Kind.NOBODY_ANSWERED: ("bell-off", "danger", "Nobody answered"),
    Kind.NOBODY_TO_ASK: ("bell-off", "danger", "Nobody was told: the escalation policy reaches nobody"),
    Kind.STEP_FAILED: (
        "bug",
        "danger",
        "A fault of ilert's own stopped the escalation: it starts again in a minute, and the admins are told",
    ),
    Kind.UNREACHABLE: ("user-x", "danger", "{people} cannot be reached: no contact method for this priority"),
    Kind.MUTED: ("bell-off", "warning", "{people} is not asked: muted until {until}"),
    Kind.LEVEL_MUTED: ("skip-forward", "warning", "Level {level} skipped: everybody in it is muted"),
    Kind.RECOVERY_AMBIGUOUS: (
        "circle-question-mark",
        "warning",
        "A recovery came that may belong here: {count} open incidents match it, so none was resolved",
    ),
}


def _entry_item(row: LogEntry, merged: dict[int, str]) -> Item:
    if row.notification is not None:
        return _notification_item(row, row.notification)
    detail = row.data.get("detail", "") or row.data.get("text", "")
    if row.kind == Kind.MERGED_HERE:
        # Entries of before hold a summary, which may have become another team's since.
        detail = merged.get(row.data["number"], "")
    icon, tone, sentence = _ENTRY_LOOKS[Kind(row.kind)]
    return Item(
        id=row.pk, at=row.created_at, kind=row.kind, icon=icon, tone=tone, sentence=sentence.format(**row.data),
        actor=row.actor_name, detail=detail, is_markdown=row.kind == Kind.COMMENTED,
    )  # fmt: skip


def in_sentence(name: str) -> str:
    """Return a channel's name as it stands inside a sentence: "e-mail", but "SMS"."""
    return name if name.isupper() else name[:1].lower() + name[1:]


_State = Notification.State
_NOTIFICATION_LOOKS = {
    _State.PLANNED: ("neutral", "will be told"),
    _State.SENDING: ("neutral", "being told"),
    _State.ACCEPTED: ("info", "told"),
    _State.DELIVERED: ("resolved", "told"),
    _State.SHOWN: ("warning", "was not told"),
    _State.FAILED: ("danger", "could not be told"),
    _State.CANCELLED: ("neutral", "need not be told any more"),
}


def _notification_item(row: LogEntry, notification: Notification) -> Item:
    what = "that it is over" if row.kind == Kind.RESOLVE_NOTICE else "of the incident"
    tone, verb = _NOTIFICATION_LOOKS[_State(notification.state)]
    way = f"by {in_sentence(notification.channel_name)}{_in_which_message(notification)}"
    return Item(
        id=row.pk, at=notification.finished_at or row.created_at, kind=row.kind, icon=notification.channel_icon,
        tone="resolved" if notification.answered_at else tone,
        sentence=f"{notification.user_name} {verb} {what} {way}",
        detail=notification.answer, notification=notification, steps=tuple(_steps(notification)),
    )  # fmt: skip


def _in_which_message(notification: Notification) -> str:
    carrier = notification.carrier
    if carrier is None or notification.state == _State.CANCELLED:
        return ""
    if notification.state == _State.PLANNED and not carrier.attempt_count:
        return ", in one message with others"
    others = carrier.member_count - 1
    return f", in one message with {others} other{'s' if others > 1 else ''}" if others else ""


def _steps(notification: Notification) -> list[Step]:
    """Return what happened to a message, the oldest first; to one in a bundle the same as to the bundle."""
    steps = [Step(notification.created_at, "Planned")]
    for attempt in (notification.carrier or notification).attempts.all():
        steps.append(Step(attempt.started_at, f"Attempt {attempt.number}"))
        steps.append(Step(attempt.finished_at, "Taken" if attempt.succeeded else "Not taken", attempt.answer))
    if notification.passed_on_at:
        steps.append(Step(notification.passed_on_at, "Did not get through, so the next contact method is up"))
    if notification.finished_at:
        steps.append(Step(notification.finished_at, notification.get_state_display(), notification.answer))
    if notification.answered_at:
        steps.append(Step(notification.answered_at, f"Answered by {notification.user_name}", "By the link in it"))
    return sorted(steps, key=lambda step: step.at)
