"""How PostgreSQL finds what pages show: by an index, without going through what is not shown, however much there is."""

import io
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from alertsources.services import create_source
from ilert.common.clock import database_now
from incidents import rows
from incidents.engine.escalation import oldest_due_at
from incidents.listing import TABS, Filters
from incidents.models import Incident, Priority, Status
from incidents.rows import listing
from incidents.timeline import SHOWS, section
from incidents.watch import facts
from incidents.watch.facts import Waiting
from incidents.watch.models import Audit
from incidents.watch.untold import LONGEST_WAIT, untold
from notifications.models import Notification
from oncall.services import create_policy_asking

pytestmark = pytest.mark.django_db(transaction=True)
INCIDENTS = 3000
# A page, and some that are looked at on the way to it.
LOOKED_AT = 400


@pytest.fixture
def rare(alice: User) -> dict[str, int]:
    """Fill an installation. Returns a source and a policy that only the five oldest incidents have, as Alice has them.

    Whoever looks for them from the newest on goes through everything. Of low priority are these five only, too.
    """
    call_command("seed_incidents", f"--incidents={INCIDENTS}", "--events=3500", "--open=60", stdout=io.StringIO())
    policy = create_policy_asking("Retired", alice)
    source = create_source("Retired", "SEMATEXT", policy)
    oldest = Incident.objects.filter(pk__in=list(Incident.objects.order_by("pk").values_list("pk", flat=True)[:5]))
    Incident.objects.update(priority=Priority.HIGH)
    oldest.update(alert_source=source, escalation_policy=policy, responder=alice, priority=Priority.LOW)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE incidents_searchentry SET document = 'xylophone'::tsvector WHERE incident_id = ANY(%s)",
            [list(oldest.values_list("pk", flat=True))],
        )
        cursor.execute("VACUUM ANALYZE incidents_incident, incidents_searchentry")
    return {"source": source.pk, "policy": policy.pk}


FILTERS = ("", "mine=1", "source={source}", "policy={policy}", "priority=low", "until={until}", "q=xylophone",
           "mine=1&source={source}&policy={policy}&priority=low&until={until}&q=xylophone")  # fmt: skip


def test_no_list_goes_through_what_it_does_not_show(
    rare: dict[str, int], alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "NEAR", 100)
    monkeypatch.setattr(rows, "WIDE", 200)
    fifth = Incident.objects.order_by("pk")[5].reported_at
    slow = {}
    for tab, query in product(TABS, FILTERS):
        address = f"tab={tab}&{query.format(until=fifth.date(), **rare)}"
        looked_at = [visited(sql) for sql in asked(Filters.read(QueryDict(address), alice))]
        if sum(looked_at) > LOOKED_AT:
            slow[address] = looked_at
    assert slow == {}


def test_words_that_never_meet_are_found_out_by_the_index(
    rare: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is in many incidents, so that the planner expects to come across both by walking."""
    monkeypatch.setattr(rows, "NEAR", 100)
    monkeypatch.setattr(rows, "WIDE", 200)
    *_, last = asked(Filters(tab="all", words="replication certificate"))
    assert "incidents_search" in json.dumps(plan(last))


def test_a_frequent_word_is_found_near(rare: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "NEAR", 500)
    assert len(asked(Filters(tab="all", words="host"))) == 2


def test_what_is_due_is_found_by_its_index_among_accepted_ones_that_wait(rare: dict[str, int]) -> None:
    now = database_now()
    waiting = Incident.objects.filter(status=Status.ACCEPTED)
    assert waiting.update(next_escalation_at=now + timedelta(days=1)) > 5
    Incident.objects.filter(pk=waiting.order_by("pk").values_list("pk", flat=True)[:1]).update(next_escalation_at=now)
    with CaptureQueriesContext(connection) as captured:
        assert oldest_due_at(now) is not None
    (query,) = captured
    assert "incidents_due" in json.dumps(plan(query["sql"]))
    assert visited(query["sql"]) <= 5


def test_of_many_that_wait_too_long_the_auditor_looks_at_a_few(
    rare: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("incidents.watch.untold.SHOWN", 5)
    now = database_now()
    assert Incident.objects.filter(next_escalation_at__gt=now + LONGEST_WAIT).count() > 20
    with CaptureQueriesContext(connection) as captured:
        assert len(untold(now, Audit(pk=1))) == 5
    for query in captured:
        assert visited(query["sql"]) <= 10


@pytest.mark.parametrize("look", [facts.waiting, facts.over_leases])
def test_messages_that_are_done_are_not_looked_at(rare: dict[str, int], look: Callable[[datetime], object]) -> None:
    now = database_now()
    one, other, carrier = Notification.objects.order_by("pk")[:3]
    state = {"state": "sending", "due_at": now - timedelta(hours=1), "lease_until": now - timedelta(minutes=1)}
    Notification.objects.filter(pk=one.pk).update(**state)
    Notification.objects.filter(pk=other.pk).update(**state, carrier=carrier)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE notifications_notification")
    with CaptureQueriesContext(connection) as captured:
        assert look(now) in (2, [Waiting("email", 2, state["due_at"])])
    for query in captured:
        assert _visited(plan(query["sql"]), ("notifications_notification",)) <= 2


@pytest.mark.parametrize("show", SHOWS)
def test_a_long_timeline_is_read_as_far_as_it_is_shown(rare: dict[str, int], show: str) -> None:
    giant = Incident.objects.order_by("-event_count")[0]
    assert giant.event_count > 200
    with CaptureQueriesContext(connection) as captured:
        section(giant, show, size=20)
    for query in captured:
        looked_at = _visited(plan(query["sql"]), ("incidents_event", "incidents_logentry"))
        # Of comments there are none, and the tool's own are looked for among its events.
        assert looked_at <= (giant.event_count if show == "comments" else 30)


def asked(filters: Filters) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        listing(filters)
    return [query["sql"] for query in captured if "incidents_incident" in query["sql"]]


def plan(sql: str) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql}")
        found: dict[str, Any] = cursor.fetchone()[0][0]["Plan"]
    return found


def visited(sql: str) -> int:
    return _visited(plan(sql))


def _visited(node: dict[str, Any], tables: tuple[str, ...] = ("incidents_incident", "incidents_searchentry")) -> int:
    """Return how many rows of `tables` a plan looks at, shown or not."""
    own = 0
    if node.get("Relation Name") in tables:
        own = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    return int(own) + sum(_visited(child, tables) for child in node.get("Plans", ()))
