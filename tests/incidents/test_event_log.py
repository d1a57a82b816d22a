"""The event log of a source, its test event, and what happens when a tool sends rubbish."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from alertsources import services as sources
from alertsources.models import AlertSource
from ilert.common.clock import database_now
from incidents.engine import delivery, escalation
from incidents.intake.receive import receive
from incidents.models import Event, Incident, Outcome
from integrations import Payload
from notifications.models import Notification, OutboxMail
from tests.payloads import payload

pytestmark = pytest.mark.django_db


def post(source: AlertSource, body: bytes) -> int:
    return receive("sematext", source.integration_key, "POST", Payload(body, "application/json")).status


def alert(source: AlertSource, description: str) -> None:
    assert post(source, payload("sematext", "alert", description=description)) == 200


def test_every_request_is_found_with_its_outcome(as_alice: Client, source: AlertSource) -> None:
    alert(source, "disk of web-1 full")
    alert(source, "disk of web-1 full")
    post(source, b"{")
    page = as_alice.get(f"/alert-sources/{source.pk}/events").context["page"]
    assert [event.outcome for event in page.items] == [Outcome.REJECTED, Outcome.APPENDED, Outcome.OPENED]


def test_filter_and_search(as_alice: Client, source: AlertSource) -> None:
    alert(source, "disk of web-1 full")
    alert(source, "cpu of db-2 high")
    post(source, b"{")
    path = f"/alert-sources/{source.pk}/events"

    def found(query: str) -> list[str]:
        return [event.summary for event in as_alice.get(f"{path}?{query}").context["page"].items]

    assert found("q=DB-2") == ["cpu of db-2 high"]
    assert found("outcome=rejected") == [""]
    assert found("q=not+valid+JSON") == [""]
    assert found("q=22846") == ["cpu of db-2 high", "disk of web-1 full"]
    assert found(f"q={Event.objects.earliest('pk').pk}")[-1] == "disk of web-1 full"
    assert found("q=nothing+of+that") == []
    assert found("outcome=rubbish&before=rubbish") == ["", "cpu of db-2 high", "disk of web-1 full"]


def test_one_request_shows_its_fields_and_its_raw_body(as_alice: Client, source: AlertSource) -> None:
    alert(source, "<b>disk</b>")
    page = as_alice.get(f"/alert-sources/{source.pk}/events/{Event.objects.get().pk}").text
    assert "&lt;b&gt;disk&lt;/b&gt;" in page
    assert "<b>disk" not in page
    assert "backToNormal" in page


def test_an_event_of_another_source_is_404(as_alice: Client, source: AlertSource, policy) -> None:
    alert(source, "disk full")
    other = sources.create_source("Other", "SEMATEXT", policy)
    assert as_alice.get(f"/alert-sources/{other.pk}/events/{Event.objects.get().pk}").status_code == 404


def test_the_log_costs_the_same_however_long_it_is(as_alice, source, django_assert_max_num_queries) -> None:
    for number in range(20):
        alert(source, f"disk {number} full")
    with django_assert_max_num_queries(6):
        as_alice.get(f"/alert-sources/{source.pk}/events")


def test_a_test_event_tells_only_who_pressed(client: Client, bob: User, source: AlertSource) -> None:
    client.force_login(bob)
    page = client.post(f"/alert-sources/{source.pk}/test", follow=True)
    assert "Only you are told." in page.text
    incident = Incident.objects.get()
    assert incident.priority == "low"
    escalation.escalate_due(lambda: database_now() + timedelta(hours=5))
    assert list(Notification.objects.values_list("user_name", flat=True)) == ["Bob"]
    incident.refresh_from_db()
    assert incident.next_escalation_at is None


def test_a_stakeholder_sends_no_test_event(client: Client, charlie: User, source: AlertSource) -> None:
    client.force_login(charlie)
    assert client.post(f"/alert-sources/{source.pk}/test").status_code == 403
    assert not Incident.objects.exists()


def test_rubbish_turns_the_source_red_and_tells_the_admins_once_an_hour(as_alice, source, bob: User) -> None:
    for _ in range(3):
        assert post(source, b"{") == 400
    delivery.deliver_due()
    mail = OutboxMail.objects.get()
    assert (mail.recipients, "sends what cannot be read" in mail.subject) == ("alice@example.org", True)
    assert f"/alert-sources/{source.pk}/events" in mail.text
    states = as_alice.get(f"/alert-sources/states?ids={source.pk}").context["rows"]
    assert states[0]["state"] == "broken"
    Event.objects.update(received_at=timezone.now() - timedelta(hours=1, minutes=1))
    Notification.objects.all().delete()
    post(source, b"{")
    assert Notification.objects.count() == 1


def test_a_good_event_makes_the_source_well_again(as_alice: Client, source: AlertSource) -> None:
    post(source, b"{")
    alert(source, "disk full")
    assert as_alice.get(f"/alert-sources/states?ids={source.pk}").context["rows"][0]["state"] == "pending"


def test_a_key_works_on_for_a_day_after_its_rotation(source: AlertSource) -> None:
    old = source.integration_key
    sources.rotate_key(source, timezone.now())
    assert sources.find_by_key(old) == sources.find_by_key(source.integration_key) == source
    AlertSource.objects.update(previous_key_until=timezone.now() - timedelta(seconds=1))
    assert sources.find_by_key(old) is None
    sources.rotate_key(source, timezone.now())
    sources.revoke_previous_key(source)
    assert sources.find_by_key(source.integration_key) == source
    assert source.previous_key_hash is None
