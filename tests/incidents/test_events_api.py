"""iLert's events API: the key in the body, old names and new, and its documented codes."""

import json
from typing import Any

import pytest
from django.test import Client

from alertsources.models import AlertSource
from alertsources.services import create_source
from incidents import timeline
from incidents.models import Event, Incident, Outcome, Status
from oncall.models import EscalationPolicy

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("both_doors")]


@pytest.fixture
def api(policy: EscalationPolicy) -> AlertSource:
    return create_source("Own scripts", "API", policy)


def send(source: AlertSource, path: str = "/api/v1/events", **fields: Any):
    body = {"apiKey": source.integration_key, "eventType": "ALERT", "summary": "Backup failed"} | fields
    body = {name: value for name, value in body.items() if value is not None}
    return Client().post(path, json.dumps(body), content_type="application/json")


@pytest.mark.parametrize("path", ["/api/v1/events", "/api/events", "/api/v1/events/", "/api/events/"])
def test_the_key_may_be_in_the_body(api: AlertSource, path: str) -> None:
    response = send(api, path, incidentKey="backup")
    assert (response.status_code, response.json()["outcome"]) == (200, "opened")


def test_new_names_and_old_names_mean_the_same(api: AlertSource) -> None:
    send(api, incidentKey="Backup")
    answer = send(api, apiKey=None, integrationKey=api.integration_key, incidentKey=None, alertKey=" backup ").json()
    assert answer["outcome"] == "appended"


def test_the_url_with_the_key_takes_the_same(api: AlertSource) -> None:
    assert send(api, f"/api/v1/events/api/{api.integration_key}", apiKey=None).status_code == 200


def test_an_alert_without_a_key_is_an_incident_of_its_own(api: AlertSource) -> None:
    assert [send(api).json()["outcome"] for _ in range(2)] == ["opened", "opened"]


def test_accept_and_resolve_need_no_summary(api: AlertSource) -> None:
    send(api, incidentKey="b")
    assert send(api, incidentKey="b", eventType="ACCEPT", summary=None).json()["outcome"] == "accepted"
    assert send(api, incidentKey="b", eventType="RESOLVE", summary="").json()["outcome"] == "resolved"
    assert Incident.objects.get().status == Status.RESOLVED


def test_its_own_codes_for_what_changes_nothing(api: AlertSource) -> None:
    def code(**fields: Any) -> tuple[int, str]:
        response = send(api, incidentKey="b", **fields)
        return response.status_code, response.json().get("code", "")

    assert code(eventType="RESOLVE") == (400, "NO_OPEN_INCIDENT_WITH_KEY")
    assert code(eventType="ACCEPT") == (400, "NO_OPEN_INCIDENT_WITH_KEY")
    assert code() == (200, "")
    assert code(eventType="ACCEPT") == (200, "")
    assert code(eventType="ACCEPT") == (400, "INCIDENT_ALREADY_ACCEPTED")
    assert Event.objects.filter(outcome=Outcome.IGNORED).count() == 3


def test_a_comment_is_on_the_timeline_and_changes_nothing(api: AlertSource) -> None:
    send(api, incidentKey="b")
    answer = send(api, incidentKey="b", eventType="COMMENT", summary="Tried again", details="for the third time")
    assert answer.json()["outcome"] == "appended"
    incident = Incident.objects.get()
    assert incident.status == Status.PENDING
    assert timeline.section(incident).items[0].sentence == "The tool commented"
    assert send(api, incidentKey="other", eventType="COMMENT").json()["code"] == "NO_OPEN_INCIDENT_WITH_KEY"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "object"),
        (b'{"eventType": "ALERT"}', "apiKey"),
        (b'{"apiKey": ["x"]}', "apiKey"),
        (b"", "apiKey"),
    ],
)
def test_without_a_key_nothing_can_be_kept_but_the_error_says_what_is_missing(db, body: bytes, words: str) -> None:
    response = Client().post("/api/v1/events", body, content_type="application/json")
    assert response.status_code == 400
    assert words in response.json()["message"]


def test_an_unknown_key_in_the_body_is_404(db) -> None:
    response = Client().post("/api/v1/events", b'{"apiKey": "il1apinope"}', content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (404, "UNKNOWN_KEY")


@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_other_methods_are_named(db, method: str) -> None:
    response = getattr(Client(), method)("/api/v1/events")
    assert (response.status_code, response["Allow"]) == (405, "POST")


def test_the_key_is_stored_nowhere(api: AlertSource) -> None:
    send(api, incidentKey="b", details=f"see {api.integration_url}")
    event = Event.objects.get()
    stored = f"{bytes(event.body)!r} {event.fields} {event.details} {Incident.objects.get().details}"
    assert api.integration_key not in stored
    assert "[removed]" in stored
