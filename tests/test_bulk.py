"""Rows that are written many at a time are the same as those that are saved one by one."""

from datetime import datetime

import pytest
from django.core.management import call_command
from django.db import DataError, connection, transaction
from django.db.models.signals import pre_migrate

from accounts.models import User
from ilert.common import bulk
from notifications import outbox
from notifications.models import ContactMethod, Notification, Provider

pytestmark = pytest.mark.django_db


def plan(alice: User, key: str, now: datetime) -> Notification:
    method = alice.contact_methods.get()
    planned = outbox.plan(
        key, outbox.Recipient.of(method), outbox.Content('t "x" {1,2}\\', "line\nnext — ü", urgent=True), now, now
    )
    Provider.objects.get_or_create(pk=planned.provider_id)
    return planned


def test_what_is_inserted_is_what_was_planned(alice: User, now: datetime) -> None:
    planned = [plan(alice, "one", now), plan(alice, "two", now)]
    bulk.insert(planned)
    for row in planned:
        stored = Notification.objects.get(pk=row.pk)
        for field in Notification._meta.concrete_fields:
            assert getattr(stored, field.attname) == getattr(row, field.attname), field.name


def test_a_row_made_quickly_is_the_row_its_model_makes(alice: User, now: datetime) -> None:
    quick = bulk.row(Provider, name="x", failures=2)
    slow = Provider(name="x", failures=2)
    assert {**vars(quick), "_state": None} == {**vars(slow), "_state": None}
    with pytest.raises(TypeError, match="Provider has no field unknown"):
        bulk.row(Provider, name="x", unknown=1)


def test_a_row_that_is_there_stays_as_it_is(alice: User, now: datetime) -> None:
    bulk.insert([plan(alice, "one", now)])
    Notification.objects.update(answer="kept")
    bulk.insert([plan(alice, "one", now), plan(alice, "two", now)])
    assert sorted(Notification.objects.values_list("answer", flat=True)) == ["", "kept"]


def test_what_does_not_fit_is_refused_and_not_cut(alice: User, now: datetime) -> None:
    too_long = plan(alice, "k" * 256, now)
    with pytest.raises(DataError), transaction.atomic():
        bulk.insert([too_long])


def test_an_encrypted_field_stays_encrypted(alice: User, now: datetime) -> None:
    bulk.insert([ContactMethod(user=alice, channel="ntfy", address="https://ntfy.example.org/topic", created_at=now)])
    assert ContactMethod.objects.latest("pk").address == "https://ntfy.example.org/topic"
    with connection.cursor() as cursor:
        cursor.execute("SELECT address FROM notifications_contactmethod ORDER BY id DESC LIMIT 1")
        assert "ntfy" not in cursor.fetchone()[0]


def test_a_migration_may_take_its_time_but_waits_for_no_lock() -> None:
    seen = []

    def look(**_: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('statement_timeout'), current_setting('lock_timeout')")
            seen.append(cursor.fetchone())

    pre_migrate.connect(look)
    try:
        call_command("migrate", verbosity=0)
    finally:
        pre_migrate.disconnect(look)
    assert set(seen) == {("0", "4s")}
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('statement_timeout')")
        assert cursor.fetchone()[0] == "20s"
