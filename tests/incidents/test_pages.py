"""Incident pages: who may do what, what a GET leaves alone, and what a page costs."""

import logging
import re
import uuid

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Role, User
from accounts.services import set_person_active
from alertsources.models import AlertSource
from alertsources.services import create_source
from ilert.common.clock import database_now
from ilert.logs import RedactingFormatter
from incidents import services
from incidents.engine import delivery, escalation
from incidents.intake.receive import receive
from incidents.models import Event, Incident, LogEntry, Status
from integrations import Payload
from notifications import tokens
from notifications.models import Notification, OutboxMail
from tests.payloads import payload

pytestmark = pytest.mark.django_db

HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def incident(source: AlertSource) -> Incident:
    return open_incident(source, "disk of web-1 full")


def open_incident(source: AlertSource, description: str) -> Incident:
    body = payload("sematext", "alert", description=description)
    assert receive("sematext", source.integration_key, "POST", Payload(body)).status == 200
    return Incident.objects.latest("pk")


def sent_link(incident: Incident) -> str:
    escalation.escalate_due(database_now)
    notification = Notification.objects.get()
    return f"/i/{tokens.sign(tokens.Ticket(notification.pk, notification.user_id))}"


def test_signed_out_people_are_sent_to_sign_in(incident: Incident) -> None:
    for path in ("/incidents/", f"/incidents/{incident.pk}/", "/alert-sources/states?ids=1"):
        assert Client().get(path).headers["Location"].startswith("/accounts/login/")


def test_a_stakeholder_reads_and_changes_nothing(client: Client, charlie: User, incident: Incident) -> None:
    client.force_login(charlie)
    page = client.get(f"/incidents/{incident.pk}/")
    assert page.status_code == 200
    assert "/accept" not in page.text
    for verb in ("accept", "resolve"):
        assert client.post(f"/incidents/{incident.pk}/{verb}").status_code == 403
    incident.refresh_from_db()
    assert incident.status == Status.PENDING


def test_the_second_one_is_told_who_was_first(as_alice: Client, bob: User, incident: Incident) -> None:
    services.accept(incident.pk, bob, database_now())
    page = as_alice.post(f"/incidents/{incident.pk}/accept", follow=True)
    assert "Somebody was first: Bob accepted it." in page.text
    assert LogEntry.objects.filter(kind="accepted").count() == 1


def test_an_unknown_incident_is_404(as_alice: Client, incident: Incident) -> None:
    assert as_alice.get("/incidents/999999/").status_code == 404
    assert as_alice.post("/incidents/999999/accept").status_code == 404


def test_an_unchanged_page_costs_no_swap(as_alice: Client, incident: Incident) -> None:
    path = incident.get_absolute_url()
    version = as_alice.get(path).context["version"]
    assert as_alice.get(f"{path}?version={version}", **HTMX).status_code == 204
    assert as_alice.get(f"{path}?version=old", **HTMX).status_code == 200


def test_a_change_is_swapped_in(as_alice: Client, incident: Incident, bob: User) -> None:
    version = as_alice.get(incident.get_absolute_url()).context["version"]
    services.accept(incident.pk, bob, database_now())
    assert "Bob accepted it." in as_alice.get(f"{incident.get_absolute_url()}?version={version}", **HTMX).text


@pytest.mark.parametrize("path", ["/incidents/", "/alert-sources/states?ids={ids}"])
def test_a_list_costs_the_same_however_long_it_is(as_alice: Client, source: AlertSource, policy, path: str) -> None:
    counts = []
    for _ in range(2):
        for number in range(4):
            open_incident(create_source(f"source {number}", "SEMATEXT", policy), f"disk {uuid.uuid4()} full")
        ids = ",".join(str(pk) for pk in AlertSource.objects.values_list("pk", flat=True))
        with CaptureQueriesContext(connection) as counted:
            as_alice.get(path.format(ids=ids))
        counts.append(len(counted))
    assert counts[0] == counts[1]


def test_a_timeline_costs_the_same_however_long_it_is(as_alice: Client, source: AlertSource) -> None:
    counts = []
    for _ in range(2):
        for _ in range(5):
            incident = open_incident(source, "disk of web-1 full")
        with CaptureQueriesContext(connection) as counted:
            as_alice.get(incident.get_absolute_url())
        counts.append(len(counted))
    assert counts[0] == counts[1]


def test_looking_at_a_link_changes_nothing(incident: Incident) -> None:
    link = sent_link(incident)
    before = (LogEntry.objects.count(), Notification.objects.values_list("state").get())
    for method in (Client().get, Client().head):
        assert method(link).status_code == 200
    incident.refresh_from_db()
    assert incident.status == Status.PENDING
    assert (LogEntry.objects.count(), Notification.objects.values_list("state").get()) == before
    assert Client().get(f"{link}/accept").status_code == 405


def test_a_link_accepts_for_whom_it_was_sent_to(incident: Incident) -> None:
    link = sent_link(incident)
    assert "It is yours" in Client(enforce_csrf_checks=True).post(f"{link}/accept").text
    assert "Alice accepted it." in Client().post(f"{link}/accept").text
    incident.refresh_from_db()
    assert incident.responder.name == "Alice"


def test_a_forged_link_is_404(incident: Incident) -> None:
    link = sent_link(incident)
    for forged in (link[:-1] + ("a" if link[-1] != "a" else "b"), "/i/x", "/i/" + "~" * 5, link.replace("-", "-9")):
        assert Client().get(forged).status_code == 404
        assert Client().post(f"{forged}/accept").status_code == 404


def test_a_link_of_somebody_who_has_left_does_nothing(incident: Incident) -> None:
    link = sent_link(incident)
    User.objects.update(is_active=False)
    assert Client().post(f"{link}/accept").status_code == 404


def out_and_in_again(alice: User, bob: User) -> None:
    User.objects.filter(pk=bob.pk).update(role=Role.ADMIN)  # as one has to stay
    for active in (False, True):
        set_person_active(alice, active)


def mailed_link() -> str:
    escalation.escalate_due(database_now)
    delivery.deliver_due(clock=database_now)
    link = re.search(r"http://localhost:8000(/i/\S+)", OutboxMail.objects.get().text)
    assert link
    return link[1]


def test_a_link_does_not_come_back_with_its_person(incident: Incident, alice: User, bob: User) -> None:
    link = mailed_link()
    assert Client().get(link).status_code == 200
    out_and_in_again(alice, bob)
    assert Client().get(link).status_code == 404
    assert Client().post(f"{link}/accept").status_code == 404


def test_a_link_that_is_sent_to_whoever_is_back_works(incident: Incident, alice: User, bob: User) -> None:
    out_and_in_again(alice, bob)
    link = mailed_link()
    assert RedactingFormatter("%(message)s").format(logging.makeLogRecord({"msg": link})) == "/i/[removed]"
    assert Client().post(f"{link}/accept").status_code == 200
    incident.refresh_from_db()
    assert incident.responder == alice


def test_an_old_link_does_nothing(incident: Incident) -> None:
    link = sent_link(incident)
    with time_machine.travel(timezone.now() + tokens.MAX_AGE * 1.01):
        assert Client().get(link).status_code == 404


def test_a_source_tells_its_state(as_alice: Client, source: AlertSource) -> None:
    def state() -> str:
        return as_alice.get(f"/alert-sources/states?ids={source.pk}").context["rows"][0]["state"]

    states = [state()]
    incident = open_incident(source, "disk full")
    states.append(state())
    services.accept(incident.pk, None, database_now())
    states.append(state())
    services.resolve(incident.pk, None, database_now())
    states.append(state())
    AlertSource.objects.update(active=False)
    states.append(state())
    assert states == ["no-event", "pending", "accepted", "all-resolved", "disabled"]


def test_the_first_event_is_waited_for_and_then_shown(as_alice: Client, source: AlertSource) -> None:
    path = f"/alert-sources/{source.pk}/activity"
    assert "Waiting for the first event" in as_alice.get(path).text
    open_incident(source, "disk full")
    page = as_alice.get(path)
    assert "Events arrive" in page.text
    assert as_alice.get(f"{path}?version={page.context['version']}", **HTMX).status_code == 204


def test_what_was_rejected_shows_its_reason(as_alice: Client, source: AlertSource) -> None:
    assert receive("sematext", source.integration_key, "POST", Payload(b"{")).status == 400
    page = as_alice.get(f"/alert-sources/{source.pk}/activity").text
    assert "not valid JSON" in page
    assert "Events arrive" not in page


def test_health(db: None) -> None:
    assert Client().get("/healthz").json() == {"status": "ok"}
    assert Client().get("/readyz").status_code == 200


def test_what_a_tool_sent_is_shown_in_readable_form(as_alice: Client, incident: Incident) -> None:
    page = as_alice.get(incident.get_absolute_url()).text
    assert "applicationId" in page
    assert Event.objects.get().fields["applicationId"] in page


def test_delivered_messages_show_the_provider_s_answer(as_alice: Client, incident: Incident) -> None:
    escalation.escalate_due(database_now)
    delivery.deliver_due()
    page = as_alice.get(incident.get_absolute_url()).text
    assert "Alice was not told of the incident by e-mail" in page
    assert "Only shown here" in page
    assert "Accepted by provider" not in page
    assert "Shown in the local outbox" in page


@pytest.mark.parametrize(
    "path",
    [
        "/incidents/?before={n}",
        "/alert-sources/{pk}/events?before={n}",
        "/alert-sources/states?ids={n}",
        "/alert-sources/{pk}/events?q=%00",
        "/alert-sources/{pk}/events?q={n}",
    ],
)
def test_no_query_string_is_an_error_of_ours(as_alice: Client, source: AlertSource, path: str) -> None:
    assert as_alice.get(path.format(n="9" * 5000, pk=source.pk)).status_code == 200


def test_a_stakeholder_accepts_by_no_link(incident: Incident, alice: User) -> None:
    link = sent_link(incident)
    User.objects.filter(pk=alice.pk).update(role="stakeholder")
    assert "As a stakeholder" in Client().get(link).text
    assert Client().post(f"{link}/accept").status_code == 403
    incident.refresh_from_db()
    assert incident.status == Status.PENDING
