"""What people do with an incident from its page: one form for each verb, and a word about what came of it."""

from collections.abc import Callable, Collection
from datetime import datetime, time, timedelta
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from accounts.models import User
from accounts.requests import SignedInRequest
from ilert.common.clock import database_now
from ilert.common.text import number
from incidents import lifecycle, services
from incidents.forms import CommentForm, ReportForm
from incidents.lifecycle import Refused
from incidents.models import Incident, Status
from incidents.services import Result
from oncall.models import EscalationPolicy

Deed = Callable[[SignedInRequest, int], Result]
View = Callable[[SignedInRequest, int], HttpResponse]
MORNING = time(8)
SNOOZES = {"30": "30 minutes", "60": "1 hour", "240": "4 hours", "480": "8 hours", "morning": "Until 8 in the morning"}


def _deed(done: str, ends: Collection[Status] = (Status.ACCEPTED, Status.RESOLVED)) -> Callable[[Deed], View]:
    """Make a view of a deed: what came of it is said, and back to the incident's page.

    `ends` are the statuses that leave nothing to do: then it is told who was first.
    """

    def decorate(deed: Deed) -> View:
        @require_POST
        def view(request: SignedInRequest, pk: int) -> HttpResponse:
            try:
                result = deed(request, pk)
            except Incident.DoesNotExist:
                raise Http404(f"There is no incident #{pk}.") from None
            except Refused as refused:
                messages.error(request, str(refused))
                return redirect(_page(request, pk))
            if result.changed:
                messages.success(request, done.format(incident=result.incident))
            else:
                messages.info(request, _why_unchanged(result.incident, ends))
            return redirect(_page(request, result.incident.pk))

        return view

    return decorate


def _why_unchanged(incident: Incident, ends: Collection[Status]) -> str:
    first = services.who_was_first(incident) if incident.status in ends else ""
    return f"Somebody was first: {first}" if first else "Nothing to change: somebody has done it already."


def _page(request: SignedInRequest, pk: int) -> str:
    """Return the address of the incident's page; it goes on knowing which list its viewer came from."""
    # Not urlsplit, which refuses what a client may write there.
    _, _, query = request.headers.get("Referer", "").partition("?")
    came_from = QueryDict(query.partition("#")[0]).get("in", "")
    return reverse("incident-detail", args=[pk]) + (f"?{urlencode({'in': came_from})}" if came_from else "")


@_deed("Incident #{incident.pk} accepted.")
def incident_accept(request: SignedInRequest, pk: int) -> Result:
    return services.accept(pk, request.user, database_now())


@_deed("Incident #{incident.pk} resolved.")
def incident_resolve(request: SignedInRequest, pk: int) -> Result:
    return services.resolve(pk, request.user, database_now())


@_deed("Incident #{incident.pk} reopened.", ends=())
def incident_reopen(request: SignedInRequest, pk: int) -> Result:
    return lifecycle.reopen(pk, request.user, database_now())


@_deed("The next level is being asked.")
def incident_escalate(request: SignedInRequest, pk: int) -> Result:
    return lifecycle.escalate(pk, request.user, database_now())


@_deed("Incident #{incident.pk} has high priority now.", ends=(Status.RESOLVED,))
def incident_raise(request: SignedInRequest, pk: int) -> Result:
    return lifecycle.raise_priority(pk, request.user, database_now())


@require_POST
def incident_comment(request: SignedInRequest, pk: int) -> HttpResponse:
    """Write something on the timeline. What is refused comes back to be changed: somebody has typed it."""
    form = CommentForm(request.POST)
    if not form.is_valid():
        incident = get_object_or_404(Incident, pk=pk)
        return render(request, "incidents/comment.html", {"form": form, "incident": incident}, status=422)
    return _comment(request, pk)


@_deed("Your comment is on the timeline.")
def _comment(request: SignedInRequest, pk: int) -> Result:
    return lifecycle.comment(pk, request.POST["text"], request.user, database_now())


@_deed("Incident #{incident.pk} reassigned.")
def incident_assign(request: SignedInRequest, pk: int) -> Result:
    kind, _, pk_text = request.POST.get("to", "").partition(":")
    if kind == "user" and (person := User.objects.filter(pk=number(pk_text) or 0).first()):
        return lifecycle.assign_person(pk, person, request.user, database_now())
    if kind == "policy" and (policy := _policy(pk_text, request.user)):
        return lifecycle.assign_policy(pk, policy, request.user, database_now())
    raise Refused("Choose a person or an escalation policy.")


def _policy(pk_text: str, viewer: User) -> EscalationPolicy | None:
    return EscalationPolicy.objects.visible_to(viewer).filter(pk=number(pk_text) or 0).first()


@_deed("Incident #{incident.pk} snoozed. It asks again by itself.")
def incident_snooze(request: SignedInRequest, pk: int) -> Result:
    choice = request.POST.get("for", "")
    if choice not in SNOOZES:
        raise Refused("Choose for how long.")
    now = database_now()
    return lifecycle.snooze(pk, _snoozed_until(choice, now), request.user, now)


def _snoozed_until(choice: str, now: datetime) -> datetime:
    if choice != "morning":
        return now + timedelta(minutes=int(choice))
    local = timezone.localtime(now)
    day = local.date() + timedelta(days=local.time() >= MORNING)
    return timezone.make_aware(datetime.combine(day, MORNING))


@_deed("Incident #{incident.pk} is a part of the other one now.")
def incident_merge(request: SignedInRequest, pk: int) -> Result:
    into = number(request.POST.get("into", "").strip().removeprefix("#"))
    if into is None or not Incident.objects.visible_to(request.user).filter(pk=into).exists():
        raise Refused("Give the number of the incident to merge into, such as #123.")
    return lifecycle.merge(pk, into, request.user, database_now())


@require_http_methods(["GET", "HEAD", "POST"])
def incident_new(request: SignedInRequest) -> HttpResponse:
    """Open an incident that no tool has reported."""
    form = ReportForm(request.POST or None, viewer=request.user)
    if request.method == "POST" and form.is_valid():
        incident = lifecycle.open_by_hand(form.report(), request.user, database_now())
        messages.success(request, f"Incident #{incident.pk} opened. The first level is being asked.")
        return redirect(incident)
    return render(request, "incidents/new.html", {"form": form}, status=422 if form.is_bound else 200)
