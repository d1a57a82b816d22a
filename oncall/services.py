"""What can be done with escalation policies."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

from django.contrib.postgres.aggregates import ArrayAgg
from django.db import transaction
from django.db.models import ProtectedError, Q, QuerySet

from accounts import audit
from accounts.models import RESPONDERS, Team, User
from ilert.common.transactions import atomic_verb
from oncall.models import EscalationPolicy, EscalationRule

DEFAULT_POLICY_NAME = "Default"
DEFAULT_TIMEOUT = 15
MAX_RULES = 20
MAX_MINUTES = 1440


class PolicyInUse(Exception):
    """Alert sources follow the policy; without it their incidents would ask nobody."""


@dataclass(frozen=True)
class RuleData:
    """One level of a policy as a form or the API gives it."""

    escalation_timeout: int
    user_ids: list[int]


@dataclass(frozen=True)
class Timing:
    """How long an escalation policy waits, beside the minutes of its rules."""

    delay_minutes: int = 0
    """Before the first level is asked."""
    accept_timeout_minutes: int | None = None
    """Until an accepted incident on which nobody does anything asks again; None: never."""


AT_ONCE = Timing()
_SNAPSHOT_FIELDS = ("name", "repeating", "frequency", "delay_minutes", "accept_timeout_minutes")
_ASKED = Q(rules__users__is_active=True, rules__users__role__in=RESPONDERS)


def can_be_asked(policy: EscalationPolicy | None = None) -> QuerySet[User]:
    """Return who a rule may name: active responders, and whoever `policy` names already."""
    choosable = User.objects.askable()
    if policy is None:
        return choosable
    named = User.objects.filter(escalation_rules__policy=policy)
    return User.objects.filter(Q(pk__in=choosable.values("pk")) | Q(pk__in=named.values("pk")))


def check_name(name: str, policy: EscalationPolicy | None) -> None:
    """Raise ValidationError when another policy than `policy` has this name."""
    candidate = EscalationPolicy(pk=policy.pk if policy else None, name=name)
    candidate._state.adding = policy is None  # so that a policy does not collide with itself
    candidate.validate_constraints()


@transaction.atomic
def ensure_default_policy() -> EscalationPolicy | None:
    """Create the policy "Default", which asks the first admin who can sign in, unless there is any policy already."""
    if EscalationPolicy.objects.exists():
        return None
    admin = User.objects.signing_in_admins().order_by("pk").first()
    rule = RuleData(escalation_timeout=DEFAULT_TIMEOUT, user_ids=[admin.pk] if admin else [])
    return create_policy(DEFAULT_POLICY_NAME, [rule])


@transaction.atomic
def create_policy(
    name: str,
    rules: list[RuleData],
    *,
    repeating: bool = False,
    frequency: int = 1,
    timing: Timing = AT_ONCE,
    team: Team | None = None,
) -> EscalationPolicy:
    policy = EscalationPolicy.objects.create(
        name=name, repeating=repeating, frequency=frequency, team=team, **asdict(timing)
    )
    replace_rules(policy, rules)
    audit.created(policy)
    return policy


def create_policy_asking(name: str, user: User) -> EscalationPolicy:
    """Create a policy with one rule that asks `user` at once: a start that reaches somebody."""
    return create_policy(name, [RuleData(escalation_timeout=DEFAULT_TIMEOUT, user_ids=[user.pk])])


def update_policy(
    policy: EscalationPolicy,
    *,
    name: str,
    rules: list[RuleData],
    repeating: bool,
    frequency: int,
    timing: Timing = AT_ONCE,
) -> None:
    """Change a policy, and its team to the one it was given."""
    with audit.changing(policy):
        policy.name, policy.repeating, policy.frequency = name, repeating, frequency
        for field, minutes in asdict(timing).items():
            setattr(policy, field, minutes)
        policy.save(update_fields=["name", "repeating", "frequency", "team", *asdict(timing)])
        replace_rules(policy, rules)


@atomic_verb
def delete_policy(policy: EscalationPolicy) -> None:
    """Delete a policy. PolicyInUse when alert sources follow it. Escalations that run have their own copy."""
    # Before the incidents that it is taken from, as whoever assigns it locks it.
    locked = EscalationPolicy.objects.select_for_update().filter(pk=policy.pk).first()
    if locked is None:
        return  # somebody else has just done it
    try:
        with audit.deleting(locked):
            locked.delete()
    except ProtectedError as error:
        raise PolicyInUse from error


@transaction.atomic
def replace_rules(policy: EscalationPolicy, rules: list[RuleData]) -> None:
    """Give `policy` these rules, in this order. Escalations that are running keep the rules they started with."""
    policy.rules.all().delete()
    for position, rule in enumerate(rules):
        row = EscalationRule.objects.create(
            policy=policy, position=position, escalation_timeout=rule.escalation_timeout
        )
        row.users.set(rule.user_ids)


def snapshot(policy: EscalationPolicy | None) -> dict[str, Any]:
    """Return the policy's rules as they are now, as plain data that an escalation can keep.

    {"policy": name, "rounds": 1–9, "delay": minutes, "accept_timeout": minutes or None, "rules": [{"minutes": int,
    "users": [id, …]}, …]}; without a policy there are no rules. Whom nobody asks any more is left out.
    """
    kept = snapshots([policy.pk]).get(policy.pk) if policy else None
    return kept or _snapshot(EscalationPolicy())


def snapshots(policy_ids: Collection[int]) -> dict[int, dict[str, Any]]:
    """Return the snapshots of policies by their ids, read by one statement: whoever saves a policy meanwhile replaces
    its rules, and between two statements nobody would be in them.
    """
    rows = (
        EscalationPolicy.objects.filter(pk__in=policy_ids)
        .order_by("pk", "rules__position")
        .values("pk", *_SNAPSHOT_FIELDS, "rules__position", "rules__escalation_timeout")
        .annotate(asked=ArrayAgg("rules__users", filter=_ASKED, default=[], order_by="rules__users"))
    )
    found: dict[int, dict[str, Any]] = {}
    for row in rows:
        kept = found.setdefault(
            row["pk"], _snapshot(EscalationPolicy(**{name: row[name] for name in _SNAPSHOT_FIELDS}))
        )
        if row["rules__position"] is not None:  # which it is for a policy without rules
            kept["rules"].append({"minutes": row["rules__escalation_timeout"], "users": row["asked"]})
    return found


def _snapshot(policy: EscalationPolicy) -> dict[str, Any]:
    """Return the snapshot without the rules."""
    return {
        "policy": policy.name,
        "rounds": policy.rounds,
        "delay": policy.delay_minutes,
        "accept_timeout": policy.accept_timeout_minutes,
        "rules": [],
    }
