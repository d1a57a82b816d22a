"""The system page: whether the product itself works, and what to do where it does not."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.defaultfilters import filesizeformat
from django.views.decorators.http import require_safe

from ilert.common.clock import database_now
from incidents.watch import breakers
from incidents.watch.facts import Facts, collect
from incidents.watch.judge import SETTLED, Problem, ago, judge
from incidents.watch.models import Audit, Finding, Pulse, Role
from incidents.watch.pulses import is_silent
from notifications import channels

RECENT = 20


@dataclass(frozen=True)
class Shown:
    """A problem of this moment, with what the auditor wrote down about it."""

    problem: Problem
    finding: Finding | None


@dataclass(frozen=True)
class Tile:
    """One part of the installation. `kinds` are the problems that turn it red."""

    title: str
    icon: str
    value: str
    lines: tuple[str, ...]
    kinds: frozenset[str]
    tone: str = "resolved"


@dataclass(frozen=True)
class Process:
    pulse: Pulse
    silent: bool


@dataclass(frozen=True)
class ChannelRow:
    name: str
    icon: str
    succeeded: int
    failed: int
    waiting: int
    answer: str
    failing: bool


@require_safe
def system(request: HttpRequest) -> HttpResponse:
    """All of it; asked by htmx, only the part that changes."""
    now = database_now()
    facts = collect(now)
    audit = Audit.objects.filter(pk=1).first() or Audit(pk=1)
    open_findings = list(Finding.objects.filter(closed_at=None))
    problems = _with_findings(judge(facts), open_findings)
    kinds = {shown.problem.kind for shown in problems}
    grave = any(shown.problem.grave for shown in problems)
    context = {
        "now": now,
        "problems": problems,
        "verdict": "danger" if grave else "warning" if problems else "resolved",
        "tiles": [_toned(tile, kinds, grave) for tile in _tiles(facts, audit)],
        "processes": [Process(pulse, is_silent(pulse, now)) for pulse in facts.pulses],
        "channels": _channels(facts, problems),
        "breakers": [breakers.look(provider, now) for provider in facts.providers],
        "recent": Finding.objects.filter(~Q(closed_at=None)).order_by("-closed_at")[:RECENT],
        "audit": audit,
        "version": settings.VERSION,
        "since": min((pulse.started_at for pulse in facts.pulses), default=None),
    }
    live = request.htmx  # type: ignore[attr-defined]
    return render(request, "incidents/system_live.html" if live else "incidents/system.html", context)


def _with_findings(problems: list[Problem], findings: list[Finding]) -> list[Shown]:
    """Join what is seen now with what was written down. What only the auditor looks for is shown as it found it."""
    by_key = {(finding.kind, finding.subject): finding for finding in findings}
    shown = [Shown(problem, by_key.get((problem.kind, problem.subject))) for problem in problems]
    untold = by_key.get(("untold", ""))
    if untold:
        problem = Problem("untold", untold.title, untold.text, untold.advice, untold.grave)
        shown.insert(0, Shown(problem, untold))
    return shown


def _toned(tile: Tile, kinds: set[str], grave: bool) -> Tile:
    if not tile.kinds & kinds:
        return tile
    return Tile(tile.title, tile.icon, tile.value, tile.lines, tile.kinds, "danger" if grave else "warning")


def _tiles(facts: Facts, audit: Audit) -> list[Tile]:
    return [_engine(facts), _messages(facts), _database(facts), _broker(facts), _events(facts), _auditor(facts, audit)]


def _engine(facts: Facts) -> Tile:
    tickers = [pulse.last_seen_at for pulse in facts.pulses if pulse.role == Role.TICKER]
    last = f"Last tick {ago(max(tickers), facts.now)} ago" if tickers else "No ticker has been seen"
    return Tile(
        "Escalation",
        "waypoints",
        _late(facts.oldest_step, facts.now),
        (last,),
        frozenset({"steps-late", "resolves-late", "untold", "no-ticker", "gap", "clock-jump"}),
    )


def _messages(facts: Facts) -> Tile:
    count = sum(row.count for row in facts.waiting)
    oldest = min((row.oldest for row in facts.waiting), default=None)
    sent = sum(row.succeeded for row in facts.deliveries)
    failed = sum(row.failed for row in facts.deliveries)
    return Tile(
        "Messages",
        "send",
        _late(oldest, facts.now),
        (f"{count} waiting", f"{sent} sent and {failed} failed attempts in 10 minutes"),
        frozenset({"messages-late", "leases-over", "channel-failing"}),
    )


def _late(moment: datetime | None, now: datetime) -> str:
    if moment is None or now - moment < timedelta(seconds=2):
        return "On time"
    return f"{ago(moment, now)} late"


def _database(facts: Facts) -> Tile:
    database = facts.database
    free = () if facts.disk_free is None else (f"{filesizeformat(facts.disk_free)} free on its disk",)
    return Tile(
        "Database",
        "database",
        f"{database.milliseconds:.1f} ms",
        (
            f"PostgreSQL {database.version}, {filesizeformat(database.size)}",
            f"{database.connections} of {database.max_connections} connections",
            *free,
            _retention(facts),
        ),
        frozenset({"connections", "database-slow", "disk", "retention"}),
    )


def _retention(facts: Facts) -> str:
    work, days = facts.retention, settings.ILERT_RETENTION_DAYS
    if work is None:
        return f"Raw bodies are kept for {days} days"
    if work.finished_at is None:
        return f"Removing raw bodies older than {days} days: {work.removed} so far"
    return f"Raw bodies older than {days} days removed {ago(work.finished_at, facts.now)} ago"


def _broker(facts: Facts) -> Tile:
    broker = facts.broker
    value = "Not reached" if broker.error else f"{broker.milliseconds:.1f} ms"
    line = "Pages go out without it" if broker.error else f"{broker.queued} rings wait for a worker"
    return Tile("Broker", "bell-ring", value, (line,), frozenset({"broker", "no-worker"}))


def _events(facts: Facts) -> Tile:
    value = f"{facts.failed_events} failed" if facts.failed_events else "All applied"
    line = "Tried again by themselves" if facts.failed_events else "None waits to be tried again"
    return Tile("Events", "inbox", value, (line,), frozenset({"events-failed", "no-web"}))


def _auditor(facts: Facts, audit: Audit) -> Tile:
    if audit.finished_at is None:
        value, stale = "Not yet", False
    else:
        value = f"{ago(audit.finished_at, facts.now)} ago"
        stale = facts.now - audit.finished_at > timedelta(minutes=2) + SETTLED
    heartbeat = "No heartbeat is set up (ILERT_HEARTBEAT_URL)"
    if settings.ILERT_HEARTBEAT_URL:
        heartbeat = f"Heartbeat: {audit.heartbeat_answer or 'not yet sent'}"
    return Tile(
        "Auditor",
        "scan-search",
        value,
        (f"Looks every minute, took {audit.milliseconds} ms", heartbeat),
        frozenset(),
        "warning" if stale else "resolved",
    )


def _channels(facts: Facts, problems: list[Shown]) -> list[ChannelRow]:
    failing = {shown.problem.subject for shown in problems if shown.problem.kind == "channel-failing"}
    tried = {row.channel: row for row in facts.deliveries}
    waiting = {row.channel: row.count for row in facts.waiting}
    rows = []
    for slug in sorted(tried.keys() | waiting.keys()):
        known, row = channels.ALL.get(slug), tried.get(slug)
        rows.append(
            ChannelRow(
                name=known.name if known else slug,
                icon=known.icon if known else "circle",
                succeeded=row.succeeded if row else 0,
                failed=row.failed if row else 0,
                waiting=waiting.get(slug, 0),
                answer=row.answer if row else "",
                failing=slug in failing,
            )
        )
    return rows
