"""How the engine fares in an old installation: python -m benchmarks.engine [--incidents N --events M --open K].

Fills a PostgreSQL of its own; then a ticker and a worker rest, and take 1 000 and 10 000 steps that fall due at once.
Writes engine.json. `benchmarks.due` is what measures.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.stage import ROOT, Stage, stage

Figures = dict[str, float]
# What is asked of the engine, in seconds; resting, in cores.
CLAIMED, HANDED, TIMES_TEN, IDLE, AUDIT = 1.0, 2.0, 12.0, 0.02, 0.2


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("--incidents", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--open", type=int, default=150_000, help="how many of the incidents are open")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("var/engine.json"))
    options = parser.parse_args(arguments)
    with stage(track_commit_timestamp="on") as on:
        started = time.monotonic()
        sizes = [f"--{name}={getattr(options, name)}" for name in ("incidents", "events", "open")]
        _run(on, "manage.py", "seed_incidents", "--beside-real-data", *sizes)
        print(f"filled in {time.monotonic() - started:.0f} s")
        figures, settings = _measure(on, options.rounds), on.settings()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures | {"postgres": settings}, indent=1))
    lines = _judge(figures)
    print("\n".join(["| what | figure | limit | |", "|---|---:|---:|---|", *[line for line, _ in lines]]))
    return 0 if all(good for _, good in lines) else 1


def _measure(on: Stage, rounds: int) -> dict[str, list[Figures]]:
    tasks = {
        "idle": ["idle", "20"],
        "audit": ["audit", "20"],
        "1000 at once": ["due", "1000", "0"],
        "10000 at once": ["due", "10000", "0"],
        "10000 in a second": ["due", "10000", "1"],
    }
    figures: dict[str, list[Figures]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, arguments in tasks.items():
            figures[name].append(json.loads(_run(on, "-m", "benchmarks.due", *arguments).splitlines()[-1]))
            print(f"{name}: {figures[name][-1]}", flush=True)
    return figures


def _judge(figures: dict[str, list[Figures]]) -> list[tuple[str, bool]]:
    """Return a line of the table for each figure, the median of its rounds, and whether it is good enough."""

    def median(task: str, name: str) -> float:
        values = sorted(round_[name] for round_ in figures[task])
        return values[len(values) // 2]

    second, thousand = "10000 in a second", median("1000 at once", "took")
    missing = sum(
        int(task.split()[0]) - round_["taken"]
        for task in figures
        if "taken" in figures[task][0]
        for round_ in figures[task]
    )
    rows = [
        ("steps that were not taken", missing, 0),
        ("ticker at rest, of a core", median("idle", "ticker"), IDLE),
        ("worker at rest with its pool, of a core", median("idle", "worker"), IDLE),
        ("auditor p99 [s]", median("audit", "audit p99"), AUDIT),
        (f"{second}: claimed p99 [s]", median(second, "claimed p99"), CLAIMED),
        (f"{second}: handed to senders max [s]", median(second, "handed max"), HANDED),
        ("1000 at once, all taken after [s]", thousand, HANDED),
        ("10000 at once, times as long as 1000", median("10000 at once", "took") / thousand, TIMES_TEN),
    ]
    return [
        (f"| {name} | {figure:.3g} | {limit:g} | {'ok' if figure <= limit else 'OVER'} |", figure <= limit)
        for name, figure, limit in rows
    ]


def _run(on: Stage, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=on.env, stdout=subprocess.PIPE, check=True, text=True
    )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
