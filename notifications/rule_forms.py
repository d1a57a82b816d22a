"""The time lines on the profile: one form for each priority, one line for each rule, an empty line to add another."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms import BaseFormSet, formset_factory

from accounts.models import User
from notifications.models import ContactMethod, NotificationRule, Priority
from notifications.rules import MAX_MINUTES, MAX_RULES, Line


class MethodChoice(forms.ModelChoiceField):  # type: ignore[type-arg]
    def label_from_instance(self, obj: Any) -> str:
        return str(obj) if obj.verified_at else f"{obj} (not confirmed)"


class LineForm(forms.Form):
    minutes = forms.IntegerField(
        min_value=0,
        max_value=MAX_MINUTES,
        initial=0,
        error_messages={
            "required": "How many minutes?",
            "invalid": "Whole minutes.",
            "max_value": "At most a day: 1440 minutes.",
            "min_value": "0 is at once.",
        },
    )
    method = MethodChoice(
        ContactMethod.objects.none(), empty_label="Choose…", error_messages={"required": "Choose one."}
    )

    def __init__(self, *args: Any, methods: "QuerySet[ContactMethod]", **options: Any) -> None:
        super().__init__(*args, **options)
        field = self.fields["method"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = methods
        number = (self.prefix or "").rpartition("-")[2]
        place = f"line {int(number) + 1}" if number.isdecimal() else "a new line"
        self.fields["minutes"].widget.attrs["aria-label"] = f"Minutes, {place}"
        field.widget.attrs["aria-label"] = f"Contact method, {place}"


class Lines(BaseFormSet[LineForm]):
    """What its owner typed. `lines` is good once it is valid."""

    @property
    def lines(self) -> list[Line]:
        filled = [form for form in self.forms if form.has_changed() or form in self.initial_forms]
        return [
            (form.cleaned_data["method"], form.cleaned_data["minutes"])
            for form in filled
            if form not in self.deleted_forms
        ]

    def clean(self) -> None:
        if any(form.errors for form in self.forms if form not in self.deleted_forms):
            return
        lines = self.lines
        if len(lines) > MAX_RULES:
            raise ValidationError(f"At most {MAX_RULES} lines.")
        for line in lines:
            if lines.count(line) > 1:
                raise ValidationError(f"{line[0]} is there twice after {line[1]} min.")


# A line is removed by its own button, which sends what Django's check box for deleting would.
LinesFormSet = formset_factory(LineForm, Lines, extra=1, max_num=MAX_RULES, absolute_max=3 * MAX_RULES, can_delete=True)


def lines_form(user: User, priority: Priority, data: Any = None) -> Lines:
    rules = NotificationRule.objects.filter(user=user, priority=priority).order_by("delay_minutes", "pk")
    initial = [{"minutes": rule.delay_minutes, "method": rule.contact_method_id} for rule in rules]
    methods = ContactMethod.objects.filter(user=user)
    form = LinesFormSet(data, prefix=priority.value, initial=initial, form_kwargs={"methods": methods})
    assert isinstance(form, Lines)
    return form
