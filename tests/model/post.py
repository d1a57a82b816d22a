"""Every message that a provider was handed, held against the messages that the model asks for.

Exactly once, at its time and while it is wanted, as long as nothing fails. After a refusal it comes again, after a
death in the middle it may come again, with the id that it had.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tests.model.reference import Incident, Message, World

# A sender that died keeps its lease and its place among the senders of its channel for as long.
LEASE = timedelta(seconds=15)
# A message that was refused for now comes again within this.
RETRY = timedelta(minutes=6)
# So often it is tried at least, if every try is refused for now.
TRIES = 7
NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass
class Fate:
    """What has become of one message of the model's."""

    earliest: datetime
    latest: datetime
    ids: set[str] = field(default_factory=set)
    refusals: int = 0
    may_repeat: bool = False
    is_done: bool = False
    held: bool = False
    """A sender that is dead by now has it in its hands: for the product somebody may have been told."""


@dataclass(frozen=True)
class Letter:
    """A message as it was handed to a provider, and what it stands for."""

    id: str
    named: tuple[tuple[Incident, Message], ...]


class Post:
    def __init__(self, world: World) -> None:
        self._world = world
        self._fates: dict[int, tuple[Message, Fate]] = {}
        self._last: Letter | None = None
        self._handed: list[Letter] = []
        self._excused_until = world.now
        self.complaints: list[str] = []

    def fate(self, message: Message) -> Fate:
        # The message is kept beside its fate, so that no other ever has its address in memory.
        return self._fates.setdefault(id(message), (message, Fate(message.at, message.at)))[1]

    def arrives(self, method: str, message_id: str, incidents: list[Incident]) -> Letter:
        """A provider is handed a message now. Complain unless somebody has asked for it."""
        found = [(incident, self._match(method, message_id, incident)) for incident in incidents]
        letter = Letter(message_id, tuple((incident, message) for incident, message in found if message))
        if not incidents:
            self.complaints.append(f"a message to {method} names no incident")
        for _, message in letter.named:
            self.fate(message).ids.add(message_id)
        self._last = letter
        self._handed.append(letter)
        return letter

    def _match(self, method: str, message_id: str, incident: Incident) -> Message | None:
        mine = [message for message in incident.messages if message.method == method]
        wanted = [message for message in mine if self._world.is_wanted(incident, message)]
        known = [message for message in mine if message_id in self.fate(message).ids]
        new = [message for message in wanted if not self.fate(message).ids]
        if known:
            if known[0] not in wanted:
                self.complaints.append(f"told {method} again of {incident.key}, which is {incident.status}")
            elif not self.fate(known[0]).may_repeat:
                self.complaints.append(f"told {method} twice of {incident.key}")
            return known[0]
        if not new:
            self.complaints.append(f"told {method} of {incident.key} ({incident.status}), which nobody asked for")
            return None
        first = min(new, key=lambda message: self.fate(message).earliest)
        if self.fate(first).earliest > self._world.now:
            early = self.fate(first).earliest - self._world.now
            self.complaints.append(f"told {method} of {incident.key} {early} too early")
        return first

    # How it ended.

    def taken(self, letter: Letter) -> None:
        for _, message in letter.named:
            fate = self.fate(message)
            fate.is_done, fate.may_repeat, fate.held, message.sent = True, False, False, True

    def refused_for_now(self, letter: Letter) -> None:
        for incident, message in letter.named:
            fate = self.fate(message)
            fate.refusals += 1
            fate.may_repeat, fate.held, message.sent = True, False, False
            fate.latest = self._world.now + RETRY
            fate.is_done = fate.refusals >= TRIES
            for other in self._others(incident, message):
                self.fate(other).earliest = min(self.fate(other).earliest, self._world.now)

    def refused_for_good(self, letter: Letter) -> None:
        """The person's next method is used at once."""
        for incident, message in letter.named:
            incident.messages.remove(message)
            others = self._others(incident, message)
            if len(others) == 1 and not self.fate(others[0]).refusals:
                self.fate(others[0]).latest = min(self.fate(others[0]).latest, self._world.now)
            for other in others:
                self.fate(other).earliest = min(self.fate(other).earliest, self._world.now)

    def in_doubt(self, letter: Letter) -> None:
        """Whoever was sending is dead or hangs: the provider may have it, and nobody knows."""
        for _, message in letter.named:
            fate = self.fate(message)
            fate.may_repeat = fate.held = message.sent = True

    def _others(self, incident: Incident, message: Message) -> list[Message]:
        mine = [one for one in incident.messages if one is not message and one.person == message.person]
        return [one for one in mine if not one.sent and not self.fate(one).is_done]

    # When a sender dies.

    def sender_starts(self) -> None:
        self._last = None
        self._handed = []

    def unrecorded(self, held: list[tuple[Incident, str]]) -> None:
        """What a sender has handed over it records a batch at a time: whoever takes over sends what it still holds."""
        for letter in self._handed:
            for incident, message in letter.named:
                if (incident, message.method) in held:
                    self.fate(message).may_repeat = True

    def sender_died(self, held: list[tuple[Incident, str]]) -> None:
        """The last message may have gone out unrecorded; `held` are those whose lease has to run out first."""
        self.unrecorded(held)
        self._excused_until = max(self._excused_until, self._world.now + LEASE)
        for incident, message in self._last.named if self._last else ():
            fate = self.fate(message)
            fate.may_repeat, fate.held = True, fate.held or (incident, message.method) in held
        for incident, method in held:
            mine = [one for one in incident.messages if one.method == method]
            if not any(self.fate(one).held for one in mine):
                waiting = [one for one in mine if not self.fate(one).is_done]
                for message in sorted(waiting, key=lambda one: self.fate(one).earliest)[:1]:
                    self.fate(message).held = message.sent = True

    def leases_seen(self, held: list[tuple[Incident, str]]) -> None:
        """What was held, is so no longer and was not sent again was dropped: nobody counts it as told."""
        for incident in self._world.incidents:
            for message in list(incident.messages):
                if self.fate(message).held and (incident, message.method) not in held:
                    incident.messages.remove(message)

    # What must have happened by now.

    def all_gone(self) -> None:
        """Senders have just worked to the end: nothing may be left that is due and wanted."""
        is_excused = self._world.now < self._excused_until
        for incident in self._world.incidents:
            for message in list(incident.messages):
                fate = self.fate(message)
                must_be_over = fate.latest <= self._world.now and not is_excused
                if fate.is_done:
                    continue
                if self._world.is_wanted(incident, message):
                    if must_be_over:
                        self.complaints.append(f"did not tell {message.method} of {incident.key}, due {message.at}")
                elif fate.earliest <= self._world.now and not fate.held:
                    self._given_up(incident, message, is_certain=must_be_over)

    def _given_up(self, incident: Incident, message: Message, *, is_certain: bool) -> None:
        """Who is away when a message is due is not told of it later, unless nobody has looked at it yet."""
        if is_certain:
            incident.messages.remove(message)
        else:
            self.fate(message).latest = NEVER
