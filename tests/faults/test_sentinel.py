"""A broker behind Redis Sentinel: its master dies, the replica takes over, and the workers hear the bell again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis

from benchmarks.client import ClientProcess
from ilert.embedded.valkey import binary
from tests.faults.house import House, open_house
from tests.faults.running import Up, eventually, free_port
from tests.faults.test_intake_outages import message_of

pytestmark = pytest.mark.faults

MASTER = "bell"


@contextmanager
def server(place: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Valkey of the tests' own, until it is killed or the test ends."""
    process = subprocess.Popen([binary(), *arguments], cwd=place, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def guarded(place: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A master with a replica and a sentinel: the master's process, and the port of the sentinel."""
    one, two, watch = free_port(), free_port(), free_port()
    config = place / "sentinel.conf"
    config.write_text(
        f"port {watch}\nsentinel monitor {MASTER} 127.0.0.1 {one} 1\n"
        f"sentinel down-after-milliseconds {MASTER} 1000\nsentinel failover-timeout {MASTER} 3000\n"
    )
    with ExitStack() as stack:
        master = stack.enter_context(server(place, "--port", str(one), "--save", ""))
        eventually(lambda: answers(one), 10, "the master")
        stack.enter_context(
            server(place, "--port", str(two), "--save", "", "--replicaof", "127.0.0.1", str(one), "--dbfilename", "two")
        )
        eventually(lambda: is_replica(two), 10, "the replica")
        stack.enter_context(server(place, str(config), "--sentinel"))
        eventually(lambda: knows_a_replica(watch), 15, "the sentinel")
        yield master, watch


def answers(port: int) -> bool:
    try:
        return bool(redis.Redis(port=port, socket_timeout=0.5).ping())
    except redis.RedisError:
        return False


def is_replica(port: int) -> bool:
    return answers(port) and redis.Redis(port=port).info("replication")["master_link_status"] == "up"


def knows_a_replica(port: int) -> bool:
    state: dict[str, object] = redis.Redis(port=port).sentinel_master(MASTER) if answers(port) else {}  # type: ignore[assignment]
    return state.get("num-slaves") == 1


def test_workers_follow_the_master(
    guarded: tuple[subprocess.Popen[bytes], int], up: Callable[..., Up], client: ClientProcess
) -> None:
    master, port = guarded
    options = {"CELERY_BROKER_URL": f"sentinel://127.0.0.1:{port}/0", "ILERT_SENTINEL_MASTER": MASTER}
    house = open_house(up(**options).runs(90), client)
    told_within(house, 5)

    os.kill(master.pid, signal.SIGKILL)
    killed = house.query("SELECT now()")[0][0]
    told_within(house, 5)

    waited = eventually(lambda: heard_since(house, killed), 60, "a worker that hears the bell again")
    print(f"\nthe workers heard the new master {waited:.0f} s after the old one was killed")
    told_within(house, 5)


def told_within(house: House, seconds: float) -> None:
    """Post an event; its message has to leave in time, whoever does it."""
    posted = house.post()
    assert posted.status == 200
    eventually(lambda: message_of(house, posted), seconds, "the message")


def heard_since(house: House, moment: object) -> bool:
    """Whether a worker, whose pulse beats only while it hears the broker, has begun to do so since."""
    time.sleep(0.2)
    pulses = "SELECT 1 FROM incidents_pulse WHERE role = 'worker' AND last_seen_at > %s::timestamptz + interval '3 s'"
    return bool(house.query(pulses, moment))
