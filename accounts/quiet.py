"""When somebody is left alone: quiet hours, on the clock on their wall. Pure: no clock and no database."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
EVERY_DAY = "0123456"


@dataclass(frozen=True)
class QuietHours:
    """From `start` to `end` in `zone`; over midnight when `end` is not later. `days` (0 is Monday) are those on which
    they begin: the night that begins on Friday ends on Saturday."""

    start: time
    end: time
    days: frozenset[int]
    zone: ZoneInfo

    def until(self, moment: datetime) -> datetime | None:
        """Return when the quiet hours that hold at `moment` end, or None when there are none then."""
        today = moment.astimezone(self.zone).date()
        ends = [self._end_of(day, moment) for day in (today - timedelta(days=1), today)]
        return max((end for end in ends if end), default=None)

    def _end_of(self, day: date, moment: datetime) -> datetime | None:
        if day.weekday() not in self.days:
            return None
        last_day = day if self.end > self.start else day + timedelta(days=1)
        end = instant(last_day, self.end, self.zone)
        return end if instant(day, self.start, self.zone) <= moment < end else None

    def __str__(self) -> str:
        days = "every day" if len(self.days) == len(DAYS) else ", ".join(DAYS[day] for day in sorted(self.days))
        return f"{self.start:%H:%M} to {self.end:%H:%M}, {days}"


def instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """Return when the clock on the wall first shows `at` or later on `day`.

    A time that comes twice on a night of a clock change counts from its first; one that is left out, from the jump.
    """
    wall = datetime.combine(day, at)
    late = wall.replace(tzinfo=zone).astimezone(UTC)
    early = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if _wall(late, zone) == wall:
        return late
    while late - early > timedelta(seconds=1):
        middle = early + (late - early) / 2
        early, late = (early, middle) if _wall(middle, zone) >= wall else (middle, late)
    return late.replace(microsecond=0)


def _wall(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)
