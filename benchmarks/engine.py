"""How long many steps that fall due in one moment take, with a real ticker and real workers.

    python -m benchmarks.engine [--due 10000] [--processes 4] [--no-ticker]

Runs on the database of DATABASE_URL, which `manage.py seed_incidents` has filled; nobody real is told anything.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ilert.settings")
django.setup()

from django.db import connection  # noqa: E402

from ilert.common.clock import database_now  # noqa: E402
from incidents.models import Incident, Status  # noqa: E402

_LEAD = timedelta(seconds=4)
_LIMIT = 120.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--due", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=4, help="of the worker's pool")
    parser.add_argument("--idle", type=int, default=0, help="instead: measure that many seconds without work")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        running = _start(stack, arguments.processes)
        time.sleep(6)
        if arguments.idle:
            return _idle(running, arguments.idle)
        return _storm(arguments.due)


def _start(stack: ExitStack, processes: int) -> dict[str, subprocess.Popen[bytes]]:
    worker = ["-m", "celery", "-A", "ilert.celery", "worker", "-c", str(processes), "--without-gossip"]
    commands = {"ticker": ["manage.py", "ticker"], "worker": [*worker, "--without-mingle", "--without-heartbeat"]}
    running = {}
    for name, command in commands.items():
        process = subprocess.Popen([sys.executable, *command], stdout=sys.stderr, start_new_session=True)
        stack.callback(os.killpg, process.pid, signal.SIGKILL)
        running[name] = process
    return running


def _storm(count: int) -> int:
    due_at = _make_due(count)
    time.sleep(max(0.0, (due_at - database_now()).total_seconds() - 0.1))
    done: list[tuple[float, int]] = []
    while True:
        now, left = _left(due_at)
        done.append(((now - due_at).total_seconds(), count - left))
        if not left or done[-1][0] > _LIMIT:
            break
        # Looking costs milliseconds: more often, and what looks takes a quarter of a core from what it looks at.
        time.sleep(0.1)
    shares = {share: next((at for at, steps in done if steps >= count * share), None) for share in (0.01, 0.5, 0.99, 1)}
    print(f"{count} steps due in one moment, {Incident.objects.count()} incidents stored; rows for the senders after")
    print("  " + ", ".join(f"{share:.0%}: {at:.2f} s" if at else f"{share:.0%}: never" for share, at in shares.items()))
    return 0


def _make_due(count: int) -> datetime:
    due_at = database_now() + _LEAD + timedelta(seconds=count / 5000)
    waiting = Incident.objects.filter(status=Status.PENDING, next_escalation_at__gt=due_at + timedelta(hours=1))
    chosen = list(waiting.order_by("-pk").values_list("pk", flat=True)[:count])
    if len(chosen) < count:
        raise SystemExit(f"Only {len(chosen)} pending incidents are left: seed more with --open.")
    Incident.objects.filter(pk__in=chosen).update(next_escalation_at=due_at)
    return due_at


def _left(due_at: datetime) -> tuple[datetime, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT clock_timestamp(), (SELECT count(*) FROM incidents_incident WHERE next_escalation_at = %s)",
            [due_at],
        )
        row: tuple[datetime, int] = cursor.fetchone()
    return row


def _idle(running: dict[str, subprocess.Popen[bytes]], seconds: int) -> int:
    before = {name: _cpu(process.pid) for name, process in running.items()}
    time.sleep(seconds)
    print(f"{Incident.objects.count()} incidents stored, nothing due, share of a core in {seconds} s:")
    for name, process in running.items():
        print(f"  {name}: {(_cpu(process.pid) - before[name]) / seconds:.2%}")
    return 0


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
