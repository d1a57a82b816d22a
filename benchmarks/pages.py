"""How fast the pages of an old installation are: python -m benchmarks.pages [--incidents N --events M --times T].

Fills a PostgreSQL of its own and asks each list, search and detail several times through Django. Writes pages.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.look import Look
from benchmarks.stage import ROOT, Stage, stage

# What the p95 of each group must keep, in milliseconds.
LIMITS = {"list": 100.0, "search": 200.0, "detail": 150.0, "many at once": 1000.0}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=__doc__)
    parser.add_argument("--incidents", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--times", type=int, default=20, help="how often each page is asked for")
    parser.add_argument("--out", type=Path, default=Path("var/pages.json"))
    options = parser.parse_args(arguments)
    with stage() as on:
        started = time.monotonic()
        sizes = [f"--incidents={options.incidents}", f"--events={options.events}", f"--open={options.incidents // 100}"]
        _run(on, "manage.py", "seed_incidents", "--beside-real-data", *sizes)
        print(f"filled in {time.monotonic() - started:.0f} s\n")
        looks = [Look(*row) for row in json.loads(_run(on, "-m", "benchmarks.look", str(options.times)))]
        settings = on.settings()
    print(table(looks))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figures = {
        "incidents": options.incidents,
        "events": options.events,
        "times": options.times,
        "postgres": settings,
        "pages": [look._asdict() for look in looks],
    }
    options.out.write_text(json.dumps(figures, indent=1))
    slow = [look for look in looks if look.p95 > LIMITS[look.group]]
    print(f"\n{len(looks) - len(slow)} of {len(looks)} within their limits; figures in {options.out}")
    return 1 if slow else 0


def table(looks: Sequence[Look]) -> str:
    """Return what was measured as Markdown, the slowest of each group first."""
    lines = ["| page | p50 ms | p95 ms | slowest | limit | statements |", "|---|---:|---:|---:|---:|---:|"]
    for group, limit in LIMITS.items():
        rows = sorted((look for look in looks if look.group == group), key=lambda look: -look.p95)
        lines += [
            f"| {group}: {row.name} | {row.p50:.1f} | {row.p95:.1f}{' **over**' if row.p95 > limit else ''} "
            f"| {row.slowest:.1f} | {limit:.0f} | {row.queries or '·'} |"
            for row in rows
        ]
    return "\n".join(lines)


def _run(on: Stage, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=on.env, stdout=subprocess.PIPE, check=True, text=True
    )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
