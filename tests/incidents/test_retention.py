"""Old raw bodies go, in small steps; what happened stays."""

from datetime import datetime, timedelta

import pytest

from alertsources.models import AlertSource
from incidents import retention, services
from incidents.intake.receive import receive
from incidents.models import Event, Incident, Retention
from integrations import Payload
from tests.payloads import payload

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def events(source: AlertSource, now: datetime) -> list[Event]:
    """Twelve events of as many incidents, one a day, the newest now; all are resolved but the oldest."""
    for number in range(12):
        body = payload("sematext", "alert", description=f"disk of web-{number} full")
        receive("sematext", source.integration_key, "POST", Payload(body))
    found = list(Event.objects.order_by("pk"))
    for age, event in enumerate(reversed(found)):
        Event.objects.filter(pk=event.pk).update(received_at=now - DAY * age)
    for incident in Incident.objects.order_by("pk")[1:]:
        services.resolve(incident.pk, None, now)
    return found


def with_bodies(events: list[Event]) -> list[int]:
    kept = set(Event.objects.filter(body__isnull=False).values_list("pk", flat=True))
    return [place for place, event in enumerate(events) if event.pk in kept]


def test_old_bodies_go_and_those_of_open_incidents_stay(events: list[Event], now: datetime, settings) -> None:
    settings.ILERT_RETENTION_DAYS = 5
    assert retention.remove_old_bodies(lambda: now, lambda _: False) == 5
    # 0 is of an open incident, 6 to 11 are of the last five days.
    assert with_bodies(events) == [0, 6, 7, 8, 9, 10, 11]
    assert Event.objects.count() == 12
    work = Retention.objects.get()
    assert (work.removed, work.finished_at, work.due_at) == (5, now, now + retention.REST)

    services.resolve(events[0].incident_id, None, now)
    assert retention.remove_old_bodies(lambda: now, lambda _: False) == 0
    # Meanwhile 6, which was just young enough, has become too old as well.
    assert retention.remove_old_bodies(lambda: now + retention.REST, lambda _: False) == 2
    assert with_bodies(events) == [7, 8, 9, 10, 11]


def test_it_goes_in_chunks_and_on_where_it_was_stopped(events: list[Event], now, settings, monkeypatch) -> None:
    settings.ILERT_RETENTION_DAYS = 1
    monkeypatch.setattr(retention, "CHUNK", 4)
    pauses: list[float] = []

    def stop(seconds: float) -> bool:
        pauses.append(seconds)
        return True

    assert retention.remove_old_bodies(lambda: now, stop) == 3
    assert pauses == [1.0]
    work = Retention.objects.get()
    assert (work.removed, work.finished_at, work.after_id) == (3, None, events[3].pk)
    assert retention.remove_old_bodies(lambda: now, lambda _: False) == 6
    assert Retention.objects.get().removed == 9


def test_an_event_that_waits_to_be_applied_keeps_its_body(events: list[Event], now: datetime, settings) -> None:
    settings.ILERT_RETENTION_DAYS = 1
    Event.objects.filter(pk=events[3].pk).update(outcome="failed")
    retention.remove_old_bodies(lambda: now, lambda _: False)
    assert with_bodies(events) == [0, 3, 10, 11]


@pytest.mark.django_db(transaction=True)
def test_two_at_once_do_not_do_it_twice(source: AlertSource, now: datetime) -> None:
    import threading

    from django.db import connection, transaction

    retention.remove_chunk(now)
    later = now + retention.REST
    seen: list[int | None] = []

    def other() -> None:
        seen.append(retention.remove_chunk(later))
        connection.close()

    with transaction.atomic():
        retention.remove_chunk(later)
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(10)
    assert seen == [None]
