"""Who is here: the list, a person's page, and how people are invited, changed and shut out."""

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import invitations, services
from accounts.forms import FirstPasswordForm, InviteForm, PersonForm
from accounts.models import Team, User
from accounts.requests import SignedInRequest


@require_safe
def people(request: SignedInRequest) -> HttpResponse:
    """Those who have left come last."""
    found = User.objects.prefetch_related("teams")
    context = {
        "people": sorted(found, key=lambda person: (not person.is_active, str(person).lower())),
        "teams": Team.objects.prefetch_related("members"),
        "can_edit": request.user.is_admin,
    }
    return render(request, "accounts/people.html", context)


@require_safe
def person_detail(request: SignedInRequest, pk: int) -> HttpResponse:
    person = get_object_or_404(User.objects.prefetch_related("teams"), pk=pk)
    context = {
        "person": person,
        "can_edit": request.user.is_admin,
        "is_last_admin": list(User.objects.signing_in_admins()[:2]) == [person],
        # What asks this person, as far as the viewer may see it.
        "policies": _policies(person, request.user),
    }
    return render(request, "accounts/person.html", context)


def _policies(person: User, viewer: User) -> list[Any]:
    """Return the policies of the floor above that name `person`; their rules lead back there."""
    rules = person.escalation_rules.select_related("policy__team")
    mine = set(viewer.teams.values_list("pk", flat=True))
    found: set[Any] = {rule.policy for rule in rules}
    visible = [policy for policy in found if viewer.is_admin or policy.team_id is None or policy.team_id in mine]
    return sorted(visible, key=lambda policy: policy.name.lower())


@require_http_methods(["GET", "HEAD", "POST"])
def person_invite(request: SignedInRequest) -> HttpResponse:
    form = InviteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        person = services.invite(**form.cleaned_data)
        _send(request, person)
        return redirect("person-detail", person.pk)
    return render(request, "accounts/invite.html", {"form": form}, status=422 if form.errors else 200)


@require_POST
def person_invite_again(request: SignedInRequest, pk: int) -> HttpResponse:
    _send(request, get_object_or_404(User, pk=pk, is_active=True))
    return redirect("person-detail", pk)


def _send(request: SignedInRequest, person: User) -> None:
    if person.has_usable_password():
        messages.info(request, f"{person} has a password already and needs no invitation.")
        return
    try:
        invitations.send(person, request.user)
    except OSError as error:
        messages.error(request, f"The invitation could not be mailed: {error}. Send it again later.")
    else:
        messages.success(request, f"The invitation is on its way to {person.email}. It is good for a week.")


@require_http_methods(["GET", "HEAD", "POST"])
def person_edit(request: SignedInRequest, pk: int) -> HttpResponse:
    person = get_object_or_404(User, pk=pk)
    form = PersonForm(request.POST or None, person=person)
    if request.method == "POST" and form.is_valid():
        old_email, move = person.email, form.cleaned_data.pop("move")
        try:
            with transaction.atomic():
                services.update_person(person, **form.cleaned_data)
                if move:
                    services.move_email(person, old_email)
        except services.LastAdmin as refused:
            form.add_error("role", str(refused))
        else:
            messages.success(request, "Saved.")
            return redirect("person-detail", pk)
    context = {"form": form, "person": person}
    return render(request, "accounts/person_edit.html", context, status=422 if form.errors else 200)


@require_POST
def person_set_active(request: SignedInRequest, pk: int) -> HttpResponse:
    person = get_object_or_404(User, pk=pk)
    try:
        services.set_person_active(person, request.POST.get("active") == "1")
    except services.LastAdmin as refused:
        messages.error(request, str(refused))
    else:
        word = "can sign in again" if person.is_active else "is shut out from now on, and is not asked any more"
        messages.success(request, f"{person} {word}.")
    return redirect("person-detail", pk)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: SignedInRequest, token: str) -> HttpResponse:
    """Where the mailed link leads: choose a password, then sign in with it."""
    person = invitations.read(token)
    if person is None:
        return render(request, "accounts/invitation_invalid.html", status=404)
    form = FirstPasswordForm(person, request.POST or None)
    if request.method == "POST" and form.is_valid():
        services.accept_invitation(person, form.cleaned_data["new_password1"])
        messages.success(request, "Your password is saved. Sign in with it.")
        return redirect("account_login")
    context = {"form": form, "person": person}
    return render(request, "accounts/invitation.html", context, status=422 if form.errors else 200)
