"""What the product knows of itself."""

from django.db import models
from django.db.models import Q
from django.utils import timezone


class Role(models.TextChoices):
    WEB = "web", "Web"
    WORKER = "worker", "Worker"
    TICKER = "ticker", "Ticker"


class Pulse(models.Model):
    """A process of ours and its last sign of life, written from the place where it does its work."""

    role = models.CharField(max_length=8, choices=Role)
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    version = models.CharField(max_length=64)
    started_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    did = models.TextField(blank=True, help_text="What it did last, in words.")
    # How far the host's clock is ahead of the database's.
    clock_skew = models.FloatField(default=0)
    # The last jump of the database's clock that this process saw, and when.
    clock_jump = models.FloatField(default=0)
    clock_jump_at = models.DateTimeField(null=True)
    # Tickers: the last time in which no ticker ticked.
    gap_from = models.DateTimeField(null=True)
    gap_until = models.DateTimeField(null=True)

    class Meta:
        ordering = ["role", "host", "pid"]
        constraints = [models.UniqueConstraint(fields=["role", "host", "pid"], name="incidents_pulse_of_process")]

    def __str__(self) -> str:
        return f"{self.role} {self.name}"

    @property
    def name(self) -> str:
        return f"{self.host}:{self.pid}"


class Finding(models.Model):
    """Something that should not be, from when the auditor saw it until it was over."""

    kind = models.CharField(max_length=32)
    # Which of several: a channel, a process. Empty when there can only be one.
    subject = models.CharField(max_length=255, blank=True)
    grave = models.BooleanField(default=False, help_text="Pages may not go out: the heartbeat stops while it is open.")
    title = models.TextField()
    text = models.TextField()
    advice = models.TextField()
    opened_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True)
    told_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject"], condition=Q(closed_at__isnull=True), name="incidents_one_open_finding"
            )
        ]
        indexes = [models.Index(fields=["kind", "subject", "-told_at"], name="incidents_finding_told")]

    def __str__(self) -> str:
        return self.title


class Audit(models.Model):
    """The only row: when the auditor ran last, so that several tickers run it once a minute."""

    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    milliseconds = models.PositiveIntegerField(default=0)
    # Up to which pending incident the slow look has come.
    untold_cursor = models.BigIntegerField(default=0)
    # The tally: up to which ids everything is counted, and the ids to count next, once what is below them is settled.
    counted = models.JSONField(default=dict)
    marks = models.JSONField(default=dict)
    marked_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    heartbeat_answer = models.TextField(blank=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="incidents_one_audit_row")]

    def __str__(self) -> str:
        return f"Audit of {self.started_at}"


class Tally(models.Model):
    """A total that only grows."""

    name = models.CharField(max_length=32)
    label = models.CharField(max_length=64)
    total = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name", "label"], name="incidents_one_tally")]

    def __str__(self) -> str:
        return f"{self.name} {self.label}: {self.total}"
