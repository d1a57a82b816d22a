"""Elasticsearch Watcher posts on every run and never says that it is over."""

from datetime import timedelta

import pytest

from alertsources.services import Options, create_source
from incidents import services
from incidents.intake.receive import receive
from incidents.models import Event, Incident, Outcome, Status
from integrations import Payload
from oncall.models import EscalationPolicy
from tests.payloads import FOLDER

pytestmark = pytest.mark.django_db


def post(source, body: bytes, content_type: str = "application/json"):
    return receive("eswatcher", source.integration_key, "POST", Payload(body, content_type))


def run(number: int) -> bytes:
    return (
        b'{"id": "disk_%d-2026-03-01T03:00:00Z", "watch_id": "disk", "metadata": {"name": "Disk of db-1"},'
        b' "execution_time": "2026-03-01T03:00:00.000Z", "payload": {"hits": {"total": %d}}}' % (number, number)
    )


def test_a_hundred_runs_are_one_incident_until_the_time_out(policy: EscalationPolicy) -> None:
    source = create_source("Watcher", "ESWATCHER", policy, Options(auto_resolution_minutes=30))
    outcomes = [post(source, run(number)).content["outcome"] for number in range(100)]
    assert outcomes == ["opened"] + ["appended"] * 99
    incident = Incident.objects.get()
    assert (incident.event_count, incident.summary) == (100, "Disk of db-1")
    assert Event.objects.filter(incident=incident).count() == 100
    assert services.resolve_stale(incident.auto_resolve_at - timedelta(seconds=1)) == 0
    services.resolve_stale(incident.auto_resolve_at)
    incident.refresh_from_db()
    assert incident.status == Status.RESOLVED


def test_what_names_no_watch_is_one_incident_that_says_what_to_mend(policy: EscalationPolicy) -> None:
    source = create_source("Watcher", "ESWATCHER", policy)
    for body, content_type in ((b"watch:12", "text/plain"), (b'{"payload": {"hits": {"total": 1}}}', "")):
        assert post(source, body, content_type).status == 200
    incident = Incident.objects.get()
    assert (incident.incident_key, incident.event_count) == ("unidentified", 2)
    assert "ctx" in f"{incident.summary} {incident.details}"


def test_invalid_json_is_kept(policy: EscalationPolicy) -> None:
    source = create_source("Watcher", "ESWATCHER", policy)
    assert post(source, b'{"watch_id": "disk", }').status == 400
    assert Event.objects.get().outcome == Outcome.REJECTED
    assert not Incident.objects.exists()


def test_every_payload_there_is_a_file_of_is_answered(policy: EscalationPolicy) -> None:
    source = create_source("Watcher", "ESWATCHER", policy)
    files = sorted((FOLDER / "eswatcher").iterdir())
    assert files
    for file in files:
        assert post(source, file.read_bytes(), "").status in (200, 400), file.name
