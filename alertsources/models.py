"""The configured tools that may send events."""

from django.db import models
from django.db.models.functions import Lower
from django.urls import reverse

import integrations
from alertsources import keys
from ilert.common.encrypted import EncryptedTextField
from ilert.common.links import absolute


class AlertSource(models.Model):
    """A tool that may send events, and the policy its incidents follow."""

    name = models.CharField(max_length=255)
    # A callable, so that a new integration needs no migration.
    integration_type = models.CharField(max_length=32, choices=integrations.choices)
    escalation_policy = models.ForeignKey(
        "oncall.EscalationPolicy", on_delete=models.PROTECT, related_name="alert_sources"
    )
    # The page has to show the URL again, so the key is kept encrypted; it is found by its hash.
    integration_key = EncryptedTextField(editable=False)
    key_hash = models.BinaryField(max_length=32, unique=True, editable=False)
    active = models.BooleanField(default=True, help_text="A source that is not active answers 404 to its tool.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = [Lower("name"), "pk"]

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
