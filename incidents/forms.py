"""Forms about incidents."""

from typing import Any

from django import forms

from accounts.models import User
from alertsources.models import AlertSource
from ilert.common.text import typed
from incidents.lifecycle import MAX_COMMENT, MAX_DETAILS, MAX_SUMMARY, Report
from incidents.models import Priority


class TypedField(forms.CharField):
    """Text as its writer sees it, in its length too."""

    def to_python(self, value: Any) -> str:
        return super().to_python(typed(value) if isinstance(value, str) else value) or ""


class CommentForm(forms.Form):
    """Something for the timeline."""

    text = TypedField(max_length=MAX_COMMENT, label="For the timeline", widget=forms.Textarea)


class ReportForm(forms.Form):
    """An incident that somebody reports by hand."""

    source = forms.ModelChoiceField(
        AlertSource.objects.none(),
        label="Alert source",
        empty_label="Choose one",
        help_text="It is filed under this source, and its escalation policy says who is asked.",
    )
    summary = TypedField(
        max_length=MAX_SUMMARY, label="What is wrong?", help_text="One line, as it is read on a phone."
    )
    details = TypedField(
        max_length=MAX_DETAILS, required=False, widget=forms.Textarea, help_text="What you know so far."
    )
    priority = forms.ChoiceField(choices=Priority.choices, initial=Priority.HIGH)

    def __init__(self, *args: Any, viewer: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["source"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = AlertSource.objects.visible_to(viewer)

    def report(self) -> Report:
        """Return what was reported; call it after the form was found valid."""
        data = self.cleaned_data
        return Report(data["source"], data["summary"], data["details"], data["priority"])
