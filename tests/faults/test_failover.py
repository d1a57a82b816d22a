"""PostgreSQL with a synchronous standby: the primary dies, the standby is promoted, and nothing answered is lost."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from benchmarks.stage import make_sources
from ilert.embedded import engine, paths, process
from ilert.embedded.postgres import Postgres, _binary
from tests.faults.running import Up, environment, eventually, family, free_port
from tests.servers.smtp import SmtpServer

pytestmark = pytest.mark.faults


class Standby(Postgres):
    """A copy of another server, which it follows."""

    source_port = 0

    def _make_cluster(self, fresh: Path) -> None:
        source = ["--host", "127.0.0.1", "--port", str(self.source_port), "--username", paths.POSTGRES_USER]
        self._run([_binary("pg_basebackup"), *source, "--pgdata", str(fresh), "--write-recovery-conf"])


@dataclass
class Pair:
    """Two servers: `ports` of the first primary and of its standby, `primary` is the process id of the former."""

    ports: tuple[int, int]
    primary: int = 0

    @property
    def url(self) -> str:
        one, two = self.ports
        hosts = f"127.0.0.1:{one},127.0.0.1:{two}"
        return f"postgres://{paths.POSTGRES_USER}@{hosts}/{paths.POSTGRES_DATABASE}?target_session_attrs=read-write"

    def query(self, port: int, statement: str, *values: object) -> list[tuple[object, ...]]:
        conninfo = f"host=127.0.0.1 port={port} user={paths.POSTGRES_USER} dbname={paths.POSTGRES_DATABASE}"
        with psycopg.connect(conninfo, autocommit=True) as connection:
            return connection.execute(statement, values).fetchall()


@contextmanager
def running(server: Postgres) -> Iterator[int]:
    server.initialise()
    pid = server.start()
    try:
        engine.wait_ready(server, pid)
        yield pid
    finally:
        engine.stop(server, pid)


@pytest.fixture
def pair(place: Path) -> Iterator[Pair]:
    pair = Pair((free_port(), free_port()))
    identity = process.unprivileged_identity()

    def made(kind: type[Postgres], number: int, **settings: str) -> Postgres:
        home = place / f"server-{number}"
        home.mkdir()
        home.chmod(0o711)
        sockets = paths.ensure_socket_dir(home, identity.owner)
        settings |= {"listen_addresses": "127.0.0.1", "port": str(pair.ports[number])}
        return kind(home / "data", sockets, home / "log", identity=identity, settings=settings)

    with ExitStack() as stack:
        pair.primary = stack.enter_context(running(made(Postgres, 0, synchronous_standby_names="*")))
        standby = made(Standby, 1)
        standby.source_port = pair.ports[0]  # type: ignore[attr-defined]
        stack.enter_context(running(standby))
        state = "SELECT sync_state FROM pg_stat_replication"
        eventually(lambda: pair.query(pair.ports[0], state) == [("sync",)], 20, "a standby that follows")
        yield pair


@dataclass
class Sender:
    """Reports a new problem ten times a second, each until it is taken, and notes what it was answered."""

    port: int
    path: str
    taken: list[tuple[float, int]] = field(default_factory=list)
    refused: set[int] = field(default_factory=set)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def sending(self) -> Iterator[None]:
        thread = threading.Thread(target=self._send)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def taken_since(self, moment: float) -> bool:
        return any(at > moment for at, _ in self.taken)

    def _send(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            while not self._stop.is_set() and not self._is_taken(number):
                self._stop.wait(0.1)
            self._stop.wait(0.1)

    def _is_taken(self, number: int) -> bool:
        alert = {
            "applicationId": f"app-{number}",
            "ruleType": "THRESHOLD",
            "description": f"Disk of host-{number} full",
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST", self.path, json.dumps(alert), {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError):
            return False
        finally:
            connection.close()
        if response.status != 200:
            self.refused.add(response.status)
            return False
        self.taken.append((time.monotonic(), int(answer["eventId"])))
        return True


def test_standby_takes_over_and_has_all_that_was_answered(pair: Pair, up: Callable[..., Up]) -> None:
    with SmtpServer() as mail:
        settings = {"DATABASE_URL": pair.url, "EMAIL_URL": f"smtp://127.0.0.1:{mail.port}"}
        running_up = up(**settings).runs(90)
        env = environment(ILERT_DATA_DIR=str(running_up.data_dir), **settings)
        sender = Sender(running_up.port, make_sources(env, 1)[0])
        with sender.sending():
            eventually(lambda: len(sender.taken) > 20 and mail.mails, 30, "events and a mail")
            killed = time.monotonic()
            for one in family(pair.primary):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one.pid, signal.SIGKILL)
            time.sleep(2)
            promoted = time.monotonic()
            assert pair.query(pair.ports[1], "SELECT pg_promote()") == [(True,)]
            eventually(lambda: sender.taken_since(promoted), 30, "an event that the new primary takes")
            back = time.monotonic()
            time.sleep(3)
        ids = [event for _, event in sender.taken]
        stored = pair.query(pair.ports[1], "SELECT count(*) FROM incidents_event WHERE id = ANY(%s)", ids)
        assert stored == [(len(ids),)]
        assert sender.refused <= {503}
        unsent = (
            "SELECT count(*) FROM notifications_notification WHERE state IN ('planned', 'sending') AND due_at < now()"
        )
        sent = eventually(lambda: pair.query(pair.ports[1], unsent) == [(0,)], 30, "all messages")
        names = Counter(str(one["Message-ID"]) for one in mail.mails)
        # Nobody was killed who sent: what could not be written down then was written down later, and not sent again.
        assert set(names.values()) == {1}
        told = "SELECT count(*) FROM notifications_notification WHERE state = 'accepted' AND carrier_id IS NULL"
        assert pair.query(pair.ports[1], told) == [(len(names),)]
        print(
            f"\n{len(ids)} events, none lost; taken again {back - promoted:.1f} s after the promotion, "
            f"{back - killed:.1f} s after the kill; the last message {sent:.1f} s later; "
            f"{len(names)} mails, none twice"
        )
