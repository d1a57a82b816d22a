"""Which incidents a list shows. The filters live in the URL, so that Back, a bookmark and a colleague get the same."""

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import QueryDict
from django.utils import timezone

from accounts.models import User
from ilert.common.text import clean, number
from incidents.models import Incident, Priority, Scope, Status
from incidents.moments import reported_before, reported_from
from incidents.search import matching

TABS = {
    "open": ("Open", (Status.PENDING, Status.ACCEPTED)),
    "pending": ("Pending", (Status.PENDING,)),
    "accepted": ("Accepted", (Status.ACCEPTED,)),
    "resolved": ("Resolved", (Status.RESOLVED,)),
    "all": ("All", tuple(Status)),
}
MAX_WORDS = 200
# As many as are searched through one by one in some milliseconds.
NEAR = 10_000
# … and in a tenth of a second.
WIDE = 100_000


@dataclass(frozen=True)
class Filters:
    """What a list is narrowed to. `responder` is the viewer's id when only their own are wanted.

    `scope` is what the viewer may see, None when that is everything. `since` and `until` are days in the viewer's time
    zone, both included.
    """

    tab: str = "open"
    responder: int | None = None
    source: int | None = None
    policy: int | None = None
    priority: str = ""
    since: date | None = None
    until: date | None = None
    words: str = ""
    scope: Scope | None = None

    @classmethod
    def read(cls, query: QueryDict, viewer: User) -> "Filters":
        """Read them from a URL. What cannot be understood is left out: an old bookmark must not be an error."""
        tab, priority = query.get("tab", "open"), query.get("priority", "")
        return cls(
            tab=tab if tab in TABS else "open",
            responder=viewer.pk if query.get("mine") == "1" else None,
            source=number(query.get("source", "")),
            policy=number(query.get("policy", "")),
            priority=priority if priority in Priority.values else "",
            since=_day(query.get("since", "")),
            until=_day(query.get("until", "")),
            words=clean(query.get("q", "")).strip()[:MAX_WORDS],
            scope=Scope.of(viewer),
        )

    @property
    def query(self) -> str:
        """The filters as the query string of a URL; what is not filtered is not in it."""
        values: dict[str, Any] = {
            "tab": "" if self.tab == "open" else self.tab,
            "mine": "1" if self.responder else "",
            "source": self.source,
            "policy": self.policy,
            "priority": self.priority,
            "since": self.since,
            "until": self.until,
            "q": self.words,
        }
        return urlencode({name: value for name, value in values.items() if value})

    @property
    def count(self) -> int:
        """How many filters beside the tab are set."""
        more = (self.responder, self.source, self.policy, self.priority, self.since, self.until, self.words)
        return sum(bool(value) for value in more)

    def on_tab(self, tab: str) -> "Filters":
        return replace(self, tab=tab)

    def incidents(self, ids: range | None = None) -> QuerySet[Incident]:
        """Return the incidents they leave, in no order. Words are searched for among those with `ids` if given."""
        found = self.before_search()
        return found.filter(matching(self.words, ids)) if self.words else found

    def before_search(self) -> QuerySet[Incident]:
        """Return the incidents that all of them but the words leave."""
        found = self.scope.narrow(Incident.objects.all()) if self.scope else Incident.objects.all()
        if self.tab != "all":
            found = found.filter(status__in=TABS[self.tab][1])
        equal = {
            "responder": self.responder,
            "alert_source": self.source,
            "escalation_policy": self.policy,
            "priority": self.priority,
        }
        found = found.filter(**{name: value for name, value in equal.items() if value})
        if self.since:
            found = reported_from(found, _midnight(self.since))
        if self.until:
            found = reported_before(found, _midnight(self.until + timedelta(days=1)))
        return found


@dataclass(frozen=True)
class Neighbours:
    """The ids of the incidents above and below one in a list, None at its ends."""

    newer: int | None
    older: int | None


def neighbours(filters: Filters, incident_id: int) -> Neighbours:
    """Return what stands beside an incident in the list with these filters, whether or not it is in the list itself.

    Of what a search finds only what is near: nobody steps through a year.
    """
    found = filters.incidents(range(incident_id - NEAR, incident_id + NEAR)).values_list("pk", flat=True)
    return Neighbours(
        newer=found.filter(pk__gt=incident_id).order_by("pk").first(),
        older=found.filter(pk__lt=incident_id).order_by("-pk").first(),
    )


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    # A day of slack at both ends, as the viewer's zone and the end of a day lie beside it.
    return day if date.min + timedelta(2) < day < date.max - timedelta(2) else None


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
