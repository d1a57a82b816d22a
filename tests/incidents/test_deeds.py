"""What people do from an incident's page: who may, what is said, and what a wrong form says."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.test import Client

from accounts.models import User
from alertsources.models import AlertSource
from ilert.common.clock import database_now
from incidents import services
from incidents.models import Incident, LogEntry, Status
from incidents.views.deeds import SNOOZES, _snoozed_until
from oncall.models import EscalationPolicy
from tests.incidents.test_pages import open_incident

pytestmark = pytest.mark.django_db
DEEDS = ("accept", "resolve", "reopen", "escalate", "assign", "snooze", "raise", "merge", "comment")


@pytest.fixture
def incident(source: AlertSource) -> Incident:
    return open_incident(source, "disk of web-1 full")


def do(client: Client, incident: Incident, deed: str, **data: object) -> str:
    response = client.post(f"/incidents/{incident.pk}/{deed}", data, follow=True)
    assert response.status_code == 200
    incident.refresh_from_db()
    return response.text


def test_a_stakeholder_does_nothing(client: Client, charlie: User, incident: Incident) -> None:
    client.force_login(charlie)
    for deed in DEEDS:
        assert client.post(f"/incidents/{incident.pk}/{deed}", {"text": "x", "for": "30"}).status_code == 403
    assert client.get("/incidents/new").status_code == 403
    assert "<dialog" not in client.get(f"/incidents/{incident.pk}/").text
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("deed", DEEDS)
def test_get_changes_nothing_and_what_is_not_there_is_404(as_alice: Client, incident: Incident, deed: str) -> None:
    assert as_alice.get(f"/incidents/{incident.pk}/{deed}").status_code == 405
    data = {"text": "x", "for": "30", "into": str(incident.pk), "to": "user:1"}
    assert as_alice.post(f"/incidents/999999/{deed}", data).status_code in (404, 302)
    assert not LogEntry.objects.exists()


def test_the_walk_of_a_night(as_alice: Client, incident: Incident, alice: User, bob: User) -> None:
    assert "accepted" in do(as_alice, incident, "accept")
    assert "Your comment is on the timeline." in do(as_alice, incident, "comment", text="Looking at <b>it</b>.")
    assert "&lt;b&gt;it" in as_alice.get(incident.get_absolute_url()).text
    assert "The next level is being asked." in do(as_alice, incident, "escalate")
    assert incident.status == Status.PENDING
    assert "reassigned" in do(as_alice, incident, "assign", to=f"user:{bob.pk}")
    assert incident.responder == bob
    assert "snoozed" in do(as_alice, incident, "snooze", **{"for": "60"})
    assert "Snoozed by Alice" in as_alice.get(incident.get_absolute_url()).text
    assert "Undo resolve" in do(as_alice, incident, "resolve")
    assert "reopened" in do(as_alice, incident, "reopen")
    assert incident.is_open


def test_reassign_to_a_policy(as_alice: Client, incident: Incident, policy: EscalationPolicy) -> None:
    assert "reassigned" in do(as_alice, incident, "assign", to=f"policy:{policy.pk}")


def test_merge_shows_on_both_pages(as_alice: Client, source: AlertSource, incident: Incident) -> None:
    whole = open_incident(source, "disk of web-2 full")
    assert f"It is a part of #{whole.pk}" in do(as_alice, incident, "merge", into=f" #{whole.pk} ")
    page = as_alice.get(whole.get_absolute_url()).text
    assert f"#{incident.pk} was merged into this one" in page
    assert 'id="parts"' in page


@pytest.mark.parametrize(
    ("deed", "data", "words"),
    [
        ("assign", {"to": ""}, "Choose a person or an escalation policy."),
        ("assign", {"to": "user:x"}, "Choose a person"),
        ("assign", {"to": "policy:999999"}, "Choose a person"),
        ("snooze", {"for": "-5"}, "Choose for how long."),
        ("merge", {"into": "abc"}, "Give the number of the incident"),
        ("merge", {"into": "999999999999999999"}, "Give the number of the incident"),
    ],
)
def test_what_makes_no_sense_is_said(
    as_alice: Client, incident: Incident, deed: str, data: dict[str, str], words: str
) -> None:
    assert words in do(as_alice, incident, deed, **data)
    assert not LogEntry.objects.exists()


def test_a_comment_is_counted_as_its_writer_sees_it(as_alice: Client, incident: Incident) -> None:
    """A browser sends each line end as two characters."""
    lines = "0123456789 load\r\n" * 625
    do(as_alice, incident, "comment", text=lines)
    assert LogEntry.objects.get().data == {"text": lines.replace("\r\n", "\n").strip()}


def test_a_comment_that_cannot_be_stored_as_it_is_is_mended(as_alice: Client, incident: Incident) -> None:
    do(as_alice, incident, "comment", text="a\x00b")
    assert LogEntry.objects.get().data == {"text": "a\N{REPLACEMENT CHARACTER}b"}


@pytest.mark.parametrize(
    ("text", "words"), [(" \n", "This field is required."), ("disk " * 2001, "at most 10000 char")]
)
def test_a_comment_that_is_refused_is_not_lost(as_alice: Client, incident: Incident, text: str, words: str) -> None:
    response = as_alice.post(f"/incidents/{incident.pk}/comment", {"text": text})
    assert response.status_code == 422
    assert words in response.text
    assert text.strip() in response.text
    assert not LogEntry.objects.exists()


def test_the_second_is_told_who_was_first(as_alice: Client, incident: Incident, bob: User) -> None:
    services.resolve(incident.pk, bob, database_now())
    for deed, data in (("accept", {}), ("escalate", {}), ("snooze", {"for": "30"})):
        assert "Somebody was first: Bob resolved it." in do(as_alice, incident, deed, **data)


def test_what_is_done_twice_changes_nothing_and_says_so(as_alice: Client, incident: Incident, bob: User) -> None:
    nothing = "Nothing to change: somebody has done it already."
    services.accept(incident.pk, bob, database_now())
    assert nothing in do(as_alice, incident, "raise")
    services.resolve(incident.pk, bob, database_now())
    assert "reopened" in do(as_alice, incident, "reopen")
    assert nothing in do(as_alice, incident, "reopen")
    services.accept(incident.pk, bob, database_now())
    assert nothing in do(as_alice, incident, "reopen")


@pytest.mark.parametrize(
    ("now", "until"),
    [
        (datetime(2026, 3, 1, 2, 0, tzinfo=UTC), datetime(2026, 3, 1, 7, 0, tzinfo=UTC)),
        (datetime(2026, 3, 1, 7, 0, tzinfo=UTC), datetime(2026, 3, 2, 7, 0, tzinfo=UTC)),
        # The clocks go forward in this night: the morning is an hour earlier.
        (datetime(2026, 3, 28, 22, 0, tzinfo=UTC), datetime(2026, 3, 29, 6, 0, tzinfo=UTC)),
    ],
)
def test_morning_is_the_viewers(now: datetime, until: datetime) -> None:
    from django.utils import timezone

    with timezone.override("Europe/Berlin"):
        assert _snoozed_until("morning", now) == until
    assert all(_snoozed_until(choice, now) <= now + timedelta(days=1) for choice in SNOOZES)


def test_an_incident_can_be_opened_by_hand(as_alice: Client, source: AlertSource) -> None:
    data = {"source": source.pk, "summary": "Customers cannot pay", "details": "", "priority": "high"}
    page = as_alice.post("/incidents/new", data, follow=True)
    assert "Customers cannot pay" in page.text
    assert "Opened by hand" in page.text
    typed = {"details": "0123456789 load\r\n" * 2048, "summary": "Customers cannot\x00 pay"}
    as_alice.post("/incidents/new", data | typed)
    assert len(Incident.objects.latest("pk").details) == 32_767
    Incident.objects.latest("pk").delete()
    wrong = as_alice.post("/incidents/new", data | {"summary": " "})
    assert wrong.status_code == 422
    assert "This field is required." in wrong.text
    assert Incident.objects.count() == 1


@time_machine.travel(0, tick=False)
def test_undo_is_offered_for_a_minute_of_the_databases_clock(as_alice: Client, incident: Incident) -> None:
    do(as_alice, incident, "resolve")
    Incident.objects.filter(pk=incident.pk).update(resolved_at=database_now() - timedelta(minutes=2))
    assert "Undo resolve" not in as_alice.get(incident.get_absolute_url()).text
    assert "for a minute" in do(as_alice, incident, "reopen")
