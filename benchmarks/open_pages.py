"""How soon open lists show what has come, and at what price: python -m benchmarks.open_pages [--pages N --rate N].

Opens the streams of as many lists as a big team has, some of them filtered, posts new incidents at a fixed rate, and
counts for each of them and each page the time until the page shows it or one that is newer.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measured import Latency, latency
from benchmarks.stage import ROOT, Door, Stage, cpu_seconds, doors, stage
from benchmarks.traffic import Alerts

# What the slowest page may take, in seconds, and how many processors the web process may use.
SOON, CORES = 3.0, 1.0
# Pages that come again after a restart spread over some seconds as well.
OPENING = 10.0
_FILTERS = ("", "", "", "tab=pending", "tab=all", "priority=high", "tab=pending&priority=high", "q=disk")
_SESSION = """
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client
client = Client()
client.force_login(get_user_model().objects.filter(role="admin").first())
name = settings.SESSION_COOKIE_NAME
print(name + "=" + client.cookies[name].value)
"""
_NEWEST = re.compile(rb'"order": \[(\d+)')
_OPENED = re.compile(rb'"incidentUrl": ?"[^"]*/incidents/(\d+)/?"')


@dataclass
class OpenPage:
    """One stream: when which incident was the newest on it."""

    query: str
    shown: list[tuple[float, int]] = field(default_factory=list)

    async def follow(self, port: int, cookie: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
        lines = [f"GET /incidents/stream?version=&{self.query} HTTP/1.1", "Host: localhost", f"Cookie: {cookie}"]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        try:
            status = await reader.readline()
            if b" 200 " not in status:
                raise RuntimeError(f"no stream: {status!r}")
            while line := await reader.readline():
                if line.startswith(b"data: ") and (newest := _NEWEST.search(line, 0, 200)):
                    self.shown.append((time.monotonic(), int(newest[1])))
        finally:
            writer.close()

    def delay(self, answered: float, incident: int) -> float | None:
        return next((max(at - answered, 0.0) for at, newest in self.shown if newest >= incident), None)


async def post(port: int, path: str, rate: float, seconds: float) -> list[tuple[float, int]]:
    """Open new incidents at a fixed rate. Returns when each was answered, and its number."""
    traffic, opened = Alerts(path), []
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    started = time.monotonic()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(started + number / rate - time.monotonic(), 0))
        _, request = traffic.next(0) or ((0, 0), b"")
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])  # type: ignore[index]
        body = await reader.readexactly(length)
        opened.append((time.monotonic(), int(_OPENED.search(body)[1])))  # type: ignore[index]
    writer.close()
    return opened


@dataclass(frozen=True)
class Found:
    delays: Latency
    missing: int
    cores: float
    opened: int


async def measure(door: Door, path: str, cookie: str, options: argparse.Namespace) -> Found:
    pages = [OpenPage(_FILTERS[number % len(_FILTERS)]) for number in range(options.pages)]
    following = []
    for page in pages:
        following.append(asyncio.create_task(page.follow(door.port, cookie)))
        await asyncio.sleep(OPENING / len(pages))
    before, started = cpu_seconds(door.pid), time.monotonic()
    opened = await post(door.port, path, options.rate, options.seconds)
    cores = (cpu_seconds(door.pid) - before) / (time.monotonic() - started)
    await asyncio.sleep(SOON + 2)
    ended = [task.exception() for task in following if task.done()]
    for task in following:
        task.cancel()
    for task in following:
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task
    if ended:
        raise RuntimeError(f"{len(ended)} streams have ended: {ended[0]}")
    # Words are made findable behind the incidents, within a second or two, by a ticker that does not run here.
    delays = [page.delay(*one) for page in pages if "q=" not in page.query for one in opened]
    known = [delay for delay in delays if delay is not None]
    return Found(latency(known), len(delays) - len(known), cores, len(opened))


def _session(on: Stage) -> str:
    command = [sys.executable, "manage.py", "shell", "-v0", "-c", _SESSION]
    done = subprocess.run(command, cwd=ROOT, env=on.env, stdout=subprocess.PIPE, check=True, text=True)
    return done.stdout.split()[-1]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.open_pages", description=__doc__)
    parser.add_argument("--pages", type=int, default=200)
    parser.add_argument("--rate", type=float, default=50, help="new incidents a second")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--out", type=Path, default=Path("var/open_pages.json"))
    options = parser.parse_args(arguments)
    with stage() as on, doors(on) as opened:
        found = asyncio.run(measure(opened["lane"], on.path, _session(on), options))
    print(f"{options.pages} open pages, {found.opened} new incidents at {options.rate:g}/s")
    print(f"until a page shows it: {found.delays}, never: {found.missing}")
    print(f"web process: {found.cores:.2f} cores")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figures = {"pages": options.pages, "rate": options.rate, "cores": found.cores, "never": found.missing}
    options.out.write_text(json.dumps(figures | {"milliseconds": found.delays._asdict()}, indent=1))
    good = found.delays.longest <= 1000 * SOON and not found.missing and found.cores <= CORES
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
