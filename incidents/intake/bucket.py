"""A token bucket: so many at once, so many a second over time."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """`rate` a second in the long run, `burst` at once."""

    rate: float
    burst: float


class Bucket:
    """What may still be taken under a limit. `now` is a monotonic clock's."""

    __slots__ = ("_at", "level")

    def __init__(self, limit: Limit, now: float) -> None:
        self.level = limit.burst
        self._at = now

    def take(self, amount: float, limit: Limit, now: float) -> bool:
        """Take `amount` out, if it is in there."""
        self.refill(limit, now)
        if self.level < amount:
            return False
        self.level -= amount
        return True

    def debit(self, amount: float, limit: Limit) -> None:
        """Take `amount` that was given out elsewhere: the level may go below nothing, but not endlessly."""
        self.level = max(self.level - amount, -limit.burst)

    def refill(self, limit: Limit, now: float) -> None:
        self.level = min(limit.burst, self.level + (now - self._at) * limit.rate)
        self._at = now

    def is_full(self, limit: Limit, now: float) -> bool:
        self.refill(limit, now)
        return self.level >= limit.burst

    def wait(self, amount: float, limit: Limit) -> float:
        """Return the seconds after which `amount` can be taken."""
        return max(0.0, (amount - self.level) / limit.rate)
