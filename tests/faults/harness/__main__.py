"""`python -m tests.faults.harness`: one run from the command line; ends with 1 if a bound is broken."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import uvloop

from tests.faults.harness import figures
from tests.faults.harness.havoc import Plan
from tests.faults.harness.load import Rates
from tests.faults.harness.runs import RUNS, Options
from tests.faults.harness.site import KEPT_LOGS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.harness", description=__doc__)
    parser.add_argument("--run", choices=RUNS, default="storm", help="what is done to the product")
    parser.add_argument("--seed", type=int, default=1, help="decides load and schedule; the same gives the same again")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--kills", type=int, default=200, help="kill -9 of random processes of ours (storm)")
    parser.add_argument("--crashes", type=int, default=5, help="of all of PostgreSQL, and of Valkey (storm)")
    parser.add_argument("--freezes", type=int, default=5, help="SIGSTOP for some seconds (storm)")
    parser.add_argument("--restarts", type=int, default=20, help="everything killed at once (restarts)")
    parser.add_argument("--flood", type=int, default=10_000, help="incidents for one person (flood)")
    parser.add_argument("--rate", type=float, default=500.0, help="events a second")
    parser.add_argument("--openings", type=float, default=20.0, help="new incidents a second")
    parser.add_argument("--json", type=Path, help="where the figures go")
    given = parser.parse_args()
    seconds = given.minutes * 60
    options = Options(
        seed=given.seed,
        seconds=seconds,
        plan=Plan(seconds, given.kills, given.crashes, given.freezes),
        rates=Rates(given.rate, given.openings),
        restarts=given.restarts,
        flood=given.flood,
    )
    title = f"{given.run}, seed {given.seed}, {given.minutes:g} min, {time.strftime('%Y-%m-%d', time.gmtime())}"
    lines = uvloop.run(_until_told(RUNS[given.run](options)))
    print(figures.table(title, lines))
    if given.json:
        figures.save(given.json, title, lines)
    if all(line.ok for line in lines):
        return 0
    print(f"What the product said is in {KEPT_LOGS}.", file=sys.stderr)
    return 1


async def _until_told(run: Coroutine[Any, Any, list[figures.Line]]) -> list[figures.Line]:
    """Clean up on SIGTERM too, so that a time limit leaves no installation running."""
    task = asyncio.ensure_future(run)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


if __name__ == "__main__":
    sys.exit(main())
