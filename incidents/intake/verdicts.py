"""What accepts, recoveries, comments and tests do, decided from what is open now.

All incidents that a wave of such events can concern are read and locked at once, the events are decided one after the
other in memory, and what was decided is written at once: ten thousand recoveries are not ten thousand round trips.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection
from django.db.models import Exists, OuterRef

from alertsources.models import Grouping
from incidents import models, services
from incidents.intake.batch import ONE_OPEN_KEY, Item, Verdict, common, key_hash
from incidents.models import Incident, LogEntry, Outcome, Status
from incidents.timeline import Kind, entry
from integrations import EventType

AMBIGUOUS_ENTRIES = 50
Place = tuple[int, bytes]
"""A source, and the hash of a key or of a scope."""

# Of each key the newest incident, of what alerts of one key have in common all open ones, and of each scope as many
# open ones as are needed to know whether one remains when every event of the wave has resolved one.
_CONCERNED = """
SELECT found.* FROM unnest(%s::bigint[], %s::bytea[], %s::bytea[], %s::bigint[])
    AS asked(source_id, key_hash, scope_hash, wanted),
LATERAL (
    (SELECT id FROM incidents_incident WHERE alert_source_id = asked.source_id AND key_hash = asked.key_hash
     ORDER BY id DESC LIMIT 1)
    UNION ALL
    (SELECT id FROM incidents_incident
     WHERE alert_source_id = asked.source_id AND scope_hash = asked.scope_hash AND status < 3
     ORDER BY id DESC LIMIT asked.wanted)
) AS found
"""


@dataclass(slots=True)
class _Known:
    """An incident as the events of a wave leave it."""

    id: int
    status: int

    @property
    def is_open(self) -> bool:
        return self.status != Status.RESOLVED


@dataclass(slots=True)
class _Wave:
    """What is known about the incidents that a wave concerns, and what was decided about them."""

    by_key: dict[Place, _Known] = field(default_factory=dict)
    by_scope: dict[Place, list[_Known]] = field(default_factory=lambda: defaultdict(list))
    firing: dict[int, set[str]] = field(default_factory=dict)
    accepted: list[int] = field(default_factory=list)
    resolved: list[int] = field(default_factory=list)
    ambiguous: dict[Place, str] = field(default_factory=dict)

    def accept(self, incident: _Known) -> None:
        incident.status = Status.ACCEPTED
        self.accepted.append(incident.id)

    def resolve(self, incident: _Known) -> None:
        incident.status = Status.RESOLVED
        self.resolved.append(incident.id)

    def open_of(self, place: Place) -> list[_Known]:
        return [incident for incident in self.by_scope.get(place, ()) if incident.is_open]


def carry_out(items: Sequence[Item], now: datetime) -> list[Verdict]:
    """Decide what `items`, none of them an ALERT, do in their order, and do it. Their sources are locked."""
    wave = _read(items)
    verdicts = [_DECIDE[item.event.type](wave, item) for item in items]
    for place, summary in wave.ambiguous.items():
        _say_ambiguous(place, summary, now)
    if wave.accepted:
        services.accept_all(wave.accepted, None, now)
    if wave.resolved:
        services.resolve_all(wave.resolved, None, now)
    return verdicts


def _accept(wave: _Wave, item: Item) -> Verdict:
    incidents = _addressed(wave, item)
    if not any(incident.is_open for incident in incidents):
        return _nothing_open(incidents)
    pending = [incident for incident in incidents if incident.status == Status.PENDING]
    if not pending:
        reason = "The incident had been accepted before."
        return Verdict(Outcome.IGNORED, incidents[0].id, reason, "INCIDENT_ALREADY_ACCEPTED")
    for incident in pending:
        wave.accept(incident)
    return Verdict(Outcome.ACCEPTED, pending[0].id)


def _resolve(wave: _Wave, item: Item) -> Verdict:
    """Resolve what the event's key stands for; the coarser scope is tried only if the key never had an incident."""
    incidents = _addressed(wave, item)
    if not incidents:
        return _resolve_by_scope(wave, item)
    still_open = [incident for incident in incidents if incident.is_open]
    if not still_open:
        return _nothing_open(incidents)
    if item.source.grouping == Grouping.ONE_OPEN and (others := _still_firing(wave, still_open[0], item)):
        return Verdict(Outcome.APPENDED, still_open[0].id, f"Over, but {others} other problems of it are not yet.")
    for incident in still_open:
        wave.resolve(incident)
    return Verdict(Outcome.RESOLVED, still_open[0].id)


def _resolve_by_scope(wave: _Wave, item: Item) -> Verdict:
    if not item.event.scope or item.source.grouping != Grouping.KEY:
        return _nothing_open([])
    place = (item.source.pk, key_hash(item.event.scope))
    candidates = wave.open_of(place)
    if not candidates:
        return _nothing_open([])
    if len(candidates) > 1:
        wave.ambiguous.setdefault(place, item.event.summary)
        return Verdict(
            Outcome.AMBIGUOUS, reason="It may belong to any of several open incidents, so none was resolved."
        )
    wave.resolve(candidates[0])
    return Verdict(Outcome.RESOLVED, candidates[0].id, "The only open incident it can belong to.")


def _comment(wave: _Wave, item: Item) -> Verdict:
    incidents = _addressed(wave, item)
    still_open = [incident for incident in incidents if incident.is_open]
    if not still_open:
        return _nothing_open(incidents)
    return Verdict(Outcome.APPENDED, still_open[0].id, "A comment of the tool's.")


def _test(wave: _Wave, item: Item) -> Verdict:
    return Verdict(Outcome.TEST, reason="A test of the tool's. It pages nobody.")


_DECIDE = {
    EventType.ACCEPT: _accept,
    EventType.RESOLVE: _resolve,
    EventType.COMMENT: _comment,
    EventType.TEST: _test,
}


def _nothing_open(incidents: list[_Known]) -> Verdict:
    if incidents:
        reason = "The incident had been resolved before."
        return Verdict(Outcome.IGNORED, incidents[0].id, reason, "NO_OPEN_INCIDENT_WITH_KEY")
    return Verdict(Outcome.IGNORED, None, "No open incident belongs to this key.", "NO_OPEN_INCIDENT_WITH_KEY")


def _addressed(wave: _Wave, item: Item) -> list[_Known]:
    """Return the incidents that an event's key stands for: the open ones, else the newest of them.

    Grouped by key that is one at most; with an incident for each alert it is all that the key has opened. Incidents
    that were opened under another grouping are found too, as the tool knows nothing of our options.
    """
    if not item.event.key:
        return []
    by_key = [known for place in _keys(item) if (known := wave.by_key.get(place))]
    open_ones = {known.id: known for known in by_key if known.is_open}
    open_ones |= {known.id: known for known in wave.open_of(_common(item))}
    if open_ones:
        return [open_ones[id_] for id_ in sorted(open_ones)]
    return sorted(by_key, key=lambda known: known.id)[-1:]


def _keys(item: Item) -> set[Place]:
    keys = {(item.source.pk, key_hash(item.event.key))}
    if item.source.grouping == Grouping.ONE_OPEN:
        keys.add((item.source.pk, key_hash(ONE_OPEN_KEY)))
    return keys


def _common(item: Item) -> Place:
    return item.source.pk, key_hash(common(item.event))


def _still_firing(wave: _Wave, incident: _Known, item: Item) -> int:
    """Return how many problems of an incident beside the event's own have not been reported as over."""
    if incident.id not in wave.firing:
        latest = (
            models.Event.objects.filter(incident=incident.id, type__in=[EventType.ALERT, EventType.RESOLVE])
            .order_by("incident_key", "-pk")
            .distinct("incident_key")
            .values_list("incident_key", "type")
        )
        wave.firing[incident.id] = {key for key, kind in latest if kind == EventType.ALERT}
    firing = wave.firing[incident.id]
    firing.discard(item.event.key)
    return len(firing)


def _read(items: Sequence[Item]) -> _Wave:
    """Read and lock what the events may concern."""
    wave = _Wave()
    asked = _asked(items)
    if not asked:
        return wave
    with connection.cursor() as cursor:
        cursor.execute(_CONCERNED, [list(column) for column in zip(*asked, strict=True)])
        ids = {row[0] for row in cursor.fetchall()}
    concerned = Incident.objects.filter(pk__in=ids).order_by("alert_source_id", "key_hash", "pk").select_for_update()
    for id_, source_id, hash_, scope, status in concerned.values_list(
        "pk", "alert_source_id", "key_hash", "scope_hash", "status"
    ):
        known = _Known(id_, status)
        place = (source_id, bytes(hash_))
        if place not in wave.by_key or wave.by_key[place].id < id_:
            wave.by_key[place] = known
        if scope is not None:
            wave.by_scope[source_id, bytes(scope)].append(known)
    return wave


def _asked(items: Sequence[Item]) -> list[tuple[int, bytes | None, bytes | None, int | None]]:
    """Return the rows that `_CONCERNED` asks for."""
    keys: set[Place] = set()
    scopes: dict[Place, int | None] = {}
    for item in items:
        if item.event.key:
            keys |= _keys(item)
            # Without a limit: all that this key has opened.
            scopes[_common(item)] = None
        if item.event.scope:
            place = (item.source.pk, key_hash(item.event.scope))
            scopes[place] = (scopes.get(place) or 1) + 1
    asked: list[tuple[int, bytes | None, bytes | None, int | None]] = [
        (source_id, key, None, 0) for source_id, key in keys
    ]
    asked += [(source_id, None, scope, wanted) for (source_id, scope), wanted in scopes.items()]
    return asked


def _say_ambiguous(place: Place, summary: str, now: datetime) -> None:
    """Say it on the timelines, once on each: a storm of such recoveries must not cost an entry for every pair."""
    source_id, scope = place
    candidates = Incident.objects.filter(alert_source=source_id, scope_hash=scope, status__lt=Status.RESOLVED)
    count = candidates.count()
    said = LogEntry.objects.filter(incident=OuterRef("pk"), kind=Kind.RECOVERY_AMBIGUOUS)
    incidents = candidates.exclude(Exists(said)).order_by("-pk")[:AMBIGUOUS_ENTRIES]
    LogEntry.objects.bulk_create(
        [entry(incident, Kind.RECOVERY_AMBIGUOUS, now, count=count, detail=summary) for incident in incidents]
    )
