"""Product and model side by side: whatever happens to one happens to the other, and nobody can tell them apart."""

import json
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from django.test import Client
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from accounts.models import Role, User
from alertsources.services import Options, update_source
from incidents import lifecycle, services
from incidents.intake.receive import Answer, receive
from integrations import Payload
from oncall.services import Timing, create_policy, delete_policy, update_policy
from tests.model import product
from tests.model.bench import NAMES, Bench, as_rules
from tests.model.reference import HIGH, LOW, Incident, Level, Policy, Rule

SOURCES = ("api", "quiet", "sematext")
KEYS = ("disk", "DISK ", "memory")
SCOPES = ("app-1", "app-2")
SECONDS = (1, 5, 15, 20, 59, 60, 90, 120, 121, 300, 600, 1800, 3 * 3600, 26 * 3600)
PARTS = ("end_stale", "escalate", "deliver")
MINUTES = (1, 2, 5, 15)

fuses = st.one_of(st.none(), st.none(), st.integers(0, 12))
names = st.sampled_from(NAMES)
seconds = st.sampled_from(SECONDS)
sources = st.sampled_from(SOURCES)
keys = st.sampled_from(KEYS)
scopes = st.sampled_from(SCOPES)
priorities = st.sampled_from((HIGH, LOW))
places = st.integers(0, 1000)
timings = st.builds(Timing, st.sampled_from((0, 0, 0, 2)), st.sampled_from((None, None, 3, 30)))
levels = st.lists(
    st.builds(Level, st.sampled_from(MINUTES), st.lists(names, max_size=2, unique=True).map(sorted)), max_size=3
)


class Machine(RuleBasedStateMachine):
    """Each rule is something that happens in the life of an installation."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.world = self.bench.world
        self.client = Client()
        self.serial = 0
        self.is_sound = False

    def teardown(self) -> None:
        """Whatever happened, once nothing fails any more everything that is owed goes out."""
        try:
            if self.is_sound:
                self.bench.behaviour.clear()
                for wait in (20, 400, 70):
                    self.bench.pass_time(wait)
                    self._work()
        finally:
            self.bench.close()

    def check_invariants(self, *args: Any, **kwargs: Any) -> None:
        # Reached only after a step that has raised nothing.
        self.is_sound = True
        super().check_invariants(*args, **kwargs)

    # Tools.

    @initialize(
        one=levels, two=levels, rounds=st.integers(1, 2), timing=timings, minutes=st.sampled_from((None, None, 10))
    )
    def an_admin_sets_it_up(
        self, one: list[Level], two: list[Level], rounds: int, timing: Timing, minutes: int | None
    ) -> None:
        self._edit_policy(0, one, rounds, Timing())
        self._edit_policy(1, two, 1, timing)
        self.world.sources["quiet"].auto_minutes = minutes
        self._configure("quiet")

    @rule(source=st.sampled_from(("api", "quiet")), key=keys, priority=st.one_of(st.none(), priorities), fuse=fuses)
    def a_tool_alerts(self, source: str, key: str, priority: str | None, fuse: int | None) -> None:
        mark = self._next_mark()
        content = {"eventType": "ALERT", "alertKey": key, "summary": f"{key} nr {mark}", "priority": priority}
        self._alert(source, content, mark, lambda: self.world.alert(source, key, "", priority), fuse)

    @rule(key=keys, scope=scopes, fuse=fuses)
    def a_tool_without_ids_alerts(self, key: str, scope: str, fuse: int | None) -> None:
        mark = self._next_mark()
        content = _sematext(key, scope, mark, is_over=False)
        in_model = partial(self.world.alert, "sematext", f"{scope}/{key}", scope, None)
        self._alert("sematext", content, mark, in_model, fuse)

    def _alert(
        self, source: str, content: dict[str, Any], mark: str, in_model: Callable[[], str], fuse: int | None
    ) -> None:
        def alert() -> str:
            outcome = in_model()
            if outcome == "opened":
                self.bench.marked[mark] = self.world.incidents[-1]
            return outcome

        self._tool_says(source, content, alert, fuse)

    @rule(
        what=st.sampled_from(("resolve", "accept", "comment")),
        source=st.sampled_from(("api", "quiet")),
        key=keys,
        fuse=fuses,
    )
    def a_tool_says_more(self, what: str, source: str, key: str, fuse: int | None) -> None:
        content = {"eventType": what.upper(), "alertKey": key, "summary": what}
        same = {
            "resolve": partial(self.world.tool_resolves, source, key, ""),
            "accept": partial(self.world.tool_accepts, source, key),
            "comment": partial(self.world.tool_comments, source, key),
        }
        self._tool_says(source, content, same[what], fuse)

    @rule(key=st.sampled_from((*KEYS, "something")), scope=scopes, fuse=fuses)
    def a_tool_without_ids_resolves(self, key: str, scope: str, fuse: int | None) -> None:
        content = _sematext(key, scope, "0", is_over=True)
        in_model = partial(self.world.tool_resolves, "sematext", f"{scope}/{key}", scope)
        self._tool_says("sematext", content, in_model, fuse)

    def _next_mark(self) -> str:
        self.serial += 1
        return str(self.serial)

    def _tool_says(self, source: str, content: dict[str, Any], in_model: Callable[[], str], fuse: int | None) -> None:
        def answer() -> tuple[int, str]:
            if not self.world.sources[source].active:
                return 404, ""
            outcome = in_model()
            return (400, "") if outcome == "ignored" and source != "sematext" else (200, outcome)

        self.bench.both(lambda: self._posts(source, content), answer, fuse)

    def _posts(self, source: str, content: dict[str, Any]) -> tuple[int, str]:
        row = self.bench.source(source)
        answer: Answer = receive(
            row.integration.slug, row.integration_key, "POST", Payload(json.dumps(content).encode(), "application/json")
        )
        return answer.status, str(answer.content.get("outcome", ""))

    # People.

    @precondition(lambda self: self.world.incidents)
    @rule(place=places, name=names, deed=st.sampled_from(("accept", "resolve", "comment")), fuse=fuses)
    def somebody_acts(self, place: int, name: str, deed: str, fuse: int | None) -> None:
        incident = self._incident(place)
        if name not in self.world.people:
            return
        actor, now, incident_id = self.bench.user(name), self.world.now, self._id(incident)
        verb, same = {
            "accept": (services.accept, self.world.accept),
            "resolve": (services.resolve, self.world.resolve),
            "comment": (_comment, self.world.comment),
        }[deed]
        self.bench.both(lambda: verb(incident_id, actor, now).changed, lambda: same(incident, name), fuse)

    @precondition(lambda self: self.bench.letters)
    @rule(place=places, fuse=fuses)
    def somebody_accepts_by_the_link_in_a_message(self, place: int, fuse: int | None) -> None:
        message, letter = self.bench.letters[-1 - place % len(self.bench.letters)]
        if message.accept_now is None or len(letter.named) != 1:
            return
        path = urlsplit(message.accept_now.url).path
        ((incident, told),) = letter.named

        def in_model() -> int:
            person = self.world.people.get(told.person)
            if person is None or not person.active:
                return 404
            incident.had_it.add((told.person, told.method))
            self.world.accept(incident, person.name)
            return 200

        self.bench.both(lambda: self.client.post(path).status_code, in_model, fuse)
        if self.bench.fuse.blown and product.is_answered(letter.id):
            # It died after the answer and before the accept.
            incident.had_it.add((told.person, told.method))

    @rule(
        name=names, what=st.sampled_from(("leaves", "returns", "returns", "becomes admin", "is no admin", "is deleted"))
    )
    def somebody_comes_or_goes(self, name: str, what: str) -> None:
        person = self.world.people.get(name)
        if person is None:
            return
        rows = User.objects.filter(name=name)
        if what == "is deleted":
            rows.get().delete()
            self.world.forget(name)
        elif what in ("leaves", "returns"):
            person.active = what == "returns"
            rows.update(is_active=person.active)
        else:
            person.is_admin = what == "becomes admin"
            rows.update(role=Role.ADMIN if person.is_admin else Role.MEMBER)
        self.bench.compare()

    # How people are reached.

    @rule(
        name=names,
        place=places,
        what=st.sampled_from(("add method", "remove method", "add rule", "change rule", "remove rule")),
        channel=st.sampled_from(("email", "pager")),
        minutes=st.sampled_from((0, 1, 3, 10)),
    )
    def somebody_wants_to_be_reached_otherwise(
        self, name: str, place: int, what: str, channel: str, minutes: int
    ) -> None:
        person = self.world.people.get(name)
        if person is None:
            return
        if what == "add method" and len(person.methods) < 3:
            self.bench.add_method(person, channel)
        elif what == "remove method" and person.methods:
            self.bench.remove_method(person, sorted(person.methods)[place % len(person.methods)])
        elif what.endswith("rule") and person.rules:
            old = person.rules[place % len(person.rules)]
            new = Rule(old.priority, old.method, minutes)
            if what != "add rule" and (what == "remove rule" or new not in person.rules):
                self.bench.remove_rule(person, old)
            if what != "remove rule" and new not in person.rules:
                self.bench.add_rule(person, new)

    # Policies and sources.

    @rule(
        what=st.sampled_from(("edit", "edit", "add", "delete")),
        place=places,
        levels=levels,
        rounds=st.integers(1, 3),
        timing=timings,
    )
    def an_admin_changes_the_policies(
        self, what: str, place: int, levels: list[Level], rounds: int, timing: Timing
    ) -> None:
        if what == "edit":
            self._edit_policy(place, levels, rounds, timing)
        elif what == "add" and len(self.world.policies) < 3:
            self._add_policy(levels, rounds, timing)
        elif what == "delete" and len(self.world.policies) > 1:
            self._delete_policy(place)

    def _edit_policy(self, place: int, levels: list[Level], rounds: int, timing: Timing) -> None:
        name = self._policy(place)
        new = self._without_the_deleted(levels)
        rules = as_rules(new, self.bench.user)
        update_policy(
            self.bench.policy(name),
            name=name,
            rules=rules,
            repeating=rounds > 1,
            frequency=rounds,
            timing=timing,
        )
        self.world.policies[name] = Policy(new, rounds, timing.delay_minutes, timing.accept_timeout_minutes)

    def _add_policy(self, levels: list[Level], rounds: int, timing: Timing) -> None:
        self.serial += 1
        name = f"policy {self.serial}"
        new = self._without_the_deleted(levels)
        rules = as_rules(new, self.bench.user)
        create_policy(name, rules, repeating=rounds > 1, frequency=rounds, timing=timing)
        self.world.policies[name] = Policy(new, rounds, timing.delay_minutes, timing.accept_timeout_minutes)

    def _delete_policy(self, place: int) -> None:
        """Its sources have to follow another one first."""
        name = self._policy(place)
        heir = next(other for other in self.world.policies if other != name)
        for source, settings in self.world.sources.items():
            if settings.policy == name:
                settings.policy = heir
                self._configure(source)
        delete_policy(self.bench.policy(name))
        del self.world.policies[name]
        for incident in self.world.incidents:
            if incident.policy == name:
                incident.policy = None

    @rule(
        source=sources,
        place=places,
        priority=priorities,
        ends=st.sampled_from((None, None, 10, 60)),
        active=st.sampled_from((True, True, True, False)),
    )
    def an_admin_changes_a_source(self, source: str, place: int, priority: str, ends: int | None, active: bool) -> None:
        settings = self.world.sources[source]
        settings.policy, settings.priority, settings.auto_minutes = self._policy(place), priority, ends
        settings.active = active
        self._configure(source)

    def _configure(self, source: str) -> None:
        settings = self.world.sources[source]
        update_source(
            self.bench.source(source),
            name=source,
            escalation_policy=self.bench.policy(settings.policy),
            active=settings.active,
            options=Options(settings.priority, settings.auto_minutes),
        )

    # Time, the engine and the providers.

    @rule(wait=seconds)
    def time_passes_and_nobody_works(self, wait: int) -> None:
        self.bench.pass_time(wait)

    @rule(wait=seconds)
    def time_passes(self, wait: int) -> None:
        self.bench.pass_time(wait)
        self._work()

    @rule(fuse=st.integers(0, 12), part=st.sampled_from(PARTS), wait=st.sampled_from((0, 20, 60, 300, 1800)))
    def the_engine_dies(self, fuse: int, part: str, wait: int) -> None:
        self.bench.pass_time(wait)
        for step in PARTS:
            if not getattr(self.bench, step)(fuse if step == part else None):
                return

    @rule(wait=seconds, part=st.sampled_from(PARTS))
    def only_one_part_of_the_engine_works(self, wait: int, part: str) -> None:
        self.bench.pass_time(wait)
        getattr(self.bench, part)()

    @rule(name=names, place=places, how=st.sampled_from(("refuses for now", "refuses for good", "dies", "hangs")))
    def a_provider_fails(self, name: str, place: int, how: str) -> None:
        person = self.world.people.get(name)
        if person and person.methods:
            self.bench.behaviour[sorted(person.methods)[place % len(person.methods)]] = how

    @rule()
    def the_providers_recover(self) -> None:
        self.bench.behaviour.clear()

    def _work(self) -> None:
        self.bench.end_stale() and self.bench.escalate() and self.bench.deliver()

    # Names into things.

    def _incident(self, place: int) -> Incident:
        return self.world.incidents[-1 - place % len(self.world.incidents)]

    def _id(self, incident: Incident) -> int:
        return self.bench.ids[next(at for at, one in enumerate(self.world.incidents) if one is incident)]

    def _policy(self, place: int) -> str:
        return sorted(self.world.policies)[place % len(self.world.policies)]

    def _without_the_deleted(self, levels: list[Level]) -> list[Level]:
        return [Level(one.minutes, [name for name in one.people if name in self.world.people]) for one in levels]


def _comment(incident_id: int, actor: User, now: datetime) -> services.Result:
    return lifecycle.comment(incident_id, "I look at it.", actor, now)


def _sematext(key: str, scope: str, mark: str, is_over: bool) -> dict[str, str]:
    return {
        "description": f"{key.strip()} of web is at {mark} %",
        "applicationId": scope,
        "ruleType": "THRESHOLD",
        "backToNormal": str(is_over).lower(),
    }
