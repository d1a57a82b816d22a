"""Words, tables and files of a run."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks import chart
from benchmarks.measured import Measured, total

OUT = Path(__file__).resolve().parent.parent / "docs" / "benchmarks"
NAMES = {"unique": "every event its own key", "keys1000": "1000 keys", "one": "one hot key"}
SYSTEMS = {
    "pgbench": "pgbench, one event per commit",
    "lane": "ilert, the lane",
    "drf": "ilert, the DRF door",
    "bare": "bare ASGI, no database",
}


def machine() -> dict[str, Any]:
    """Where the figures come from."""
    cpu = [line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = int(next(line.split()[1] for line in _lines("/proc/meminfo") if line.startswith("MemTotal")))
    packages = ("uvicorn", "uvloop", "httptools", "psycopg", "Django")
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "cpu": cpu[0] if cpu else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory / 1e6),
        "kernel": platform.release(),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in packages},
    }


def say_machine(found: dict[str, Any]) -> None:
    print(f"{found['cpu']}, {found['cores']} cores (shared with the load client), {found['memory_gb']} GB")
    print(f"Python {found['python']}, " + ", ".join(f"{k} {found[k]}" for k in ("uvicorn", "uvloop", "psycopg")))
    print("PostgreSQL " + ", ".join(f"{name}={value}" for name, value in found["postgres"].items()))
    print("raised for the benchmark: " + ", ".join(f"{name}={value}" for name, value in found["raised"].items()))
    print("everything else, limits included, is as it comes", flush=True)


def say_run(turn: int, run: Measured) -> None:
    print(f"round {turn}  {_line(run)}", flush=True)


def say(rows: Sequence[Measured], fixed: Measured) -> None:
    print("\nMedians, and the ratio to pgbench's one event per commit in the same run")
    for row in rows:
        ratio = ratio_of(row, rows)
        print(f"{_line(row)}{f'   {ratio:5.2f}x' if ratio and row.system != 'pgbench' else ''}")
    print(f"\nAt a fixed rate, half the lane's capacity, from when each event was due:\n{_line(fixed)}")
    kept = total([*rows, fixed])
    print(f"\n{kept.acknowledged} events acknowledged, {kept.lost} of them missing in the database")


def write(found: dict[str, Any], rows: Sequence[Measured], runs: Sequence[Measured], fixed: Measured) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    figures = {
        "machine": found,
        "medians": [asdict(row) for row in rows],
        "fixed_rate": asdict(fixed),
        "runs": [asdict(run) for run in runs],
    }
    (OUT / "results.json").write_text(json.dumps(figures, indent=1) + "\n")
    (OUT / "chart.svg").write_text(chart.draw(rows))
    (OUT / "results.md").write_text("\n".join(_page(found, rows, fixed)) + "\n")
    print(f"written: {OUT}")


def ratio_of(row: Measured, rows: Iterable[Measured]) -> float | None:
    """How a row compares with pgbench's at the same place."""
    for other in rows:
        if other.place == ("pgbench", row.workload, row.connections):
            return row.rate / other.rate
    return None


def _line(row: Measured) -> str:
    cpu = " ".join(f"{group} {used:.2f}" for group, used in row.cpu.items() if used >= 0.005)
    kept = f"  {row.kept.acknowledged} kept" if row.kept.acknowledged else ""
    return f"{row.system:8} {row.workload:9} c={row.connections:<4}{row.rate:9.0f}/s  {row.latency}  cpu {cpu}{kept}"


def _page(found: dict[str, Any], rows: Sequence[Measured], fixed: Measured) -> Iterable[str]:
    yield "# Figures of the last whole run"
    yield ""
    yield f"Made by `make bench` on {found['at'][:10]} at commit {found['commit']}; do not edit. How it is measured:"
    yield "[benchmarks.md](../benchmarks.md)."
    yield ""
    yield f"{found['cpu']}, {found['cores']} cores that also carry the load client, {found['memory_gb']} GB, "
    yield f"Python {found['python']}. PostgreSQL: " + ", ".join(f"{k}={v}" for k, v in found["postgres"].items()) + "."
    yield ""
    yield "![Events per second](chart.svg)"
    for workload in dict.fromkeys(row.workload for row in rows):
        yield f"\n## {NAMES[workload].capitalize()}\n"
        yield "| | connections | events/s | × pgbench | p50 ms | p95 ms | p99 ms | cores: client, web, PostgreSQL |"
        yield "|---|---|---|---|---|---|---|---|"
        for row in rows:
            if row.workload == workload:
                yield _table_row(row, ratio_of(row, rows))
    kept = total([*rows, fixed])
    yield "\n## At a fixed rate\n"
    yield (
        f"{fixed.rate:.0f} events/s, half of what the lane takes at 64 connections, for some seconds; time counts from "
        f"when an event was due: {fixed.latency}."
    )
    yield (
        f"\n{kept.acknowledged} events were acknowledged in this run; {kept.lost} of them were missing in the database."
    )


def _table_row(row: Measured, ratio: float | None) -> str:
    used = " · ".join(f"{row.cpu.get(group, 0):.2f}" for group in ("client", "web", "postgres"))
    compared = f"{ratio:.2f}" if ratio else ""
    return (
        f"| {SYSTEMS[row.system]} | {row.connections} | {row.rate:,.0f} | {compared} "
        f"| {row.latency.p50:.1f} | {row.latency.p95:.1f} | {row.latency.p99:.1f} | {used} |"
    )


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607
        cwd=OUT.parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"
