"""Pages that belong to no app: the theme switch and the style guide."""

import datetime as dt
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Theme


@require_POST
def set_theme(request: HttpRequest) -> HttpResponse:
    """Keep the viewer's theme. The page's script has changed it already; without script the page comes back."""
    assert request.user.is_authenticated  # RightsMiddleware
    theme = request.POST.get("theme", "")
    if theme not in Theme.values:
        return HttpResponse("Unknown theme.", status=400)
    request.user.theme = theme
    request.user.save(update_fields=["theme"])
    if request.htmx:  # type: ignore[attr-defined]
        return HttpResponse(status=204)
    back = request.headers.get("Referer", "")
    safe = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    return redirect(back if safe else "home")


def change_password(request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
    """The admin site's address of it leads to the product's own page."""
    return redirect("account_change_password")


class ExampleForm(forms.Form):
    """What the style guide shows of forms."""

    name = forms.CharField(help_text="Colleagues read it in the middle of the night. Make it plain.")
    minutes = forms.IntegerField(min_value=1)
    policy = forms.ChoiceField(label="Escalation policy", choices=[("1", "Default"), ("2", "Database team")])
    notes = forms.CharField(widget=forms.Textarea, required=False)
    active = forms.BooleanField(required=False, help_text="A source that is not active answers 404 to its tool.")
    people = forms.MultipleChoiceField(
        choices=[("1", "Ada"), ("2", "Grace"), ("3", "Linus")], widget=forms.CheckboxSelectMultiple
    )


@require_safe
def api_docs(request: HttpRequest) -> HttpResponse:
    """What the REST API can do, to be read and tried."""
    return render(request, "api_docs.html")


@require_safe
def styleguide(request: HttpRequest) -> HttpResponse:
    """Show every component with the line that includes it, for those who build on."""
    now = timezone.now()
    context: dict[str, Any] = {
        "form": ExampleForm({"name": "", "minutes": "0", "policy": "2", "active": "on", "people": ["1"]}),
        "minute_ago": now - dt.timedelta(minutes=1),
        "hour_ago": now - dt.timedelta(hours=1),
        "soon": now + dt.timedelta(minutes=14),
        "states": ["pending", "accepted", "resolved"],
        "source_states": ["no-event", "all-resolved", "disabled", "broken"],
        "outcomes": ["opened", "appended", "ignored", "test", "ambiguous", "rejected"],
        "deliveries": ["planned", "sending", "sent", "delivered", "failed", "cancelled"],
        "tabs": [
            {"label": "Open", "url": "#tabs", "current": True, "count": 3},
            {"label": "Pending", "url": "#tabs", "current": False, "count": 1},
            {"label": "Resolved", "url": "#tabs", "current": False, "count": None},
        ],
        "facts": [("Source", "Sematext production"), ("Reported", "22 Nov 2026, 16:05 CET"), ("Key", "")],
        "payload": '{\n    "description": "$description",\n    "backToNormal": "$backToNormal"\n}',
    }
    return render(request, "styleguide.html", context)
