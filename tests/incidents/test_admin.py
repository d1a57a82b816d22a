"""The admin site shows what has happened and lets nobody change it."""

import pytest
from django.test import Client

from alertsources.models import AlertSource
from ilert.common.clock import database_now
from incidents.engine import escalation
from incidents.intake.receive import receive
from incidents.models import Event, Incident, LogEntry
from integrations import Payload
from tests.payloads import payload

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("model", [Incident, Event, LogEntry])
def test_lists_and_single_ones_can_be_read_only(as_alice: Client, source: AlertSource, model: type) -> None:
    receive("sematext", source.integration_key, "POST", Payload(payload("sematext", "alert")))
    escalation.escalate_due(database_now)
    base = f"/admin/incidents/{model.__name__.lower()}/"
    assert as_alice.get(base).status_code == 200
    assert as_alice.get(f"{base}?q=disk").status_code == 200
    page = as_alice.get(f"{base}{model.objects.first().pk}/change/")
    assert page.status_code == 200
    assert 'name="_save"' not in page.text
    assert source.integration_key not in page.text
    assert as_alice.get(f"{base}add/").status_code == 403
    assert as_alice.post(f"{base}{model.objects.first().pk}/delete/").status_code == 403


def test_members_see_no_admin_site(client: Client, bob, source: AlertSource) -> None:
    client.force_login(bob)
    assert client.get("/admin/incidents/event/").status_code in (302, 403)
