"""The bench on which product and model stand side by side: one clock, one cast, providers, and sudden death."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TypeVar

import pytest
from django.db import connection, transaction

from accounts.models import Role, User
from alertsources.models import AlertSource
from alertsources.services import create_source
from ilert.common.clock import database_now
from incidents import services
from incidents.engine import composition, delivery, escalation, sending
from incidents.engine.bell import Bell
from notifications import channels
from notifications.channels import Message, PermanentError, TemporaryError
from notifications.models import ContactMethod
from notifications.services import create_contact_method, delete_contact_method
from oncall.models import EscalationPolicy
from oncall.services import RuleData, create_policy
from tests.model import product
from tests.model.post import Letter, Post
from tests.model.product import Violation
from tests.model.reference import HIGH, LOW, Incident, Level, Person, Policy, Rule, Source, World
from tests.model.stage import CHANNELS, Fuse, Provider, set_clock

START = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
NAMES = ("Alice", "Bob", "Carol")
Result = TypeVar("Result")
HANGS = timedelta(seconds=20)
# What an incident's summary carries, so that a message or a bundle can be seen to name it.
MARK = re.compile(r"\b(?:nr|at) (\d+)\b")


def make_cast() -> None:
    """Store whom every example begins with; each goes its own way from there, and is undone."""
    for name in NAMES:
        role = Role.ADMIN if name == "Alice" else Role.MEMBER
        User.objects.create_user(f"{name.lower()}@example.org", "secret", name=name, role=role)
    ids = [User.objects.get(name=name).pk for name in NAMES]
    one = create_policy("one", [RuleData(2, [ids[0]]), RuleData(5, [ids[1], ids[2]])])
    two = create_policy("two", [RuleData(1, [ids[1]])])
    create_source("api", "API", one)
    create_source("quiet", "API", two)
    create_source("sematext", "SEMATEXT", one)


def cast(now: datetime) -> World:
    """Return the same as `make_cast` stores."""
    people = {name: Person(name, is_admin=name == "Alice") for name in NAMES}
    for name, person in people.items():
        method = f"{name.lower()}@example.org"
        person.methods.add(method)
        person.rules = [Rule(HIGH, method, 0), Rule(LOW, method, 0)]
    policies = {
        "one": Policy([Level(2, ["Alice"]), Level(5, ["Bob", "Carol"])]),
        "two": Policy([Level(1, ["Bob"])]),
    }
    sources = {"api": Source("one", HIGH), "quiet": Source("two", HIGH), "sematext": Source("one", HIGH)}
    return World(now, people, policies, sources)


class Bench:
    def __init__(self) -> None:
        self.world = cast(START)
        self.post = Post(self.world)
        self.fuse = Fuse()
        self.behaviour: dict[str, str] = {}
        self.letters: list[tuple[Message, Letter]] = []
        self.ids: dict[int, int] = {}
        """From the model's incidents, by their place, to the product's."""
        self.marked: dict[str, Incident] = {}
        self.serial = 0
        self._patch = pytest.MonkeyPatch()
        for slug in CHANNELS:
            self._patch.setitem(channels.ALL, slug, Provider(slug, self._arrives))
        self._patch.setattr(Bell, "ring", lambda bell: None)
        # Whoever hangs does so by the clock of the process too.
        self.hung = 0.0
        for module in (composition, delivery, sending):
            self._patch.setattr(module, "monotonic", lambda: monotonic() + self.hung)
        self._transaction = transaction.atomic()
        self._transaction.__enter__()
        self._wrapper = connection.execute_wrapper(self.fuse)
        self._wrapper.__enter__()
        set_clock(START)

    def close(self) -> None:
        self._wrapper.__exit__(None, None, None)
        transaction.set_rollback(True)
        self._transaction.__exit__(None, None, None)
        self._patch.undo()

    def pass_time(self, seconds: float) -> None:
        self.world.now += timedelta(seconds=seconds)
        set_clock(self.world.now)

    # Both do the same.

    def both(self, in_product: Callable[[], Result], in_model: Callable[[], Result], fuse: int | None) -> None:
        """Let both do something that happens as a whole or not at all, also if the product dies over it."""
        with self.fuse.armed(fuse):
            result = in_product()
        if not self.fuse.blown:
            expected = in_model()
            if result != expected:
                raise Violation(f"the product answered {result!r}, the model {expected!r}")
        elif self.differences():
            in_model()
        self.compare()

    def end_stale(self, fuse: int | None = None) -> bool:
        with self.fuse.armed(fuse):
            services.resolve_stale(self.world.now)
        for incident in self._unlike() if self.fuse.blown else self.world.incidents:
            self.world.end_stale(incident)
        self.compare()
        return not self.fuse.blown

    def escalate(self, fuse: int | None = None) -> bool:
        """Whoever dies may leave the work between any two steps: then the model goes as far, and no farther."""
        with self.fuse.armed(fuse):
            escalation.escalate_due(lambda: self.world.now)
        seen = product.in_product()
        for place, incident in enumerate(self.world.incidents):
            as_seen = seen[self.ids[place]] if self.fuse.blown else None
            while self.world.is_due(incident) and product.in_model(incident) != as_seen:
                self.world.step(incident)
        self.compare()
        return not self.fuse.blown

    def deliver(self, fuse: int | None = None) -> bool:
        self.post.sender_starts()
        with self.fuse.armed(fuse):
            delivery.deliver_due()
        held = self._held()
        if self.fuse.blown:
            self.post.sender_died(held)
        else:
            self.post.all_gone()
        self.post.leases_seen(held)
        self.compare()
        return not self.fuse.blown

    def _held(self) -> list[tuple[Incident, str]]:
        by_id = {pk: self.world.incidents[place] for place, pk in self.ids.items()}
        return [(by_id[pk], method) for pk, method in product.being_sent()]

    # The providers.

    def _arrives(self, method: str, message: Message) -> None:
        marks = MARK.findall(f"{message.title}\n{message.text}")
        named = list({id(incident): incident for mark in marks if (incident := self.marked.get(mark))}.values())
        letter = self.post.arrives(method, message.id, named)
        self.letters.append((message, letter))
        match self.behaviour.get(method):
            case "refuses for now":
                self.post.refused_for_now(letter)
                raise TemporaryError("451 later")
            case "refuses for good":
                self.post.refused_for_good(letter)
                raise PermanentError("550 no")
            case "dies":
                del self.behaviour[method]
                self.post.in_doubt(letter)
                self.fuse.die()
            case "hangs":
                # Until the lease is over and somebody else sends it. What this one has to say then is too late.
                del self.behaviour[method]
                self.post.in_doubt(letter)
                self.post.unrecorded(self._held())
                self.pass_time(HANGS.total_seconds())
                self.hung += HANGS.total_seconds()
                delivery.deliver_due()
            case _:
                self.post.taken(letter)

    # The comparison.

    def compare(self) -> None:
        complaints = self.post.complaints or self.differences()
        if complaints:
            raise Violation("\n".join(complaints))

    def differences(self) -> list[str]:
        seen = product.in_product()
        if len(seen) != len(self.world.incidents):
            return [f"the product has {len(seen)} incidents, the model {len(self.world.incidents)}"]
        self.ids = dict(enumerate(seen))
        pairs = zip(self.world.incidents, seen.values(), strict=True)
        return [
            f"{incident.source}/{incident.key}:\n  product {as_seen}\n  model   {product.in_model(incident)}"
            for incident, as_seen in pairs
            if product.in_model(incident) != as_seen
        ]

    def _unlike(self) -> list[Incident]:
        seen = product.in_product()
        return [
            incident
            for place, incident in enumerate(self.world.incidents)
            if product.in_model(incident) != seen[self.ids[place]]
        ]

    # Rows behind names.

    @staticmethod
    def user(name: str) -> User:
        return User.objects.get(name=name)

    @staticmethod
    def source(name: str) -> AlertSource:
        return AlertSource.objects.select_related("escalation_policy").get(name=name)

    @staticmethod
    def policy(name: str) -> EscalationPolicy:
        return EscalationPolicy.objects.get(name=name)

    # How people are reached, on both sides.

    def add_method(self, person: Person, channel: str) -> None:
        """A new method is used at once for both priorities."""
        self.serial += 1
        address = f"{person.name.lower()}-{channel}-{self.serial}"
        create_contact_method(self.user(person.name), channel, address, verified_at=database_now())
        person.methods.add(address)
        person.rules += [Rule(HIGH, address, 0), Rule(LOW, address, 0)]

    def remove_method(self, person: Person, address: str) -> None:
        delete_contact_method(self._method(person, address))
        person.methods.remove(address)
        person.rules = [one for one in person.rules if one.method != address]

    def add_rule(self, person: Person, new: Rule) -> None:
        method = self._method(person, new.method)
        method.rules.create(user=method.user, priority=new.priority, delay_minutes=new.minutes)
        person.rules.append(new)

    def remove_rule(self, person: Person, old: Rule) -> None:
        rules = self._method(person, old.method).rules
        rules.filter(priority=old.priority, delay_minutes=old.minutes).delete()
        person.rules.remove(old)

    @staticmethod
    def _method(person: Person, address: str) -> ContactMethod:
        return next(one for one in ContactMethod.objects.filter(user__name=person.name) if one.address == address)


def as_rules(levels: list[Level], user: Callable[[str], User]) -> list[RuleData]:
    return [RuleData(level.minutes, [user(name).pk for name in level.people]) for level in levels]
