"""Where a contact method is confirmed: by the code that was sent to it, or by the link beside the code."""

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.requests import SignedInRequest
from ilert.common.clock import database_now
from notifications import verification
from notifications.verification import Outcome
from notifications.views import own_method


class CodeForm(forms.Form):
    code = forms.RegexField(
        r"^\s*(\d\s*){6}$",
        label="Code",
        max_length=20,
        error_messages={"invalid": "A code has six digits."},
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "one-time-code", "class": "code-input"}),
    )


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def contact_method_verify(request: SignedInRequest, pk: int) -> HttpResponse:
    """Enter the code that was sent."""
    method = own_method(request, pk)
    if method.verified_at:
        return redirect(f"{reverse('profile')}#method-{pk}")
    form = CodeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        outcome = verification.enter(method, form.cleaned_data["code"], database_now())
        if outcome is Outcome.CONFIRMED:
            messages.success(request, outcome.value)
            return redirect(f"{reverse('profile')}#method-{pk}")
        form.add_error("code", outcome.value)
    context = {"form": form, "method": method, "channel": method.channel_type}
    return render(request, "notifications/verify.html", context, status=422 if form.errors else 200)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def contact_method_link(request: HttpRequest, token: str) -> HttpResponse:
    """The page behind the link: whose contact method it is, and one button. Who holds the message needs no sign-in."""
    now = database_now()
    posted = request.method == "POST"
    method = verification.enter_link(token, now) if posted else verification.read(token, now)
    context = {"method": method, "is_done": posted and method is not None}
    return render(request, "notifications/verify_link.html", context, status=200 if method else 404)
