"""Killing and freezing by a schedule that a seed decides."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.faults.running import Process, Up

# The processes of ours by the name that `ps` shows, and how often each kind is hit.
KINDS = {"ilert-web": 3, "ilert-worker": 2, "ilert-pool": 3, "ilert-ticker": 2}
POSTGRES, VALKEY = "postgres", "valkey-server"
# Time to come up before the first blow, and to show the consequences of the last.
QUIET_BEFORE, QUIET_AFTER = 10.0, 10.0
FREEZE_SECONDS = (5.0, 12.0)


@dataclass(frozen=True)
class Blow:
    """One thing that is done to the product. Of several processes of a name `place` chooses one, 0 to 1."""

    at: float
    name: str
    place: float
    freeze: float = 0.0  # seconds; 0 kills


@dataclass(frozen=True)
class Plan:
    """How often, within how many seconds."""

    seconds: float
    kills: int = 0
    crashes: int = 0  # of PostgreSQL, and as many of Valkey
    freezes: int = 0


def schedule(plan: Plan, seed: int) -> list[Blow]:
    """Return the blows of a seed in order of time: spread over the run, each somewhere in its share of it."""
    rng = random.Random(seed)
    everything = [*KINDS, POSTGRES, VALKEY]
    heavy = [(POSTGRES, 0.0)] * plan.crashes + [(VALKEY, 0.0)] * plan.crashes
    heavy += [(rng.choice(everything), rng.uniform(*FREEZE_SECONDS)) for _ in range(plan.freezes)]
    rng.shuffle(heavy)
    light = [(name, 0.0) for name in rng.choices(list(KINDS), list(KINDS.values()), k=plan.kills)]
    blows = []
    for kind in (heavy, light):
        share = (plan.seconds - QUIET_BEFORE - QUIET_AFTER) / max(len(kind), 1)
        for number, (name, freeze) in enumerate(kind):
            at = QUIET_BEFORE + (number + rng.random()) * share
            blows.append(Blow(at, name, rng.random(), freeze))
    return sorted(blows, key=lambda blow: blow.at)


class Havoc:
    """Deals the blows to one `up`. `in_flight` tells how many messages are being sent, asked before each blow."""

    def __init__(self, up: Up, in_flight: Callable[[], Awaitable[int]]) -> None:
        self.dealt: Counter[str] = Counter()
        self.missed = 0
        self.in_flight = 0
        self._up = up
        self._ask_in_flight = in_flight
        self._freezing: list[asyncio.Task[None]] = []

    async def run(self, blows: list[Blow]) -> None:
        begun = time.monotonic()
        for blow in blows:
            await asyncio.sleep(max(0.0, begun + blow.at - time.monotonic()))
            self.in_flight += await self._ask_in_flight()
            targets = self._targets(blow)
            if not targets:
                self.missed += 1  # all of them are being started just now
            elif blow.freeze:
                self._note(f"freeze {blow.name}", targets)
                self._freezing.append(asyncio.create_task(freeze(targets, blow.freeze)))
            else:
                self._note(f"kill {blow.name}", targets)
                send(targets, signal.SIGKILL)
        await asyncio.gather(*self._freezing)

    def _note(self, deed: str, targets: list[Process]) -> None:
        self.dealt[deed] += 1
        clock = datetime.now(UTC).strftime("%H:%M:%S,%f")[:-3]
        print(f"{clock} {deed} {', '.join(str(process.pid) for process in targets)}", file=sys.stderr, flush=True)

    def _targets(self, blow: Blow) -> list[Process]:
        everyone = self._up.family()
        if blow.name == POSTGRES:
            # All of it at once, as when the machine loses power: the server would otherwise tidy up after a child.
            return [process for process in everyone if process.name == POSTGRES]
        named = [process for process in everyone if process.name == blow.name]
        return [named[int(blow.place * len(named))]] if named else []


async def freeze(targets: list[Process], seconds: float) -> None:
    send(targets, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        send(targets, signal.SIGCONT)


def send(targets: list[Process], sig: signal.Signals) -> None:
    for process in targets:
        if process.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, sig)
