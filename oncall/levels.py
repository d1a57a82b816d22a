"""A policy as a person reads it: who is asked how long after the start."""

from dataclasses import dataclass

from accounts.models import User
from oncall.models import EscalationPolicy


@dataclass(frozen=True)
class Level:
    number: int
    minutes: int
    """After the incident was opened, when nobody has accepted it until then."""
    people: list[User]
    """Those who are asked."""
    not_asked: list[User]
    """Those who are named, but have left or only read now."""

    @property
    def reaches_nobody(self) -> bool:
        return not self.people


@dataclass(frozen=True)
class Course:
    """The levels of one round, and when the first round is over."""

    levels: list[Level]
    end: int
    rounds: int

    @property
    def gaps(self) -> list[Level]:
        return [level for level in self.levels if level.reaches_nobody]

    @property
    def reaches_nobody(self) -> bool:
        return len(self.gaps) == len(self.levels)


def course(policy: EscalationPolicy) -> Course:
    """Return what `policy` does. Costs no query when `rules__users` is prefetched."""
    levels: list[Level] = []
    minutes = policy.delay_minutes
    for number, rule in enumerate(policy.rules.all(), start=1):
        users = sorted(rule.users.all(), key=lambda user: str(user).lower())
        people = [user for user in users if not user.why_not_asked]
        levels.append(Level(number, minutes, people, [user for user in users if user.why_not_asked]))
        minutes += rule.escalation_timeout if people else 0  # a level that reaches nobody is skipped at once
    return Course(levels, minutes, policy.rounds)
