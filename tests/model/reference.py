"""What should happen: lifecycle and escalation in the plainest form, without a database, threads or failures.

Read it beside design §5. It knows people, policies, sources and incidents by their names, and one clock that somebody
else moves. Whatever the product does is compared with this.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

PENDING, ACCEPTED, RESOLVED = "pending", "accepted", "resolved"
HIGH, LOW = "high", "low"
# A level that is asked later than this has its minutes from then on; else they count from when it was due.
VERY_LATE = timedelta(minutes=2)
REMIND = 30


@dataclass
class Rule:
    """After `minutes` a person is told through `method` of incidents of this priority."""

    priority: str
    method: str
    minutes: int


@dataclass
class Person:
    name: str
    is_admin: bool
    active: bool = True
    methods: set[str] = field(default_factory=set)
    rules: list[Rule] = field(default_factory=list)


@dataclass
class Level:
    """These people are asked, and have `minutes` before the next level is."""

    minutes: int
    people: list[str]


@dataclass
class Policy:
    levels: list[Level]
    rounds: int = 1
    delay: int = 0
    """Minutes before the first level; they pass once for each incident that an event starts."""
    accept_timeout: int | None = None
    """An accepted incident about which no person does anything for so many minutes asks again."""


@dataclass
class Source:
    policy: str
    priority: str
    auto_minutes: int | None = None
    active: bool = True


@dataclass
class Run:
    """The policy as it was when the escalation began, laid out as a list of (round, level's number, level)."""

    course: list[tuple[int, int, Level]]
    reaches_somebody: bool
    only_one: bool
    place: int = 0
    reminders: int = 0
    delay: int = 0
    accept_timeout: int | None = None
    again: int = 0
    """How often it has asked again since a person did anything."""


@dataclass(eq=False)
class Message:
    """A person is to be told through a method, not before `at`. `notice`: that it is over."""

    person: str
    method: str
    at: datetime
    notice: bool = False
    again: bool = False
    """Asks about what was accepted already."""
    sent: bool = False
    """The provider has it, so the person was told."""


@dataclass(eq=False)
class Incident:
    source: str
    key: str
    scope: str
    policy: str | None
    priority: str
    due: datetime | None
    ends: datetime | None
    status: str = PENDING
    responder: str | None = None
    alerts: int = 1
    run: Run | None = None
    timeline: list[tuple[str, ...]] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    """What is to be sent or was; what was cancelled is not here any more."""
    had_it: set[tuple[str, str]] = field(default_factory=set)
    """Who acted on a message, and through which method it had come: they have had it, whatever its sender knew."""

    @property
    def is_open(self) -> bool:
        return self.status != RESOLVED

    def log(self, *entry: str) -> None:
        self.timeline.append(entry)


@dataclass
class World:
    now: datetime
    people: dict[str, Person] = field(default_factory=dict)
    policies: dict[str, Policy] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    incidents: list[Incident] = field(default_factory=list)

    # Events of tools. Each returns what becomes of the event.

    def alert(self, source_name: str, key: str, scope: str, priority: str | None) -> str:
        source = self.sources[source_name]
        priority = priority or source.priority
        ends = self.now + timedelta(minutes=source.auto_minutes) if source.auto_minutes else None
        incident = next((one for one in self._of_key(source_name, key) if one.is_open), None)
        if incident is None:
            self.incidents.append(Incident(source_name, key, scope, source.policy, priority, self.now, ends))
            return "opened"
        incident.alerts += 1
        incident.ends = ends
        if priority == HIGH and incident.priority == LOW:
            incident.priority = HIGH
            if incident.status == PENDING:
                incident.run, incident.due = None, self.now
            elif incident.run:
                incident.run.only_one = False
        return "appended"

    def tool_accepts(self, source_name: str, key: str) -> str:
        known = self._of_key(source_name, key)
        changed = [self.accept(incident, None) for incident in known if incident.is_open]
        return "accepted" if any(changed) else "ignored"

    def tool_comments(self, source_name: str, key: str) -> str:
        return "appended" if any(incident.is_open for incident in self._of_key(source_name, key)) else "ignored"

    def tool_resolves(self, source_name: str, key: str, scope: str) -> str:
        """The scope counts only if the key never had an incident, and only if it leaves no choice."""
        found = self._of_key(source_name, key) or [
            one for one in self.incidents if one.source == source_name and scope and one.scope == scope and one.is_open
        ]
        if not self._of_key(source_name, key) and len(found) > 1:
            for incident in found:
                if ("recovery.ambiguous",) not in incident.timeline:
                    incident.log("recovery.ambiguous")
            return "ambiguous"
        changed = [self.resolve(incident, None) for incident in found]
        return "resolved" if any(changed) else "ignored"

    def _of_key(self, source_name: str, key: str) -> list[Incident]:
        same = [one for one in self.incidents if one.source == source_name]
        return [one for one in same if one.key.strip().casefold() == key.strip().casefold()]

    # Deeds of people; None is the tool.

    def accept(self, incident: Incident, person: str | None) -> bool:
        if incident.status != PENDING:
            return self._accept_again(incident, person) if person else False
        incident.status, incident.responder = ACCEPTED, person
        self._stop(incident)
        self._count_anew(incident)
        if person:
            incident.log("accepted", person)
        return True

    def _accept_again(self, incident: Incident, person: str) -> bool:
        """Whoever has it says so once more; once it asks again, anybody may have it."""
        asks = incident.run is not None and incident.run.again > 0
        if incident.status != ACCEPTED or incident.due is None or not (asks or person == incident.responder):
            return False
        incident.log("accepted.still" if person == incident.responder else "accepted", person)
        incident.responder = person
        self._something_done(incident)
        return True

    def comment(self, incident: Incident, person: str) -> bool:
        incident.log("commented", person)
        if incident.status == ACCEPTED and incident.due:
            self._something_done(incident)
        return True

    def _something_done(self, incident: Incident) -> None:
        if incident.run and incident.run.again:
            self._stop(incident)
        self._count_anew(incident)

    def _count_anew(self, incident: Incident) -> None:
        policy = self.policies[incident.policy] if incident.policy else Policy([])
        minutes = incident.run.accept_timeout if incident.run else policy.accept_timeout
        incident.due = self.now + timedelta(minutes=minutes) if minutes else None
        if incident.run:
            incident.run.again = 0

    def resolve(self, incident: Incident, person: str | None) -> bool:
        if incident.status == RESOLVED:
            return False
        incident.status = RESOLVED
        self._stop(incident)
        if person:
            incident.log("resolved", person)
        told = {(message.person, message.method) for message in incident.messages} | incident.had_it
        for name, method in sorted(told):
            if name != person and self.exists(method):
                incident.messages.append(Message(name, method, self.now, notice=True))
                incident.log("notified.resolved", method)
        return True

    def _stop(self, incident: Incident) -> None:
        incident.due = None
        incident.messages = [message for message in incident.messages if message.sent]

    # What time does.

    def end_stale(self, incident: Incident) -> None:
        """Without an event for a while an incident is over, whoever has accepted it."""
        if incident.is_open and incident.ends and incident.ends <= self.now:
            self.resolve(incident, None)
            incident.log("resolved.auto")

    def is_due(self, incident: Incident) -> bool:
        return incident.due is not None and incident.due <= self.now

    def step(self, incident: Incident) -> None:
        """Ask the next level that has somebody; after the last one tell the admins.

        A level that reaches nobody costs no time: the incident stays due.
        """
        assert incident.due is not None
        asked_at = self.now if self.now - incident.due > VERY_LATE else incident.due
        run = incident.run = incident.run or self._begin(incident)
        if incident.status == ACCEPTED:
            self._ask_again(incident, run, asked_at)
            return
        if run.delay:
            incident.log("delayed", str(run.delay))
            incident.due, run.delay = asked_at + timedelta(minutes=run.delay), 0
            return
        while run.place < len(run.course):
            round_number, number, level = run.course[run.place]
            run.place += 1
            people = [self.people[name] for name in level.people if name in self.people]
            active = [person for person in people if person.active]
            if not active:
                incident.log("level.skipped", str(number))
                if not level.people:
                    continue
                return
            incident.log("level.asked", str(number), str(round_number), ", ".join(one.name for one in active))
            ways = [self._tell(incident, person, asked_at) for person in active]
            if any(ways):
                incident.due = None if run.only_one else asked_at + timedelta(minutes=level.minutes)
            return
        self._tell_admins(incident, run, asked_at)

    def _begin(self, incident: Incident) -> Run:
        """Lay out the policy as it is now; LOW priority asks one level only. Who has left by now is not in it."""
        policy = self.policies[incident.policy] if incident.policy else Policy([])
        levels = [
            Level(level.minutes, [name for name in level.people if self.people[name].active]) for level in policy.levels
        ]
        reaches_somebody = any(level.people for level in levels)
        rounds = policy.rounds if reaches_somebody else 1
        course = [
            (round_number, number, level)
            for round_number in range(1, rounds + 1)
            for number, level in enumerate(levels, start=1)
        ]
        only_one = incident.priority == LOW
        return Run(course, reaches_somebody, only_one, delay=policy.delay, accept_timeout=policy.accept_timeout)

    def _ask_again(self, incident: Incident, run: Run, asked_at: datetime) -> None:
        """Ask whoever has it and the first level; the admins if none of them can be reached."""
        if run.accept_timeout is None:
            incident.due = None
            return
        run.again += 1
        first = next((level.people for _, _, level in run.course if level.people), [])
        names = dict.fromkeys([*([incident.responder] if incident.responder else []), *first])
        people = [self.people[name] for name in names if name in self.people and self.people[name].active]
        incident.log("asked.again", ", ".join(person.name for person in people) or "the admins")
        ways = [self._tell(incident, person, asked_at, again=True) for person in people]
        if not any(ways):
            for person in self.people.values():
                if person.is_admin and person.active:
                    self._tell(incident, person, asked_at, again=True)
        incident.due = asked_at + timedelta(minutes=run.accept_timeout)

    def _tell(self, incident: Incident, person: Person, asked_at: datetime, again: bool = False) -> bool:
        rules = [rule for rule in person.rules if rule.priority == incident.priority]
        if not rules:
            incident.log("person.unreachable", person.name)
        for rule in rules:
            at = asked_at + timedelta(minutes=rule.minutes)
            incident.messages.append(Message(person.name, rule.method, at, again=again))
            incident.log("notified.again" if again else "notified", rule.method)
        return bool(rules)

    def _tell_admins(self, incident: Incident, run: Run, asked_at: datetime) -> None:
        if run.reminders == 0:
            incident.log("nobody.answered" if run.reaches_somebody else "nobody.to_ask")
        run.reminders += 1
        for person in self.people.values():
            if person.is_admin and person.active:
                self._tell(incident, person, asked_at)
        incident.due = None if run.only_one else asked_at + timedelta(minutes=REMIND)

    # Whether a message may still go out.

    def exists(self, method: str) -> bool:
        return any(method in person.methods for person in self.people.values())

    def is_wanted(self, incident: Incident, message: Message) -> bool:
        person = self.people.get(message.person)
        if person is None or not person.active or message.method not in person.methods:
            return False
        asks_again = incident.status == ACCEPTED and incident.run is not None and incident.run.again > 0
        return message.notice or incident.status == PENDING or (message.again and asks_again)

    # Somebody is gone for good.

    def forget(self, name: str) -> None:
        del self.people[name]
        for policy in self.policies.values():
            for level in policy.levels:
                level.people = [other for other in level.people if other != name]
        for incident in self.incidents:
            if incident.responder == name:
                incident.responder = None
