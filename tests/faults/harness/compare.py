"""What was acknowledged against what is stored, and what was due against what arrived."""

from __future__ import annotations

import email
import email.message
import email.policy
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import psycopg

from tests.faults.harness import world
from tests.faults.harness.load import Record
from tests.faults.harness.sinks import Arrival

# A step that fell due this shortly before its incident was resolved may rightly never be taken.
OVERTAKEN = 30.0


@dataclass(frozen=True)
class Incident:
    id: int
    key: int
    reported_at: float
    resolved_at: float | None


@dataclass(frozen=True)
class Message:
    """An arrival as its reader understands it."""

    at: float
    id: str
    person: int
    channel: str
    incidents: frozenset[int]
    is_notice: bool


@dataclass(frozen=True)
class Due:
    """A message that had to arrive. If `optional`, its incident was resolved so soon that it need not have."""

    incident: int
    person: int
    channel: str
    at: float
    optional: bool


@dataclass
class Verdict:
    """What the comparison found."""

    lost_events: list[int] = field(default_factory=list)
    incidents: int = 0
    openings: int = 0
    due: int = 0
    overtaken: int = 0
    missing: list[Due] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)
    latest: list[tuple[float, Due]] = field(default_factory=list)
    stories: dict[Due, str] = field(default_factory=dict)
    by_channel: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    messages: int = 0
    bundled: int = 0
    repeats: int = 0
    told_twice: int = 0
    unreadable: int = 0


def lost(database: str, record: Record) -> list[int]:
    """Return the ids of the events that were acknowledged and are not there."""
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT id, incident_key FROM incidents_event").fetchall()
    stored = dict(rows)
    return [one.event_id for one in record.acknowledged if stored.get(one.event_id) != world.key_name(one.key)]


def incidents(database: str) -> list[Incident]:
    """Return the incidents of the load."""
    names = {world.key_name(key): key for key in range(world.KEYS)}
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "SELECT id, incident_key, extract(epoch FROM reported_at)::float8, extract(epoch FROM resolved_at)::float8 "
            "FROM incidents_incident"
        ).fetchall()
    return [Incident(row[0], names[row[1]], row[2], row[3]) for row in rows if row[1] in names]


_STORY = """
SELECT concat_ws(', ',
    to_char(n.created_at, '"planned "HH24:MI:SS.MS'), n.state, 'in a bundle of ' || c.member_count,
    (SELECT string_agg(format('attempt %%s %%s–%%s %%s', number, to_char(started_at, 'HH24:MI:SS.MS'),
        to_char(finished_at, 'HH24:MI:SS.MS'), answer), ', ' ORDER BY number)
     FROM notifications_attempt WHERE notification_id IN (n.id, n.carrier_id)))
FROM notifications_notification n
JOIN incidents_logentry l ON l.notification_id = n.id AND l.incident_id = %(incident)s
JOIN accounts_user u ON u.id = n.user_id AND u.email = %(email)s
LEFT JOIN notifications_notification c ON c.id = n.carrier_id
WHERE n.channel = %(channel)s ORDER BY n.created_at
"""


def story(database: str, due: Due) -> str:
    """Return what the product knows of the messages of a step, for whoever has to find out why it was late."""
    with psycopg.connect(database) as connection:
        rows = connection.execute(_STORY, vars(due) | {"email": world.email_address(due.person)}).fetchall()
    return "; ".join(told for (told,) in rows) or "never planned"


def expected(found: Iterable[Incident], until: float) -> list[Due]:
    """Return what had to arrive for all that fell due before `until`, by the policies of `world`."""
    dues = []
    for incident in found:
        end = incident.resolved_at
        for step in world.steps(world.source_of(incident.key)):
            at = incident.reported_at + step.delay
            if at < until and (end is None or at < end):
                optional = end is not None and end - at < OVERTAKEN
                dues.append(Due(incident.id, step.person, step.channel, at, optional))
    return dues


def read(arrival: Arrival) -> Message | None:
    """Return what an arrival says; None for what is not to a person of `world`, such as a word to the admins."""
    if arrival.person < 0:
        return None
    message_id, title, text = (_read_mail if arrival.channel == world.EMAIL else _read_json)(arrival.raw)
    named = frozenset(numbers(text))
    return Message(arrival.at, message_id, arrival.person, arrival.channel, named, _is_notice(title))


def _read_mail(raw: bytes) -> tuple[str, str, str]:
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    part = mail.get_body(("plain",))  # type: ignore[attr-defined]
    return str(mail["X-ILert-Notification"]), str(mail["Subject"]), part.get_content()


def _read_json(raw: bytes) -> tuple[str, str, str]:
    content = json.loads(raw)
    return content["id"], content["title"], content["text"]


def numbers(text: str) -> set[int]:
    """Return the incidents that a text names: "#4–#7, #9"."""
    found: set[int] = set()
    for first, last in re.findall(r"#(\d+)(?:–#(\d+))?", text):
        found |= set(range(int(first), int(last or first) + 1))
    return found


def _is_notice(title: str) -> bool:
    return bool(re.match(r"(\d+ messages, newest: )?Resolved", title))


def compare(dues: list[Due], arrivals: list[Arrival], verdict: Verdict, begin: Callable[[float, float], float]) -> None:
    """Fill `verdict` with what became of everything that was due.

    `begin` says since when a step counts as late, from the times when it was due and when it arrived.
    """
    messages = [message for arrival in arrivals if (message := read(arrival))]
    first, ids = _by_step(messages)
    seen = Counter((message.id, message.channel) for message in messages)
    verdict.messages = len(messages)
    verdict.bundled = sum(len(message.incidents) > 1 for message in messages)
    verdict.repeats = sum(count - 1 for count in seen.values())
    verdict.unreadable = sum(not message.incidents for message in messages)
    verdict.told_twice = sum(len(different) > 1 for different in ids.values())
    for due in dues:
        arrived = first.get((due.incident, due.person, due.channel))
        if arrived is not None:
            _note(verdict, due, arrived - begin(due.at, arrived))
        elif due.optional:
            verdict.overtaken += 1
        else:
            verdict.missing.append(due)
    verdict.due = len(dues)
    verdict.latest = sorted(verdict.latest, key=lambda late: -late[0])[:10]


def _note(verdict: Verdict, due: Due, lateness: float) -> None:
    verdict.lateness.append(lateness)
    verdict.by_channel[due.channel].append(lateness)
    verdict.latest.append((lateness, due))


Steps = dict[tuple[int, int, str], float]


def _by_step(messages: list[Message]) -> tuple[Steps, dict[tuple[int, int, str], set[str]]]:
    """Return, by (incident, person, channel), when a page about it first arrived, and under which ids."""
    first: Steps = {}
    ids: dict[tuple[int, int, str], set[str]] = defaultdict(set)
    for message in messages:
        if message.is_notice:
            continue
        for incident in message.incidents:
            step = (incident, message.person, message.channel)
            first[step] = min(first.get(step, message.at), message.at)
            ids[step].add(message.id)
    return first, ids
