"""The forms of alert sources."""

from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError

from accounts.models import Team
from alertsources.models import AUTO_RESOLUTION_CHOICES, Grouping, Priority
from alertsources.services import Options
from oncall.models import EscalationPolicy

NEW_POLICY = "new"


class SourceForm(forms.Form):
    """Name and policy of a source. A policy can be made in place, so that nobody has to leave the form."""

    name = forms.CharField(
        max_length=255, help_text="People read it in messages at night. Name the tool and what it watches."
    )
    escalation_policy = forms.ChoiceField(help_text="Who is asked when an event of this source opens an incident.")
    new_policy_name = forms.CharField(
        label="Name of the new policy",
        max_length=255,
        required=False,
        help_text="It asks you at once. More people and rules can be added later.",
    )
    team = forms.ModelChoiceField(
        Team.objects.all(),
        required=False,
        empty_label="Everyone's",
        help_text="Others than its members and admins do not see the source, nor its incidents.",
    )
    priority = forms.ChoiceField(
        choices=Priority, initial=Priority.HIGH, help_text="Of incidents whose tool does not say how urgent they are."
    )
    auto_resolution_minutes = forms.TypedChoiceField(
        label="Resolve after silence",
        choices=[("", "Never"), *AUTO_RESOLUTION_CHOICES],
        coerce=int,
        empty_value=None,
        required=False,
        help_text="When that long no event has come, also if somebody has accepted.",
    )
    grouping = forms.ChoiceField(label="What becomes one incident", choices=Grouping, initial=Grouping.KEY)
    rate_limit = forms.IntegerField(
        label="Events per second",
        min_value=1,
        max_value=1_000_000,
        required=False,
        help_text="More is a flood: it is stored and shown, and refused only while the installation has no room.",
    )
    burst_limit = forms.IntegerField(
        label="Events at once",
        min_value=1,
        max_value=10_000_000,
        required=False,
        help_text="So many may come in one go before events per second count.",
    )

    OPTIONS = ("priority", "auto_resolution_minutes", "grouping", "rate_limit", "burst_limit")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["rate_limit"].widget.attrs["placeholder"] = f"{settings.ILERT_SOURCE_RATE:g}"
        self.fields["burst_limit"].widget.attrs["placeholder"] = f"{settings.ILERT_SOURCE_BURST:g}"
        policies = [(str(pk), name) for pk, name in EscalationPolicy.objects.values_list("pk", "name")]
        field = self.fields["escalation_policy"]
        assert isinstance(field, forms.ChoiceField)
        # With one policy, or none, there is nothing to choose; with several a wrong default would page strangers.
        blank = [("", "Choose a policy")] if len(policies) > 1 and not self.initial.get("escalation_policy") else []
        field.choices = [*blank, *policies, (NEW_POLICY, "New policy …")]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("escalation_policy") == NEW_POLICY and "new_policy_name" in data:
            self._clean_new_policy(data["new_policy_name"])
        return data

    def _clean_new_policy(self, name: str) -> None:
        if not name:
            self.add_error("new_policy_name", "Give the new policy a name.")
            return
        try:
            EscalationPolicy(name=name).full_clean()
        except ValidationError as error:
            self.add_error("new_policy_name", error.messages[0])

    @property
    def has_wrong_options(self) -> bool:
        """Whether the options must be unfolded, as an error is among them."""
        return self.is_bound and any(name in self.errors for name in self.OPTIONS)

    def options(self) -> Options:
        return Options(**{name: self.cleaned_data[name] for name in self.OPTIONS})

    @property
    def wants_new_policy(self) -> bool:
        return bool(self.cleaned_data["escalation_policy"] == NEW_POLICY)

    def policy(self) -> EscalationPolicy:
        """Return the chosen policy. Somebody may have deleted it a moment ago; then there is none: DoesNotExist."""
        return EscalationPolicy.objects.get(pk=self.cleaned_data["escalation_policy"])


class EditSourceForm(SourceForm):
    active = forms.BooleanField(
        required=False, help_text="While a source is not active its tool is answered 404 and nobody is asked."
    )
