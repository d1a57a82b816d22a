"""What alert sources show of their incidents: fragments, as alertsources does not know incidents."""

from django.db.models import Max, Min
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from accounts.requests import SignedInRequest
from alertsources.models import AlertSource
from incidents.models import Event, Incident, Outcome, Status

MAX_IDS = 200
RECENT = 10


@require_GET
def source_states(request: SignedInRequest) -> HttpResponse:
    """The state and the last event of the sources in `?ids=1,2,3`, as out-of-band swaps for the list."""
    ids = [int(word) for word in request.GET.get("ids", "").split(",") if word.isdecimal()][:MAX_IDS]
    sources = list(AlertSource.objects.filter(pk__in=ids))
    statuses = dict(
        Incident.objects.filter(alert_source__in=sources, status__lt=Status.RESOLVED)
        .values_list("alert_source")
        .annotate(Min("status"))
    )
    last_events = dict(
        Event.objects.filter(alert_source__in=sources).values_list("alert_source").annotate(Max("received_at"))
    )
    rows = [
        {"source": source, "state": _state(source, statuses, last_events), "last_event_at": last_events.get(source.pk)}
        for source in sources
    ]
    return render(request, "incidents/source_states.html", {"rows": rows})


def _state(source: AlertSource, statuses: dict[int, int], last_events: dict[int, object]) -> str:
    if not source.active:
        return "disabled"
    if source.pk not in last_events:
        return "no-event"
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
    version = str(events[0].pk) if events else "none"
    if request.htmx and request.GET.get("version") == version:
        return HttpResponse(status=204)
    context = {
        "events": events,
        "version": version,
        "connected": any(event.outcome != Outcome.REJECTED for event in events),
    }
    return render(request, "incidents/source_activity.html", context)
