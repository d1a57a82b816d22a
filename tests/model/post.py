"""Every message that a provider was handed, held against the messages that the model asks for.

Exactly once, at its time and while it is wanted, as long as nothing fails. After a refusal it comes again, after a
death in the middle it may come again, with the id that it had.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tests.model.reference import Incident, Message, World
from tests.model.stage import CHANNELS, channel_of

# A sender that died keeps its lease and its place among the senders of its channel for as long.
LEASE = timedelta(seconds=15)
# A message that was refused for now comes again within this.
RETRY = timedelta(minutes=6)
# So often it is tried at least, and for about so long, if every try is refused for now or its sender dies.
TRIES, TRIED_FOR, LONGEST_WAIT = 7, timedelta(minutes=30), timedelta(minutes=3)
NEVER = datetime.max.replace(tzinfo=UTC)
# A provider that has refused so often in a row is left alone, for a minute at most until one message tries. It counts
# from the end of an attempt, which is a moment after its beginning.
SICK, LEFT_ALONE = 3, timedelta(seconds=61)
# More than these within a minute, to one contact method, are told in bundles, whose distance is a minute at most.
HANDFUL, LATELY = 5, timedelta(seconds=60)


@dataclass
class Fate:
    """What has become of one message of the model's."""

    earliest: datetime
    latest: datetime
    ids: set[str] = field(default_factory=set)
    tries: int = 0
    first_tried_at: datetime = NEVER
    may_repeat: bool = False
    is_done: bool = False
    held: bool = False
    """A sender that is dead by now has it in its hands: for the product somebody may have been told."""
    was_held: bool = False
    """The person's next method may have been called in since."""

    def tried(self, now: datetime) -> None:
        self.tries += 1
        self.first_tried_at = min(self.first_tried_at, now)

    def may_be_given_up(self, now: datetime) -> bool:
        return self.tries >= TRIES and now + LONGEST_WAIT > self.first_tried_at + TRIED_FOR


@dataclass
class Health:
    """What is known of a provider: how often in a row it has refused for now, and until when it may be left alone."""

    refusals: int
    left_alone_until: datetime

    @property
    def is_sick(self) -> bool:
        return self.refusals >= SICK


@dataclass(frozen=True)
class Letter:
    """A message as it was handed to a provider, and what it stands for."""

    id: str
    method: str
    named: tuple[tuple[Incident, Message], ...]


class Post:
    def __init__(self, world: World) -> None:
        self._world = world
        self._fates: dict[int, tuple[Message, Fate]] = {}
        self._last: Letter | None = None
        self._handed: list[Letter] = []
        self._excused_until = world.now
        self._gone_out: list[tuple[datetime, Letter]] = []
        self._health = {channel: Health(0, world.now) for channel in CHANNELS}
        self._refusals_before = dict.fromkeys(CHANNELS, 0)
        self.complaints: list[str] = []

    def fate(self, message: Message) -> Fate:
        # The message is kept beside its fate, so that no other ever has its address in memory.
        return self._fates.setdefault(id(message), (message, Fate(message.at, message.at)))[1]

    def arrives(self, method: str, message_id: str, incidents: list[Incident]) -> Letter:
        """A provider is handed a message now. Complain unless somebody has asked for it."""
        is_bundle = len(incidents) > 1
        found = [
            (incident, message)
            for incident in incidents
            for message in self._match(method, message_id, incident)[: None if is_bundle else 1]
        ]
        letter = Letter(message_id, method, tuple(found))
        if not incidents:
            self.complaints.append(f"a message to {method} names no incident")
        for _, message in letter.named:
            self.fate(message).ids.add(message_id)
            self.fate(message).tried(self._world.now)
        self._last = letter
        self._handed.append(letter)
        self._gone_out.append((self._world.now, letter))
        return letter

    def _match(self, method: str, message_id: str, incident: Incident) -> list[Message]:
        """Return what a message that names the incident stands for; a bundle may stand for all that is due."""
        mine = [message for message in incident.messages if message.method == method]
        wanted = [message for message in mine if self._world.is_wanted(incident, message)]
        known = [message for message in mine if message_id in self.fate(message).ids]
        new = [message for message in wanted if not self.fate(message).ids]
        if known:
            if known[0] not in wanted:
                self.complaints.append(f"told {method} again of {incident.key}, which is {incident.status}")
            elif not self.fate(known[0]).may_repeat:
                self.complaints.append(f"told {method} twice of {incident.key}")
            return known
        if not new:
            self.complaints.append(f"told {method} of {incident.key} ({incident.status}), which nobody asked for")
            return []
        # Of several that may come by now, the one that must.
        first, *others = sorted(new, key=lambda message: (self.fate(message).earliest, self.fate(message).latest))
        if self.fate(first).earliest > self._world.now and not self._is_called_in(incident, first):
            early = self.fate(first).earliest - self._world.now
            self.complaints.append(f"told {method} of {incident.key} {early} too early")
        return [first, *(message for message in others if self.fate(message).earliest <= self._world.now)]

    def _is_called_in(self, incident: Incident, message: Message) -> bool:
        """Whether another method of the person was in a dead sender's hands, or waits for a provider left alone."""
        due = [other for other in self._others(incident, message) if self.fate(other).earliest <= self._world.now]
        return any(self.fate(other).was_held for other in self._by_other_methods(incident, message)) or any(
            self._health[channel_of(other.method)].is_sick for other in due
        )

    # How it ended.

    def taken(self, letter: Letter) -> None:
        self._health[channel_of(letter.method)].refusals = 0
        for _, message in letter.named:
            fate = self.fate(message)
            fate.is_done, fate.may_repeat, fate.held, message.sent = True, False, False, True

    def refused_for_now(self, letter: Letter) -> None:
        health = self._health[channel_of(letter.method)]
        health.refusals += 1
        if health.is_sick:
            health.left_alone_until = self._world.now + LEFT_ALONE
        for incident, message in letter.named:
            fate = self.fate(message)
            fate.may_repeat, fate.held, message.sent = True, False, False
            fate.latest = self._world.now + RETRY
            fate.is_done = fate.may_be_given_up(self._world.now)
            for other in self._others(incident, message):
                self.fate(other).earliest = min(self.fate(other).earliest, self._world.now)

    def refused_for_good(self, letter: Letter) -> None:
        """The person's next method is used at once. The provider is there: it has answered."""
        self._health[channel_of(letter.method)].refusals = 0
        for incident, message in letter.named:
            incident.messages.remove(message)
            others = self._others(incident, message)
            if len(others) == 1 and not self.fate(others[0]).tries:
                self.fate(others[0]).latest = min(self.fate(others[0]).latest, self._world.now)
            for other in others:
                self.fate(other).earliest = min(self.fate(other).earliest, self._world.now)

    def in_doubt(self, letter: Letter) -> None:
        """Whoever was sending is dead or hangs: the provider may have it, and nobody knows."""
        for _, message in letter.named:
            self._hold(message)
            self.fate(message).may_repeat = True

    def _others(self, incident: Incident, message: Message) -> list[Message]:
        """Return what else waits for the person, by another method."""
        mine = self._by_other_methods(incident, message)
        return [one for one in mine if not one.sent and not self.fate(one).is_done]

    def _by_other_methods(self, incident: Incident, message: Message) -> list[Message]:
        return [one for one in incident.messages if one.person == message.person and one.method != message.method]

    def _hold(self, message: Message) -> None:
        """A sender that cannot say so any more has it, or has handed it over: the person may have been told."""
        fate = self.fate(message)
        fate.held = fate.was_held = message.sent = True

    # When a sender dies.

    def sender_starts(self) -> None:
        self._last = None
        self._handed = []
        self._refusals_before = {channel: health.refusals for channel, health in self._health.items()}

    def unrecorded(self, held: list[tuple[Incident, str]]) -> None:
        """What a sender has handed over it records a batch at a time: whoever takes over sends what it still holds."""
        for letter in self._handed:
            for incident, message in letter.named:
                if (incident, message.method) in held:
                    # Nor is it written down that the provider has answered.
                    channel = channel_of(message.method)
                    health = self._health[channel]
                    health.refusals = max(health.refusals, self._refusals_before[channel])
                    self.fate(message).may_repeat = True
                    self._hold(message)
                    if message not in incident.messages:
                        # Refused for good, which is not written down either.
                        incident.messages.append(message)

    def sender_died(self, held: list[tuple[Incident, str]]) -> None:
        """The last message may have gone out unrecorded; `held` are those whose lease has to run out first."""
        self.unrecorded(held)
        self._excused_until = max(self._excused_until, self._world.now + LEASE)
        for _, message in self._last.named if self._last else ():
            self.fate(message).may_repeat = True
        for incident, method in held:
            mine = [one for one in incident.messages if one.method == method]
            if not any(self.fate(one).held for one in mine):
                waiting = [one for one in mine if not self.fate(one).is_done]
                for message in sorted(waiting, key=lambda one: self.fate(one).earliest)[:1]:
                    self._hold(message)
                    self.fate(message).tried(self._world.now)

    def leases_seen(self, held: list[tuple[Incident, str]]) -> None:
        """What was held, is so no longer and was not sent again was dropped: nobody counts it as told.

        Unless it is still wanted: then it has to come.
        """
        for incident in self._world.incidents:
            for message in list(incident.messages):
                fate = self.fate(message)
                if not fate.held or (incident, message.method) in held:
                    continue
                if self._world.is_wanted(incident, message):
                    fate.held = fate.is_done = message.sent = False
                else:
                    incident.messages.remove(message)

    # What must have happened by now.

    def all_gone(self) -> None:
        """Senders have just worked to the end: nothing may be left that is due and wanted."""
        is_excused = self._world.now < self._excused_until
        for incident in self._world.incidents:
            for message in list(incident.messages):
                fate = self.fate(message)
                health = self._health[channel_of(message.method)]
                is_left_alone = health.is_sick and self._world.now < health.left_alone_until
                may_wait = is_excused or is_left_alone or (self._waits(fate) and self._is_crowded(message.method))
                must_be_over = fate.latest <= self._world.now and not may_wait
                if fate.is_done:
                    continue
                if self._world.is_wanted(incident, message):
                    if must_be_over:
                        self.complaints.append(f"did not tell {message.method} of {incident.key}, due {message.at}")
                elif fate.earliest <= self._world.now and not fate.held:
                    self._given_up(incident, message, is_certain=must_be_over)

    def _is_crowded(self, method: str) -> bool:
        """Whether so much has gone out there lately that what waits may do so until the next bundle."""
        lately = [each for at, each in self._gone_out if each.method == method and at > self._world.now - LATELY]
        messages = [message for incident in self._world.incidents for message in incident.messages]
        waiting = [one for one in messages if one.method == method and self._waits(self.fate(one))]
        return bool(lately) and sum(len(letter.named) for letter in lately) + len(waiting) > HANDFUL

    def _waits(self, fate: Fate) -> bool:
        return not fate.ids and fate.earliest <= self._world.now

    def _given_up(self, incident: Incident, message: Message, *, is_certain: bool) -> None:
        """Who is away when a message is due is not told of it later, unless nobody has looked at it yet."""
        if is_certain:
            incident.messages.remove(message)
        else:
            self.fate(message).latest = NEVER
