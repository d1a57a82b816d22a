"""How long many steps that fall due in the same second take, with a real ticker and real workers.

    python -m benchmarks.due {idle SECONDS | due NUMBER WITHIN | audit TIMES} [--processes 4]

Prints figures as JSON. Runs on the database of DATABASE_URL or ILERT_DATA_DIR, which `manage.py seed_incidents` has
filled and which has `track_commit_timestamp` on; nobody real is told anything. `python -m benchmarks.engine` does all
of it on a database of its own.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ilert.settings")
django.setup()

from django.db import connection  # noqa: E402

from ilert.common import arrays, bulk  # noqa: E402
from ilert.common.clock import database_now  # noqa: E402
from ilert.common.statement import Statement  # noqa: E402
from incidents.engine import escalation  # noqa: E402
from incidents.models import TIMELINE_SEQUENCE, Incident, Status  # noqa: E402
from incidents.timeline import Kind  # noqa: E402
from incidents.watch import auditor  # noqa: E402
from notifications import outbox  # noqa: E402

_MAKE_DUE = Statement(
    "bench_make_due",
    "UPDATE incidents_incident AS incident SET next_escalation_at = due.at FROM unnest($1, $2) AS due (id, at) "
    "WHERE incident.id = due.id",
)
# A batch notes its time just before it claims. What it writes is there for the senders once it has committed: some
# milliseconds after the time that PostgreSQL notes, which is when it begins to write the log out.
_STEPS = (
    "SELECT incident_id, min(created_at), max(pg_xact_commit_timestamp(xmin)) FROM incidents_logentry "
    "WHERE id > %s AND kind = %s AND incident_id = ANY(%s) GROUP BY incident_id"
)
_LEAD = timedelta(seconds=4)
_LIMIT = 120.0
# Those that have had their turn are due later than anything that `seed_incidents` makes up.
_PUT_OFF = timedelta(days=90)


@dataclass(frozen=True)
class _Taken:
    claimed: datetime
    handed: datetime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--processes", type=int, default=4, help="of the worker's pool")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("idle").add_argument("seconds", type=int, help="without work")
    due = commands.add_parser("due")
    due.add_argument("count", type=int)
    due.add_argument("within", type=float, help="seconds in which they fall due, 0: in one moment")
    commands.add_parser("audit").add_argument("times", type=int)
    arguments = parser.parse_args()
    if arguments.command == "audit":
        figures = _audit(arguments.times)
    else:
        with ExitStack() as stack:
            running = _start(stack, arguments.processes)
            time.sleep(6)
            if arguments.command == "idle":
                figures = _idle(running, arguments.seconds)
            else:
                figures = _storm(arguments.count, timedelta(seconds=arguments.within))
    print(json.dumps(figures))
    return 0


def _start(stack: ExitStack, processes: int) -> dict[str, subprocess.Popen[bytes]]:
    worker = ["-m", "celery", "-A", "ilert.celery", "worker", "-c", str(processes), "--without-gossip"]
    commands = {"ticker": ["manage.py", "ticker"], "worker": [*worker, "--without-mingle", "--without-heartbeat"]}
    running = {}
    for name, command in commands.items():
        process = subprocess.Popen([sys.executable, *command], stdout=sys.stderr, start_new_session=True)
        stack.callback(os.killpg, process.pid, signal.SIGKILL)
        running[name] = process
    return running


def _storm(count: int, spread: timedelta) -> dict[str, float]:
    with connection.cursor() as cursor:
        cursor.execute("SHOW track_commit_timestamp")
        if cursor.fetchone() != ("on",):
            raise SystemExit("Set track_commit_timestamp in PostgreSQL: it tells when each step was there.")
    _wait_for_calm()
    after = _last_entry()
    due = _make_due(count, spread)
    first, last = min(due.values()), max(due.values())
    time.sleep(max(0.0, (first - database_now()).total_seconds() - 0.1))
    # Whoever looks takes time from what it looks at, so that it only waits for the end: the rows say the rest.
    while _left(first, last) and (database_now() - last).total_seconds() < _LIMIT:
        time.sleep(0.1)
    taken = _taken(after, list(due))
    _put_off(list(due))
    if not taken:
        raise SystemExit(f"None of {count} steps was taken within {_LIMIT:.0f} s.")
    claimed = [(taken[pk].claimed - at).total_seconds() for pk, at in due.items() if pk in taken]
    handed = [(taken[pk].handed - at).total_seconds() for pk, at in due.items() if pk in taken]
    took = (max(step.handed for step in taken.values()) - first).total_seconds()
    return {"taken": len(taken), "took": took} | _shares("claimed", claimed) | _shares("handed", handed)


def _shares(name: str, lateness: list[float]) -> dict[str, float]:
    ordered = sorted(lateness)
    shares = (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
    return {f"{name} {label}": ordered[min(len(ordered) - 1, int(len(ordered) * share))] for label, share in shares}


def _wait_for_calm() -> None:
    """What an earlier run has left to be sent is sent first."""
    end = time.monotonic() + _LIMIT
    while (now := database_now()) and (outbox.oldest_due_at(now) or escalation.oldest_due_at(now)):
        if time.monotonic() > end:
            raise SystemExit("The installation does not come to rest.")
        time.sleep(0.5)


def _put_off(ids: list[int]) -> None:
    """These shall not be in a later run."""
    taken = Incident.objects.filter(pk__in=ids, next_escalation_at__isnull=False)
    taken.update(next_escalation_at=database_now() + _PUT_OFF)


def _audit(times: int) -> dict[str, float]:
    took = []
    for _ in range(times):
        started = time.perf_counter()
        auditor.audit(database_now())
        took.append(time.perf_counter() - started)
    return _shares("audit", took)


def _make_due(count: int, spread: timedelta) -> dict[int, datetime]:
    """Let steps fall due one after the other within `spread`. Returns when each incident's is."""
    begin = database_now() + _LEAD + timedelta(seconds=count / 5000)
    fresh = (begin + timedelta(hours=1), begin + _PUT_OFF / 2)
    waiting = Incident.objects.filter(status=Status.PENDING, next_escalation_at__range=fresh)
    chosen = list(waiting.order_by("-pk").values_list("pk", flat=True)[:count])
    if len(chosen) < count:
        raise SystemExit(f"Only {len(chosen)} pending incidents are left: seed more with --open.")
    due = {pk: begin + spread * (place / count) for place, pk in enumerate(chosen)}
    bulk.execute(_MAKE_DUE, arrays.integers(list(due)), arrays.times(list(due.values())))
    return due


def _last_entry() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(%s)", [TIMELINE_SEQUENCE])
        return int(cursor.fetchone()[0])


def _left(first: datetime, last: datetime) -> bool:
    return Incident.objects.filter(next_escalation_at__range=(first, last)).exists()


def _taken(after: int, ids: list[int]) -> dict[int, _Taken]:
    """Return for each incident that has taken its step when that was."""
    with connection.cursor() as cursor:
        cursor.execute(_STEPS, [after, Kind.NOTIFIED, ids])
        return {pk: _Taken(claimed, handed) for pk, claimed, handed in cursor.fetchall()}


def _idle(running: dict[str, subprocess.Popen[bytes]], seconds: int) -> dict[str, float]:
    _wait_for_calm()
    before = {name: _cpu(process.pid) for name, process in running.items()}
    time.sleep(seconds)
    return {name: (_cpu(process.pid) - before[name]) / seconds for name, process in running.items()}


def _cpu(session: int) -> float:
    """Seconds of processor time of all processes of a session."""
    total = 0
    for entry in Path("/proc").glob("[0-9]*/stat"):
        fields = _stat(entry)
        if fields and int(fields[3]) == session:
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def _stat(entry: Path) -> list[str]:
    try:
        return entry.read_text().rpartition(")")[2].split()
    except OSError:
        return []  # it has just ended


if __name__ == "__main__":
    sys.exit(main())
