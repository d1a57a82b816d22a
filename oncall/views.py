"""Pages of escalation policies."""

from typing import Any

from django.contrib import messages
from django.db import IntegrityError
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import is_admin
from accounts.models import User
from ilert.common.clock import database_now
from oncall import services
from oncall.forms import PREFIX, Draft, PolicyForm, RuleFormSet, new_rule, people, stored_rules
from oncall.levels import course
from oncall.models import NAME_TAKEN, EscalationPolicy


@require_safe
def policy_list(request: HttpRequest) -> HttpResponse:
    assert request.user.is_authenticated  # RightsMiddleware
    visible = EscalationPolicy.objects.visible_to(request.user).select_related("team")
    policies = visible.prefetch_related("rules__users").annotate(source_count=Count("alert_sources"))
    rows = [(policy, course(policy)) for policy in policies]
    return render(request, "oncall/policy_list.html", {"rows": rows, "can_edit": is_admin(request)})


@require_safe
def policy_detail(request: HttpRequest, pk: int) -> HttpResponse:
    policy = get_object_or_404(EscalationPolicy.objects.prefetch_related("rules__users"), pk=pk)
    assert request.user.is_authenticated  # RightsMiddleware
    context = {
        "policy": policy,
        "course": course(policy),
        "sources": policy.alert_sources.visible_to(request.user),
        "can_edit": is_admin(request),
        "now": database_now(),
    }
    return render(request, "oncall/policy_detail.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def policy_create(request: HttpRequest) -> HttpResponse:
    return _policy_form(request, None)


@require_http_methods(["GET", "HEAD", "POST"])
def policy_edit(request: HttpRequest, pk: int) -> HttpResponse:
    return _policy_form(request, get_object_or_404(EscalationPolicy, pk=pk))


def _policy_form(request: HttpRequest, policy: EscalationPolicy | None) -> HttpResponse:
    """The buttons that add, remove and move rules post the form with `do`; only without it is anything saved."""
    options: dict[str, Any] = {"prefix": PREFIX, "form_kwargs": {"people": people(policy)}}
    focus = ""
    if request.method == "POST" and "do" in request.POST:
        draft = Draft.typed(request.POST)
        draft.apply(request.POST["do"])
        focus = draft.focus
        form = PolicyForm(policy=policy, initial=request.POST.dict())
        rules = RuleFormSet(initial=draft.rules, **options)
    elif request.method == "POST":
        form = PolicyForm(request.POST, policy=policy)
        rules = RuleFormSet(request.POST, **options)
        if all((form.is_valid(), rules.is_valid())) and (answer := _save(request, policy, form, rules)):
            return answer
    else:
        assert request.user.is_authenticated  # RightsMiddleware
        form = PolicyForm(policy=policy, initial=_stored(policy))
        rules = RuleFormSet(initial=_stored_rules(policy, request.user), **options)
    context = {"policy": policy, "form": form, "rules": rules, "focus": focus}
    return render(request, "oncall/policy_form.html", context)


def _stored(policy: EscalationPolicy | None) -> dict[str, Any]:
    if policy is None:
        return {"frequency": 3, "delay_minutes": 0}
    return {
        "name": policy.name,
        "team": policy.team_id,
        "delay_minutes": policy.delay_minutes,
        "accept_timeout_minutes": policy.accept_timeout_minutes,
        "repeating": policy.repeating and policy.frequency > 1,
        "frequency": max(policy.frequency, 2),
    }


def _stored_rules(policy: EscalationPolicy | None, viewer: User) -> list[dict[str, Any]]:
    if policy is None:
        return [new_rule([str(viewer.pk)])]
    return stored_rules(policy) or [new_rule()]


def _save(request: HttpRequest, policy: EscalationPolicy | None, form: PolicyForm, rules: Any) -> HttpResponse | None:
    fields = {name: form.cleaned_data[name] for name in ("name", "team", "repeating", "frequency")}
    fields |= {"timing": form.timing(), "rules": [rule.rule() for rule in rules]}
    try:
        saved = _write(policy, fields)
    except IntegrityError:  # somebody else has just taken the name; the form said nothing, as it was free then
        form.add_error("name", NAME_TAKEN)
        return None
    messages.success(request, f"{saved.name} is saved. It holds for incidents from now on.")
    return redirect(saved)


def _write(policy: EscalationPolicy | None, fields: dict[str, Any]) -> EscalationPolicy:
    if policy is None:
        return services.create_policy(**fields)
    policy.team = fields.pop("team")
    services.update_policy(policy, **fields)
    return policy


@require_http_methods(["GET", "HEAD", "POST"])
def policy_delete(request: HttpRequest, pk: int) -> HttpResponse:
    policy = get_object_or_404(EscalationPolicy, pk=pk)
    if request.method == "POST":
        try:
            services.delete_policy(policy)
        except services.PolicyInUse:
            return redirect("policy-delete", pk)  # a source has taken it while the page was open: it says so now
        messages.success(request, f"{policy.name} is deleted.")
        return redirect("policy-list")
    return render(request, "oncall/policy_delete.html", {"policy": policy, "sources": policy.alert_sources.all()})
