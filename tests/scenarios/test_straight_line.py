"""The whole walk: a webhook comes in, a person is told, accepts by the link, and the tool says that it is over."""

import re
from datetime import timedelta

import pytest
from django.test import Client

from alertsources.models import AlertSource
from ilert.common.clock import database_now
from incidents.engine import delivery, escalation
from incidents.models import Incident, LogEntry, Status
from notifications.models import Notification, OutboxMail
from tests.payloads import payload

pytestmark = pytest.mark.django_db


def post(source: AlertSource, name: str, **changes: str) -> dict:
    response = Client().post(
        source.integration_url.removeprefix("http://localhost:8000"),
        payload("sematext", name, **changes),
        content_type="application/json",
    )
    assert response.status_code == 200, response.content
    return response.json()


def work(minutes: float = 0) -> None:
    """Let the engine do what is due `minutes` from now."""
    then = database_now() + timedelta(minutes=minutes)
    escalation.escalate_due(lambda: then)
    delivery.deliver_due(clock=lambda: then)


def test_from_the_webhook_to_the_recovery(source: AlertSource) -> None:
    answer = post(source, "alert")
    assert answer["outcome"] == "opened"
    incident = Incident.objects.get()
    assert answer["incidentUrl"] == f"http://localhost:8000/incidents/{incident.pk}/"

    work()
    mail = OutboxMail.objects.get()
    assert mail.recipients == "alice@example.org"
    assert "Disk usage of web-1" in mail.subject
    path = re.search(r"http://localhost:8000(/i/\S+)", mail.text).group(1)

    signed_out = Client()
    assert "Accept" in signed_out.get(path).text
    assert Incident.objects.get().status == Status.PENDING
    page = signed_out.post(f"{path}/accept")
    assert "It is yours" in page.text
    incident.refresh_from_db()
    assert (incident.status, incident.responder.name) == (Status.ACCEPTED, "Alice")
    assert incident.next_escalation_at is None

    assert post(source, "back_to_normal")["outcome"] == "resolved"
    incident.refresh_from_db()
    assert incident.status == Status.RESOLVED
    work()
    assert OutboxMail.objects.first().subject.startswith("Resolved: ")


def test_nobody_accepts_so_the_next_one_is_told_and_then_nobody_is_left(source: AlertSource) -> None:
    post(source, "alert")
    start = Incident.objects.get().next_escalation_at
    told = []
    for minute in (0, 9, 10, 29, 30, 59, 60):
        escalation.escalate_due(lambda minute=minute: start + timedelta(minutes=minute))
        told.append((minute, list(Notification.objects.order_by("due_at").values_list("user_name", flat=True))))
    assert told == [
        (0, ["Alice"]),
        (9, ["Alice"]),
        (10, ["Alice", "Bob"]),
        (29, ["Alice", "Bob"]),
        (30, ["Alice", "Bob", "Alice"]),
        (59, ["Alice", "Bob", "Alice"]),
        (60, ["Alice", "Bob", "Alice", "Alice"]),
    ]
    assert LogEntry.objects.filter(kind="nobody.answered").count() == 1
    assert Notification.objects.latest("due_at").title.startswith("Nobody answered: ")


def test_accepting_cancels_what_is_planned(source: AlertSource, alice, as_alice: Client) -> None:
    post(source, "alert")
    escalation.escalate_due(database_now)
    incident = Incident.objects.get()
    as_alice.post(f"/incidents/{incident.pk}/accept")
    work()
    assert Notification.objects.get().state == Notification.State.CANCELLED
    assert not OutboxMail.objects.exists()


def test_the_same_alert_again_is_one_incident(source: AlertSource) -> None:
    outcomes = [post(source, "alert", createTimestamp=str(number))["outcome"] for number in range(3)]
    assert outcomes == ["opened", "appended", "appended"]
    assert Incident.objects.get().event_count == 3
