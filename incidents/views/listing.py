"""The list of incidents: the page, its rows as they change, many at once, and as a file."""

import csv
import io
from datetime import UTC

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from accounts.requests import SignedInRequest
from alertsources.models import AlertSource
from ilert.common.clock import database_now
from ilert.common.text import number
from incidents import bulk
from incidents.listing import TABS, Filters
from incidents.live import View, board
from incidents.models import Incident, Priority
from incidents.rows import Row, listing, rows_of
from incidents.views.streams import event_stream, may_stay, no_stream, teams_of
from oncall.models import EscalationPolicy

EXPORT_MAX = 50_000
COLUMNS = ("id", "status", "priority", "summary", "alert source", "responder", "events", "reported at (UTC)")


@require_GET
def incident_list(request: SignedInRequest) -> HttpResponse:
    """The page. On its first page of rows, what changes appears by itself."""
    filters = Filters.read(request.GET, request.user)
    before = str(number(request.GET.get("before", "")) or "")
    page = listing(filters, before)
    context = {
        "before": before,
        "filters": filters,
        "tabs": _tabs(filters),
        "page": page,
        "first_steps": not page.rows and not Incident.objects.exists(),
        "priorities": Priority.choices,
        "sources": list(AlertSource.objects.visible_to(request.user).values_list("pk", "name")),
        "policies": list(EscalationPolicy.objects.visible_to(request.user).values_list("pk", "name")),
    }
    return render(request, "incidents/list.html", context)


def _tabs(filters: Filters) -> list[dict[str, object]]:
    return [
        {"url": f"?{filters.on_tab(tab).query}", "label": label, "current": tab == filters.tab, "count": None}
        for tab, (label, _) in TABS.items()
    ]


@require_GET
@never_cache
def incident_rows(request: SignedInRequest) -> HttpResponse:
    """The rows for a page that does not follow the stream; 204 when it shows them already."""
    view = _view(request)
    page = listing(view.filters, request.GET.get("before", ""))
    if request.GET.get("version") == page.version:
        return HttpResponse(status=204)
    return JsonResponse(view.message(page, None))


@require_GET
@never_cache
def incident_stream(request: SignedInRequest) -> HttpResponse | StreamingHttpResponse:
    """The rows as server-sent events. 503 where there is no stream to be had; the page asks for the rows then."""
    if not isinstance(request, ASGIRequest) or board.is_full:
        return no_stream()
    return event_stream(board.follow(_view(request), request.GET.get("version", ""), may_stay(request)))


def _view(request: SignedInRequest) -> View:
    filters = Filters.read(request.GET, request.user)
    return View(filters, timezone.get_current_timezone_name(), teams_of(request.user))


@require_POST
def incident_bulk(request: SignedInRequest) -> HttpResponse:
    """Do one thing to many incidents, and say of each what came of it."""
    deed = bulk.DEEDS.get(request.POST.get("verb", ""))
    ids = [pk for text in request.POST.getlist("ids") if (pk := number(text)) is not None]
    if deed is None or not ids:
        return render(request, "incidents/bulk_results.html", {"nothing": True}, status=422)
    results = bulk.do_all(deed, ids, request.user, database_now())
    context = {
        "changed": [result for result in results if result.changed],
        "unchanged": [result for result in results if not result.changed],
        "word": request.POST["verb"],
    }
    response = render(request, "incidents/bulk_results.html", context)
    response["HX-Trigger"] = "incidents-changed"
    return response


@require_GET
def incident_export(request: SignedInRequest) -> HttpResponse:
    """The list as CSV, newest first, as it is filtered; at most `EXPORT_MAX` rows."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in rows_of(Filters.read(request.GET, request.user).incidents().order_by("-pk"), EXPORT_MAX):
        writer.writerow(_csv_cells(row))
    headers = {"Content-Disposition": f'attachment; filename="incidents-{timezone.now():%Y-%m-%d}.csv"'}
    return HttpResponse(text.getvalue(), content_type="text/csv; charset=utf-8", headers=headers)


def _csv_cells(row: Row) -> list[object]:
    texts = (row.summary, row.source_name, row.responder_name)
    summary, source, responder = (_harmless(text) for text in texts)
    reported = f"{row.reported_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    return [row.pk, row.status_word, row.priority, summary, source, responder, row.event_count, reported]


def _harmless(text: str) -> str:
    """Return a text that a spreadsheet does not take for a formula: tools of strangers write summaries."""
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text
