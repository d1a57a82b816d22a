"""A flood: thousands of incidents for one person, and what that person gets to read of it."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator

from tests.faults.harness import compare, world
from tests.faults.harness.load import LANES, RETRY_AFTER, Connection
from tests.faults.harness.sinks import Sinks

# Both channels at once. Nobody else's incidents go to this person here.
PERSON = 0
WINDOW = 300.0


class Flood:
    """Opens incidents at one source, as fast as they are answered."""

    def __init__(self, port: int, integration_key: str) -> None:
        self.opened: set[int] = set()
        self.started = 0.0
        self.seconds = 0.0
        self._port = port
        self._path = f"/api/v1/events/api/{integration_key}"

    async def run(self, count: int) -> None:
        numbers = iter(range(count))
        self.started = time.time()
        await asyncio.gather(*[self._pour(numbers) for _ in range(LANES)])
        self.seconds = time.time() - self.started

    async def _pour(self, numbers: Iterator[int]) -> None:
        connection = Connection(self._port)
        for number in numbers:
            status, body = 0, b""
            while status != 200:
                status, body, _ = await connection.ask(self._request(number))
                if status != 200:
                    await asyncio.sleep(RETRY_AFTER)
            found = re.search(r"/incidents/(\d+)", json.loads(body)["incidentUrl"])
            assert found, body
            self.opened.add(int(found[1]))

    def _request(self, number: int) -> bytes:
        fields = {"eventType": "ALERT", "incidentKey": f"flood-{number}", "summary": f"Disk of host-{number} is full"}
        body = json.dumps(fields).encode()
        head = f"POST {self._path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    async def all_named(self, sinks: Sinks, patience: float) -> dict[str, list[compare.Message]]:
        """Return the messages to the person by channel, once all incidents are named in both, or time is up."""
        deadline = time.monotonic() + patience
        while True:
            found = {channel: _to_person(sinks, channel) for channel in (world.WEBHOOK, world.EMAIL)}
            named = [frozenset().union(*[message.incidents for message in each]) for each in found.values()]
            if all(self.opened <= each for each in named) or time.monotonic() > deadline:
                return found
            await asyncio.sleep(0.5)


def _to_person(sinks: Sinks, channel: str) -> list[compare.Message]:
    read = [compare.read(arrival) for arrival in sinks.arrivals if arrival.channel == channel]
    return [message for message in read if message and message.person == PERSON]


def most_within(messages: list[compare.Message], seconds: float) -> int:
    """Return how many messages came within any stretch of so many seconds."""
    times = sorted(message.at for message in messages)
    return max((sum(begin <= at <= begin + seconds for at in times) for begin in times), default=0)
