"""The rows of the list of incidents, rendered one by one, so that a page that is open gets only what has changed."""

import hashlib
from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache

from django.db.models import F, QuerySet, TextField, Value
from django.db.models.functions import Coalesce, NullIf
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString

from ilert.common.text import number
from ilert.templatetags.ui import relative
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
        """A word that changes whenever what is shown does."""
        return hashlib.sha256(repr(self.rows).encode("utf-8", "replace")).hexdigest()[:16]


def listing(incidents: QuerySet[Incident], before: str = "", size: int = PAGE_SIZE) -> Listing:
    """Return the `size` newest of `incidents` older than the one with the number `before`; rubbish means the start."""
    cursor = number(before)
    if cursor is not None:
        incidents = incidents.filter(pk__lt=cursor)
    found = rows_of(incidents.order_by("-pk"), size + 1)
    return Listing(tuple(found[:size]), str(found[size - 1].pk) if len(found) > size else "", is_first=cursor is None)


def rows_of(incidents: QuerySet[Incident], limit: int) -> list[Row]:
    """Return what the first `limit` of `incidents` show."""
    named = incidents.annotate(
        source_name=F("alert_source__name"),
        responder_name=Coalesce(
            NullIf("responder__name", Value("")), "responder__email", Value(""), output_field=TextField()
        ),
    )
    return [Row(**values) for values in named.values(*(field.name for field in fields(Row)))[:limit]]
