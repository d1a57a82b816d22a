"""Database and broker down, restarting, frozen and full: an answer in time, and nothing has to be restarted."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from benchmarks.client import ClientProcess
from ilert.embedded import paths
from tests.faults.house import LONG, Answered, House, Senders, continue_all, engine, open_house, stop_all
from tests.faults.running import Process, Up, eventually

pytestmark = pytest.mark.faults

BROKEN_FOR = 15.0 if LONG else 6.0
# An answer takes at most 5 s; the rest is for a machine that does other things at the same time.
LONGEST = 5.0


def check_answers(house: House, told: Senders) -> None:
    slowest = max(answer.seconds for answer in told.answers)
    counted = {status: sum(answer.status == status for answer in told.answers) for status in sorted(told.statuses())}
    print(f"\n{counted}, slowest {slowest:.2f} s, without an answer: {len(told.failures)}")
    assert not told.failures
    assert told.statuses() <= {200, 202, 503}
    assert slowest < LONGEST
    assert all(answer.retry_after for answer in told.answers if answer.status == 503)
    assert not house.lost(answer.as_answer() for answer in told.answers)


@contextlib.contextmanager
def frozen(processes: list[Process]) -> Iterator[None]:
    stop_all(processes)
    try:
        yield
    finally:
        continue_all(processes)


def refused(told: Senders, since: int) -> bool:
    return any(answer.status == 503 for answer in told.answers[since:])


def test_database_frozen(house: House) -> None:
    webs = house.webs()
    with Senders(house) as told:
        time.sleep(1)
        with frozen(engine(house, "postgres")):
            time.sleep(BROKEN_FOR)
        back = house.takes_events(15)
        print(f"\ntaken again {back:.1f} s after it goes on")
    assert refused(told, 0)
    check_answers(house, told)
    assert house.webs() == webs


def test_database_restarting_again_and_again(house: House) -> None:
    webs = house.webs()
    with Senders(house) as told:
        for sig in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            time.sleep(1)
            postgres = house.up.member("postgres")
            os.kill(postgres.pid, sig)
            eventually(lambda postgres=postgres: not postgres.alive, 10, "the end of the database")
            back = house.takes_events(20)
            print(f"\n{sig.name}: taken again after {back:.1f} s")
    check_answers(house, told)
    assert house.webs() == webs


def test_database_down_and_back(house: House) -> None:
    """Down for longer than any wait of a request: the supervisor is kept from starting it again."""
    webs = house.webs()
    supervisor = Process.of(house.up.popen.pid)
    assert supervisor
    with Senders(house) as told:
        time.sleep(1)
        with frozen([supervisor]):
            os.kill(house.up.member("postgres").pid, signal.SIGKILL)
            since = len(told.answers) + 6
            time.sleep(BROKEN_FOR)
            assert {answer.status for answer in told.answers[since:]} == {503}
        back = house.takes_events(20)
        print(f"\ntaken again {back:.1f} s after the supervisor goes on")
    check_answers(house, told)
    assert house.webs() == webs


def test_database_read_only(house: House) -> None:
    """A standby after a failover, or a disk that the administrator has put aside."""
    webs = house.webs()
    with Senders(house) as told:
        time.sleep(0.5)
        set_read_only(house, "on")
        time.sleep(1)
        since = len(told.answers)
        time.sleep(BROKEN_FOR / 2)
        assert {answer.status for answer in told.answers[since:]} == {503}
        set_read_only(house, "off")
        house.takes_events(10)
    check_answers(house, told)
    assert house.webs() == webs


def set_read_only(house: House, value: str) -> None:
    with psycopg.connect(house.url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
        connection.execute("SELECT pg_reload_conf()")


@pytest.fixture
def small_disk(place: Path) -> Iterator[Path]:
    """A file system of its own for all that the installation writes."""
    disk = place / "var"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=700m", "none", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def test_disk_full(small_disk: Path, up: Callable[..., Up], client: ClientProcess) -> None:
    house = open_house(up(small_disk, ILERT_WEB_PROCESSES="2").runs(90), client)
    webs = house.webs()
    ballast = small_disk / "ballast"
    with Senders(house) as told:
        time.sleep(1)
        since = len(told.answers)
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(1 << 20)):
                pass
        eventually(lambda: refused(told, since), 30, "an alert that cannot be stored")
        time.sleep(BROKEN_FOR)
        ballast.unlink()
        back = house.takes_events(30)
        print(f"\ntaken again {back:.1f} s after there is room")
    check_answers(house, told)
    assert house.webs() == webs


@pytest.mark.parametrize("how", ["stopped", "frozen", "full"])
def test_broker_in_trouble_delays_no_event_and_no_message(house: House, how: str) -> None:
    webs = house.webs()
    # Whoever the load is about is told of it in bundles, with pauses between them.
    calm = open_house(house.up, house.client)
    with broker_trouble(house, how), Senders(house, 2) as told:
        time.sleep(0.5)
        posted = calm.post()
        started = time.monotonic()
        assert posted.status == 200
        assert posted.seconds < 2
        waited = eventually(lambda: message_of(house, posted), 10, "the message")
        print(f"\nValkey {how}: answered in {posted.seconds:.2f} s, message {waited:.1f} s later")
        assert time.monotonic() - started < 5
        time.sleep(BROKEN_FOR / 2)
    assert told.statuses() == {200}
    check_answers(house, told)
    house.takes_events(5)
    assert house.webs() == webs


@contextlib.contextmanager
def broker_trouble(house: House, how: str) -> Iterator[None]:
    client = redis.Redis.from_url(paths.redis_url(house.up.data_dir), socket_timeout=2)
    valkey = house.up.member("valkey-server")
    if how == "full":
        before = client.config_get("maxmemory")["maxmemory"]
        client.config_set("maxmemory", "1mb")
        with contextlib.suppress(redis.ResponseError):
            for number in range(100):
                client.set(f"filler-{number}", bytes(100_000))
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            client.set("one-more", bytes(100_000))
        yield
        client.config_set("maxmemory", before)
        client.delete("filler-0", *client.keys("filler-*"))
        return
    supervisor = Process.of(house.up.popen.pid)
    assert supervisor
    if how == "frozen":
        with frozen([valkey]):
            yield
        return
    with frozen([supervisor]):  # which would start it again
        os.kill(valkey.pid, signal.SIGKILL)
        yield


def message_of(house: House, posted: Answered) -> bool:
    """Whether a message about the incident of this event has left."""
    incident = int(str(json.loads(posted.content)["incidentUrl"]).rstrip("/").rsplit("/", 1)[1])
    rows = house.query(
        "SELECT 1 FROM incidents_logentry AS entry JOIN notifications_notification AS message "
        "ON message.id = entry.notification_id "
        "WHERE entry.incident_id = %s AND message.state IN ('accepted', 'delivered', 'shown')",
        incident,
    )
    return bool(rows)
