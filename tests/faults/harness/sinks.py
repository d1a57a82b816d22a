"""A mail server and webhook receivers that take everything and note when; the mail server can also hang."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field

from tests.faults.harness import world


@dataclass(frozen=True)
class Arrival:
    """A message as it came in: when its last byte was there, for whom, and all of its bytes."""

    at: float
    channel: str
    person: int
    raw: bytes


@dataclass
class Sinks:
    """Both servers, on free ports of loopback. With `hang` set the mail server says nothing for so many seconds."""

    arrivals: list[Arrival] = field(default_factory=list)
    hang: float = 0.0
    smtp_port: int = 0
    http_port: int = 0
    _servers: list[asyncio.Server] = field(default_factory=list)

    async def start(self) -> Sinks:
        for handler in (self._smtp, self._http):
            server = await asyncio.start_server(handler, "127.0.0.1", 0, backlog=500)
            self._servers.append(server)
        self.smtp_port, self.http_port = (server.sockets[0].getsockname()[1] for server in self._servers)
        return self

    def close(self) -> None:
        for server in self._servers:
            server.close()

    async def _smtp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.hang:
                await asyncio.sleep(self.hang)
            writer.write(b"220 sink\r\n")
            recipient = ""
            while line := await reader.readline():
                verb = line[:4].upper()
                if verb == b"DATA":
                    writer.write(b"354 go on\r\n")
                    mail = await reader.readuntil(b"\r\n.\r\n")
                    self._take(world.EMAIL, recipient, mail)
                    writer.write(b"250 2.0.0 taken\r\n")
                elif verb == b"QUIT":
                    writer.write(b"221 bye\r\n")
                    break
                else:
                    if verb == b"RCPT":
                        recipient = line.decode()
                    writer.write(b"250 ok\r\n")
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # whoever was sending was killed, or the run is over
        finally:
            writer.close()

    async def _http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                self._take(world.WEBHOOK, head.split(b" ", 2)[1].decode(), body)
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def _take(self, channel: str, address: str, raw: bytes) -> None:
        person = re.search(r"[</:]p(\d+)\b", address)
        self.arrivals.append(Arrival(time.time(), channel, int(person[1]) if person else -1, raw))
