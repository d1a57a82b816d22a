"""The benchmark: python -m benchmarks [--quick] [--rounds N] [--seconds S].

Rounds alternate between pgbench and the doors, so that whatever else the machine does meets all of them. A whole run
writes its figures and a chart into docs/benchmarks/; a quick one only prints. It fails when an acknowledged event is
missing or a key has not become exactly one incident, never for being slow: the machine decides that.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from benchmarks import limit, report
from benchmarks.client import ClientProcess, Plan, Result, client_process
from benchmarks.measured import Kept, Measured, latency, medians
from benchmarks.stage import RAISED, Door, Stage, cpu_seconds, doors, stage
from benchmarks.traffic import Alerts, fresh_prefix
from benchmarks.verify import check

WORKLOADS = {"unique": 0, "keys1000": 1000, "one": 1}
CONNECTIONS = (1, 8, 64, 256)
# The lane's share of its own capacity at which its latency is measured.
HALF = 0.5

Run = Callable[[], Measured]


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="64 connections, two workloads, one round: under a minute")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one measurement")
    options = parser.parse_args(argv)
    if options.quick:
        options.rounds, options.seconds = 1, 2.0
    with client_process() as client, stage() as on, doors(on) as opened:
        bench = Bench(on, opened, client, options.seconds)
        machine = report.machine() | {"postgres": on.settings(), "raised": RAISED}
        report.say_machine(machine)
        bench.warm_up()
        runs = bench.rounds(options.rounds, quick=options.quick)
        rows = medians(runs)
        capacity = next(row.rate for row in rows if row.place == ("lane", "unique", 64))
        fixed = bench.at_fixed_rate(capacity * HALF)
    report.say(rows, fixed)
    if not options.quick:
        report.write(machine, rows, runs, fixed)
    wrong = [run for run in [*runs, fixed] if run.kept.lost or run.kept.incidents != run.kept.keys]
    for run in wrong:
        print(f"WRONG: {run}")
    return 1 if wrong else 0


class Bench:
    def __init__(self, on: Stage, opened: dict[str, Door], client: ClientProcess, seconds: float) -> None:
        self.on = on
        self.doors = opened
        self.client = client
        self.seconds = seconds

    def warm_up(self) -> None:
        for name in self.doors:
            self._door(name, "unique", 64)

    def rounds(self, number: int, *, quick: bool) -> list[Measured]:
        """Each round in the other direction, so that nobody is always measured after the same one."""
        runs = []
        for turn in range(number):
            cells = self._cells(quick=quick)
            for cell in cells if turn % 2 == 0 else reversed(cells):
                runs.append(cell())
                report.say_run(turn + 1, runs[-1])
        return runs

    def at_fixed_rate(self, rate: float) -> Measured:
        """Latency as a sender feels it: from when the event was due, whatever held it up."""
        return self._door("lane", "unique", 64, rate=rate, seconds=max(5.0, 3 * self.seconds))

    def _cells(self, *, quick: bool) -> list[Run]:
        cells: list[Run] = []
        for workload in ("unique", "one") if quick else WORKLOADS:
            for connections in (64,) if quick else CONNECTIONS:
                cells.append(partial(limit.run, self.on, workload, connections, self.seconds))
                cells += [partial(self._door, name, workload, connections) for name in ("lane", "drf")]
                if workload == "unique":
                    cells.append(partial(self._door, "bare", workload, connections))
        return cells

    def _door(
        self, name: str, workload: str, connections: int, *, rate: float = 0.0, seconds: float | None = None
    ) -> Measured:
        door, prefix = self.doors[name], fresh_prefix()
        self.on.empty()
        traffic = Alerts(self.on.path, WORKLOADS[workload], prefix)
        before = cpu_seconds(door.pid), cpu_seconds(self.on.postgres_pid)
        result = self.client.run(Plan(door.port, traffic, connections, seconds or self.seconds, rate))
        measured = Measured(
            name,
            workload,
            connections,
            rate=sum(answer.done <= result.ended for answer in result.answers) / result.seconds,
            latency=latency([answer.latency for answer in result.answers]),
            cpu={
                "client": result.cpu_seconds / result.seconds,
                "web": (cpu_seconds(door.pid) - before[0]) / result.seconds,
                "postgres": (cpu_seconds(self.on.postgres_pid) - before[1]) / result.seconds,
            },
        )
        return measured if name == "bare" else replace(measured, kept=self._kept(prefix, result))

    def _kept(self, prefix: str, result: Result) -> Kept:
        found = check(self.on.url, result.answers, prefix)
        refused = {status: number for status, number in found.statuses.items() if status != 200}
        if refused or result.unsent:
            print(f"  answered other than 200: {refused}; never sent for want of a free connection: {result.unsent}")
        return Kept(found.acknowledged, len(found.lost), found.keys, found.incidents)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
