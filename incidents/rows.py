"""The rows of the list of incidents, rendered one by one, so that a page that is open gets only what has changed."""

import hashlib
from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache

from django.db.models import F, Q, QuerySet, TextField, Value
from django.db.models.functions import Coalesce, NullIf
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString

from ilert.common.text import number
from ilert.templatetags.ui import relative
from incidents.listing import NEAR, WIDE, Filters
from incidents.models import Incident, Priority, Status

PAGE_SIZE = 50


@dataclass(frozen=True)
class Row:
    """What a row shows of an incident, and nothing else: what shows the same is rendered once."""

    pk: int
    summary: str
    status: int
    priority: str
    event_count: int
    reported_at: datetime
    source_name: str
    responder_name: str

    @property
    def status_word(self) -> str:
        return Status(self.status).label

    @property
    def is_low(self) -> bool:
        return self.priority == Priority.LOW

    @property
    def html(self) -> SafeString:
        """The row as the viewer's page has it, their time zone being the current one."""
        return _html(self, timezone.get_current_timezone_name(), relative(self.reported_at, timezone.now()))


# `zone` and `age` are what the HTML depends on beside the row. A page that is open keeps the age true by itself.
@lru_cache(maxsize=4096)
def _html(row: Row, zone: str, age: str) -> SafeString:
    return render_to_string("incidents/row.html", {"row": row})


@dataclass(frozen=True)
class Listing:
    """One page of rows, newest first. `next` is the cursor of the following page, empty at the end."""

    rows: tuple[Row, ...]
    next: str
    is_first: bool

    @property
    def version(self) -> str:
        """A word that changes whenever what is shown does, and where the following page begins."""
        return hashlib.sha256(repr((self.rows, self.next)).encode("utf-8", "replace")).hexdigest()[:16]


def listing(filters: Filters, before: str = "", size: int = PAGE_SIZE) -> Listing:
    """Return the `size` newest incidents older than the one with the number `before`; rubbish means the start."""
    cursor = number(before)
    older = Q() if cursor is None else Q(pk__lt=cursor)
    found = _searched(filters, older, size + 1) if filters.words else _newest(filters.incidents(), older, size + 1)
    return Listing(tuple(found[:size]), str(found[size - 1].pk) if len(found) > size else "", is_first=cursor is None)


def _newest(incidents: QuerySet[Incident], older: Q, limit: int) -> list[Row]:
    return rows_of(incidents.filter(older).order_by("-pk"), limit)


def _searched(filters: Filters, older: Q, limit: int) -> list[Row]:
    """Return what a search finds: a frequent word is near, and what is not frequent is quickly sorted.

    The planner has to choose between walking back from the newest and the index of words, by statistics that know
    nothing of words that never occur together. Where it is wrong it walks through everything.
    """
    among = filters.before_search().filter(older).values_list("pk", flat=True)
    ends = among.order_by("-pk")[:1].union(among.order_by("pk")[:1], all=True)
    if not ends:
        return []
    newest, oldest = max(ends), min(ends)
    near: list[Row] = []
    for size in (NEAR, WIDE):
        if size == WIDE and newest - oldest > WIDE and _expected(near, WIDE) < limit:
            break
        near = _newest(filters.incidents(range(newest - size, newest + 1)), older, limit)
        if len(near) == limit or newest - oldest <= size:
            return near
    # What is no column cannot be walked along.
    return rows_of(filters.incidents().filter(older).order_by((F("pk") + 0).desc()), limit)


def _expected(near: list[Row], size: int) -> float:
    """Return how many may be found among `size` incidents if they are like the nearest, on the safe side."""
    return len(near) * size / NEAR / 1.5


def rows_of(incidents: QuerySet[Incident], limit: int) -> list[Row]:
    """Return what the first `limit` of `incidents` show."""
    named = incidents.annotate(
        source_name=F("alert_source__name"),
        responder_name=Coalesce(
            NullIf("responder__name", Value("")), "responder__email", Value(""), output_field=TextField()
        ),
    )
    return [Row(**values) for values in named.values(*(field.name for field in fields(Row)))[:limit]]
