"""REST: how alert sources are written down."""

from typing import Any

from rest_framework import serializers

import integrations
from accounts.access import viewer
from accounts.serializers import TeamField
from alertsources.models import AUTO_RESOLUTION_CHOICES, AlertSource, Grouping, Priority
from ilert.common.rest.serializers import IdField, RefSerializer, Strict, WordField
from oncall.models import EscalationPolicy


def _iso(minutes: int) -> str:
    """Return minutes as iLert writes them: PT10M, PT2H."""
    return f"PT{minutes // 60}H" if minutes % 60 == 0 and minutes > 60 else f"PT{minutes}M"


class SilenceField(serializers.ChoiceField):
    """After how long without an event an incident is resolved."""

    def __init__(self, **kwargs: Any) -> None:
        self.minutes = {_iso(minutes): minutes for minutes, _ in AUTO_RESOLUTION_CHOICES}
        super().__init__(choices=list(self.minutes), **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        return self.minutes[super().to_internal_value(data)]

    def to_representation(self, value: Any) -> str:
        return _iso(value)


class AlertSourceSerializer(Strict):
    ignored = ("status", "iconUrl", "lightIconUrl", "darkIconUrl")

    id = IdField(read_only=True)
    name = serializers.CharField(max_length=255)
    integrationType = serializers.ChoiceField(
        source="integration_type",
        choices=integrations.choices(),
        error_messages={
            "invalid_choice": "“{input}” is not known. Known: "
            + ", ".join(sorted(known for known, _ in integrations.choices()))
            + "."
        },
    )
    escalationPolicy = RefSerializer(source="escalation_policy")
    team = TeamField()
    active = serializers.BooleanField(default=True)
    incidentPriorityRule = WordField(Priority.choices, source="priority", default=Priority.HIGH)
    autoResolutionTimeout = SilenceField(source="auto_resolution_minutes", allow_null=True, default=None)
    grouping = WordField(Grouping.choices, allow_null=True, default=None)
    rateLimit = serializers.IntegerField(
        source="rate_limit", min_value=1, max_value=1_000_000, allow_null=True, default=None
    )
    burstLimit = serializers.IntegerField(
        source="burst_limit", min_value=1, max_value=10_000_000, allow_null=True, default=None
    )
    integrationKey = serializers.SerializerMethodField(help_text="Admins see it, others null.")
    integrationUrl = serializers.SerializerMethodField(help_text="Admins see it, others null.")
    createdAt = serializers.DateTimeField(source="created_at", read_only=True)

    # The key is as good as a password: whoever has it can open incidents.
    def get_integrationKey(self, source: AlertSource) -> str | None:
        return source.integration_key if self.context["shows_keys"] else None

    def get_integrationUrl(self, source: AlertSource) -> str | None:
        return source.integration_url if self.context["shows_keys"] else None

    def validate_integrationType(self, kind: str) -> str:
        source: AlertSource | None = self.instance
        if source and source.integration_type != kind:
            raise serializers.ValidationError("The kind of a source cannot be changed: its key is for that kind.")
        return kind

    def validate_escalationPolicy(self, policy: dict[str, int]) -> EscalationPolicy:
        visible = EscalationPolicy.objects.visible_to(viewer(self.context["request"]))
        found = visible.filter(pk=policy["id"]).first()
        if found is None:
            raise serializers.ValidationError({"id": ["There is no such escalation policy."]})
        return found
