"""The installation that is under load: who is asked about what, and by which channel after how long."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

PEOPLE = 200
KEYS = 2000
LEVEL_SECONDS = 60
# After the second level nobody else is asked for longer than any incident lives here.
LAST_LEVEL_MINUTES = 30
# Nothing lives that long here, so it is used only when mail fails.
LAST_RESORT_SECONDS = 600
WEBHOOK, EMAIL = "webhook", "email"


@dataclass(frozen=True)
class Step:
    """A message that an incident asks for, `delay` seconds after it was opened."""

    person: int
    channel: str
    delay: int


def source_of(key: int) -> int:
    """Each person has a source whose incidents ask that person first."""
    return key % PEOPLE


def levels(source: int) -> list[int]:
    return [source, (source + 1) % PEOPLE]


def method_delays(person: int) -> dict[str, int]:
    """Every fourth person is mailed only when a minute has gone by; another fourth trusts in mail alone at first."""
    if person % 4 == 1:
        return {WEBHOOK: 0, EMAIL: 60}
    return {WEBHOOK: LAST_RESORT_SECONDS if is_mail_first(person) else 0, EMAIL: 0}


def is_mail_first(person: int) -> bool:
    return person % 4 == 3


def steps(source: int) -> list[Step]:
    """Return everything that an incident of the source asks for while nobody answers."""
    return [
        Step(person, channel, level * LEVEL_SECONDS + method_delays(person)[channel])
        for (level, person), channel in product(enumerate(levels(source)), (WEBHOOK, EMAIL))
    ]


def key_name(key: int) -> str:
    return f"host-{key:04d}/disk"


def email_address(person: int) -> str:
    return f"p{person}@sink.test"


def webhook_path(person: int) -> str:
    return f"/p{person}"
