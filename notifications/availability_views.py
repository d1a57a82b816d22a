"""The page on which people say when they are left alone."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.models import User
from accounts.quiet import DAYS, EVERY_DAY
from accounts.requests import SignedInRequest
from ilert.common.clock import database_now
from notifications import availability

LONGEST_MUTE = timedelta(days=30)


class QuietHoursForm(forms.Form):
    start = forms.TimeField(label="From", required=False, widget=forms.TimeInput({"type": "time"}, "%H:%M"))
    end = forms.TimeField(label="To", required=False, widget=forms.TimeInput({"type": "time"}, "%H:%M"))
    days = forms.MultipleChoiceField(
        label="Nights and days that begin on",
        choices=[(str(number), name) for number, name in enumerate(DAYS)],
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = self.cleaned_data
        if not self.errors and (data["start"] is None) != (data["end"] is None):
            self.add_error("end" if data["end"] is None else "start", "Fill in both, or leave both empty.")
        if not self.errors and data["start"] is not None and not data["days"]:
            self.add_error("days", "Choose at least one day.")
        return data


class MuteForm(forms.Form):
    until = forms.DateTimeField(
        label="Until",
        widget=forms.DateTimeInput({"type": "datetime-local"}, "%Y-%m-%dT%H:%M"),
        error_messages={"required": "Until when?"},
    )

    def __init__(self, *args: Any, now: datetime, **options: Any) -> None:
        super().__init__(*args, **options)
        self.now = now

    def clean_until(self) -> datetime:
        until: datetime = self.cleaned_data["until"]
        if until <= self.now:
            raise forms.ValidationError("This has passed already.")
        if until > self.now + LONGEST_MUTE:
            raise forms.ValidationError(
                "At most 30 days. Somebody who is away for longer is better taken off policies."
            )
        return until


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def quiet_times(request: SignedInRequest) -> HttpResponse:
    """Quiet hours, saved by a POST, and mute beside them."""
    form = QuietHoursForm(request.POST or None, initial=_initial(request.user))
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        days = "".join(data["days"]) or EVERY_DAY
        availability.set_quiet_hours(_copy(request.user), data["start"], data["end"], days)
        messages.success(request, "Saved.")
        return redirect("quiet-times")
    return _page(request, form, _mute_form(database_now()))


@require_POST
def mute(request: SignedInRequest) -> HttpResponse:
    now = database_now()
    form = MuteForm(request.POST, now=now)
    if not form.is_valid():
        return _page(request, QuietHoursForm(initial=_initial(request.user)), form)
    availability.mute(_copy(request.user), form.cleaned_data["until"], now)
    messages.success(request, "Muted. Colleagues see it.")
    return redirect("quiet-times")


@require_POST
def unmute(request: SignedInRequest) -> HttpResponse:
    availability.unmute(_copy(request.user))
    messages.success(request, "You can be reached again.")
    return redirect("quiet-times")


def _page(request: SignedInRequest, form: QuietHoursForm, mute_form: MuteForm) -> HttpResponse:
    context = {"form": form, "mute_form": mute_form, "now": database_now()}
    status = 422 if form.errors or mute_form.errors else 200
    return render(request, "notifications/quiet_times.html", context, status=status)


def _copy(user: Any) -> User:
    return User.objects.get(pk=user.pk)


def _initial(user: User) -> dict[str, Any]:
    return {"start": user.quiet_from, "end": user.quiet_to, "days": list(user.quiet_days)}


def _mute_form(now: datetime) -> MuteForm:
    return MuteForm(now=now, initial={"until": timezone.localtime(now + timedelta(hours=1))})
