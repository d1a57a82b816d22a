"""A whole installation under load: `up`, its sources, clients in processes of their own, and what its database says."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.client import Answer, ClientProcess, Plan, Result
from benchmarks.stage import make_sources
from benchmarks.traffic import Template, Traffic, fresh_prefix
from benchmarks.verify import event_ids, stored_ids
from ilert.embedded import paths
from tests.faults.running import Process, Up, environment, eventually, family

# ILERT_FAULTS=long runs everything as often and as long as the promises say; else a short form, as in CI.
LONG = os.environ.get("ILERT_FAULTS") == "long"
CONNECTIONS = 64


@dataclass
class House:
    up: Up
    client: ClientProcess
    paths: list[str]
    _prefix: str = field(default_factory=fresh_prefix)
    _posted: int = 0

    @property
    def url(self) -> str:
        return paths.database_url(self.up.data_dir)

    @property
    def path(self) -> str:
        return self.paths[0]

    def plan(self, traffic: Traffic, seconds: float, **more: Any) -> Plan:
        return Plan(self.up.port, traffic, CONNECTIONS, seconds, **more)

    def load(self, traffic: Traffic, seconds: float) -> Result:
        return self.client.run(self.plan(traffic, seconds))

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(statement, values).fetchall()

    def post(self, timeout: float = 10.0) -> Answered:
        """Post one alert of its own key over a connection of its own."""
        self._posted += 1
        request = Template(self.path, "alert.json", self._prefix)(self._posted)
        body = request.split(b"\r\n\r\n", 1)[1]
        connection = HTTPConnection("127.0.0.1", self.up.port, timeout=timeout)
        try:
            started = time.monotonic()
            connection.request("POST", self.path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            content = response.read()
            return Answered(response.status, time.monotonic() - started, content, response.getheader("Retry-After"))
        finally:
            connection.close()

    def takes_events(self, timeout: float) -> float:
        """Wait until an alert is taken; returns the seconds it took."""

        def taken() -> bool:
            try:
                return self.post().status == 200
            except OSError:
                return False

        return eventually(taken, timeout, "an alert that is taken")

    def lost(self, answers: Iterable[Answer]) -> set[int]:
        """The acknowledged events that the database does not have. No id may have been given twice."""
        acknowledged = event_ids(answers)
        assert len(acknowledged) == len(set(acknowledged))
        return set(acknowledged) - stored_ids(self.url, acknowledged)

    def webs(self) -> list[Process]:
        return self.up.members("ilert-web")

    def memory(self) -> int:
        """What the web processes use, in kB, pages that they share counted once."""
        total = 0
        for web in self.webs():
            lines = Path(f"/proc/{web.pid}/smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return total

    def descriptors(self) -> int:
        return sum(len(list(Path(f"/proc/{web.pid}/fd").iterdir())) for web in self.webs())

    def database_connections(self) -> int:
        """Those of the product; the one that asks is not counted."""
        found = self.query(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        return int(found[0][0])


@dataclass(frozen=True)
class Answered:
    status: int
    seconds: float
    content: bytes
    retry_after: str | None

    def as_answer(self) -> Answer:
        return Answer((0, 0), 0, 0, self.seconds, self.status, self.content)


def open_house(up: Up, client: ClientProcess, *, sources: int = 1) -> House:
    """Make the sources of a running `up`."""
    return House(up, client, make_sources(environment(ILERT_DATA_DIR=str(up.data_dir)), sources))


class Senders:
    """A few tools that post one alert after the other, whatever is broken meanwhile, and note each answer."""

    def __init__(self, house: House, number: int = 6) -> None:
        self.house = house
        self.answers: list[Answered] = []
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(number)]

    def __enter__(self) -> Senders:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        while not self._stop.wait(0.05):
            try:
                self.answers.append(self.house.post())
            except OSError as error:
                self.failures.append(repr(error))

    def statuses(self) -> set[int]:
        return {answer.status for answer in self.answers}


def stop_all(processes: Iterable[Process]) -> None:
    """Freeze them: they keep their connections and answer nothing."""
    for process in processes:
        os.kill(process.pid, signal.SIGSTOP)


def continue_all(processes: Iterable[Process]) -> None:
    for process in processes:
        if process.alive:
            os.kill(process.pid, signal.SIGCONT)


def engine(house: House, name: str) -> list[Process]:
    """The processes of an engine: PostgreSQL has one for each connection."""
    return family(house.up.member(name).pid)


def percentile(values: Iterable[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[int(len(ordered) * share)] if ordered else 0.0
