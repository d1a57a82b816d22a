"""Who is responsible: escalation policies."""

from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Lower
from django.urls import reverse

from accounts import audit
from accounts.models import Team, TeamOwnedQuerySet

MAX_DELAY = 60
MAX_ACCEPT_TIMEOUT = 1440
NAME_TAKEN = "Another escalation policy has this name already."


class PolicyQuerySet(TeamOwnedQuerySet["EscalationPolicy"]):
    """Policies by who may see them."""


class EscalationPolicy(models.Model):
    """Who is asked about an incident, in which order, and how often."""

    name = models.CharField(max_length=255)
    repeating = models.BooleanField("repeat", default=False, help_text="Start again after the last rule.")
    frequency = models.PositiveSmallIntegerField(
        "rounds",
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(9)],
        help_text="How many rounds are made in all when the policy repeats.",
    )
    delay_minutes = models.PositiveSmallIntegerField(
        "minutes before the first rule",
        default=0,
        validators=[MaxValueValidator(MAX_DELAY)],
        help_text="What is accepted or resolved within them asks nobody.",
    )
    accept_timeout_minutes = models.PositiveSmallIntegerField(
        "minutes until an accepted incident asks again",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_ACCEPT_TIMEOUT)],
        help_text="Its responder and the first level are asked when nobody has done anything for so long.",
    )
    team = models.ForeignKey(
        Team,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="policies",
        help_text="Its members and admins see the policy. Without a team everybody does.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PolicyQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "escalation policies"
        ordering = [Lower("name")]
        constraints = [
            models.UniqueConstraint(
                Lower("name"),
                name="oncall_escalationpolicy_name_unique",
                violation_error_message=NAME_TAKEN,
            ),
            models.CheckConstraint(
                condition=models.Q(frequency__range=(1, 9)), name="oncall_escalationpolicy_frequency_range"
            ),
            models.CheckConstraint(
                condition=models.Q(delay_minutes__lte=MAX_DELAY), name="oncall_escalationpolicy_delay_range"
            ),
            models.CheckConstraint(
                condition=models.Q(accept_timeout_minutes__range=(1, MAX_ACCEPT_TIMEOUT)),
                name="oncall_escalationpolicy_accept_timeout_range",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("policy-detail", args=[self.pk])

    def audit_state(self) -> dict[str, Any]:
        rules = [
            {"minutes": rule.escalation_timeout, "people": sorted(user.email for user in rule.users.all())}
            for rule in self.rules.prefetch_related("users")
        ]
        return audit.fields_of(self, "created_at") | {"rules": rules}

    @property
    def rounds(self) -> int:
        return self.frequency if self.repeating else 1


class EscalationRule(models.Model):
    """One level of a policy: these people, and how long they have before the next level is asked."""

    policy = models.ForeignKey(EscalationPolicy, on_delete=models.CASCADE, related_name="rules")
    position = models.PositiveSmallIntegerField(help_text="0 is asked first.")
    escalation_timeout = models.PositiveSmallIntegerField(
        "minutes until the next rule",
        default=15,
        validators=[MinValueValidator(1), MaxValueValidator(1440)],
    )
    users = models.ManyToManyField(settings.AUTH_USER_MODEL, blank=True, related_name="escalation_rules")

    class Meta:
        ordering = ["policy", "position"]
        constraints = [
            models.UniqueConstraint(
                fields=["policy", "position"],
                name="oncall_escalationrule_position_unique",
                deferrable=models.Deferrable.DEFERRED,
            )
        ]

    def __str__(self) -> str:
        return f"{self.policy} – rule {self.position + 1}"
