"""What Prometheus reads, and who may."""

from datetime import datetime, timedelta

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from accounts.models import User
from alertsources.models import AlertSource
from ilert.common.clock import database_now
from incidents.engine import delivery, escalation
from incidents.models import Event
from incidents.watch import tally
from incidents.watch.models import Audit, Finding, Pulse, Role
from notifications.models import Attempt
from tests.delivering import alert

pytestmark = pytest.mark.django_db
SETTLED = timedelta(seconds=26)


def samples(client: Client) -> dict[tuple[str, ...], float]:
    response = client.get("/metrics")
    assert response.status_code == 200
    families = text_string_to_metric_families(response.content.decode())
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer ", "Bearer", "secret", "Basic secret"])
@pytest.mark.parametrize("token", ["", "secret"])
def test_nobody_reads_it_without_the_token(client: Client, settings: Settings, token: str, header: str | None) -> None:
    settings.ILERT_METRICS_TOKEN = token
    response = client.get("/metrics", headers={"Authorization": header} if header else {})
    assert response.status_code == 401
    assert b"ilert_" not in response.content


def test_who_has_the_token_reads_it_under_any_host(client: Client, settings: Settings) -> None:
    settings.ILERT_METRICS_TOKEN = "secret"
    settings.ALLOWED_HOSTS = ["ilert.example.com", "localhost"]
    response = client.get("/metrics", headers={"Authorization": "Bearer secret"}, HTTP_HOST="10.0.0.5:8000")
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain")


def test_members_do_not(client: Client, bob: User) -> None:
    client.force_login(bob)
    assert client.get("/metrics").status_code == 401


def test_what_is_going_on(as_alice: Client, source: AlertSource) -> None:
    alert(source)
    now = database_now()
    Pulse.objects.create(role=Role.TICKER, host="a", pid=7, version="1", started_at=now, last_seen_at=now)
    Finding.objects.create(kind="broker", title="", text="", advice="")
    Audit.objects.create(pk=1, finished_at=now, milliseconds=12)
    found = samples(as_alice)
    assert found["ilert_incidents_open", "pending"] == 1
    assert found["ilert_incidents_open", "accepted"] == 0
    assert found["ilert_finding", "false", "broker", ""] == 1
    assert found["ilert_pulse_age_seconds", "a:7", "ticker"] < 5
    assert found["ilert_audit_seconds",] == 0.012
    assert found["ilert_broker_up",] == 1
    assert found["ilert_step_lag_seconds",] > 0
    assert ("ilert_build_info", "0.1.0") in found
    escalation.escalate_due(database_now)
    assert samples(as_alice)["ilert_messages_waiting", "email"] == 1


def test_totals_grow_with_what_happens_and_count_nothing_twice(
    as_alice: Client, source: AlertSource, now: datetime
) -> None:
    Audit.objects.create(pk=1)
    alert(source)
    tally.count(now)
    tally.count(now + SETTLED)
    assert "ilert_events_total" not in {name for name, *_ in samples(as_alice)}, "what was before is not counted"
    alert(source)
    alert(source)
    escalation.escalate_due(database_now)
    delivery.deliver_due()
    assert Attempt.objects.count() == 1
    tally.count(now + 2 * SETTLED)
    tally.count(now + 2.5 * SETTLED)
    assert ("ilert_events_total", "appended") not in samples(as_alice), "not settled yet"
    for times in (3, 4, 5):
        tally.count(now + times * SETTLED)
        found = samples(as_alice)
        assert found["ilert_events_total", "appended"] == 2
        assert found["ilert_delivery_attempts_total", "email", "succeeded"] == 1
        assert found["ilert_delivery_attempt_seconds_count", "email"] == 1
        assert found["ilert_delivery_attempt_seconds_bucket", "email", "8.0"] == 1
        assert 0 <= found["ilert_delivery_attempt_seconds_sum", "email"] < 8
    assert Event.objects.count() == 3


def test_a_clock_that_was_set_back_does_not_stop_the_count(now: datetime) -> None:
    Audit.objects.create(pk=1)
    tally.count(now)
    tally.count(now - timedelta(days=1))
    assert Audit.objects.get().marked_at == now - timedelta(days=1)
