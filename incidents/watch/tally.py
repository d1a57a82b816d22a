"""Totals that only grow, for /metrics: kept by the tickers from the rows that are new since the last count.

They outlive every process, are the same whichever process is asked, and cost nothing on the paths they count.
"""

from collections import Counter
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Max, Q

from incidents.models import Event
from incidents.watch.models import Audit, Tally
from notifications.models import Attempt

# Ids are drawn before their rows are committed, and no transaction lives longer: what is older than this is complete.
SETTLED_AFTER = timedelta(seconds=25)
# Upper bounds in seconds; an attempt ends after 8.
BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, float("inf"))

EVENTS = "events"
ATTEMPTS = "attempts"
ATTEMPT_BUCKETS = "attempt_buckets"
ATTEMPT_MILLISECONDS = "attempt_milliseconds"


@transaction.atomic
def count(now: datetime) -> None:
    """Count what is new and settled, unless another ticker does so just now."""
    row = Audit.objects.select_for_update(skip_locked=True).filter(pk=1).first()
    if row is None or (row.marked_at and now - SETTLED_AFTER < row.marked_at <= now):
        return
    marks = {"events": _newest(Event), "attempts": _newest(Attempt)}
    if row.marks:
        _add(_events(row.counted["events"], row.marks["events"]))
        _add(_attempts(row.counted["attempts"], row.marks["attempts"]))
    # What is there at the first count was before the counting began.
    row.counted = row.marks or marks
    row.marks, row.marked_at = marks, now
    row.save(update_fields=["counted", "marks", "marked_at"])


def _newest(model: type[Event] | type[Attempt]) -> int:
    return model.objects.aggregate(newest=Max("pk"))["newest"] or 0


def _events(after: int, until: int) -> Counter[tuple[str, str]]:
    outcomes = Event.objects.filter(pk__gt=after, pk__lte=until).order_by().values_list("outcome", flat=True)
    return Counter((EVENTS, outcome) for outcome in outcomes.iterator())


def _attempts(after: int, until: int) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    rows = Attempt.objects.filter(pk__gt=after, pk__lte=until).order_by()
    for channel, succeeded, started_at, finished_at in rows.values_list(
        "notification__channel", "succeeded", "started_at", "finished_at"
    ):
        seconds = (finished_at - started_at).total_seconds()
        bucket = next(bound for bound in BUCKETS if seconds <= bound)
        found[ATTEMPTS, f"{channel} {'succeeded' if succeeded else 'failed'}"] += 1
        found[ATTEMPT_BUCKETS, f"{channel} {bucket}"] += 1
        found[ATTEMPT_MILLISECONDS, channel] += round(seconds * 1000)
    return found


def _add(found: Counter[tuple[str, str]]) -> None:
    for (name, label), more in sorted(found.items()):
        if not Tally.objects.filter(name=name, label=label).update(total=F("total") + more):
            Tally.objects.create(name=name, label=label, total=more)


def read() -> dict[str, dict[str, int]]:
    """Return the totals by name and label."""
    totals: dict[str, dict[str, int]] = {name: {} for name in (EVENTS, ATTEMPTS, ATTEMPT_BUCKETS, ATTEMPT_MILLISECONDS)}
    for name, label, total in Tally.objects.filter(Q(name__in=totals)).values_list("name", "label", "total"):
        totals[name][label] = total
    return totals
