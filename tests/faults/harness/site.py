"""The installation under test: a real `up` with two of everything, its sinks, and the world in its database."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import LiteralString

import psycopg

from ilert.embedded import paths
from tests.faults.harness.sinks import Sinks
from tests.faults.running import ROOT, Up, environment

KEPT_LOGS = Path(tempfile.gettempdir()) / "ilert-faults.log"
# What a bundle carries is one message with it.
_IN_FLIGHT = "SELECT count(*) FROM notifications_notification WHERE state = 'sending' AND carrier_id IS NULL"
# Some seconds old, since new work falls due all the time; and what is tried again later.
_DUE = """
SELECT (SELECT count(*) FROM notifications_notification WHERE state IN ('planned', 'sending')
            AND (due_at <= now() - interval '5 s' OR attempt_count > 0))
     + (SELECT count(*) FROM incidents_incident WHERE next_escalation_at <= now() - interval '5 s')
"""


@dataclass
class Site:
    """Where everything is. `up` is replaced when all of it is killed and started again."""

    directory: Path
    sinks: Sinks
    up: Up
    environ: dict[str, str]
    integration_keys: list[str] = field(default_factory=list)

    @property
    def database(self) -> str:
        return paths.database_url(self.directory / "var")

    def start_again(self) -> None:
        self.up = Up(self.directory / "var", port=self.up.port, **self.environ)

    async def in_flight(self) -> int:
        """Return how many messages are being sent; 0 when the database cannot say, as then none can be begun."""
        return await self._count(_IN_FLIGHT) or 0

    async def quiet(self, patience: float) -> bool:
        """Wait until nothing is due any more. Returns whether that was so in time."""
        deadline = time.monotonic() + patience
        await asyncio.sleep(6)
        while await self._count(_DUE) != 0:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.5)
        return True

    async def _count(self, query: LiteralString) -> int | None:
        try:
            async with asyncio.timeout(0.5):
                async with await psycopg.AsyncConnection.connect(self.database, autocommit=True) as connection:
                    row = await (await connection.execute(query)).fetchone()
                    return int(row[0]) if row else None
        except (psycopg.Error, TimeoutError):
            return None


@contextlib.asynccontextmanager
async def site(**more: str) -> AsyncIterator[Site]:
    """Set everything up in a directory of its own; nothing is left of it afterwards. `more` are settings."""
    directory = Path(tempfile.mkdtemp(prefix="ilert-f-"))
    directory.chmod(0o711)
    sinks = await Sinks().start()
    environ = _settings(sinks) | more
    up = Up(directory / "var", **environ)
    place = Site(directory, sinks, up, environ)
    try:
        await asyncio.to_thread(up.runs, 60)
        place.integration_keys = await asyncio.to_thread(_furnish, directory, sinks)
        yield place
    finally:
        place.up.end()  # at once, not to be interrupted by a second signal
        _keep_logs(directory)
        sinks.close()
        shutil.rmtree(directory, ignore_errors=True)


def _keep_logs(directory: Path) -> None:
    """What the product said, for whoever has to find out why a bound was broken."""
    logs = sorted([*directory.glob("*.out"), *(directory / "var" / "log").glob("*.log")])
    with KEPT_LOGS.open("wb") as kept:
        for log in logs:
            kept.write(f"\n######## {log.name}\n".encode() + log.read_bytes())


def _settings(sinks: Sinks) -> dict[str, str]:
    return {
        "EMAIL_URL": f"smtp://127.0.0.1:{sinks.smtp_port}",
        "ILERT_ALLOW_PRIVATE_NETWORKS": "127.0.0.0/8",
        "ILERT_WEB_PROCESSES": "2",
        "ILERT_WORKERS": "2",
        "ILERT_TICKERS": "2",
    }


def _furnish(directory: Path, sinks: Sinks) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.harness.furnish", f"http://127.0.0.1:{sinks.http_port}"],
        cwd=ROOT,
        env=environment(ILERT_DATA_DIR=str(directory / "var")),
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    keys: list[str] = json.loads(done.stdout.splitlines()[-1])
    return keys
