"""Teams: who is in them, and what they own."""

from typing import Any

from django.contrib import messages
from django.db.models import ProtectedError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import services
from accounts.forms import TeamForm
from accounts.models import Team
from accounts.requests import SignedInRequest


@require_safe
def team_detail(request: SignedInRequest, pk: int) -> HttpResponse:
    team = get_object_or_404(Team, pk=pk)
    context = {
        "team": team,
        "members": sorted(team.members.all(), key=lambda person: str(person).lower()),
        "owned": _owned(team) if request.user.is_admin or team.members.filter(pk=request.user.pk).exists() else [],
        "can_edit": request.user.is_admin,
    }
    return render(request, "accounts/team.html", context)


def _owned(team: Team) -> list[Any]:
    """Return what the floors above have given to the team."""
    return [*team.alert_sources.all(), *team.policies.all()]


@require_http_methods(["GET", "HEAD", "POST"])
def team_create(request: SignedInRequest) -> HttpResponse:
    form = TeamForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        team = services.create_team(**form.cleaned_data)
        messages.success(request, f"{team.name} is created. Give it alert sources and policies on their own pages.")
        return redirect(team)
    return render(request, "accounts/team_form.html", {"form": form}, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
def team_edit(request: SignedInRequest, pk: int) -> HttpResponse:
    team = get_object_or_404(Team, pk=pk)
    form = TeamForm(request.POST or None, team=team)
    if request.method == "POST" and form.is_valid():
        services.update_team(team, **form.cleaned_data)
        messages.success(request, "Saved.")
        return redirect(team)
    return render(request, "accounts/team_form.html", {"form": form, "team": team}, status=422 if form.errors else 200)


@require_POST
def team_delete(request: SignedInRequest, pk: int) -> HttpResponse:
    team = get_object_or_404(Team, pk=pk)
    try:
        services.delete_team(team)
    except ProtectedError:
        messages.error(request, f"{team.name} owns alert sources or policies. Give them to another team first.")
        return redirect(team)
    messages.success(request, f"{team.name} is deleted.")
    return redirect("people")
