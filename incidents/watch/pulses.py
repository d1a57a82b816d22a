"""Signs of life. A process writes its own from the place where it does its work: who hangs falls silent."""

import socket
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Max, Q

from ilert.common.clock import database_now
from incidents.watch.models import Pulse, Role

INTERVAL = 5.0
# A worker whose every process sends a slow message takes a while to answer.
SILENT_AFTER = timedelta(seconds=25)
GAP = timedelta(seconds=15)
JUMP = 5.0
# A slower answer says too little about whose clock is right.
PROMPT = 1.0
FORGET_AFTER = timedelta(hours=1)
_FIELDS = ("version", "started_at", "last_seen_at", "did", "clock_skew", "clock_jump", "clock_jump_at")


@dataclass(frozen=True)
class _Reading:
    """The database's time, and the moments on this host's steady clock between which it was read."""

    now: datetime
    before: float
    after: float


class Beat:
    """One process's pulse: knows its clocks, and writes the row."""

    def __init__(self, role: Role, pid: int, born: float) -> None:
        """`born` is when the process started, on the steady clock that `steady()` reads."""
        self._role = role
        self._host = socket.gethostname()[:255]
        self._pid = pid
        self._born = born
        self._skew = 0.0
        self._last: _Reading | None = None
        self._jump = 0.0
        self._jump_at: datetime | None = None
        self._gap: tuple[datetime, datetime] | None = None

    def write(self, did: str) -> datetime:
        """Say that the process did something just now. Returns the database's time."""
        reading = self._look_at_clocks()
        now = reading.now
        pulse = Pulse(
            role=self._role,
            host=self._host,
            pid=self._pid,
            version=settings.VERSION,
            started_at=now - timedelta(seconds=reading.after - self._born),
            last_seen_at=now,
            did=did,
            clock_skew=self._skew,
            clock_jump=self._jump,
            clock_jump_at=self._jump_at,
        )
        fields = list(_FIELDS)
        if self._role == Role.TICKER:
            self._note_gap(now)
            pulse.gap_from, pulse.gap_until = self._gap or (None, None)
            fields += ["gap_from", "gap_until"]
        Pulse.objects.bulk_create(
            [pulse], update_conflicts=True, unique_fields=["role", "host", "pid"], update_fields=fields
        )
        return now

    def remove(self) -> None:
        """Say that the process ends as it should."""
        Pulse.objects.filter(role=self._role, host=self._host, pid=self._pid).delete()

    def _look_at_clocks(self) -> _Reading:
        """Read the database's clock, and notice if it moved otherwise than the host's steady one."""
        before = steady()
        reading = _Reading(database_now(), before, steady())
        if reading.after - before < PROMPT:
            self._skew = time.time() - reading.now.timestamp()
        if self._last:
            jump = clock_jump(self._last, reading)
            if abs(jump) > JUMP:
                self._jump, self._jump_at = jump, reading.now
        self._last = reading
        return reading

    def _note_gap(self, now: datetime) -> None:
        newest = Pulse.objects.filter(role=Role.TICKER, last_seen_at__lte=now).aggregate(Max("last_seen_at"))
        last = newest["last_seen_at__max"]
        if last and now - last > GAP:
            self._gap = (last, now)


def steady() -> float:
    """Return seconds of a clock that nobody sets. It goes on while the machine sleeps: that is a gap and no jump."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def clock_jump(earlier: _Reading, later: _Reading) -> float:
    """Return by how many seconds the database's clock moved too far; 0 for what slow reading may explain."""
    moved = (later.now - earlier.now).total_seconds()
    least, most = later.before - earlier.after, later.after - earlier.before
    return moved - most if moved > most else min(moved - least, 0.0)


def is_silent(pulse: Pulse, now: datetime) -> bool:
    return now - pulse.last_seen_at > SILENT_AFTER


def forget_replaced(now: datetime) -> int:
    """Delete the rows of processes that were killed and have a successor. Returns how many.

    One that started on the same host after the old one's last sign of life replaces one. What was not replaced is
    kept, so that it is missed; for an hour if others of its role live, else until one does.
    """
    pulses = list(Pulse.objects.filter(last_seen_at__lte=now).order_by("last_seen_at"))
    living = [pulse for pulse in pulses if not is_silent(pulse, now)]
    free = list(living)
    gone = Q(pk__in=[])
    for pulse in (one for one in pulses if is_silent(one, now)):
        heir = next((one for one in free if _replaces(one, pulse)), None)
        if heir:
            free.remove(heir)
        others = any(one.role == pulse.role for one in living)
        if heir or (others and now - pulse.last_seen_at > FORGET_AFTER):
            # Unless it woke up since it was read.
            gone |= Q(pk=pulse.pk, last_seen_at=pulse.last_seen_at)
    return Pulse.objects.filter(gone).delete()[0]


def _replaces(heir: Pulse, pulse: Pulse) -> bool:
    return (heir.role, heir.host) == (pulse.role, pulse.host) and heir.started_at > pulse.last_seen_at
