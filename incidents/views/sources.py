"""What alert sources show of their incidents: fragments and the event log, as alertsources does not know incidents."""

from django.contrib import messages
from django.db.models import Min, OuterRef, Q, QuerySet, Subquery
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts.requests import SignedInRequest
from alertsources.models import AlertSource
from ilert.common.clock import database_now
from ilert.common.paging import keyset_page
from ilert.common.text import clean
from incidents import floods
from incidents.engine.bell import bell
from incidents.models import Event, FailedRequest, Incident, Outcome, Status
from incidents.trial import send_test_event

MAX_IDS = 200
RECENT = 5
PAGE_SIZE = 50


@require_GET
def source_states(request: SignedInRequest) -> HttpResponse:
    """The state and the last event of the sources in `?ids=1,2,3`, as out-of-band swaps for the list."""
    ids = [int(word) for word in request.GET.get("ids", "").split(",") if word.isdecimal() and len(word) < 19]
    ids = ids[:MAX_IDS]
    sources = list(AlertSource.objects.visible_to(request.user).filter(pk__in=ids))
    statuses = dict(
        Incident.objects.filter(alert_source__in=sources, status__lt=Status.RESOLVED)
        .values_list("alert_source")
        .annotate(Min("status"))
    )
    last = {event.alert_source_id: event for event in _last_events(sources)}
    flooding = floods.current([source.pk for source in sources], database_now())
    rows = [
        {
            "source": source,
            "state": _state(source, statuses, last),
            "last_event": last.get(source.pk),
            "flood": flooding.get(source.pk),
        }
        for source in sources
    ]
    return render(request, "incidents/source_states.html", {"rows": rows})


def _last_events(sources: list[AlertSource]) -> QuerySet[Event]:
    """Return the newest event of each source, each found by one look into the index."""
    newest = Event.objects.filter(alert_source=OuterRef("pk")).order_by("-pk").values("pk")[:1]
    ids = AlertSource.objects.filter(pk__in=[source.pk for source in sources]).values_list(Subquery(newest))
    return Event.objects.filter(pk__in=ids).only("alert_source", "outcome", "received_at")


def _state(source: AlertSource, statuses: dict[int, int], last: dict[int, Event]) -> str:
    if not source.active:
        return "disabled"
    if source.pk not in last:
        return "no-event"
    if last[source.pk].outcome in (Outcome.REJECTED, Outcome.FAILED):
        return "broken"
    return {Status.PENDING: "pending", Status.ACCEPTED: "accepted"}.get(
        Status(statuses.get(source.pk, Status.RESOLVED)), "all-resolved"
    )


@require_GET
def source_activity(request: SignedInRequest, pk: int) -> HttpResponse:
    """The newest events of a source, or that the first one is waited for."""
    source = get_object_or_404(AlertSource, pk=pk)
    events = list(
        Event.objects.filter(alert_source=source).select_related("incident").defer("body").order_by("-pk")[:RECENT]
    )
    now = database_now()
    flood = floods.latest(source.pk, now)
    flooding = flood and flood.goes_on(now)
    failed = FailedRequest.objects.filter(alert_source=source).exists()
    version = f"{events[0].pk if events else 'none'} {flood and flood.last_at} {flooding} {failed}"
    if request.htmx and request.GET.get("version") == version:
        return HttpResponse(status=204)
    context = {
        "source": source,
        "events": events,
        "version": version,
        "flood": flood,
        "failed": failed,
        "flooding": flooding,
        "connected": bool(events) and events[0].outcome not in (Outcome.REJECTED, Outcome.FAILED),
    }
    return render(request, "incidents/source_activity.html", context)


@require_GET
def source_events(request: SignedInRequest, pk: int) -> HttpResponse:
    """The event log: every request of the tool, what became of it and why."""
    source = get_object_or_404(AlertSource, pk=pk)
    outcome, words = request.GET.get("outcome", ""), clean(request.GET.get("q", "")).strip()[:200]
    page = keyset_page(_search(source, outcome, words), request.GET.get("before", ""), PAGE_SIZE)
    context = {
        "source": source,
        "page": page,
        "outcome": outcome,
        "outcomes": Outcome.choices,
        "q": words,
        "filtered": bool(outcome or words),
    }
    return render(request, "incidents/source_events.html", context)


def _search(source: AlertSource, outcome: str, words: str) -> QuerySet[Event]:
    events = Event.objects.filter(alert_source=source).select_related("incident").defer("body")
    if outcome in Outcome.values:
        events = events.filter(outcome=outcome)
    if words:
        number = Q(pk=int(words)) if words.isdecimal() and len(words) < 19 else Q()
        events = events.filter(
            Q(summary__icontains=words)
            | Q(incident_key__icontains=words)
            | Q(reason__icontains=words)
            | Q(fields__icontains=words)
            | number
        )
    return events


@require_GET
def source_event(request: SignedInRequest, pk: int, event_pk: int) -> HttpResponse:
    """One request as it came in: the fields as they were read, and the raw body."""
    event = get_object_or_404(Event.objects.select_related("alert_source", "incident"), alert_source=pk, pk=event_pk)
    carrier = event if event.body else Event.objects.filter(request_id=event.request_id, body__isnull=False).first()
    raw = bytes(carrier.body or b"").decode("utf-8", "replace") if carrier else ""
    return render(request, "incidents/source_event.html", {"event": event, "source": event.alert_source, "raw": raw})


@require_POST
def source_test(request: SignedInRequest, pk: int) -> HttpResponse:
    """Open a test incident that tells only whoever pressed."""
    source = get_object_or_404(AlertSource.objects.select_related("escalation_policy"), pk=pk)
    if not source.active:
        messages.error(request, f"{source.name} is disabled. Enable it first.")
        return redirect(source)
    incident = send_test_event(source, request.user, database_now())
    bell.ring()
    messages.success(request, f"Test incident #{incident.pk} is open. Only you are told.")
    return redirect(source)
