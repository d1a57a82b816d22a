"""What an escalation keeps of its policy."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Role, User
from oncall.models import EscalationPolicy
from oncall.services import RuleData, Timing, create_policy, ensure_default_policy, snapshot, snapshots


def test_rules_are_kept_in_order_with_whom_they_ask(alice: User, bob: User, charlie: User) -> None:
    User.objects.filter(pk=charlie.pk).update(role=Role.MEMBER, is_active=False)
    dora = User.objects.create_user("dora@example.org", role=Role.STAKEHOLDER)
    rules = [RuleData(10, [bob.pk, alice.pk]), RuleData(20, [charlie.pk]), RuleData(30, [dora.pk])]
    policy = create_policy("Night", rules, repeating=True, frequency=3, timing=Timing(5, 60))

    assert snapshot(policy) == {
        "policy": "Night",
        "rounds": 3,
        "delay": 5,
        "accept_timeout": 60,
        "rules": [
            {"minutes": 10, "users": [alice.pk, bob.pk]},
            {"minutes": 20, "users": []},
            {"minutes": 30, "users": []},
        ],
    }


@pytest.mark.django_db
def test_default_policy_asks_an_admin_who_can_sign_in() -> None:
    User.objects.create_user("typo@example.org", role=Role.ADMIN)  # invited, and never came
    boss = User.objects.create_user("boss@example.org", "a-good-password-1", role=Role.ADMIN)

    assert snapshot(ensure_default_policy())["rules"] == [{"minutes": 15, "users": [boss.pk]}]


@pytest.mark.django_db
def test_policy_without_rules_asks_nobody() -> None:
    policy = EscalationPolicy.objects.create(name="Empty")

    assert snapshot(policy) == {"policy": "Empty", "rounds": 1, "delay": 0, "accept_timeout": None, "rules": []}
    assert snapshot(None)["rules"] == []


def test_all_of_it_is_read_by_one_statement(policy: EscalationPolicy, alice: User) -> None:
    """Between two of them somebody may save the policy: then its rules had nobody in them."""
    other = create_policy("Other", [RuleData(10, [alice.pk])])

    with CaptureQueriesContext(connection) as captured:
        found = snapshots([policy.pk, other.pk])

    assert len(captured) == 1
    assert [len(found[pk]["rules"]) for pk in (policy.pk, other.pk)] == [2, 1]
