"""The list of incidents: what each filter leaves, pages, many at once, the file, and rows for a page that is open."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Role, User
from alertsources.models import AlertSource
from alertsources.services import create_source
from ilert.common.clock import database_now
from incidents import search, services
from incidents.listing import Filters
from incidents.models import Incident, Priority, Status
from oncall.services import create_policy_asking
from tests.incidents.test_pages import open_incident

pytestmark = pytest.mark.django_db


def shown(client: Client, query: str) -> list[int]:
    return [row.pk for row in client.get(f"/incidents/?{query}").context["page"].rows]


@pytest.fixture
def incidents(source: AlertSource) -> list[Incident]:
    """Newest first: pending, accepted by nobody in particular, resolved."""
    made = [open_incident(source, f"disk {name} full") for name in ("red", "green", "blue")]
    services.resolve(made[0].pk, None, database_now())
    services.accept(made[1].pk, None, database_now())
    return [Incident.objects.get(pk=incident.pk) for incident in reversed(made)]


@pytest.mark.parametrize(
    ("tab", "expected"),
    [
        ("", [0, 1]),
        ("open", [0, 1]),
        ("pending", [0]),
        ("accepted", [1]),
        ("resolved", [2]),
        ("all", [0, 1, 2]),
        ("x", [0, 1]),
    ],
)
def test_tabs(as_alice: Client, incidents: list[Incident], tab: str, expected: list[int]) -> None:
    assert shown(as_alice, f"tab={tab}") == [incidents[index].pk for index in expected]


def test_each_filter_leaves_what_it_says(
    as_alice: Client, alice: User, bob: User, source: AlertSource, incidents: list[Incident]
) -> None:
    other = create_source("Other", "SEMATEXT", create_policy_asking("Night", bob))
    mine = open_incident(other, "queue of mail-2 long")
    services.accept(mine.pk, alice, database_now())
    Incident.objects.filter(pk=mine.pk).update(priority=Priority.LOW)
    search.add_new()
    for query in (f"source={other.pk}", f"policy={other.escalation_policy_id}", "priority=low", "mine=1", "q=mail-2"):
        assert shown(as_alice, query) == [mine.pk], query
        assert len(shown(as_alice, f"{query}&tab=pending")) == 0, query
    assert shown(as_alice, "mine=1&q=nothing") == []
    as_bob = Client()
    as_bob.force_login(bob)
    assert shown(as_bob, "mine=1") == []


def test_days_are_the_viewers_and_both_included(as_alice: Client, alice: User, incidents: list[Incident]) -> None:
    alice.time_zone = "Asia/Tokyo"
    alice.save()
    # One minute to midnight and midnight in Tokyo.
    moment = datetime(2026, 3, 1, 15, 0, tzinfo=UTC)
    Incident.objects.filter(pk=incidents[0].pk).update(reported_at=moment)
    Incident.objects.filter(pk=incidents[1].pk).update(reported_at=moment - timedelta(minutes=1))
    Incident.objects.filter(pk=incidents[2].pk).update(reported_at=moment - timedelta(days=3))
    assert shown(as_alice, "since=2026-03-02&until=2026-03-02") == [incidents[0].pk]
    assert shown(as_alice, "until=2026-03-01") == [incidents[1].pk]
    assert shown(as_alice, "since=2026-03-01&until=2026-03-02") == [incidents[0].pk, incidents[1].pk]


@pytest.mark.parametrize(
    "query",
    ["source=x", "policy=-1", "source=99999999999999999999", "since=yesterday", "since=0001-01-01", "until=9999-12-31",
     "priority=huge", "mine=yes", "before=x", "before=²", "q=%00", "q=%ED%A0%80", "tab=%00"],
)  # fmt: skip
def test_rubbish_in_the_address_is_no_error(as_alice: Client, incidents: list[Incident], query: str) -> None:
    assert as_alice.get(f"/incidents/?{query}").status_code == 200
    assert as_alice.get(f"/incidents/rows?{query}").status_code == 200
    assert as_alice.get(f"/incidents/export.csv?{query}").status_code == 200


def test_the_address_says_it_all_and_no_more() -> None:
    full = "tab=all&mine=1&source=3&policy=4&priority=low&since=2026-01-01&until=2026-01-31&q=disk+full"
    viewer = User(pk=7, role=Role.ADMIN)

    assert Filters.read(QueryDict(full), viewer).query == full
    assert Filters.read(QueryDict("tab=open&q=&source="), viewer).query == ""
    assert Filters.read(QueryDict(full), viewer).responder == 7


def test_pages_keep_the_filters(as_alice: Client, source: AlertSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("incidents.rows.listing.__defaults__", ("", 2))
    newest = [open_incident(source, f"disk {number} full") for number in range(3)][::-1]
    search.add_new()
    page = as_alice.get("/incidents/?q=disk")
    assert [row.pk for row in page.context["page"].rows] == [incident.pk for incident in newest[:2]]
    following = f"q=disk&before={page.context['page'].next}"
    assert f"?{following.replace('&', '&amp;')}" in page.text
    assert shown(as_alice, following) == [newest[2].pk]
    assert 'href="?q=disk"' in as_alice.get(f"/incidents/?{following}").text


@pytest.mark.parametrize(
    ("query", "words"),
    [("", "All calm"), ("tab=resolved", "Nothing here"), ("q=x", "Nothing found"), ("before=1", "Nothing older")],
)
def test_every_empty_list_says_why(as_alice: Client, source: AlertSource, query: str, words: str) -> None:
    gone = open_incident(source, "disk full")
    assert "No incidents yet" not in as_alice.get("/incidents/?tab=accepted").text
    Incident.objects.filter(pk=gone.pk).update(status=Status.ACCEPTED, next_escalation_at=None)
    if query == "":
        services.resolve(gone.pk, None, database_now())
    assert words in as_alice.get(f"/incidents/?{query}").text


def test_the_first_list_of_all_leads_to_the_first_source(as_alice: Client) -> None:
    assert "No incidents yet" in as_alice.get("/incidents/").text


def test_rows_for_a_page_that_is_open(as_alice: Client, incidents: list[Incident]) -> None:
    version = as_alice.get("/incidents/").context["page"].version
    assert as_alice.get(f"/incidents/rows?version={version}").status_code == 204
    message = json.loads(as_alice.get("/incidents/rows?version=old").content)
    assert message["version"] == version
    assert message["order"] == [incidents[0].pk, incidents[1].pk]
    assert f'id="incident-{incidents[0].pk}"' in message["rows"][str(incidents[0].pk)]
    services.accept(incidents[0].pk, None, database_now())
    assert json.loads(as_alice.get(f"/incidents/rows?version={version}").content)["version"] != version


def test_rows_say_where_the_following_page_begins(
    as_alice: Client, source: AlertSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("incidents.rows.listing.__defaults__", ("", 2))
    first, second = (open_incident(source, f"disk {number} full") for number in range(2))

    def message(query: str = "") -> dict[str, Any]:
        return json.loads(as_alice.get(f"/incidents/rows?{query}").content)

    assert "hidden" in as_alice.get("/incidents/").text.split('id="older"')[1].split(">")[0]
    assert message()["next"] == ""
    third = open_incident(source, "disk 2 full")
    assert "hidden" not in as_alice.get("/incidents/").text.split('id="older"')[1].split(">")[0]
    before = message()
    assert (before["order"], before["next"]) == ([third.pk, second.pk], str(second.pk))
    assert message(f"before={second.pk}")["order"] == [first.pk]
    # The same rows, but nothing follows any more.
    services.resolve(first.pk, None, database_now())
    assert message(f"version={before['version']}")["next"] == ""


def test_without_asgi_there_is_no_stream(as_alice: Client) -> None:
    assert as_alice.get("/incidents/stream").status_code == 503


def bulk(client: Client, verb: str, ids: list[object]) -> str:
    return client.post("/incidents/bulk", {"verb": verb, "ids": ids}).text


def test_many_at_once_each_with_its_result(as_alice: Client, bob: User, source: AlertSource) -> None:
    first, second, third = (open_incident(source, f"disk {number} full") for number in range(3))
    services.accept(second.pk, bob, database_now())
    text = bulk(as_alice, "accept", [first.pk, second.pk, third.pk, first.pk, 999_999])
    assert "2 incidents accepted, 2 not changed" in text
    assert "Bob accepted it." in text
    assert "There is no such incident any more." in text
    assert set(Incident.objects.values_list("status", flat=True)) == {Status.ACCEPTED}
    assert "3 incidents resolved" in bulk(as_alice, "resolve", [first.pk, second.pk, third.pk])


@pytest.mark.parametrize(("verb", "ids"), [("accept", []), ("delete", [1]), ("accept", ["x", "-1", "9" * 30])])
def test_nothing_to_do_is_said(as_alice: Client, verb: str, ids: list[object]) -> None:
    response = as_alice.post("/incidents/bulk", {"verb": verb, "ids": ids})
    assert response.status_code == 422
    assert "Select incidents first." in response.text


def test_a_stakeholder_changes_none_of_many(client: Client, charlie: User, incidents: list[Incident]) -> None:
    client.force_login(charlie)
    assert client.post("/incidents/bulk", {"verb": "resolve", "ids": [incidents[0].pk]}).status_code == 403
    assert "data-reads-only" in client.get("/incidents/").text
    assert 'class="bulk-bar"' not in client.get("/incidents/").text
    incidents[0].refresh_from_db()
    assert incidents[0].status == Status.PENDING


def test_the_file_has_what_the_list_has_and_no_formula(as_alice: Client, source: AlertSource) -> None:
    open_incident(source, "=cmd|' /C calc'!A0")
    open_incident(source, "memory\nfull, “really”")
    search.add_new()
    response = as_alice.get("/incidents/export.csv?tab=all")
    assert response.headers["Content-Disposition"].startswith("attachment")
    header, newest, formula = csv.reader(io.StringIO(response.text))
    assert header[0] == "id"
    assert newest[3].startswith("memory")
    assert formula[3].startswith("'=cmd")
    assert len(list(csv.reader(io.StringIO(as_alice.get("/incidents/export.csv?q=memory").text)))) == 2


def test_a_list_with_every_filter_costs_the_same_however_long_it_is(as_alice: Client, source: AlertSource) -> None:
    query = f"tab=all&mine=1&source={source.pk}&priority=high&since=2020-01-01&q=disk"
    counts = []
    for _ in range(2):
        for number in range(5):
            open_incident(source, f"disk {number} of {len(counts)} full")
        with CaptureQueriesContext(connection) as counted:
            as_alice.get(f"/incidents/?{query}")
        counts.append(len(counted))
    assert counts[0] == counts[1] <= 8


@pytest.mark.parametrize("verb", ["accept", "resolve"])
def test_many_at_once_cost_what_a_few_cost(as_alice: Client, bob: User, source: AlertSource, verb: str) -> None:
    counts = []
    for size in (4, 40):
        made = [open_incident(source, f"disk {number} of {size} full") for number in range(size)]
        for incident in made[: size // 2]:
            services.resolve(incident.pk, bob, database_now())
        with CaptureQueriesContext(connection) as counted:
            text = bulk(as_alice, verb, [incident.pk for incident in made])
        assert text.count("Bob resolved it.") == size // 2
        counts.append(len(counted))
    assert counts[0] == counts[1]
