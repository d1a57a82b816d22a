"""The form of an escalation policy: its name and its rules, which are edited together."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict

from accounts.models import Team
from ilert.common.text import number
from oncall.models import MAX_ACCEPT_TIMEOUT, MAX_DELAY, EscalationPolicy
from oncall.services import DEFAULT_TIMEOUT, MAX_MINUTES, MAX_RULES, RuleData, Timing, can_be_asked, check_name

PREFIX = "rules"


class PolicyForm(forms.Form):
    name = forms.CharField(max_length=255, help_text="The team or the service it is for.")
    team = forms.ModelChoiceField(
        Team.objects.all(),
        required=False,
        empty_label="Everyone's",
        help_text="Others than its members and admins do not see the policy.",
    )
    delay_minutes = forms.IntegerField(
        label="Minutes before the first rule",
        min_value=0,
        max_value=MAX_DELAY,
        initial=0,
        help_text="What is over by then, or accepted, asks nobody: for alerts that come and go. 0 asks at once.",
        error_messages={
            "min_value": "0 minutes ask at once; less cannot be.",
            "max_value": f"At most {MAX_DELAY} minutes.",
            "invalid": "Write a whole number of minutes.",
            "required": "Say how many minutes; 0 asks at once.",
        },
    )
    accept_timeout_minutes = forms.IntegerField(
        label="Minutes until an accepted incident asks again",
        min_value=1,
        max_value=MAX_ACCEPT_TIMEOUT,
        required=False,
        help_text="Its responder and the first rule are asked, when nobody has done anything until then. Empty: never.",
        error_messages={
            "min_value": "At least 1 minute; leave it empty to turn it off.",
            "max_value": f"At most {MAX_ACCEPT_TIMEOUT} minutes, which is a day.",
            "invalid": "Write a whole number of minutes, or leave it empty.",
        },
    )
    repeating = forms.BooleanField(
        label="Start again when nobody has answered", required=False, help_text="Otherwise every rule asks once."
    )
    frequency = forms.IntegerField(
        label="Rounds in all", min_value=2, max_value=9, required=False, help_text="From 2 to 9."
    )

    def __init__(self, *args: Any, policy: EscalationPolicy | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.policy = policy

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        try:
            check_name(name, self.policy)
        except ValidationError as error:
            raise ValidationError(error.messages) from error
        return name

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if not data.get("repeating"):
            self.errors.pop("frequency", None)  # the field is not shown then
            data["frequency"] = 1
        elif "frequency" in data and data["frequency"] is None:
            self.add_error("frequency", "Say how many rounds there are, from 2 to 9.")
        return data

    def timing(self) -> Timing:
        return Timing(self.cleaned_data["delay_minutes"], self.cleaned_data["accept_timeout_minutes"])


class RuleForm(forms.Form):
    users = forms.MultipleChoiceField(
        label="Who is asked",
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one person, or remove this rule."},
    )
    escalation_timeout = forms.IntegerField(
        label="Minutes to answer",
        min_value=1,
        max_value=MAX_MINUTES,
        error_messages={
            "min_value": "At least 1 minute.",
            "max_value": "At most 1440 minutes, which is a day.",
            "invalid": "Write a whole number of minutes.",
            "required": "Say how many minutes people have to answer.",
        },
    )

    def __init__(self, *args: Any, people: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.empty_permitted = False  # whatever number of rules the form says it began with
        field = self.fields["users"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = people

    def rule(self) -> RuleData:
        return RuleData(self.cleaned_data["escalation_timeout"], [int(pk) for pk in self.cleaned_data["users"]])


RuleFormSet = forms.formset_factory(
    RuleForm, extra=0, min_num=1, max_num=MAX_RULES, validate_min=True, validate_max=True
)


def people(policy: EscalationPolicy | None = None) -> list[tuple[str, str]]:
    """Return who can be chosen: active responders, and whoever the policy names already."""
    users = sorted(can_be_asked(policy), key=lambda user: str(user).lower())
    return [(str(user.pk), f"{user} ({user.why_not_asked})" if user.why_not_asked else str(user)) for user in users]


def stored_rules(policy: EscalationPolicy) -> list[dict[str, Any]]:
    """Return the policy's rules as initial values of the formset."""
    return [
        {
            "escalation_timeout": rule.escalation_timeout,
            "users": [str(user.pk) for user in rule.users.all()],
        }
        for rule in policy.rules.prefetch_related("users")
    ]


def new_rule(users: list[str] | None = None) -> dict[str, Any]:
    return {"escalation_timeout": DEFAULT_TIMEOUT, "users": users or []}


@dataclass
class Draft:
    """The rules as they stand in an unsaved form, whatever has been typed into them."""

    rules: list[dict[str, Any]]
    focus: str = ""
    """The id of what the keyboard's user goes on from."""

    @classmethod
    def typed(cls, data: QueryDict) -> "Draft":
        total = min(number(data.get(f"{PREFIX}-TOTAL_FORMS", "")) or 0, MAX_RULES)
        return cls(
            [
                {
                    "escalation_timeout": data.get(f"{PREFIX}-{index}-escalation_timeout", ""),
                    "users": data.getlist(f"{PREFIX}-{index}-users"),
                }
                for index in range(total)
            ]
        )

    def apply(self, action: str) -> None:
        """Do what a button says: `add`, or `remove`, `up`, `down` with the number of a rule, such as `up-2`."""
        verb, _, position = action.partition("-")
        index = number(position)
        if index is not None and index >= len(self.rules):
            index = None
        if verb == "add" and len(self.rules) < MAX_RULES:
            self.rules.append(new_rule())
            self.focus = f"{PREFIX}-{len(self.rules) - 1}"
        elif verb == "remove" and index is not None and len(self.rules) > 1:
            del self.rules[index]
            self.focus = f"{PREFIX}-{min(index, len(self.rules) - 1)}"
        elif verb in ("up", "down") and index is not None:
            self._move(index, -1 if verb == "up" else 1)

    def _move(self, index: int, by: int) -> None:
        last = len(self.rules) - 1
        target = min(max(index + by, 0), last)
        self.rules.insert(target, self.rules.pop(index))
        # The button that was pressed is gone at either end of the list; the other one goes on.
        onward = {0: "down", last: "up"}.get(target, "up" if by < 0 else "down")
        self.focus = f"{PREFIX}-{target}-{onward}"
