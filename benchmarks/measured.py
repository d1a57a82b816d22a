"""One measurement and how several of them become one."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Latency(NamedTuple):
    """In milliseconds."""

    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    longest: float = 0.0

    def __str__(self) -> str:
        return f"p50 {self.p50:6.2f}  p95 {self.p95:6.2f}  p99 {self.p99:6.2f}  max {self.longest:7.2f} ms"


class Kept(NamedTuple):
    """What the database has of what was answered; `lost` is what it should have and has not."""

    acknowledged: int = 0
    lost: int = 0
    keys: int = 0
    incidents: int = 0


NOTHING_KEPT = Kept()


@dataclass(frozen=True)
class Measured:
    """One run of one system: events/s, latencies, and how many processors each group of processes used."""

    system: str
    workload: str
    connections: int
    rate: float
    latency: Latency
    cpu: dict[str, float]
    kept: Kept = NOTHING_KEPT

    @property
    def place(self) -> tuple[str, str, int]:
        return self.system, self.workload, self.connections


def latency(seconds: Sequence[float]) -> Latency:
    if not seconds:
        return Latency()
    ordered = sorted(seconds)
    p50, p95, p99 = (1000 * ordered[int(len(ordered) * share)] for share in (0.5, 0.95, 0.99))
    return Latency(p50, p95, p99, 1000 * ordered[-1])


def medians(runs: Sequence[Measured]) -> list[Measured]:
    """One row for each system, workload and number of connections; counts are summed up, the rest is the median."""
    places = list(dict.fromkeys(run.place for run in runs))
    return [_median([run for run in runs if run.place == place]) for place in places]


def _median(runs: Sequence[Measured]) -> Measured:
    return Measured(
        *runs[0].place,
        rate=statistics.median(run.rate for run in runs),
        latency=Latency(*map(statistics.median, zip(*(run.latency for run in runs), strict=True))),
        cpu={group: statistics.median(run.cpu[group] for run in runs) for group in runs[0].cpu},
        kept=total(runs),
    )


def total(runs: Sequence[Measured]) -> Kept:
    return Kept(*map(sum, zip(*(run.kept for run in runs), strict=True)))
