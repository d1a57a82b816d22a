"""The database does not check the foreign keys of incidents and events: locks keep them whole."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import transaction

from accounts.models import AuditEntry, User
from alertsources.models import AlertSource
from alertsources.services import SourceInUse, delete_source
from ilert.common.clock import database_now
from incidents import lifecycle
from incidents.intake.receive import receive
from incidents.models import Event, Incident
from integrations import Payload
from oncall.models import EscalationPolicy
from oncall.services import create_policy_asking, delete_policy
from tests.beside import beside
from tests.payloads import payload

pytestmark = pytest.mark.django_db(transaction=True)


def post(source: AlertSource, description: str = "disk full") -> int:
    body = payload("sematext", "alert", description=description)
    return receive("sematext", source.integration_key, "POST", Payload(body)).status


def test_a_source_is_not_deleted_under_an_event(source: AlertSource) -> None:
    with ThreadPoolExecutor() as threads:
        with transaction.atomic():
            assert post(source) == 200
            deleting = beside(threads, delete_source, source)
            assert not deleting.done()
        with pytest.raises(SourceInUse):
            deleting.result(10)
    assert AlertSource.objects.filter(pk=source.pk).exists()


def test_an_event_waits_for_a_source_to_be_deleted_and_finds_it_gone(source: AlertSource) -> None:
    with ThreadPoolExecutor() as threads:
        with transaction.atomic():
            delete_source(source)
            posting = beside(threads, post, source)
        assert posting.result(10) == 404
    assert not Incident.objects.exists()
    assert not Event.objects.exists()


def test_a_policy_keeps_its_incidents_whole_when_it_is_replaced_and_deleted(source: AlertSource, bob: User) -> None:
    old, new = source.escalation_policy, create_policy_asking("Night", bob)

    def replace() -> None:
        AlertSource.objects.filter(pk=source.pk).update(escalation_policy=new)
        delete_policy(EscalationPolicy.objects.get(pk=old.pk))

    with ThreadPoolExecutor() as threads:
        with transaction.atomic():
            assert post(source) == 200
            replacing = beside(threads, replace)
            assert not replacing.done()
        replacing.result(10)
    assert Incident.objects.get().escalation_policy_id is None


def test_nobody_is_assigned_a_policy_that_is_being_deleted(source: AlertSource, alice: User, bob: User) -> None:
    assert post(source) == 200
    night = create_policy_asking("Night", bob)
    incident = Incident.objects.get()
    with ThreadPoolExecutor() as threads:
        with transaction.atomic():
            delete_policy(EscalationPolicy.objects.get(pk=night.pk))
            assigning = beside(threads, lifecycle.assign_policy, incident.pk, night, alice, database_now())
        with pytest.raises(lifecycle.Refused, match="deleted meanwhile"):
            assigning.result(10)


def test_a_policy_is_deleted_once(bob: User) -> None:
    night = create_policy_asking("Night", bob)
    with ThreadPoolExecutor() as threads:
        with transaction.atomic():
            delete_policy(EscalationPolicy.objects.get(pk=night.pk))
            again = beside(threads, delete_policy, night)
        again.result(10)
    assert AuditEntry.objects.filter(verb="deleted", object_name="Night").count() == 1


def test_a_policy_is_deleted_beside_whoever_assigns_it_once_more(source: AlertSource, alice: User, bob: User) -> None:
    """Either locks the policy first: in the other order each would wait for what the other one has."""
    assert post(source) == 200
    night = create_policy_asking("Night", bob)
    incident = Incident.objects.get()
    lifecycle.assign_policy(incident.pk, night, alice, database_now())
    with ThreadPoolExecutor() as threads:
        with transaction.atomic():
            EscalationPolicy.objects.select_for_update(no_key=True).get(pk=night.pk)
            deleting = beside(threads, delete_policy, EscalationPolicy.objects.get(pk=night.pk))
            lifecycle.assign_policy(incident.pk, night, alice, database_now())
        deleting.result(10)
    assert Incident.objects.get().escalation_policy_id is None
    assert not EscalationPolicy.objects.filter(pk=night.pk).exists()
