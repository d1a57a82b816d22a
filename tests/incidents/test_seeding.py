"""The made-up installation: exact in its numbers, and as true as one that grew."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Count, F, Q
from django.test import Client

from accounts.models import User
from alertsources.models import AlertSource
from incidents import services
from incidents.intake.batch import key_hash
from incidents.models import Event, Incident, LogEntry, Status
from incidents.timeline import section


def seed(*more: str) -> str:
    out = StringIO()
    call_command("seed_incidents", "--incidents=400", "--events=2000", "--open=60", *more, stdout=out)
    return out.getvalue()


@pytest.mark.django_db(transaction=True)
def test_a_seeded_installation_is_exact_and_works(client: Client, now) -> None:
    assert "400 of 400" in seed("--body-days=100")

    assert (Incident.objects.count(), Event.objects.count()) == (400, 2000)
    assert Incident.objects.filter(status__lt=Status.RESOLVED).count() == 60
    assert Event.objects.filter(body__isnull=False).count() in range(200, 1900)
    counted = Incident.objects.annotate(real=Count("events"))
    assert not counted.exclude(real=F("event_count")).exists()
    assert counted.filter(real__gte=800).count() == 1
    pending = Incident.objects.filter(status=Status.PENDING)
    assert not pending.filter(next_escalation_at__isnull=True).exists()
    assert not LogEntry.objects.filter(Q(kind="notified"), notification__isnull=True).exists()

    # What the engine and the pages rely on holds for made-up rows as well.
    for incident in Incident.objects.order_by("?")[:20]:
        assert bytes(incident.key_hash) == key_hash(incident.incident_key)
        assert [item.at for item in section(incident).items] == sorted(
            (item.at for item in section(incident).items), reverse=True
        )
    incident = pending.latest("pk")
    client.force_login(User.objects.first())
    assert client.get(incident.get_absolute_url()).status_code == 200
    assert services.resolve(incident.pk, None, now).changed
    fresh = Incident.objects.create(
        alert_source=incident.alert_source, summary="new", incident_key="new", key_hash=key_hash("new")
    )
    assert fresh.pk > incident.pk


@pytest.mark.django_db
def test_real_data_is_left_alone(source: AlertSource) -> None:
    with pytest.raises(CommandError, match="Use an empty installation"):
        seed()
    assert AlertSource.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("wrong", [["--open=401"], ["--events=399"], ["--incidents=0", "--open=0"]])
def test_impossible_sizes_are_refused(wrong: list[str]) -> None:
    with pytest.raises(CommandError):
        seed(*wrong)
