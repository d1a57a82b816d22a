"""Quiet hours and mute: who is asked, and when, while people want to be left alone."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.test import Client

from accounts.models import User
from alertsources.models import AlertSource
from ilert.common.clock import database_now
from incidents.engine import escalation
from incidents.models import Incident, LogEntry
from notifications import availability
from notifications.models import Notification
from oncall.models import EscalationPolicy
from oncall.services import RuleData, replace_rules
from tests.delivering import alert
from tests.html import assert_clean

pytestmark = pytest.mark.django_db


@pytest.fixture
def incident(source: AlertSource) -> Incident:
    alert(source)
    return Incident.objects.get()


def due(incident: Incident) -> datetime:
    assert incident.next_escalation_at
    return incident.next_escalation_at


def told() -> list[str]:
    return list(Notification.objects.order_by("created_at", "user_name").values_list("user_name", flat=True))


def quiet_now(user: User, now: datetime, zone: str = "UTC") -> datetime:
    """Give `user` quiet hours from an hour ago on, for three hours. Returns when they end."""
    user.time_zone = zone
    user.save()
    local = now.astimezone(ZoneInfo(user.time_zone))
    start, end = local - timedelta(hours=1), local + timedelta(hours=2)
    availability.set_quiet_hours(user, start.time(), end.time(), "0123456")
    return end


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Pacific/Kiritimati"])
def test_low_priority_waits_for_the_end_of_quiet_hours(incident: Incident, alice: User, zone: str) -> None:
    Incident.objects.update(priority="low")
    end = quiet_now(alice, due(incident), zone)
    escalation.escalate_due(lambda: due(incident))
    assert [row.due_at for row in Notification.objects.all()] == [end]


def test_high_priority_comes_through(incident: Incident, alice: User) -> None:
    quiet_now(alice, due(incident))
    escalation.escalate_due(lambda: due(incident))
    assert [row.due_at for row in Notification.objects.all()] == [due(incident)]


def test_a_delay_that_ends_within_quiet_hours_waits_too(incident: Incident, alice: User) -> None:
    Incident.objects.update(priority="low")
    alice.notification_rules.update(delay_minutes=30)
    begin = due(incident) + timedelta(minutes=10)
    availability.set_quiet_hours(alice, begin.time(), (begin + timedelta(hours=1)).time(), "0123456")
    escalation.escalate_due(lambda: due(incident))
    assert [row.due_at for row in Notification.objects.all()] == [begin + timedelta(hours=1)]


def test_a_level_that_is_muted_costs_no_time(incident: Incident, alice: User) -> None:
    now = due(incident)
    availability.mute(alice, now + timedelta(hours=1), now)
    escalation.escalate_due(lambda: now)
    assert told() == ["Bob"]
    said = LogEntry.objects.get(kind="person.muted").data
    assert (said["people"], said["until"]) == ("Alice", f"{now + timedelta(hours=1):%Y-%m-%d %H:%M} UTC")
    assert LogEntry.objects.filter(kind="level.muted", data__level=1).exists()
    incident.refresh_from_db()
    assert incident.next_escalation_at == now + timedelta(minutes=20)


def test_others_of_the_level_are_asked(source: AlertSource, policy: EscalationPolicy, alice: User, bob: User) -> None:
    replace_rules(policy, [RuleData(10, [alice.pk, bob.pk])])
    alert(source)
    now = due(Incident.objects.get())
    availability.mute(bob, now + timedelta(hours=1), now)
    escalation.escalate_due(lambda: now)
    assert told() == ["Alice"]
    assert LogEntry.objects.get(kind="level.asked").data["people"] == "Alice"


def test_a_mute_that_is_over_is_over(incident: Incident, alice: User) -> None:
    now = due(incident)
    availability.mute(alice, now, now - timedelta(hours=1))
    escalation.escalate_due(lambda: now)
    assert told() == ["Alice"]


def test_a_mute_stops_what_waits(incident: Incident, alice: User) -> None:
    now = due(incident)
    alice.notification_rules.update(delay_minutes=5)
    escalation.escalate_due(lambda: now)
    availability.mute(alice, now + timedelta(hours=1), now)
    assert Notification.objects.get().state == "cancelled"


def test_of_the_admins_those_are_told_who_are_not_muted(incident: Incident, alice: User, bob: User) -> None:
    now = due(incident)
    User.objects.create_user("dora@example.org", "dora-password", name="Dora", role="admin")
    for person in (alice, bob):
        availability.mute(person, now + timedelta(hours=1), now)
    escalation.escalate_due(lambda: now)
    assert told() == ["Dora"]


def test_when_all_admins_are_muted_they_are_told_all_the_same(incident: Incident, alice: User, bob: User) -> None:
    now = due(incident)
    for person in (alice, bob):
        availability.mute(person, now + timedelta(hours=1), now)
    escalation.escalate_due(lambda: now)
    assert told() == ["Alice"]
    assert Notification.objects.get().title.startswith("Nobody answered")


class TestPages:
    def test_quiet_hours_are_saved_and_seen_by_colleagues(self, as_alice: Client, alice: User) -> None:
        page = "/profile/quiet-times"
        assert as_alice.post(page, {"start": "22:00", "end": "07:00", "days": ["0", "4"]}).status_code == 302
        alice.refresh_from_db()
        assert (alice.quiet_from, alice.quiet_to, alice.quiet_days) == (time(22), time(7), "04")
        assert "22:00 to 07:00, Mon, Fri" in as_alice.get(f"/people/{alice.pk}/reach").content.decode()
        assert_clean(as_alice.get(page))
        as_alice.post(page, {"start": "", "end": ""})
        alice.refresh_from_db()
        assert alice.quiet_hours is None

    @pytest.mark.parametrize(
        ("data", "said"),
        [
            ({"start": "22:00", "days": "0"}, "Fill in both"),
            ({"start": "22:00", "end": "07:00"}, "Choose at least one day"),
            ({"start": "x", "end": "07:00", "days": "0"}, "valid time"),
        ],
    )
    def test_quiet_hours_that_cannot_be(self, as_alice: Client, alice: User, data: dict[str, str], said: str) -> None:
        response = as_alice.post("/profile/quiet-times", data)
        assert response.status_code == 422
        assert said in response.content.decode()
        alice.refresh_from_db()
        assert alice.quiet_hours is None

    def test_a_mute_is_seen_everywhere(
        self, as_alice: Client, alice: User, bob: User, incident: Incident, policy: EscalationPolicy
    ) -> None:
        alice.time_zone = "Europe/Berlin"
        alice.save()
        until = database_now() + timedelta(hours=3)
        typed = until.astimezone(ZoneInfo(alice.time_zone)).strftime("%Y-%m-%dT%H:%M")
        escalation.escalate_due(lambda: due(incident))
        assert as_alice.post("/profile/mute", {"until": typed}).status_code == 302
        alice.refresh_from_db()
        assert alice.muted_until == until.replace(second=0, microsecond=0)
        seen = {
            f"/people/{alice.pk}/reach": "Muted until",
            f"/escalation-policies/{policy.pk}/": "muted until",
            f"/incidents/{incident.pk}/": "Alice (muted)",
            "/profile": "Muted",
            "/people/unreachable": "Alice",
        }
        for path, words in seen.items():
            assert words in as_alice.get(path).content.decode(), path
        as_alice.post("/profile/unmute")
        assert "muted until" not in as_alice.get(f"/escalation-policies/{policy.pk}/").content.decode()

    @pytest.mark.parametrize(("hours", "said"), [(-1, "passed already"), (31 * 24, "At most 30 days")])
    def test_a_mute_that_cannot_be(self, as_alice: Client, alice: User, hours: int, said: str) -> None:
        typed = (database_now() + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M")
        response = as_alice.post("/profile/mute", {"until": typed})
        assert response.status_code == 422
        assert said in response.content.decode()
        alice.refresh_from_db()
        assert alice.muted_until is None
