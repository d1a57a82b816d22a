"""The made-up people, policies and alert sources that the incidents belong to."""

from dataclasses import dataclass
from typing import Any

from django.utils import timezone

import integrations
from accounts.models import Role, User
from alertsources.models import AlertSource
from alertsources.services import create_source
from incidents.engine import run as runs
from notifications.models import ContactMethod
from oncall.models import EscalationPolicy
from oncall.services import RuleData, create_policy, snapshot

_FIRST_NAMES = (
    "Amara", "Bruno", "Chiara", "Dmitri", "Elif", "Finn", "Grace", "Hana", "Ivo", "Jonas",
    "Kaito", "Leila", "Mateo", "Nora", "Omar", "Paula", "Quentin", "Rosa", "Sven", "Tuğba",
)  # fmt: skip
_LAST_NAMES = ("Almeida", "Brandt", "Costa", "Dubois", "Eriksen", "Fischer", "Gupta", "Haddad", "Ito", "Jansen")
_TEAMS = ("Payments", "Platform", "Search", "Shop", "Data", "Mobile", "Network", "Storage")
_PEOPLE = 40
_SOURCES = 24


@dataclass(frozen=True)
class Cast:
    """Rows for the tables that the statements read, each numbered from 0."""

    people: list[dict[str, Any]]
    policies: list[dict[str, Any]]
    sources: list[dict[str, Any]]


def create() -> Cast:
    """Create people who cannot sign in, one policy a team, and alert sources of every integration type."""
    people = [_person(number) for number in range(_PEOPLE)]
    policies = [_policy(number, people) for number in range(len(_TEAMS))]
    sources = [_source(number, policies[number % len(policies)]) for number in range(_SOURCES)]
    methods = {method.user_id: method for method in ContactMethod.objects.filter(user__in=people)}
    places = {person.pk: place for place, person in enumerate(people)}
    return Cast(
        people=[_person_row(place, person, methods[person.pk]) for place, person in enumerate(people)],
        policies=[_policy_row(number, policy, places) for number, policy in enumerate(policies)],
        sources=[
            {"n": number, "id": source.pk, "name": source.name, "policy": number % len(policies)}
            for number, source in enumerate(sources)
        ],
    )


def _person(number: int) -> User:
    name = f"{_FIRST_NAMES[number % len(_FIRST_NAMES)]} {_LAST_NAMES[number * 7 % len(_LAST_NAMES)]}"
    # A domain that can never receive mail: nobody is told of made-up problems.
    person = User.objects.create_user(f"seed-{number + 1}@ilert.invalid", name=name, role=Role.MEMBER)
    # Nobody can confirm such an address, and without that the engine would have nobody to tell.
    ContactMethod.objects.filter(user=person).update(verified_at=timezone.now())
    return person


def _policy(number: int, people: list[User]) -> EscalationPolicy:
    asked = [people[(number * 5 + offset) % len(people)] for offset in range(3)]
    rules = [RuleData(5 * (level + 1), [person.pk]) for level, person in enumerate(asked)]
    return create_policy(f"{_TEAMS[number]} (seeded)", rules, repeating=number % 2 == 0, frequency=3)


def _source(number: int, policy: EscalationPolicy) -> AlertSource:
    integration = integrations.ALL[number % len(integrations.ALL)]
    name = f"{integration.name} {_TEAMS[number % len(_TEAMS)]} {number + 1} (seeded)"
    return create_source(name, integration.type, policy)


def _person_row(place: int, person: User, method: ContactMethod) -> dict[str, Any]:
    return {
        "n": place, "id": person.pk, "name": str(person),
        "method": method.pk, "channel": method.channel, "target": method.description,
    }  # fmt: skip


def _policy_row(number: int, policy: EscalationPolicy, places: dict[int, int]) -> dict[str, Any]:
    """The run of an incident that has asked the first level, and who the first two levels are."""
    first = runs.step(runs.begin(snapshot(policy), number=1, single_level=False))
    second = runs.step(first.run)
    return {
        "n": number, "id": policy.pk, "run": first.run, "run_second": second.run,
        "first": places[first.users[0]], "second": places[second.users[0]],
    }  # fmt: skip
