"""The front door: every answer of the contract, and what each leaves behind."""

import json
import logging
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test import Client

from alertsources.models import AlertSource
from alertsources.services import create_source
from ilert.logs import RedactingFormatter
from incidents.models import Event, Incident, LogEntry, Outcome, Status
from oncall.models import EscalationPolicy
from tests.payloads import payload

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("both_doors")]


def send(path: str, body: bytes = b"", **options: str):
    options = {"content_type": "application/json"} | options
    return Client().post(path, body, **options)


@pytest.fixture
def path(source: AlertSource) -> str:
    return f"/api/v1/events/sematext/{source.integration_key}"


@pytest.mark.parametrize("shape", ["/api/v1/events/{}", "/api/events/{}", "/api/v1/events/{}/", "/api/events/{}%20"])
def test_every_shape_of_the_url_is_known(source: AlertSource, shape: str) -> None:
    response = send(shape.format(f"sematext/{source.integration_key}"), payload("sematext", "alert"))
    assert response.status_code == 200


def test_the_answer_names_what_was_committed(path: str) -> None:
    answer = send(path, payload("sematext", "alert")).json()
    event, incident = Event.objects.get(), Incident.objects.get()
    assert answer["eventId"] == event.pk
    assert answer["outcome"] == "opened"
    assert answer["incidentKey"] == incident.incident_key
    assert answer["events"] == [{"eventId": event.pk, "incidentKey": incident.incident_key, "outcome": "opened"}]
    assert bytes(event.body) == payload("sematext", "alert")


def test_sematext_may_use_get(path: str) -> None:
    assert Client().get(path, {"description": "cpu > 90", "backToNormal": "false"}).status_code == 200


@pytest.mark.parametrize("method", ["put", "patch", "delete", "options"])
def test_other_methods_are_named(path: str, method: str) -> None:
    response = getattr(Client(), method)(path)
    assert (response.status_code, response["Allow"]) == (405, "GET, POST")
    assert response.json()["code"] == "METHOD_NOT_ALLOWED"


def test_an_unknown_key_is_404(source: AlertSource) -> None:
    response = send("/api/v1/events/sematext/il1smtnope", payload("sematext", "alert"))
    assert (response.status_code, response.json()["code"]) == (404, "UNKNOWN_KEY")


def test_an_unknown_integration_is_404_and_names_the_known_ones(source: AlertSource) -> None:
    response = send(f"/api/v1/events/nagios2/{source.integration_key}", b"{}")
    assert response.status_code == 404
    assert "sematext" in response.json()["message"]


def test_a_disabled_source_is_404(path: str, source: AlertSource) -> None:
    AlertSource.objects.update(active=False)
    assert send(path, payload("sematext", "alert")).status_code == 404


def test_a_payload_that_cannot_be_read_is_400_and_kept(path: str) -> None:
    response = send(path, b'{"description": [1]}')
    assert response.status_code == 400
    assert "description" in response.json()["message"]
    event = Event.objects.get()
    assert (event.outcome, bytes(event.body)) == (Outcome.REJECTED, b'{"description": [1]}')
    assert not Incident.objects.exists()


def test_only_the_newest_rejected_ones_are_kept(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("incidents.intake.rejected.KEPT", 3)
    for number in range(5):
        send(path, f"[{number}]".encode())
    assert [bytes(event.body) for event in Event.objects.order_by("pk")] == [b"[2]", b"[3]", b"[4]"]


def test_a_body_over_the_limit_is_413(path: str, settings) -> None:
    settings.ILERT_MAX_BODY = settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    assert send(path, b'{"description": "' + b"x" * 100 + b'"}').status_code == 413


def test_an_unknown_encoding_is_415(path: str) -> None:
    assert send(path, b"x", HTTP_CONTENT_ENCODING="br").status_code == 415


@pytest.mark.django_db(transaction=True)
def test_a_database_that_cannot_commit_is_503(path: str) -> None:
    with psycopg.connect(**other_connection()) as other:
        other.execute("LOCK TABLE incidents_incident")
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '100ms'")
        response = send(path, payload("sematext", "alert"))
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")
    assert (response.status_code, response["Retry-After"]) == (503, "5")
    assert response.json()["code"] == "UNAVAILABLE"
    assert not Event.objects.exists()


def other_connection() -> dict[str, Any]:
    """Return how to connect to the database of this test beside Django."""
    parameters = connection.get_connection_params()
    return {name: parameters[name] for name in ("dbname", "user", "host", "port", "password") if name in parameters}


def test_no_key_and_no_token_is_stored(path: str, source: AlertSource) -> None:
    body = payload(
        "sematext",
        "alert",
        url=source.integration_url,
        applicationToken="tok-5ecret/ä",
        description=f"x {source.integration_key}",
    )
    assert send(path, body).status_code == 200
    event, incident = Event.objects.get(), Incident.objects.get()
    stored = f"{bytes(event.body)!r} {event.fields} {event.summary} {event.incident_key} {incident.summary}"
    assert source.integration_key not in stored
    assert "5ecret" not in stored
    assert event.fields["applicationToken"] == "[removed]"


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "<script>alert(1)</script>", "\u202egnirts", "x" * 10_000])
def test_hostile_text_is_stored_and_shown_harmlessly(path: str, as_alice: Client, text: str) -> None:
    body = json.dumps({"description": text, "ruleType": text, "troubleshootUrl": "javascript:alert(1)"}).encode()
    assert send(path, body).status_code == 200
    page = as_alice.get(f"/incidents/{Incident.objects.get().pk}/").text
    assert "<script>alert" not in page
    assert 'href="javascript:' not in page


def test_the_hook_s_test_is_recorded_and_pages_nobody(path: str) -> None:
    assert send(path, payload("sematext", "test_notification")).json()["outcome"] == "test"
    assert not Incident.objects.exists()


def test_a_recovery_that_cannot_be_told_resolves_none_and_says_so(path: str) -> None:
    for disk in ("a", "b"):
        send(path, payload("sematext", "alert", description=f"disk {disk} full"))
    answer = send(path, payload("sematext", "alert", description="all fine", backToNormal="true")).json()
    assert answer["outcome"] == "ambiguous"
    assert Incident.objects.filter(status=Status.PENDING).count() == 2
    assert LogEntry.objects.filter(kind="recovery.ambiguous").count() == 2


def test_a_recovery_without_a_match_resolves_the_only_open_one_of_its_scope(path: str) -> None:
    send(path, payload("sematext", "alert", description="disk a full"))
    assert (
        send(path, payload("sematext", "alert", description="fine", backToNormal="true")).json()["outcome"]
        == "resolved"
    )


def test_a_late_recovery_touches_no_other(path: str, alice, as_alice: Client) -> None:
    send(path, payload("sematext", "alert", description="disk a full"))
    as_alice.post(f"/incidents/{Incident.objects.get().pk}/resolve")
    send(path, payload("sematext", "alert", description="disk b full"))
    answer = send(path, payload("sematext", "alert", description="disk a full", backToNormal="true")).json()
    assert answer["outcome"] == "ignored"
    assert Incident.objects.filter(status=Status.PENDING).count() == 1


def test_a_recovery_of_nothing_is_ignored(path: str) -> None:
    assert send(path, payload("sematext", "back_to_normal")).json()["outcome"] == "ignored"


def test_a_key_of_another_type_is_told_its_url(policy: EscalationPolicy, path: str, monkeypatch) -> None:
    import integrations
    from integrations.sematext import Sematext

    class Other(Sematext):
        type, slug, name, key_infix = "OTHER", "other", "Other", "oth"

    monkeypatch.setattr(integrations, "ALL", (*integrations.ALL, Other()))
    other = create_source("Other", "OTHER", policy)
    response = send(f"/api/v1/events/sematext/{other.integration_key}", payload("sematext", "alert"))
    assert response.status_code == 404
    assert "/api/v1/events/other/" in response.json()["message"]


@pytest.mark.parametrize("accept", ["text/plain", "application/xml", "text/html", "*", ";;;", ""])
def test_whatever_a_tool_accepts_its_event_is_taken(path: str, accept: str) -> None:
    response = send(path, payload("sematext", "alert"), HTTP_ACCEPT=accept)
    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"


def test_a_format_in_the_query_is_the_tool_s_own(path: str) -> None:
    assert send(f"{path}?format=xml", payload("sematext", "alert")).status_code == 200


@pytest.mark.parametrize("wrong", ["", "/", "/KEY/x", "/../../api/v1/foo"])
def test_wrong_addresses_are_404_in_json(db, wrong: str) -> None:
    response = send(f"/api/v1/events/sematext{wrong}", b"{}")
    assert (response.status_code, response.json()["status"]) == (404, 404)


def test_unusual_methods_get_the_core_s_answer(path: str) -> None:
    assert Client().generic("PROPFIND", path).json()["code"] == "METHOD_NOT_ALLOWED"


@pytest.mark.parametrize("host", ["10.0.0.5:8000", "unknown.example", "bad_host!"])
def test_events_are_taken_whatever_the_host_is_called(path: str, settings, host: str) -> None:
    settings.ALLOWED_HOSTS = ["ilert.example.com", "localhost"]
    assert send(path, payload("sematext", "alert"), HTTP_HOST=host).status_code == 200
    for probe in ("/healthz", "/readyz"):
        assert Client().get(probe, HTTP_HOST=host).status_code == 200
    assert Client(raise_request_exception=False).get("/incidents/", HTTP_HOST=host).status_code == 400


def test_a_key_in_a_path_is_not_logged(path: str, source: AlertSource) -> None:
    record = logging.LogRecord("django.request", logging.ERROR, "", 0, "Service Unavailable: %s", (path,), None)
    line = RedactingFormatter("%(message)s").format(record)
    assert line == "Service Unavailable: /api/v1/events/sematext/[removed]"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8"])
def test_no_spelling_keeps_a_secret(path: str, source: AlertSource, encoding: str) -> None:
    key = source.integration_key
    spelled = key[:8] + f"\\u{ord(key[8]):04x}" + key[9:]
    body = f'{{"description": "x", "url": "{spelled}", "applicationToken": "tok-5ecret-{encoding}"}}'.encode(encoding)
    assert send(path, body).status_code == 200
    event = Event.objects.get()
    text = bytes(event.body).replace(b"\0", b"")
    assert b"5ecret" not in text
    assert spelled.encode() not in text
    assert key not in str(event.fields)


def test_a_storm_of_ambiguous_recoveries_says_it_once(path: str) -> None:
    for disk in range(5):
        send(path, payload("sematext", "alert", description=f"disk of web-{disk} full"))
    for number in range(3):
        send(path, payload("sematext", "alert", description=f"fine again {number}", backToNormal="true"))
    assert LogEntry.objects.filter(kind="recovery.ambiguous").count() == 5
    assert Event.objects.filter(outcome=Outcome.AMBIGUOUS).count() == 3
