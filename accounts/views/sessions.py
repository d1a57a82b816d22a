"""Where somebody is signed in, and how to end that from here."""

from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from accounts.requests import SignedInRequest
from ilert.common.text import number


@require_safe
def sessions(request: SignedInRequest) -> HttpResponse:
    found = _sessions(request.user)
    current = request.session.session_key
    context = {"sessions": found, "current": current, "others": any(found.session_key != current for found in found)}
    return render(request, "accounts/sessions.html", context)


@require_POST
def end(request: SignedInRequest) -> HttpResponse:
    """End one session, or without a number all but this one."""
    chosen = number(request.POST.get("session", ""))
    current = request.session.session_key
    ended = 0
    for session in _sessions(request.user):
        if session.session_key != current and chosen in (None, session.pk):
            session.end()
            ended += 1
    text = f"{ended} session{'s' if ended > 1 else ''} ended." if ended else "There was nothing to end."
    messages.success(request, text)
    return redirect("sessions")


def _sessions(user: User) -> list[UserSession]:
    """Return those that are still good, the newest first."""
    found = UserSession.objects.filter(user=user).order_by("-created_at")
    return [session for session in found if session.exists()]
