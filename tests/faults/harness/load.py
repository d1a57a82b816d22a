"""The load: events at a fixed rate, whatever the product does; each is sent until it is acknowledged."""

from __future__ import annotations

import asyncio
import heapq
import json
import random
import time
from collections import Counter, deque
from dataclasses import dataclass, field

from tests.faults.harness import world

LANES = 64
# The contract says 5 s; who hears nothing by then takes the connection for dead.
ANSWER_TIMEOUT = 6.0
RETRY_AFTER = 0.2
TICK = 0.02
# An incident lives long enough that its first messages are unmistakably due; some see their second level too.
SHORT_LIFE, LONG_LIFE = (40.0, 50.0), (100.0, 110.0)
LONG_SHARE = 0.3
OPEN, REPEAT, RESOLVE = "open", "repeat", "resolve"


@dataclass(frozen=True)
class Rates:
    """Events a second in all, and how many of them open an incident."""

    events: float = 500.0
    openings: float = 20.0


@dataclass(frozen=True)
class Acknowledged:
    """What the product answered 2xx."""

    event_id: int
    key: int
    outcome: str


@dataclass
class Record:
    """What came of the load."""

    offered: int = 0
    acknowledged: list[Acknowledged] = field(default_factory=list)
    openings: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    started: float = 0.0
    ended: float = 0.0
    in_time: int = 0
    given_up: int = 0

    @property
    def rate(self) -> float:
        """Events a second that were acknowledged while the load lasted."""
        return self.in_time / (self.ended - self.started)


class Load:
    """Sends events to `port`. Events of one key share a lane, so that each waits for the answer to the one before."""

    def __init__(self, port: int, integration_keys: list[str], seed: int, rates: Rates) -> None:
        self.record = Record()
        self._port = port
        self._integration_keys = integration_keys
        self._random = random.Random(seed)
        self._rates = rates
        self._lanes: list[asyncio.Queue[tuple[str, int]]] = [asyncio.Queue() for _ in range(LANES)]
        self._idle = deque(self._random.sample(range(world.KEYS), world.KEYS))
        self._open: list[int] = []
        self._leaving: list[tuple[float, int]] = []
        self._waiting = 0

    async def run(self, seconds: float, patience: float = 30.0) -> None:
        """Offer the load for so long, then wait until all of it is acknowledged, at most `patience` seconds."""
        senders = [asyncio.create_task(self._send_all(queue)) for queue in self._lanes]
        self.record.started = time.time()
        await self._offer(seconds)
        self.record.ended = time.time()
        self.record.in_time = len(self.record.acknowledged)
        deadline = time.monotonic() + patience
        while self._waiting and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        self.record.given_up = self._waiting
        for sender in senders:
            if sender.done():
                sender.result()  # a fault of this program, to be seen
            sender.cancel()

    async def _offer(self, seconds: float) -> None:
        begun = time.monotonic()
        opened = offered = 0
        while (now := time.monotonic() - begun) < seconds:
            while opened < now * self._rates.openings and self._idle:
                self._open_one(now)
                opened += 1
                offered += 1
            while self._leaving and self._leaving[0][0] <= now:
                self._resolve_one(heapq.heappop(self._leaving)[1])
                offered += 1
            while offered < now * self._rates.events and self._open:
                self._put(REPEAT, self._random.choice(self._open))
                offered += 1
            await asyncio.sleep(TICK)
        self.record.offered = offered

    def _open_one(self, now: float) -> None:
        key = self._idle.popleft()
        life = LONG_LIFE if self._random.random() < LONG_SHARE else SHORT_LIFE
        self._open.append(key)
        heapq.heappush(self._leaving, (now + self._random.uniform(*life), key))
        self._put(OPEN, key)

    def _resolve_one(self, key: int) -> None:
        self._open.remove(key)
        self._put(RESOLVE, key)

    def _put(self, kind: str, key: int) -> None:
        self._waiting += 1
        self._lanes[key % LANES].put_nowait((kind, key))

    async def _send_all(self, queue: asyncio.Queue[tuple[str, int]]) -> None:
        connection = Connection(self._port)
        while True:
            kind, key = await queue.get()
            request = self._request(kind, key)
            while not self._is_done(kind, key, *await connection.ask(request)):
                await asyncio.sleep(RETRY_AFTER)
            self._waiting -= 1

    def _request(self, kind: str, key: int) -> bytes:
        fields = {"eventType": "RESOLVE" if kind == RESOLVE else "ALERT", "incidentKey": world.key_name(key)}
        if kind != RESOLVE:
            fields |= {"summary": f"Disk of host-{key:04d} is nearly full", "details": "97 % of /var is used."}
        body = json.dumps(fields).encode()
        path = f"/api/v1/events/api/{self._integration_keys[world.source_of(key)]}"
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def _is_done(self, kind: str, key: int, status: int, body: bytes, seconds: float) -> bool:
        self.record.answers[str(status) if status else "none"] += 1
        if status in (200, 202):
            answer = json.loads(body)
            self.record.latencies.append(seconds)
            self.record.acknowledged.append(Acknowledged(answer["eventId"], key, answer.get("outcome", "stored")))
        elif not (status == 400 and kind == RESOLVE and b"NO_OPEN_INCIDENT" in body):
            # That one is the answer to a repeat of a recovery whose first answer was lost.
            return False
        self.record.openings += kind == OPEN
        if kind == RESOLVE:
            self._idle.append(key)
        return True


class Connection:
    """One keep-alive connection; whatever happens to it is an answer without a status."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> tuple[int, bytes, float]:
        """Return (status, body, seconds)."""
        begun = time.monotonic()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                status, body = await self._ask(request)
        except (OSError, asyncio.IncompleteReadError, RuntimeError):
            # The last is uvloop's word for a connection that has been closed under our hands.
            self._close()
            return 0, b"", 0.0
        return status, body, time.monotonic() - begun

    async def _ask(self, request: bytes) -> tuple[int, bytes]:
        if self._streams and (self._streams[0].at_eof() or self._streams[1].is_closing()):
            self._close()
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
        body = await reader.readexactly(int(length))
        if b"\r\nconnection: close" in head:
            self._close()
        return int(head.split(b" ", 2)[1]), body

    def _close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
