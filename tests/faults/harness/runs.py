"""The runs: what is done to the product, what is counted afterwards, and what must have come out."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ilert.embedded import paths
from ilert.embedded.valkey import Valkey
from tests.faults.harness import compare, world
from tests.faults.harness.compare import Due, Verdict
from tests.faults.harness.figures import Line, distribution, percentile
from tests.faults.harness.flood import PERSON, WINDOW, Flood, most_within
from tests.faults.harness.havoc import Havoc, Plan, freeze, schedule
from tests.faults.harness.load import Load, Rates
from tests.faults.harness.site import Site, site
from tests.faults.running import Process

# Until what is late at the end has arrived, or has had the time to.
SETTLE = 60.0
# So many of the latest and of the missing steps are told at length.
TOLD = 3


@dataclass(frozen=True)
class Options:
    seed: int = 1
    seconds: float = 600.0
    plan: Plan = field(default_factory=lambda: Plan(600.0))
    rates: Rates = field(default_factory=Rates)
    # How often everything is killed at once, in the run that does that.
    restarts: int = 20
    # How many incidents fall on one person, in the run that does that.
    flood: int = 10_000


async def storm(options: Options) -> list[Line]:
    """The load while processes are killed and frozen; with an empty plan it shows what is normal."""
    async with site() as place:
        load = _load(place, options)
        havoc = Havoc(place.up, place.in_flight)
        blows = schedule(options.plan, options.seed)
        await asyncio.gather(load.run(options.seconds), havoc.run(blows))
        await place.quiet(SETTLE)
        verdict = _verdict(place, load)
    calm = not blows
    return [
        *_load_lines(load, verdict, floor=0.6 * options.rates.events if blows else 0.98 * options.rates.events),
        *[Line(f"dealt: {name}", count) for name, count in sorted(havoc.dealt.items())],
        *_step_lines(verdict),
        Line("messages in flight at kills and freezes", havoc.in_flight),
        Line("repeats, same id", verdict.repeats, havoc.in_flight),
        Line("steps told twice, another id", verdict.told_twice, 0),
        *distribution("lateness", verdict.lateness, *((2.0, 5.0) if calm else (15.0, 30.0))),
        *_latest(verdict),
    ]


async def restarts(options: Options) -> list[Line]:
    """Everything is killed at once and started again, many times."""
    outages: list[tuple[float, float]] = []
    async with site() as place:
        load = _load(place, options)
        sending = asyncio.create_task(load.run(options.seconds))
        pause = options.seconds / (options.restarts + 1)
        begun = time.monotonic()
        for number in range(1, options.restarts + 1):
            await asyncio.sleep(max(0.0, begun + number * pause - time.monotonic()))
            killed_at = time.time()
            for process in place.up.family():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            await asyncio.to_thread(place.up.popen.wait)
            place.start_again()
            outages.append((killed_at, time.time()))
        await sending
        await place.quiet(SETTLE)
        verdict = _verdict(place, load, begin=lambda due, arrived: _from_start(due, arrived, outages))
    return [
        Line("killed at once and started again", len(outages)),
        *_load_lines(load, verdict, floor=0.0),
        *_step_lines(verdict),
        *distribution("lateness since due or start", verdict.lateness, most=30.0),
        *_latest(verdict),
    ]


def _from_start(due: float, arrived: float, outages: list[tuple[float, float]]) -> float:
    """Return since when a step can be called late: since the first start after it was due, if a kill came between."""
    return next((started for killed, started in outages if due < started and killed < arrived), due)


async def broker(options: Options) -> list[Line]:
    """Valkey is gone for half of the time, then frozen for the other half."""
    half = options.seconds / 2
    with tempfile.TemporaryDirectory(prefix="ilert-v-") as name:
        directory = Path(name)
        valkey = Valkey(directory / "valkey", directory, directory / "valkey.log")
        pid = _start_valkey(valkey)
        try:
            async with site(
                REDIS_URL=f"unix://{directory}/{paths.VALKEY_SOCKET}",
                CELERY_BROKER_URL=f"redis+socket://{directory}/{paths.VALKEY_SOCKET}",
            ) as place:
                load = _load(place, options)
                sending = asyncio.create_task(load.run(options.seconds + 10.0))
                await asyncio.sleep(5)
                _kill(pid)
                await asyncio.sleep(half)
                pid = _start_valkey(valkey)
                await asyncio.sleep(5)
                process = Process.of(pid)
                assert process is not None
                await freeze([process], half)
                await sending
                await place.quiet(SETTLE)
                verdict = _verdict(place, load)
        finally:
            _kill(pid)
    return [
        Line("Valkey stopped, then frozen, each [s]", half),
        *_load_lines(load, verdict, floor=0.98 * options.rates.events),
        *_step_lines(verdict),
        Line("repeats, same id", verdict.repeats, 0),
        *distribution("lateness", verdict.lateness, most=5.0),
        *_latest(verdict),
    ]


def _start_valkey(valkey: Valkey) -> int:
    pid = valkey.start()
    deadline = time.monotonic() + 10
    while not valkey.ready(pid):
        assert time.monotonic() < deadline, "Valkey does not start"
        time.sleep(0.02)
    return pid


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


async def smtp(options: Options) -> list[Line]:
    """The mail server accepts connections and says nothing for 30 s, all the time."""
    async with site() as place:
        load = _load(place, options)
        place.sinks.hang = 30.0
        await load.run(options.seconds)
        # What a mail that fails now leads to must have had its time.
        await asyncio.sleep(16)
        place.sinks.hang = 0.0
        verdict = _verdict(place, load)
        following = _next_method(place, load)
    late = [one for one in verdict.missing if one.channel == world.WEBHOOK]
    waits = [wait for wait in following if wait is not None]
    return [
        *_load_lines(load, verdict, floor=0.98 * options.rates.events),
        Line("steps by webhook missing", len(late), 0),
        *distribution("lateness by webhook", verdict.by_channel[world.WEBHOOK], 2.0),
        Line("mail failed, next method used", len(waits), 1, floor=True),
        Line("mail failed, nothing followed", len(following) - len(waits), 0),
        Line("next method, since the mail was due, max [s]", percentile(waits, 1.0), 15.0),
    ]


def _next_method(place: Site, load: Load) -> list[float | None]:
    """Return how long each person who trusts in mail waited for the webhook that stands in for it."""
    found = compare.incidents(place.database)
    pages = {
        (incident, message.person): message.at
        for arrival in reversed(place.sinks.arrivals)
        if arrival.channel == world.WEBHOOK and (message := compare.read(arrival)) and not message.is_notice
        for incident in message.incidents
    }
    dues = compare.expected(found, until=load.record.ended)
    waits: list[float | None] = []
    for due in dues:
        if due.channel == world.EMAIL and world.is_mail_first(due.person) and not due.optional:
            arrived = pages.get((due.incident, due.person))
            waits.append(None if arrived is None else arrived - due.at)
    return waits


def _load(place: Site, options: Options) -> Load:
    return Load(place.up.port, place.integration_keys, options.seed, options.rates)


def _verdict(place: Site, load: Load, begin: Callable[[float, float], float] | None = None) -> Verdict:
    verdict = Verdict(openings=load.record.openings)
    verdict.lost_events = compare.lost(place.database, load.record)
    found = compare.incidents(place.database)
    verdict.incidents = len(found)
    dues = compare.expected(found, until=load.record.ended)
    compare.compare(dues, place.sinks.arrivals, verdict, begin or (lambda due, _: due))
    worst = [due for _, due in verdict.latest[:TOLD]] + verdict.missing[:TOLD]
    verdict.stories = {due: compare.story(place.database, due) for due in worst}
    return verdict


def _load_lines(load: Load, verdict: Verdict, floor: float) -> list[Line]:
    record = load.record
    answers = ", ".join(f"{count} × {status}" for status, count in record.answers.most_common())
    return [
        Line("events offered", record.offered),
        Line("events acknowledged", len(record.acknowledged)),
        Line("acknowledged a second", round(record.rate, 1), floor or None, floor=True),
        Line("never acknowledged at the end", record.given_up, 0),
        Line("answers", answers),
        *distribution("answer", record.latencies),
        Line("acknowledged and lost", len(verdict.lost_events), 0),
        Line("incidents that should be", verdict.openings),
        Line("incidents too many or too few", abs(verdict.incidents - verdict.openings), 0),
    ]


def _step_lines(verdict: Verdict) -> list[Line]:
    return [
        Line("steps due", verdict.due),
        Line("steps missing", len(verdict.missing), 0),
        Line("steps overtaken by the end of their incident", verdict.overtaken),
        Line("messages arrived", verdict.messages),
        Line("of them naming several incidents", verdict.bundled),
        Line("messages that name no incident", verdict.unreadable, 0),
    ]


def _latest(verdict: Verdict) -> list[Line]:
    """The worst, with what the product knows of each, for whoever has to find out why a bound was broken."""
    late = [(f"late: {_words(due)}", due, round(late, 2)) for late, due in verdict.latest[:TOLD]]
    missing = [(f"missing: {_words(due)}", due, "") for due in verdict.missing[:TOLD]]
    for name, due, _ in (*late, *missing):
        print(f"{name}: {verdict.stories[due]}", file=sys.stderr)
    return [Line(name, figure) for name, _, figure in (*late, *missing)]


def _words(due: Due) -> str:
    clock = time.strftime("%H:%M:%S", time.gmtime(due.at))
    return f"#{due.incident} to p{due.person} by {due.channel}, due {clock}"


async def flood(options: Options) -> list[Line]:
    """One person gets thousands of incidents, as fast as they are taken."""
    async with site() as place:
        poured = Flood(place.up.port, place.integration_keys[PERSON])
        await poured.run(options.flood)
        found = await poured.all_named(place.sinks, options.seconds)
    return [
        Line("incidents opened", len(poured.opened), options.flood, floor=True),
        Line("opened within [s]", round(poured.seconds, 1)),
        *[line for channel in (world.WEBHOOK, world.EMAIL) for line in _told(channel, found[channel], poured)],
    ]


def _told(channel: str, messages: list[compare.Message], poured: Flood) -> list[Line]:
    named = {incident for message in messages for incident in message.incidents}
    first = min((message.at for message in messages), default=float("inf"))
    return [
        Line(f"messages by {channel}", len(messages)),
        Line(f"most of them within five minutes, {channel}", most_within(messages, WINDOW), 10),
        Line(f"first after [s], {channel}", round(first - poured.started, 2), 30.0),
        Line(f"incidents not named, {channel}", len(poured.opened - named), 0),
    ]


RUNS = {"storm": storm, "restarts": restarts, "broker": broker, "smtp": smtp, "flood": flood}
