"""What people work on: incidents, the events that make them, and their timelines."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import Exists, Func, OuterRef, Q
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from alertsources.models import AlertSource

# What the app registers with Django besides the models below.
from incidents.watch.models import Audit, Finding, Pulse, Tally  # noqa: F401

# A source that has kept its rate for that long is not flooding any more.
FLOOD_ENDS_AFTER = timedelta(minutes=1)
TIMELINE_SEQUENCE = "incidents_timeline_seq"


class NextTimelineId(Func):
    """The next id of the sequence that events and log entries share, so that a timeline has one order."""

    template = f"nextval('{TIMELINE_SEQUENCE}')"
    arity = 0
    output_field = models.BigIntegerField()


class Status(models.IntegerChoices):
    """Ordered: a status only ever moves to a later one."""

    PENDING = 1, "Pending"
    ACCEPTED = 2, "Accepted"
    RESOLVED = 3, "Resolved"


class Priority(models.TextChoices):
    HIGH = "high", "High"
    LOW = "low", "Low"


class Outcome(models.TextChoices):
    """What became of an event."""

    OPENED = "opened", "Opened"
    APPENDED = "appended", "Appended"
    ACCEPTED = "accepted", "Accepted"
    RESOLVED = "resolved", "Resolved"
    IGNORED = "ignored", "Ignored"
    TEST = "test", "Test"
    AMBIGUOUS = "ambiguous", "Ambiguous"
    REJECTED = "rejected", "Rejected"
    FAILED = "failed", "Failed"


@dataclass(frozen=True)
class Scope:
    """Which incidents somebody sees while sources of teams that they are not in are hidden from them."""

    viewer: int
    hidden: tuple[int, ...]
    """The ids of those alert sources."""

    @classmethod
    def of(cls, user: User) -> "Scope | None":
        """Return the scope of `user`, None when nothing is hidden: then lists pay for nothing."""
        hidden = tuple(AlertSource.objects.hidden_from(user).order_by("pk").values_list("pk", flat=True))
        return cls(user.pk, hidden) if hidden else None

    def narrow(self, incidents: "models.QuerySet[Incident]") -> "models.QuerySet[Incident]":
        """Leave what is visible; whoever is asked about an incident, or was told, always sees it."""
        told = LogEntry.objects.filter(incident=OuterRef("pk"), notification__user=self.viewer)
        asked = Q(run__contains={"rules": [{"users": [self.viewer]}]})
        return incidents.filter(
            ~Q(alert_source__in=self.hidden) | Q(responder=self.viewer) | asked | Q(Exists(told)),
        )


class IncidentQuerySet(models.QuerySet["Incident"]):
    def visible_to(self, user: User) -> "models.QuerySet[Incident]":
        """Return the incidents that `user` may see: an incident belongs to the team of its alert source."""
        scope = Scope.of(user)
        return scope.narrow(self) if scope else self

    def asking(self) -> "models.QuerySet[Incident]":
        """Return the incidents that somebody is being asked about: accepting them changes something."""
        return self.filter(Q(status=Status.PENDING) | Q(status=Status.ACCEPTED, run__again__gt=0))


class Incident(models.Model):
    """A problem that somebody has to look at, from its first event until it is resolved."""

    # The foreign keys have no index of their own: those below begin with the same column. Nor are these two checked by
    # the database: that cost a third of all that an event costs it. Whoever writes them has locked the source's row.
    alert_source = models.ForeignKey(
        "alertsources.AlertSource",
        on_delete=models.PROTECT,
        related_name="incidents",
        db_index=False,
        db_constraint=False,
    )
    escalation_policy = models.ForeignKey(
        "oncall.EscalationPolicy",
        on_delete=models.SET_NULL,
        null=True,
        related_name="incidents",
        db_index=False,
        db_constraint=False,
    )
    summary = models.TextField()
    details = models.TextField(blank=True)
    status = models.SmallIntegerField(choices=Status, default=Status.PENDING)
    priority = models.CharField(max_length=4, choices=Priority, default=Priority.HIGH)
    # As the tool gave it. PostgreSQL's index rows have a limit, so it is matched through a hash, without case.
    incident_key = models.TextField()
    key_hash = models.BinaryField(max_length=32)
    scope_hash = models.BinaryField(max_length=32, null=True)
    event_count = models.PositiveIntegerField(default=1)
    reported_at = models.DateTimeField(default=timezone.now)
    last_event_at = models.DateTimeField(default=timezone.now)
    accepted_at = models.DateTimeField(null=True)
    resolved_at = models.DateTimeField(null=True)
    responder = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="incidents", db_index=False
    )
    # When the next level is asked; once it is accepted, when it asks again if nobody does anything about it. Null when
    # nobody is to be asked any more. A part never asks: one that is due has become HIGH, and raises what it belongs to.
    next_escalation_at = models.DateTimeField(null=True, default=timezone.now)
    # Nobody is asked before; `next_escalation_at` is then. Kept apart so that pages can say why nobody is asked.
    snoozed_until = models.DateTimeField(null=True)
    # The incident that this one goes on as a part of. It has been accepted with it and is resolved with it.
    merged_into = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="parts", db_index=False)
    # When it is resolved by itself, counted from the last event; null when the source does not do that.
    auto_resolve_at = models.DateTimeField(null=True)
    # The rules this escalation started with; editing the policy does not change tonight. Null before the first step.
    run = models.JSONField(null=True)

    objects = IncidentQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["alert_source", "key_hash"],
                condition=Q(status__lt=Status.RESOLVED),
                name="incidents_one_open_per_key",
            ),
            models.CheckConstraint(
                condition=Q(merged_into__isnull=True)
                | (~Q(status=Status.PENDING) & (Q(next_escalation_at__isnull=True) | Q(priority=Priority.HIGH))),
                name="incidents_parts_ask_nobody",
            ),
            models.CheckConstraint(
                condition=Q(status__lt=Status.RESOLVED) | Q(next_escalation_at__isnull=True),
                name="incidents_only_open_asks",
            ),
            models.CheckConstraint(
                condition=Q(status=Status.RESOLVED, resolved_at__isnull=False)
                | (~Q(status=Status.RESOLVED) & Q(resolved_at__isnull=True)),
                name="incidents_resolved_has_time",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_escalation_at"], condition=Q(next_escalation_at__isnull=False), name="incidents_due"
            ),
            models.Index(
                fields=["auto_resolve_at"],
                condition=Q(auto_resolve_at__isnull=False, status__lt=Status.RESOLVED),
                name="incidents_auto_resolve",
            ),
            # What the auditor looks through: pending, and nobody is to be asked any more. One for each priority, as the
            # planner then knows how few there are.
            models.Index(
                fields=["id"],
                condition=Q(status=Status.PENDING, next_escalation_at__isnull=True, priority=Priority.HIGH),
                name="incidents_stuck",
            ),
            models.Index(
                fields=["id"],
                condition=Q(status=Status.PENDING, next_escalation_at__isnull=True, priority=Priority.LOW),
                name="incidents_resting_low",
            ),
            models.Index(fields=["merged_into"], condition=Q(merged_into__isnull=False), name="incidents_parts"),
            models.Index(fields=["alert_source", "key_hash", "-id"], name="incidents_latest_of_key"),
            models.Index(
                fields=["alert_source", "scope_hash"],
                condition=Q(status__lt=Status.RESOLVED, scope_hash__isnull=False),
                name="incidents_open_of_scope",
            ),
            # What the list shows, newest first: each filter that may leave few of many has an index of its own. The
            # primary key serves the rest: nearly all are resolved, and times grow with ids (incidents/moments.py).
            models.Index(fields=["alert_source", "-id"], name="incidents_by_source"),
            models.Index(fields=["escalation_policy", "-id"], name="incidents_by_policy"),
            # With the other filters, as they mostly come on top of "mine"; it costs nothing until somebody accepts.
            models.Index(
                fields=["responder", "-id", "alert_source", "escalation_policy", "priority"],
                condition=Q(responder__isnull=False),
                name="incidents_mine",
            ),
            models.Index(fields=["-id"], condition=Q(status__lt=Status.RESOLVED), name="incidents_open"),
            models.Index(fields=["-id"], condition=Q(priority=Priority.LOW), name="incidents_low"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.summary}"

    def get_absolute_url(self) -> str:
        return reverse("incident-detail", args=[self.pk])

    @property
    def is_open(self) -> bool:
        return self.status != Status.RESOLVED

    @property
    def asks_again(self) -> bool:
        """Whether it was accepted, its accept time-out is over, and nobody has done anything since."""
        return self.status == Status.ACCEPTED and bool(self.run and self.run.get("again"))


class Event(models.Model):
    """A message of a tool as it was received, and what became of it. Its row is the timeline's "event received"."""

    id = models.BigIntegerField(primary_key=True, db_default=NextTimelineId(), editable=False)
    # See Incident for why the database neither indexes nor checks these two.
    alert_source = models.ForeignKey(
        "alertsources.AlertSource",
        on_delete=models.CASCADE,
        related_name="events",
        db_index=False,
        db_constraint=False,
    )
    incident = models.ForeignKey(
        Incident, on_delete=models.CASCADE, null=True, related_name="events", db_index=False, db_constraint=False
    )
    # One request may hold many events. The body is kept once, with the first of them.
    request_id = models.UUIDField(default=uuid.uuid4)
    body = models.BinaryField(null=True)
    content_type = models.TextField(blank=True)
    received_at = models.DateTimeField(default=timezone.now)
    occurred_at = models.DateTimeField(null=True)
    type = models.CharField(max_length=8, blank=True)
    outcome = models.CharField(max_length=9, choices=Outcome)
    reason = models.TextField(blank=True, help_text="Why the outcome is what it is, in words for an admin.")
    incident_key = models.TextField(blank=True)
    summary = models.TextField(blank=True)
    details = models.TextField(blank=True)
    fields = models.JSONField(default=dict)
    links = models.JSONField(default=list)

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["incident", "-id"], name="incidents_event_by_incident"),
            models.Index(fields=["alert_source", "-id"], name="incidents_event_by_source"),
            models.Index(
                fields=["alert_source", "-id"],
                condition=Q(outcome__in=["rejected", "failed"]),
                name="incidents_event_refused",
            ),
            # The bodies that retention has yet to look at.
            models.Index(fields=["id"], condition=Q(body__isnull=False), name="incidents_event_body"),
            # Whether an alert that is applied late has been overtaken by its recovery.
            models.Index(
                fields=["alert_source", "-id"], condition=Q(type="RESOLVE"), name="incidents_event_recoveries"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_outcome_display()}: {self.summary}"


class Flood(models.Model):
    """The last time that a source sent more than its rate."""

    alert_source = models.OneToOneField(
        "alertsources.AlertSource", on_delete=models.CASCADE, primary_key=True, related_name="flood"
    )
    since = models.DateTimeField()
    last_at = models.DateTimeField()
    events_per_second = models.PositiveIntegerField()
    refused = models.PositiveBigIntegerField(default=0, help_text="Events that were answered 429 in this flood.")

    def __str__(self) -> str:
        return f"{self.alert_source} since {self.since}"

    def goes_on(self, now: datetime) -> bool:
        """Whether the source has been over its rate within the last minute."""
        return now - self.last_at <= FLOOD_ENDS_AFTER


class Retention(models.Model):
    """Where the removal of old raw bodies stands: one row. A pass goes through the events in order of their ids."""

    ONLY = 1

    due_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    after_id = models.BigIntegerField(default=0)
    removed = models.BigIntegerField(default=0, help_text="Bodies that this pass has removed.")

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="incidents_one_retention")]

    def __str__(self) -> str:
        return f"{self.removed} bodies removed, {'done' if self.finished_at else 'going on'}"


class FailedRequest(models.Model):
    """A request that a fault of ours has kept from being applied, until it is. Its events are there, as failed."""

    request_id = models.UUIDField(primary_key=True)
    alert_source = models.ForeignKey(
        "alertsources.AlertSource", on_delete=models.CASCADE, related_name="failed_requests"
    )
    first_event = models.OneToOneField(Event, on_delete=models.CASCADE, related_name="failed_request")
    # What the rows of its events do not hold: id of the row, priority, scope, labels. Empty if it could not be read.
    rest = models.JSONField(default=list)
    fault = models.TextField(help_text="What went wrong, without anything of the request.")
    received_at = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(db_index=True)

    class Meta:
        # Not "first_event", which would mean the order of events: newest first.
        ordering = ["first_event_id"]

    def __str__(self) -> str:
        return f"{self.alert_source}: {self.fault}"


class SearchEntry(models.Model):
    """What an incident is found by; incidents/search.py writes and reads it, shortly after the incident itself."""

    # Not checked by the database: the statement that writes it has just read the incident.
    incident = models.OneToOneField(
        Incident, on_delete=models.CASCADE, primary_key=True, db_constraint=False, related_name="search_entry"
    )
    document = SearchVectorField()

    class Meta:
        verbose_name_plural = "search entries"
        indexes = [GinIndex(fields=["document"], name="incidents_search")]

    def __str__(self) -> str:
        return f"#{self.incident_id}"


class LogEntry(models.Model):
    """Something that happened to an incident. Append-only: the database refuses to change an entry."""

    id = models.BigIntegerField(primary_key=True, db_default=NextTimelineId(), editable=False)
    # The database does not check incident and notification, which cost more than the entry: an entry is written
    # together with its message, in a transaction that has locked its incident, and neither is ever deleted.
    incident = models.ForeignKey(
        Incident, on_delete=models.CASCADE, related_name="log_entries", db_index=False, db_constraint=False
    )
    kind = models.CharField(max_length=32)
    created_at = models.DateTimeField(default=timezone.now)
    # Not checked by the database: deleting a person must not touch an entry. The name stays readable.
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="+",
    )
    actor_name = models.TextField(blank=True)
    notification = models.ForeignKey(
        "notifications.Notification",
        on_delete=models.PROTECT,
        null=True,
        related_name="log_entries",
        db_index=False,
        db_constraint=False,
    )
    data = models.JSONField(default=dict)

    class Meta:
        ordering = ["-pk"]
        verbose_name_plural = "log entries"
        indexes = [
            models.Index(fields=["incident", "-id"], name="incidents_log_by_incident"),
            models.Index(
                fields=["notification"], condition=Q(notification__isnull=False), name="incidents_log_by_notification"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} ({self.incident_id})"

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise TypeError("The timeline is append-only.")
