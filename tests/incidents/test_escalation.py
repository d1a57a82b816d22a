"""Due steps: at their minute, once, whatever happens to policies and people in between."""

from datetime import timedelta

import pytest
from django.db import connection
from django.db.utils import IntegrityError

from accounts.models import Role, User
from alertsources.models import AlertSource
from incidents.engine import escalation
from incidents.intake.receive import receive
from incidents.models import Incident, LogEntry
from integrations import Payload
from notifications.models import Notification
from oncall.models import EscalationPolicy
from oncall.services import RuleData, replace_rules
from tests.payloads import payload

pytestmark = pytest.mark.django_db


@pytest.fixture
def incident(source: AlertSource) -> Incident:
    answer = receive("sematext", source.integration_key, "POST", Payload(payload("sematext", "alert")))
    assert answer.status == 200
    return Incident.objects.get()


def told() -> list[str]:
    return list(Notification.objects.order_by("created_at").values_list("user_name", flat=True))


def test_lateness_does_not_add_up(incident: Incident) -> None:
    start = incident.next_escalation_at
    escalation.escalate_due(lambda: start + timedelta(seconds=90))
    incident.refresh_from_db()
    assert incident.next_escalation_at == start + timedelta(minutes=10)


def test_after_an_outage_each_level_still_has_its_minutes(incident: Incident) -> None:
    late = incident.next_escalation_at + timedelta(hours=5)
    escalation.escalate_due(lambda: late)
    assert told() == ["Alice"]
    incident.refresh_from_db()
    assert incident.next_escalation_at == late + timedelta(minutes=10)


def test_missed_reminders_are_not_caught_up_on(incident: Incident) -> None:
    start = incident.next_escalation_at
    for minute in (0, 10, 30):
        escalation.escalate_due(lambda minute=minute: start + timedelta(minutes=minute))
    late = start + timedelta(days=3)
    escalation.escalate_due(lambda: late)
    assert told() == ["Alice", "Bob", "Alice", "Alice"]
    incident.refresh_from_db()
    assert incident.next_escalation_at == late + timedelta(minutes=30)


def test_a_level_whose_people_have_left_costs_no_time(incident: Incident, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_active=False)
    escalation.escalate_due(lambda: incident.next_escalation_at)
    assert told() == ["Bob"]
    assert LogEntry.objects.filter(kind="level.skipped", data__level=1).exists()


def test_a_level_whose_people_only_read_costs_no_time(incident: Incident, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(role=Role.STAKEHOLDER)
    escalation.escalate_due(lambda: incident.next_escalation_at)
    assert told() == ["Bob"]
    assert LogEntry.objects.filter(kind="level.skipped", data__level=1).exists()


def test_whose_role_changes_while_it_goes_on_is_left_out(incident: Incident, bob: User) -> None:
    escalation.escalate_due(lambda: incident.next_escalation_at)
    User.objects.filter(pk=bob.pk).update(role=Role.STAKEHOLDER)
    escalation.escalate_due(lambda: incident.next_escalation_at + timedelta(minutes=10))
    assert told() == ["Alice", "Alice"]  # again as an admin, as nobody is left
    assert LogEntry.objects.filter(kind="level.skipped", data__level=2).exists()


@pytest.mark.parametrize("priority", ["high", "low"])
def test_a_level_that_cannot_be_reached_costs_no_time(incident: Incident, alice: User, priority: str) -> None:
    alice.contact_methods.all().delete()
    Incident.objects.update(priority=priority)
    escalation.escalate_due(lambda: incident.next_escalation_at)
    assert told() == ["Bob"]
    assert LogEntry.objects.filter(kind="person.unreachable", data__people="Alice").exists()


def test_when_nobody_can_be_reached_the_admins_are_told(incident: Incident, alice: User, bob: User) -> None:
    User.objects.create_user("dora@example.org", "dora-password", name="Dora", role="admin")
    alice.contact_methods.all().delete()
    bob.contact_methods.all().delete()
    escalation.escalate_due(lambda: incident.next_escalation_at)
    assert told() == ["Dora"]


def test_editing_the_policy_does_not_change_tonight(incident, policy: EscalationPolicy, alice: User) -> None:
    start = incident.next_escalation_at
    escalation.escalate_due(lambda: start)
    replace_rules(policy, [RuleData(1, [alice.pk])])
    escalation.escalate_due(lambda: start + timedelta(minutes=10))
    assert told() == ["Alice", "Bob"]


def test_deleting_a_person_wedges_nothing(incident: Incident, bob: User) -> None:
    start = incident.next_escalation_at
    escalation.escalate_due(lambda: start)
    bob.delete()
    escalation.escalate_due(lambda: start + timedelta(minutes=30))
    assert told() == ["Alice", "Alice"]
    assert LogEntry.objects.filter(kind="nobody.answered").exists()


def test_a_person_with_a_past_can_be_deleted(incident: Incident, alice: User) -> None:
    escalation.escalate_due(lambda: incident.next_escalation_at)
    alice.delete()
    assert told() == ["Alice"]


def test_low_priority_tells_the_first_level_once(incident: Incident) -> None:
    Incident.objects.update(priority="low")
    escalation.escalate_due(lambda: incident.next_escalation_at + timedelta(days=1))
    assert told() == ["Alice"]


def test_the_timeline_refuses_to_be_changed(incident: Incident) -> None:
    escalation.escalate_due(lambda: incident.next_escalation_at)
    with pytest.raises(IntegrityError, match="append-only"):
        LogEntry.objects.update(kind="accepted")


def test_five_hundred_due_steps_cost_few_queries(source: AlertSource, django_assert_max_num_queries) -> None:
    for number in range(60):
        body = payload("sematext", "alert", description=f"disk of web-{number} full")
        receive("sematext", source.integration_key, "POST", Payload(body))
    late = Incident.objects.latest("pk").next_escalation_at + timedelta(seconds=1)
    with django_assert_max_num_queries(20):
        escalation.escalate_due(lambda: late)
    assert Notification.objects.count() == 60


@pytest.mark.django_db(transaction=True)
def test_a_ticker_works_itself_when_the_workers_do_not(incident: Incident) -> None:
    from ilert.common.clock import database_now
    from incidents.engine.ticker import PATIENCE, Ticker

    class SilentBell:
        rings = 0

        def ring(self) -> None:
            self.rings += 1

    bell = SilentBell()
    ticker = Ticker(bell)
    ticker.tick(incident.next_escalation_at + PATIENCE)
    assert (bell.rings, told()) == (1, [])
    Incident.objects.update(next_escalation_at=database_now() - PATIENCE * 2)
    ticker.tick(database_now())
    ticker.close()
    assert told() == ["Alice"]
    ticker = Ticker(bell)
    # Unless its delivery was quick enough to see what its engine had just planned.
    Notification.objects.filter(state=Notification.State.PLANNED).update(due_at=database_now() - PATIENCE * 2)
    ticker.tick(database_now())
    ticker.close()
    assert Notification.objects.get().state == Notification.State.SHOWN
    connection.close()
