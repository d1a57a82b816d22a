"""What a source's own options make of its events."""

from datetime import timedelta

import pytest

from alertsources import services as sources
from alertsources.models import AlertSource, Grouping, Priority
from ilert.common.clock import database_now
from incidents import services
from incidents.intake.receive import receive
from incidents.models import Event, Incident, LogEntry, Status
from integrations import Payload
from oncall.models import EscalationPolicy
from tests.payloads import payload

pytestmark = pytest.mark.django_db


@pytest.fixture
def make(policy: EscalationPolicy):
    def make(**options: object) -> AlertSource:
        return sources.create_source("Sematext", "SEMATEXT", policy, sources.Options(**options))

    return make


def post(source: AlertSource, description: str, over: str = "false") -> str:
    body = payload("sematext", "alert", description=description, backToNormal=over)
    answer = receive("sematext", source.integration_key, "POST", Payload(body))
    assert answer.status == 200, answer
    return answer.content["outcome"]


def test_the_source_s_priority_is_used_when_the_tool_says_none(make) -> None:
    post(make(priority=Priority.LOW), "disk full")
    assert Incident.objects.get().priority == "low"


def test_each_event_its_own_incident(make) -> None:
    source = make(grouping=Grouping.EVENT)
    assert [post(source, "disk full") for _ in range(3)] == ["opened"] * 3
    post(source, "cpu high")
    assert post(source, "disk full", over="true") == "resolved"
    assert list(Incident.objects.filter(status=Status.PENDING).values_list("summary", flat=True)) == ["cpu high"]
    assert post(source, "disk full", over="true") == "ignored"


def test_one_open_incident_at_a_time_ends_with_the_last_problem(make) -> None:
    source = make(grouping=Grouping.ONE_OPEN)
    assert [post(source, text) for text in ("disk full", "cpu high", "disk full")] == ["opened", "appended", "appended"]
    assert post(source, "disk full", over="true") == "appended"
    assert "1 other problems" in Event.objects.first().reason
    assert post(source, "cpu high", over="true") == "resolved"
    assert post(source, "disk full") == "opened"
    assert Incident.objects.count() == 2


def test_no_event_for_a_while_resolves_accepted_ones_too(make, alice) -> None:
    source = make(auto_resolution_minutes=10)
    post(source, "disk full")
    incident = Incident.objects.get()
    services.accept(incident.pk, alice, database_now())
    first = incident.auto_resolve_at
    post(source, "disk full")
    incident.refresh_from_db()
    assert incident.auto_resolve_at > first
    assert services.resolve_stale(incident.auto_resolve_at - timedelta(seconds=1)) == 0
    assert services.resolve_stale(incident.auto_resolve_at) == 1
    incident.refresh_from_db()
    assert incident.status == Status.RESOLVED
    assert LogEntry.objects.filter(kind="resolved.auto").count() == 1
    assert services.who_was_first(incident) == "No event came for a while, so it was resolved by itself."
    assert services.resolve_stale(incident.auto_resolve_at) == 0


def test_without_the_option_nothing_ends_by_itself(make) -> None:
    post(make(), "disk full")
    assert Incident.objects.get().auto_resolve_at is None


def test_a_high_event_raises_an_open_low_incident(make) -> None:
    source = make(priority=Priority.LOW)
    post(source, "disk full")
    AlertSource.objects.update(priority=Priority.HIGH)
    Incident.objects.update(next_escalation_at=None, run={"number": 1})
    post(source, "disk full")
    incident = Incident.objects.get()
    assert (incident.priority, incident.run) == ("high", None)
    assert incident.next_escalation_at is not None


def test_a_change_of_grouping_orphans_nothing(make) -> None:
    for before, after in ((Grouping.KEY, Grouping.EVENT), (Grouping.EVENT, Grouping.KEY), (Grouping.KEY, "one_open")):
        source = make(grouping=before)
        post(source, "disk full")
        source.grouping = after
        source.save()
        assert post(source, "disk full", over="true") == "resolved"
