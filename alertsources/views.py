"""Pages of alert sources: list, create, set-up page, edit, delete.

What has to do with events and incidents belongs to a higher floor; the pages include fragments that it serves.
"""

from datetime import datetime
from itertools import groupby

from django.contrib import messages
from django.db import IntegrityError, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

import integrations
from accounts.access import is_admin
from accounts.models import User
from alertsources import services
from alertsources.forms import EditSourceForm, SourceForm
from alertsources.models import AlertSource
from alertsources.setup import address_warning
from oncall.models import NAME_TAKEN, EscalationPolicy
from oncall.services import create_policy_asking


@require_safe
def source_list(request: HttpRequest) -> HttpResponse:
    sources = list(
        AlertSource.objects.visible_to(_viewer(request))
        .select_related("escalation_policy", "team")
        .defer("integration_key")
    )
    return render(request, "alertsources/list.html", {"sources": sources, "can_edit": is_admin(request)})


@require_safe
def source_gallery(request: HttpRequest) -> HttpResponse:
    """Choose the kind of tool."""
    kinds = sorted(integrations.ALL, key=lambda kind: (kind.category, kind.name.lower()))
    groups = [(category, list(group)) for category, group in groupby(kinds, key=lambda kind: kind.category)]
    return render(request, "alertsources/gallery.html", {"groups": groups})


@require_http_methods(["GET", "HEAD", "POST"])
def source_create(request: HttpRequest, slug: str) -> HttpResponse:
    integration = integrations.get(slug)
    if integration is None:
        raise Http404(f"There is no integration {slug}.")
    form = SourceForm(request.POST or None, initial={"name": integration.name, "grouping": integration.grouping.value})
    if request.method == "POST" and form.is_valid():
        try:
            source = _create(form, integration, _viewer(request))
        except IntegrityError:  # somebody else has just taken the name of the new policy
            form.add_error("new_policy_name", NAME_TAKEN)
        else:
            messages.success(request, f"{source.name} is created. Now set up {integration.name}.")
            return redirect(source)
    return render(request, "alertsources/create.html", {"form": form, "integration": integration})


def _create(form: SourceForm, integration: integrations.Integration, viewer: User) -> AlertSource:
    name, options, team = form.cleaned_data["name"], form.options(), form.cleaned_data["team"]
    if form.wants_new_policy:
        return services.create_source_and_policy(
            name,
            integration.type,
            form.cleaned_data["new_policy_name"],
            viewer,
            options,
            team=form.cleaned_data["team"],
        )
    return services.create_source(name, integration.type, form.policy(), options, team=team)


@require_safe
def source_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """The set-up page. The webhook URL is as good as a password, so only admins get to see it."""
    source = _source(pk)
    admin = is_admin(request)
    is_new = not source.events.exists()
    context = {
        "source": source,
        "integration": source.integration,
        "can_edit": admin,
        "url": source.integration_url if admin else "",
        "old_key_until": _old_key_until(source) if admin else None,
        # Once events arrive the address is beyond doubt.
        "address_warning": address_warning(request) if admin and is_new else "",
        "is_new": is_new,
        "instructions": f"integrations/{source.integration.slug}.html",
    }
    return render(request, "alertsources/detail.html", context)


def _old_key_until(source: AlertSource) -> datetime | None:
    until = source.previous_key_until
    return until if until and until > timezone.now() else None


@require_http_methods(["GET", "HEAD", "POST"])
def source_edit(request: HttpRequest, pk: int) -> HttpResponse:
    source = _source(pk)
    initial = {
        "name": source.name,
        "escalation_policy": str(source.escalation_policy_id),
        "team": source.team_id,
        "active": source.active,
        "priority": source.priority,
        "auto_resolution_minutes": source.auto_resolution_minutes,
        "grouping": source.grouping,
        "rate_limit": source.rate_limit,
        "burst_limit": source.burst_limit,
    }
    form = EditSourceForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            _update(source, form, _viewer(request))
        except IntegrityError:
            form.add_error("new_policy_name", NAME_TAKEN)
        else:
            messages.success(request, "Saved.")
            return redirect(source)
    return render(request, "alertsources/edit.html", {"form": form, "source": source})


@transaction.atomic
def _update(source: AlertSource, form: SourceForm, viewer: User) -> None:
    source.team = form.cleaned_data["team"]
    services.update_source(
        source,
        name=form.cleaned_data["name"],
        escalation_policy=_chosen_policy(form, viewer),
        active=form.cleaned_data["active"],
        options=form.options(),
    )


def _chosen_policy(form: SourceForm, viewer: User) -> EscalationPolicy:
    if form.wants_new_policy:
        return create_policy_asking(form.cleaned_data["new_policy_name"], viewer)
    return form.policy()


@require_POST
def source_set_active(request: HttpRequest, pk: int) -> HttpResponse:
    source = _source(pk)
    services.set_active(source, request.POST.get("active") == "1")
    if source.active:
        messages.success(request, f"{source.name} takes events in again.")
    else:
        messages.success(request, f"{source.name} is disabled. Its tool is answered 404 from now on.")
    return redirect(source)


@require_POST
def source_rotate_key(request: HttpRequest, pk: int) -> HttpResponse:
    """Make a new webhook URL; the old one works on for a day, so that no event is lost while the tool is changed."""
    source = _source(pk)
    services.rotate_key(source, timezone.now())
    messages.success(request, f"{source.name} has a new webhook URL. Put it into the tool.")
    return redirect(source)


@require_POST
def source_revoke_key(request: HttpRequest, pk: int) -> HttpResponse:
    source = _source(pk)
    services.revoke_previous_key(source)
    messages.success(request, "The old webhook URL is answered 404 from now on.")
    return redirect(source)


@require_http_methods(["GET", "HEAD", "POST"])
def source_delete(request: HttpRequest, pk: int) -> HttpResponse:
    source = _source(pk)
    if request.method == "POST":
        try:
            services.delete_source(source)
        except services.SourceInUse:
            return redirect("source-delete", pk)  # an incident came in while the page was open: it says so now
        messages.success(request, f"{source.name} is deleted.")
        return redirect("source-list")
    return render(request, "alertsources/delete.html", {"source": source, "in_use": source.incidents.exists()})


def _source(pk: int) -> AlertSource:
    return get_object_or_404(AlertSource.objects.select_related("escalation_policy", "team"), pk=pk)


def _viewer(request: HttpRequest) -> User:
    assert request.user.is_authenticated  # RightsMiddleware
    return request.user
