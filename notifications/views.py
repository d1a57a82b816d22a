"""Pages on which people say how they are reached, and the local outbox."""

from itertools import groupby

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template import TemplateDoesNotExist
from django.template.loader import select_template
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.forms import ProfileForm
from accounts.models import User
from accounts.requests import SignedInRequest
from accounts.services import update_profile
from ilert.common.clock import database_now
from notifications import channels, services
from notifications.channels.email import is_local_outbox
from notifications.models import ContactMethod, NotificationRule, OutboxMail, Priority
from notifications.rule_forms import Lines, lines_form
from notifications.rules import set_rules

PAGE_SIZE = 20


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: SignedInRequest) -> HttpResponse:
    """My contact methods, what cannot reach me, and what I am called."""
    # A copy, as a rejected form must not change the name in the frame around it.
    form = ProfileForm(request.POST or None, instance=User.objects.get(pk=request.user.pk))
    if request.method == "POST" and form.is_valid():
        update_profile(form.instance)
        messages.success(request, "Saved.")
        return redirect("profile")
    return _profile_page(request, form, {})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def notification_rules(request: SignedInRequest, priority: str) -> HttpResponse:
    """Save one of the profile's time lines. Opened by itself, as after a sign-in, it leads to the profile."""
    if priority not in Priority:
        raise Http404(f"There is no priority {priority}.")
    if request.method != "POST":
        return redirect("profile")
    typed = lines_form(request.user, Priority(priority), request.POST)
    if typed.is_valid():
        set_rules(request.user, Priority(priority), typed.lines)
        messages.success(request, "Saved.")
        return redirect(f"{reverse('profile')}#rules-{priority}")
    return _profile_page(request, ProfileForm(instance=User.objects.get(pk=request.user.pk)), {priority: typed})


def _profile_page(request: SignedInRequest, form: ProfileForm, typed: dict[str, Lines]) -> HttpResponse:
    """The profile; of its forms those are given that were typed into."""
    methods = _methods(request.user)
    context = {
        "form": form,
        "methods": [(method, _uses(method)) for method in methods],
        "is_only": len(methods) == 1,
        "time_lines": [(each, typed.get(each) or lines_form(request.user, each)) for each in Priority],
        "channels": sorted(channels.ALL.values(), key=lambda channel: not channel.wakes),
        "warnings": services.warnings_for(request.user, database_now()),
        "local_outbox": is_local_outbox(),
    }
    return render(request, "notifications/profile.html", context, status=422 if form.errors or typed else 200)


@never_cache
@require_safe
def person_reach(request: SignedInRequest, pk: int) -> HttpResponse:
    """A fragment of a person's page: how they are reached, and what cannot reach them."""
    person = get_object_or_404(User, pk=pk)
    context = {
        "person": person,
        "now": database_now(),
        "methods": [(method, _uses(method)) for method in _methods(person)],
        "warnings": services.warnings_for(person, database_now()) if not person.why_not_asked else [],
    }
    return render(request, "notifications/person_reach.html", context)


@never_cache
@require_safe
def unreachable(request: SignedInRequest) -> HttpResponse:
    """For admins: whom of those in policies something cannot reach."""
    return render(request, "notifications/unreachable.html", {"people": services.unreachable(database_now())})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def add_method(request: SignedInRequest, channel: str) -> HttpResponse:
    kind = _channel(channel)
    form = kind.form_class(request.POST or None)
    if request.method == "POST" and form.is_valid():
        method = services.create_contact_method(request.user, kind.slug, form.address, form.secret)
        _say(request, services.send_test(method))
        return redirect("contact-method-verify", method.pk)
    context = {"form": form, "channel": kind, **kind.setup(form)}
    # A channel with more to say than its fields has a template of its own.
    names = [f"notifications/channels/{kind.slug}.html", "notifications/contact_method_form.html"]
    return HttpResponse(select_template(names).render(context, request), status=422 if form.errors else 200)


@require_POST
def method_setup(request: SignedInRequest, channel: str) -> HttpResponse:
    """The part of a channel's page that depends on what is typed. A POST, so that no topic ends up in a log."""
    kind = _channel(channel)
    form = kind.form_class(request.POST)
    try:
        return render(request, f"notifications/channels/{kind.slug}_setup.html", {"form": form, **kind.setup(form)})
    except TemplateDoesNotExist:
        raise Http404(f"{kind.name} has nothing to set up.") from None


@require_POST
def test_method(request: SignedInRequest, pk: int) -> HttpResponse:
    """Send a message now. The answer takes as long as the provider's, 8 s at most."""
    method = own_method(request, pk)
    result = services.send_test(method)
    if request.htmx:
        return render(request, "notifications/test_result.html", {"result": result})
    _say(request, result)
    return redirect("contact-method-verify", pk) if method.verified_at is None else redirect(_place(method))


def _say(request: SignedInRequest, result: services.TestResult) -> None:
    (messages.success if result.ok else messages.error)(request, result.answer)


def _place(method: ContactMethod) -> str:
    return f"{reverse('profile')}#method-{method.pk}"


@require_POST
def delete_method(request: SignedInRequest, pk: int) -> HttpResponse:
    method = own_method(request, pk)
    services.delete_contact_method(method)
    messages.success(request, f"{method} is removed.")
    return redirect("profile")


@never_cache
@require_safe
def outbox(request: SignedInRequest) -> HttpResponse:
    """The mails that no mail server took, newest first. They hold links that act, so admins alone see them."""
    before = request.GET.get("before", "")
    mails = OutboxMail.objects.order_by("-pk")
    if before.isascii() and before.isdecimal() and len(before) < 19:
        mails = mails.filter(pk__lt=int(before))
    page = list(mails.defer("html", "headers")[: PAGE_SIZE + 1])
    for mail in page:
        mail.text = mail.text.strip()
    older = f"?before={page[PAGE_SIZE - 1].pk}" if len(page) > PAGE_SIZE else ""
    context = {
        "mails": page[:PAGE_SIZE],
        "older": older,
        "newest": reverse("outbox") if before else "",
        "local_outbox": is_local_outbox(),
    }
    return render(request, "notifications/outbox.html", context)


@require_POST
def clear_outbox(request: SignedInRequest) -> HttpResponse:
    OutboxMail.objects.all().delete()
    messages.success(request, "The outbox is empty.")
    return redirect("outbox")


def _methods(user: User) -> list[ContactMethod]:
    return list(ContactMethod.objects.filter(user=user).prefetch_related("rules"))


def _uses(method: ContactMethod) -> list[str]:
    """When a method is used, in words: ["At once: high and low priority"]."""
    rules = sorted(method.rules.all(), key=lambda rule: rule.delay_minutes)
    return [
        f"{_delay(minutes)}: {_priorities(list(group))} priority"
        for minutes, group in groupby(rules, key=lambda rule: rule.delay_minutes)
    ]


def _delay(minutes: int) -> str:
    return f"After {minutes} min" if minutes else "At once"


def _priorities(rules: list[NotificationRule]) -> str:
    return " and ".join(sorted(rule.get_priority_display().lower() for rule in rules))


def _channel(slug: str) -> channels.Channel:
    try:
        return channels.get(slug)
    except KeyError:
        raise Http404(f"There is no channel {slug}.") from None


def own_method(request: SignedInRequest, pk: int) -> ContactMethod:
    return get_object_or_404(ContactMethod, pk=pk, user=request.user)
