"""Incidents by REST: what is told, what can be done, and who was first."""

from datetime import timedelta
from typing import Any

import pytest

from accounts.models import User
from alertsources.models import AlertSource
from incidents import lifecycle, services
from incidents.engine import escalation
from incidents.models import Incident, LogEntry, Status
from oncall.models import EscalationPolicy
from tests.conftest import NOW
from tests.incidents.test_pages import open_incident
from tests.rest.conftest import Api
from tests.rest.test_resources import wrong

pytestmark = pytest.mark.django_db


@pytest.fixture
def incident(source: AlertSource) -> Incident:
    return open_incident(source, "disk of web-1 full")


def test_an_incident_is_told_as_the_contract_says(
    alices: Api, incident: Incident, source: AlertSource, alice: User
) -> None:
    escalation.escalate_due(lambda: incident.next_escalation_at)
    found = alices.get(f"/incidents/{incident.pk}").json()
    assert set(found) == {
        "id", "summary", "details", "status", "priority", "incidentKey", "alertSource", "escalationPolicy",
        "reportTime", "resolvedOn", "nextEscalation", "eventCount", "responders",
    }  # fmt: skip
    assert (found["id"], found["status"], found["priority"]) == (incident.pk, "PENDING", "HIGH")
    assert found["alertSource"] == {"id": source.pk, "name": source.name}
    assert found["escalationPolicy"]["name"] == "Default"
    assert found["responders"] == [{"user": {"id": alice.pk, "name": "Alice"}, "status": "PENDING", "acceptedAt": None}]
    assert found["nextEscalation"] is not None
    assert found["resolvedOn"] is None
    assert source.integration_key not in str(found)


def test_accept_and_resolve(alices: Api, incident: Incident) -> None:
    accepted = alices.put(f"/incidents/{incident.pk}/accept")
    assert (accepted.status_code, accepted.json()["status"]) == (200, "ACCEPTED")
    assert accepted.json()["responders"][0]["status"] == "ACCEPTED"
    assert accepted.json()["nextEscalation"] is None
    resolved = alices.put(f"/incidents/{incident.pk}/resolve").json()
    assert resolved["status"] == "RESOLVED"
    assert resolved["resolvedOn"] is not None


def test_a_repeat_is_as_good_as_the_first_and_leaves_one_entry(alices: Api, incident: Incident) -> None:
    for deed in ("accept", "accept", "resolve", "resolve"):
        assert alices.put(f"/incidents/{incident.pk}/{deed}").status_code == 200
    assert sorted(LogEntry.objects.filter(actor__isnull=False).values_list("kind", flat=True)) == [
        "accepted",
        "resolved",
    ]


def test_the_second_is_told_who_was_first(alices: Api, bobs: Api, incident: Incident) -> None:
    alices.put(f"/incidents/{incident.pk}/accept")
    answer = bobs.put(f"/incidents/{incident.pk}/accept")
    assert (answer.status_code, answer.json()["code"]) == (409, "INCIDENT_ALREADY_ACCEPTED")
    assert "Alice accepted it." in answer.json()["message"]
    alices.put(f"/incidents/{incident.pk}/resolve")
    for deed in ("accept", "escalate", f"assign?user-id={bobs.key.user_id}"):
        answer = bobs.put(f"/incidents/{incident.pk}/{deed}")
        assert (answer.status_code, answer.json()["code"]) == (409, "INCIDENT_ALREADY_RESOLVED"), deed


def test_escalate_and_assign(alices: Api, incident: Incident, bob: User, policy: EscalationPolicy) -> None:
    escalation.escalate_due(lambda: incident.next_escalation_at)
    assert alices.put(f"/incidents/{incident.pk}/escalate").json()["status"] == "PENDING"
    assert alices.put(f"/incidents/{incident.pk}/assign?user-id={bob.pk}").status_code == 200
    incident.refresh_from_db()
    assert incident.responder == bob
    assert alices.put(f"/incidents/{incident.pk}/assign?policy-id={policy.pk}").status_code == 200
    incident.refresh_from_db()
    assert incident.responder is None


def test_assign_says_what_is_missing_or_wrong(alices: Api, incident: Incident, charlie: User) -> None:
    path = f"/incidents/{incident.pk}/assign"
    assert wrong(alices.put(path)) == {"user-id": ["Give either user-id or policy-id."]}
    assert "user-id" in wrong(alices.put(f"{path}?user-id=x"))
    assert "user-id" in wrong(alices.put(f"{path}?user-id=999"))
    assert "policy-id" in wrong(alices.put(f"{path}?policy-id=999"))
    assert "user-id" in wrong(alices.put(f"{path}?user-id=1&policy-id=1"))
    assert "only active members" in wrong(alices.put(f"{path}?user-id={charlie.pk}"))["user-id"][0]
    assert not LogEntry.objects.exists()


def test_a_comment_is_on_the_timeline(alices: Api, incident: Incident) -> None:
    answer = alices.post(f"/incidents/{incident.pk}/comments", {"content": "Looking at it."})
    assert (answer.status_code, answer.json()) == (201, {"content": "Looking at it."})
    assert "content" in wrong(alices.post(f"/incidents/{incident.pk}/comments", {"content": " "}))
    line = alices.get(f"/incidents/{incident.pk}/log-entries").json()[0]
    assert (line["type"], line["actor"], line["detail"]) == ("commented", "Alice", "Looking at it.")


def test_an_incident_is_opened_by_hand(bobs: Api, source: AlertSource) -> None:
    answer = bobs.post("/incidents", {"summary": "The door is open", "alertSource": {"id": source.pk}})
    assert answer.status_code == 201, answer.text
    assert answer["Location"].endswith(f"/api/v1/incidents/{Incident.objects.get().pk}")
    assert answer.json()["summary"] == "The door is open"
    assert set(wrong(bobs.post("/incidents", {}))) == {"summary", "alertSource"}


def test_a_stakeholder_reads_and_does_nothing(charlies: Api, incident: Incident) -> None:
    for path in ("", "/log-entries", "/notifications"):
        assert charlies.get(f"/incidents/{incident.pk}{path}").status_code == 200
    for deed in ("accept", "resolve", "escalate", "assign"):
        assert charlies.put(f"/incidents/{incident.pk}/{deed}").status_code == 403
    assert charlies.post(f"/incidents/{incident.pk}/comments", {"content": "x"}).status_code == 403
    assert charlies.post("/incidents", {}).status_code == 403
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("path", ["", "/log-entries", "/notifications"])
def test_what_is_not_there_is_404(alices: Api, path: str) -> None:
    assert alices.get(f"/incidents/999{path}").status_code == 404
    for deed in ("accept", "resolve", "escalate", "assign?user-id=1"):
        assert alices.put(f"/incidents/999/{deed}").status_code in (400, 404)
    assert alices.post("/incidents/999/comments", {"content": "x"}).status_code == 404


def test_the_list_is_filtered_and_newest_first(alices: Api, alice: User, source: AlertSource) -> None:
    first, second, third = (open_incident(source, f"disk of web-{n} full") for n in range(3))
    services.accept(first.pk, alice, NOW)
    services.resolve(second.pk, alice, NOW)

    def ids(query: str) -> list[int]:
        return [item["id"] for item in alices.get(f"/incidents?{query}").json()]

    assert ids("") == [third.pk, second.pk, first.pk]
    assert ids("states=PENDING") == [third.pk]
    assert ids("states=PENDING,ACCEPTED") == ids("states=ACCEPTED&states=PENDING") == [third.pk, first.pk]
    assert ids(f"states=PENDING&alert-source={source.pk}&max-results=50") == [third.pk]
    assert ids("alert-source=999") == []
    assert "states" in wrong(alices.get("/incidents?states=OPEN"))
    assert "alert-source" in wrong(alices.get("/incidents?alert-source=x"))


def test_the_link_goes_on_with_the_same_filter(alices: Api, source: AlertSource) -> None:
    incidents = [open_incident(source, f"disk of web-{n} full") for n in range(5)]
    seen, path = [], "/incidents?states=PENDING&max-results=2"
    while path:
        answer = alices.get(path)
        seen += [item["id"] for item in answer.json()]
        path = answer.get("Link", "").partition("/api/v1")[2].partition(">")[0]
        assert not path or "states=PENDING" in path
        services.resolve(incidents[0].pk, None, NOW)
    assert seen == [item.pk for item in reversed(incidents[1:])]


def test_the_whole_timeline_can_be_read_page_by_page(alices: Api, alice: User, incident: Incident) -> None:
    for number in range(7):
        lifecycle.comment(incident.pk, f"Comment {number}", alice, NOW)
    escalation.escalate_due(lambda: incident.next_escalation_at)
    seen, path = [], f"/incidents/{incident.pk}/log-entries?max-results=3"
    while path:
        answer = alices.get(path)
        seen += answer.json()
        path = answer.get("Link", "").partition("/api/v1")[2].partition(">")[0]
    everything = alices.get(f"/incidents/{incident.pk}/log-entries").json()
    assert seen == everything
    for start in (0, 2, len(everything)):
        part = alices.get(f"/incidents/{incident.pk}/log-entries?max-results=3&start-index={start}")
        assert part.json() == everything[start : start + 3]
    assert alices.get(f"/incidents/{incident.pk}/log-entries?start-index=10001").status_code == 400
    kinds = [line["type"] for line in seen]
    assert kinds.count("commented") == 7
    assert {"event.opened", "level.asked", "notified"} <= set(kinds)
    assert [line["id"] for line in seen] == sorted((line["id"] for line in seen), reverse=True)


def test_notifications_tell_whom_how_and_what_came_of_it(alices: Api, incident: Incident, alice: User) -> None:
    escalation.escalate_due(lambda: incident.next_escalation_at)
    (found,) = alices.get(f"/incidents/{incident.pk}/notifications").json()
    assert found["user"] == {"id": alice.pk, "name": "Alice"}
    assert (found["method"], found["status"], found["attempts"]) == ("EMAIL", "PLANNED", 0)
    line = next(
        line for line in alices.get(f"/incidents/{incident.pk}/log-entries").json() if line["type"] == "notified"
    )
    assert line["notification"] == found["id"]
    services.accept(incident.pk, alice, NOW + timedelta(seconds=1))
    assert alices.get(f"/incidents/{incident.pk}/notifications").json()[0]["status"] == "CANCELLED"


@pytest.mark.parametrize(("path", "bound"), [("/incidents", 3), ("/log-entries", 5), ("/notifications", 3)])
def test_lists_take_the_same_few_queries(
    *, alices: Api, alice: User, source: AlertSource, path: str, bound: int, django_assert_num_queries: Any
) -> None:
    incidents = [open_incident(source, f"disk of web-{n} full") for n in range(20)]
    escalation.escalate_due(lambda: incidents[-1].next_escalation_at)
    lifecycle.escalate(incidents[0].pk, alice, NOW)
    escalation.escalate_due(lambda: NOW + timedelta(days=300))
    services.accept(incidents[1].pk, alice, NOW)
    alices.get("/users/current")
    with django_assert_num_queries(bound):
        answer = alices.get(path if path == "/incidents" else f"/incidents/{incidents[0].pk}{path}")
    assert len(answer.json()) >= 2
    assert Incident.objects.filter(status=Status.ACCEPTED).count() == 1
