"""The audit log: every write of configuration leaves one row for each thing it changes, and nothing changes a row."""

import inspect
from collections import Counter
from collections.abc import Callable
from datetime import time, timedelta
from types import ModuleType
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.urls import reverse

import accounts.api_keys.services
import accounts.services
import alertsources.services
import notifications.availability
import notifications.rules
import notifications.services
import notifications.verification
import oncall.services
from accounts.api_keys.services import create_api_key, revoke_api_key
from accounts.models import AuditEntry, Team, User
from alertsources.models import AlertSource
from alertsources.services import Options
from notifications.models import Priority
from oncall.models import EscalationPolicy
from oncall.services import RuleData
from tests.conftest import NOW
from tests.html import assert_clean

SERVICES = (
    accounts.services,
    accounts.api_keys.services,
    alertsources.services,
    notifications.availability,
    notifications.rules,
    notifications.services,
    notifications.verification,
    oncall.services,
)
SOURCE, POLICY, PERSON, METHOD, TEAM = "alert source", "escalation policy", "person", "contact method", "team"


class Cast:
    """What the writes below are done to."""

    def __init__(self, alice: User, bob: User, source: AlertSource) -> None:
        self.alice, self.bob, self.source = alice, bob, source
        self.policy = source.escalation_policy
        self.empty = EscalationPolicy.objects.create(name="Empty")
        self.method = bob.contact_methods.get()
        self.invited = User.objects.create_user("eve@example.org", name="Eve")
        self.unconfirmed = notifications.services.create_contact_method(bob, "email", bob.email)
        self.team = Team.objects.create(name="Blue")
        self.key, _ = create_api_key(bob, "Bob's", NOW)

    def move_email(self) -> None:
        User.objects.filter(pk=self.invited.pk).update(email="new@example.org")
        self.invited.refresh_from_db()
        accounts.services.move_email(self.invited, "eve@example.org")

    def update_policy(self) -> None:
        oncall.services.update_policy(
            self.policy, name="Night", rules=[RuleData(5, [self.bob.pk])], repeating=True, frequency=2
        )

    def update_source(self) -> None:
        alertsources.services.update_source(
            self.source, name="New", escalation_policy=self.empty, active=False, options=Options(priority="low")
        )


def _no_admin_yet(cast: Cast) -> None:
    User.objects.update(is_active=False)
    accounts.services.ensure_first_admin()


def _no_policy_yet(cast: Cast) -> None:
    AlertSource.objects.all().delete()
    EscalationPolicy.objects.all().delete()
    oncall.services.ensure_default_policy()


# What a service writes, and the rows it leaves. A new service is missing here until somebody says which it leaves.
WRITES: dict[str, tuple[Callable[[Cast], Any], list[str]]] = {
    "accounts.ensure_first_admin": (_no_admin_yet, [PERSON, METHOD]),
    "accounts.invite": (lambda cast: accounts.services.invite("e@example.org", "E", "member"), [PERSON, METHOD]),
    "accounts.update_person": (
        lambda cast: accounts.services.update_person(cast.bob, name="B", email="b@example.org", role="admin"),
        [PERSON],
    ),
    "accounts.move_email": (Cast.move_email, [METHOD]),
    "notifications.move_email_methods": (
        lambda cast: notifications.services.move_email_methods(cast.invited, cast.invited.email, NOW),
        [METHOD],
    ),
    "accounts.update_profile": (lambda cast: accounts.services.update_profile(cast.bob), [PERSON]),
    "accounts.set_person_active": (
        lambda cast: accounts.services.set_person_active(cast.bob, False),
        [PERSON, "API key"],
    ),
    "accounts.accept_invitation": (
        lambda cast: accounts.services.accept_invitation(cast.invited, "quite-new-secret"),
        [PERSON, METHOD],
    ),
    "accounts.create_team": (lambda cast: accounts.services.create_team("Red", [cast.bob]), [TEAM]),
    "accounts.update_team": (
        lambda cast: accounts.services.update_team(cast.team, name="Red", members=[cast.bob]),
        [TEAM],
    ),
    "accounts.delete_team": (lambda cast: accounts.services.delete_team(cast.team), [TEAM]),
    "accounts.create_api_key": (lambda cast: create_api_key(cast.bob, "CI", NOW), ["API key"]),
    "accounts.revoke_api_key": (lambda cast: revoke_api_key(cast.key, NOW), ["API key"]),
    "alertsources.create_source": (
        lambda cast: alertsources.services.create_source("Web", "SEMATEXT", cast.policy),
        [SOURCE],
    ),
    "alertsources.create_source_and_policy": (
        lambda cast: alertsources.services.create_source_and_policy("Web", "SEMATEXT", "Web", cast.bob),
        [SOURCE, POLICY],
    ),
    "alertsources.rotate_key": (lambda cast: alertsources.services.rotate_key(cast.source, NOW), [SOURCE]),
    "alertsources.revoke_previous_key": (
        lambda cast: alertsources.services.revoke_previous_key(cast.source),
        [SOURCE],
    ),
    "alertsources.update_source": (Cast.update_source, [SOURCE]),
    "alertsources.set_active": (lambda cast: alertsources.services.set_active(cast.source, False), [SOURCE]),
    "alertsources.delete_source": (lambda cast: alertsources.services.delete_source(cast.source), [SOURCE]),
    "notifications.create_contact_method": (
        lambda cast: notifications.services.create_contact_method(cast.bob, "email", "bob@home.example"),
        [METHOD],
    ),
    "notifications.confirm_email": (lambda cast: notifications.services.confirm_email(cast.bob, NOW), [METHOD]),
    "notifications.confirm": (
        lambda cast: notifications.verification.confirm(cast.unconfirmed, NOW),
        [METHOD],
    ),
    "notifications.set_rules": (
        lambda cast: notifications.rules.set_rules(cast.bob, Priority.HIGH, [(cast.method, 5)]),
        [PERSON],
    ),
    "notifications.set_quiet_hours": (
        lambda cast: notifications.availability.set_quiet_hours(cast.bob, time(22), time(7), "01234"),
        [PERSON],
    ),
    "notifications.mute": (
        lambda cast: notifications.availability.mute(cast.bob, NOW + timedelta(hours=1), NOW),
        [PERSON],
    ),
    "notifications.unmute": (lambda cast: notifications.availability.unmute(cast.bob), [PERSON]),
    "notifications.delete_contact_method": (
        lambda cast: notifications.services.delete_contact_method(cast.method),
        [METHOD],
    ),
    "oncall.ensure_default_policy": (_no_policy_yet, [POLICY]),
    "oncall.create_policy": (lambda cast: oncall.services.create_policy("Web", []), [POLICY]),
    "oncall.create_policy_asking": (lambda cast: oncall.services.create_policy_asking("Web", cast.bob), [POLICY]),
    "oncall.update_policy": (Cast.update_policy, [POLICY]),
    "oncall.delete_policy": (lambda cast: oncall.services.delete_policy(cast.empty), [POLICY]),
}
# They write nothing of the configuration, or only a part of what another one writes.
OTHERS = {
    "notifications.end_codes",
    "accounts.end_access",
    "oncall.snapshots",
    "accounts.is_last_admin",
    "alertsources.find_by_key",
    "alertsources.find_by_keys",
    "notifications.send_test",
    "notifications.enter",
    "notifications.enter_link",
    "notifications.message",
    "notifications.read",
    "notifications.wait",
    "notifications.warnings_for",
    "notifications.unreachable",
    "notifications.methods_for",
    "accounts.digest",
    "accounts.find_api_key",
    "accounts.note_use",
    "oncall.can_be_asked",
    "oncall.check_name",
    "oncall.snapshot",
    "oncall.replace_rules",
}


def _verbs(module: ModuleType) -> set[str]:
    functions = inspect.getmembers(module, inspect.isfunction)
    package = module.__name__.partition(".")[0]
    return {
        f"{package}.{name}"
        for name, function in functions
        if not name.startswith("_") and inspect.unwrap(function).__module__ == module.__name__
    }


def test_every_service_says_what_it_leaves_in_the_log() -> None:
    assert set().union(*map(_verbs, SERVICES)) == set(WRITES) | OTHERS


@pytest.mark.parametrize("name", WRITES)
def test_a_write_leaves_one_row_for_each_thing(name: str, alice: User, bob: User, source: AlertSource) -> None:
    cast = Cast(alice, bob, source)
    write, left = WRITES[name]
    last = AuditEntry.objects.latest("pk").pk

    write(cast)

    assert Counter(AuditEntry.objects.filter(pk__gt=last).values_list("object_type", flat=True)) == Counter(left)


@pytest.mark.parametrize("name", WRITES)
def test_a_write_that_is_undone_leaves_nothing(name: str, alice: User, bob: User, source: AlertSource) -> None:
    cast = Cast(alice, bob, source)
    count = AuditEntry.objects.count()

    with transaction.atomic():
        WRITES[name][0](cast)
        transaction.set_rollback(True)

    assert AuditEntry.objects.count() == count


def test_row_says_who_from_where_and_what_was_before(as_alice: Client, alice: User, source: AlertSource) -> None:
    as_alice.post(reverse("source-set-active", args=[source.pk]), {"active": "0"}, REMOTE_ADDR="192.0.2.7")

    entry = AuditEntry.objects.latest("pk")
    assert (entry.actor, entry.actor_name, entry.address) == (alice, "Alice", "192.0.2.7")
    assert (entry.verb, entry.object_type, entry.object_id, entry.object_name) == (
        "disabled",
        SOURCE,
        source.pk,
        source.name,
    )
    assert (entry.before, entry.after) == ({"active": True}, {"active": False})


def test_policy_is_logged_with_its_rules(policy: EscalationPolicy, alice: User, bob: User) -> None:
    oncall.services.update_policy(policy, name=policy.name, rules=[RuleData(3, [bob.pk])], repeating=False, frequency=1)

    entry = AuditEntry.objects.latest("pk")
    assert entry.after == {"rules": [{"minutes": 3, "people": ["bob@example.org"]}]}
    assert [rule["minutes"] for rule in entry.before["rules"]] == [10, 20]


def test_no_secret_gets_into_the_log(source: AlertSource, bob: User) -> None:
    old = source.integration_key
    alertsources.services.rotate_key(source, NOW)
    topic = notifications.services.create_contact_method(bob, "ntfy", "https://ntfy.sh/secret-topic", "tk_hidden")
    notifications.services.delete_contact_method(topic)
    bob.set_password("quite-new-secret")
    bob.save()

    logged = repr(list(AuditEntry.objects.values()))
    for secret in (old, source.integration_key, "secret-topic", "tk_hidden", bob.password):
        assert secret not in logged


@pytest.mark.parametrize("statement", ["UPDATE accounts_auditentry SET verb = ''", "DELETE FROM accounts_auditentry"])
def test_the_database_refuses_to_change_the_log(alice: User, statement: str) -> None:
    assert AuditEntry.objects.exists()
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_what_somebody_did_stays_when_they_are_deleted(as_alice: Client, alice: User) -> None:
    as_alice.post(reverse("policy-create"), {})
    before = AuditEntry.objects.filter(actor_id=alice.pk).count()
    number = alice.pk

    alice.delete()

    assert AuditEntry.objects.filter(actor_id=number).count() == before > 0


def test_sign_ins_are_logged(client: Client, bob: User) -> None:
    last = AuditEntry.objects.latest("pk").pk
    entry = {"login": "bob@example.org", "password": "wrong"}
    client.post(reverse("account_login"), entry)
    client.post(reverse("account_login"), entry | {"password": "bob-password"})
    client.post(reverse("account_logout"))

    found = AuditEntry.objects.filter(pk__gt=last).order_by("pk")
    assert list(found.values_list("verb", "actor", "object_name")) == [
        ("failed to sign in", None, "bob@example.org"),
        ("signed in", bob.pk, "Bob"),
        ("signed out", bob.pk, "Bob"),
    ]
    assert set(found.values_list("address", flat=True)) == {"127.0.0.1"}


def test_admin_site_leaves_one_row(as_alice: Client, source: AlertSource, policy: EscalationPolicy) -> None:
    last = AuditEntry.objects.latest("pk").pk
    as_alice.post(reverse("admin:accounts_team_add"), {"name": "Blue"})
    team = Team.objects.get()
    as_alice.post(reverse("admin:accounts_team_change", args=[team.pk]), {"name": "Red"})
    as_alice.post(reverse("admin:accounts_team_delete", args=[team.pk]), {"post": "yes"})

    assert list(AuditEntry.objects.filter(pk__gt=last).order_by("pk").values_list("verb", "before", "after")) == [
        ("created", {}, {"name": "Blue", "members": []}),
        ("changed", {"name": "Blue"}, {"name": "Red"}),
        ("deleted", {"name": "Red", "members": []}, {}),
    ]


def test_page_is_filtered(as_alice: Client, alice: User, bob: User, source: AlertSource) -> None:
    as_alice.post(reverse("source-set-active", args=[source.pk]), {"active": "0"})

    def page(query: str) -> str:
        response = as_alice.get(f"{reverse('audit-log')}?{query}")
        assert response.status_code == 200
        assert_clean(response)
        return " ".join(response.content.decode().split())

    line = f"disabled alert source <strong>{source.name}</strong>"
    for query in ("", "kind=alert+source", "q=sematext", f"person={alice.pk}", "q=disabled", "before=x", "kind=x"):
        assert line in page(query), query
    for query in ("kind=sign-ins", "q=nothing+of+that", f"person={bob.pk}", "before=1"):
        assert line not in page(query), query


def test_page_goes_on_where_it_ended(as_alice: Client, source: AlertSource) -> None:
    for active in [False, True] * 30:
        alertsources.services.set_active(source, active)

    first = as_alice.get(reverse("audit-log")).content.decode()
    oldest = AuditEntry.objects.order_by("-pk")[49].pk

    assert first.count("audit-entry") == 50
    assert f"before={oldest}" in first
    assert "audit-entry" in as_alice.get(f"{reverse('audit-log')}?before={oldest}").content.decode()
