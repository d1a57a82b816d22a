"""REST: how escalation policies are written down."""

from typing import Any

from django.core.exceptions import ValidationError
from rest_framework import serializers

from accounts.serializers import TeamField
from ilert.common.rest.serializers import IdField, RefSerializer, Strict
from oncall.models import MAX_ACCEPT_TIMEOUT, MAX_DELAY, EscalationPolicy
from oncall.services import MAX_MINUTES, MAX_RULES, RuleData, can_be_asked, check_name

NOBODY = "There is no active member or admin with this id."


# The stubs do not know that `many=True` takes what lists take.
class RuleSerializer(Strict):
    escalationTimeout = serializers.IntegerField(source="escalation_timeout", min_value=1, max_value=MAX_MINUTES)
    users = RefSerializer(many=True, allow_empty=False)
    schedules = RefSerializer(many=True, default=list, max_length=0, help_text="Their place.")  # type: ignore[call-arg]


class PolicySerializer(Strict):
    id = IdField(read_only=True)
    name = serializers.CharField(max_length=255)
    escalationRules = RuleSerializer(source="rules", many=True, allow_empty=False, max_length=MAX_RULES)  # type: ignore[call-arg]
    repeating = serializers.BooleanField(default=False)
    frequency = serializers.IntegerField(
        min_value=1, max_value=9, default=1, help_text="Rounds in all; it counts when the policy repeats."
    )
    delayMinutes = serializers.IntegerField(
        source="delay_minutes",
        min_value=0,
        max_value=MAX_DELAY,
        default=0,
        help_text="Before the first level is asked. What is accepted or resolved within them asks nobody.",
    )
    acceptTimeoutMinutes = serializers.IntegerField(
        source="accept_timeout_minutes",
        min_value=1,
        max_value=MAX_ACCEPT_TIMEOUT,
        allow_null=True,
        default=None,
        help_text="Until an accepted incident on which nobody does anything asks its responder and the first level "
        "again; null: never.",
    )

    team = TeamField()

    def validate_name(self, name: str) -> str:
        try:
            check_name(name, self.instance)
        except ValidationError as error:
            raise serializers.ValidationError(error.messages) from error
        return name

    def validate_escalationRules(self, rules: list[dict[str, Any]]) -> list[RuleData]:
        named = {user["id"] for rule in rules for user in rule["users"]}
        policy: EscalationPolicy | None = self.instance
        known = set(can_be_asked(policy).filter(pk__in=named).values_list("pk", flat=True))
        problems = [
            {"users": [{} if user["id"] in known else {"id": [NOBODY]} for user in rule["users"]]} for rule in rules
        ]
        if named - known:
            raise serializers.ValidationError(problems)
        return [RuleData(rule["escalation_timeout"], [user["id"] for user in rule["users"]]) for rule in rules]


class OnCallSerializer(Strict):
    """`start` and `end` are null while somebody is asked by name and not by a shift."""

    escalationPolicy = RefSerializer(source="policy")
    escalationLevel = serializers.IntegerField(source="level", min_value=1)
    afterMinutes = serializers.IntegerField(
        source="minutes", min_value=0, help_text="After the incident was opened, if nobody accepts it until then."
    )
    user = RefSerializer()
    start = serializers.DateTimeField(allow_null=True, default=None)
    end = serializers.DateTimeField(allow_null=True, default=None)
