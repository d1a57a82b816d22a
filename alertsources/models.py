"""The configured tools that may send events."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.urls import reverse

import integrations
from accounts.models import Team, TeamOwnedQuerySet
from alertsources import keys
from ilert.common.encrypted import EncryptedTextField
from ilert.common.links import absolute


class Priority(models.TextChoices):
    HIGH = "high", "High: asks level by level"
    LOW = "low", "Low: tells the first level only"


class Grouping(models.TextChoices):
    KEY = integrations.Grouping.KEY.value, "One incident for each problem that the tool tells apart"
    EVENT = integrations.Grouping.EVENT.value, "Each alert is an incident of its own"
    ONE_OPEN = integrations.Grouping.ONE_OPEN.value, "One open incident at a time, everything else belongs to it"


AUTO_RESOLUTION_CHOICES = [
    *((minutes, f"After {minutes} minutes") for minutes in (10, 20, 30, 40, 50, 60, 90)),
    *((hours * 60, f"After {hours} hours") for hours in (2, 3, 4, 5, 6, 12, 24)),
]


class SourceQuerySet(TeamOwnedQuerySet["AlertSource"]):
    """Alert sources by who may see them."""


class AlertSource(models.Model):
    """A tool that may send events, and the policy its incidents follow."""

    name = models.CharField(max_length=255)
    # A callable, so that a new integration needs no migration.
    integration_type = models.CharField(max_length=32, choices=integrations.choices)
    escalation_policy = models.ForeignKey(
        "oncall.EscalationPolicy", on_delete=models.PROTECT, related_name="alert_sources"
    )
    team = models.ForeignKey(
        Team,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="alert_sources",
        help_text="None: everyone's.",
    )
    # The page has to show the URL again, so the key is kept encrypted; it is found by its hash.
    integration_key = EncryptedTextField(editable=False)
    key_hash = models.BinaryField(max_length=32, unique=True, editable=False)
    # After a rotation the old key works on for a while, so that the tool can be changed without losing an event.
    previous_key_hash = models.BinaryField(max_length=32, unique=True, null=True, editable=False)
    previous_key_until = models.DateTimeField(null=True, editable=False)
    priority = models.CharField(
        max_length=4,
        choices=Priority,
        default=Priority.HIGH,
        help_text="Of incidents whose tool does not say how urgent they are.",
    )
    auto_resolution_minutes = models.PositiveSmallIntegerField(
        "resolve by itself",
        choices=AUTO_RESOLUTION_CHOICES,
        null=True,
        blank=True,
        help_text="When that long no event has come, also if somebody has accepted.",
    )
    grouping = models.CharField(max_length=8, choices=Grouping, default=Grouping.KEY)
    # None leaves the installation's own, ILERT_SOURCE_RATE and ILERT_SOURCE_BURST.
    rate_limit = models.PositiveIntegerField("events per second", null=True, blank=True)
    burst_limit = models.PositiveIntegerField("events at once", null=True, blank=True)
    active = models.BooleanField(default=True, help_text="A source that is not active answers 404 to its tool.")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = SourceQuerySet.as_manager()

    class Meta:
        ordering = [Lower("name"), "pk"]
        constraints = [
            # Nothing may ever pass a limit of 0; a source that may send nothing is disabled.
            models.CheckConstraint(
                condition=(Q(rate_limit=None) | Q(rate_limit__gt=0)) & (Q(burst_limit=None) | Q(burst_limit__gt=0)),
                name="alertsources_limits_let_something_pass",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("source-detail", args=[self.pk])

    @property
    def integration(self) -> integrations.Integration:
        return integrations.by_type(self.integration_type)

    @property
    def integration_url(self) -> str:
        """The webhook URL that the tool posts to."""
        return absolute(f"/api/v1/events/{self.integration.slug}/{self.integration_key}")

    def set_key(self, key: str) -> None:
        self.integration_key = key
        self.key_hash = keys.digest(key)
