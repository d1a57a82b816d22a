"""An HTTP server on loopback that can also behave as badly as real ones do."""

import contextlib
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, Self


@dataclass(frozen=True)
class Request:
    """What was sent to the server. Header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Reply:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


Behaviour = Callable[["Handler", "HttpServer"], None]


def replying(status: int, body: bytes = b"", **headers: str) -> Behaviour:
    """Answer with this; a header is written like retry_after="7"."""

    def behave(handler: "Handler", server: "HttpServer") -> None:
        handler.reply(Reply(status, body, {name.replace("_", "-"): value for name, value in headers.items()}))

    return behave


def hanging(handler: "Handler", server: "HttpServer") -> None:
    """Take the request and say nothing until the server closes."""
    server.closing.wait()


def dripping_head(handler: "Handler", server: "HttpServer") -> None:
    """Send an answer that never gets past its headers, a byte at a time."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    _drip(handler, server)


def dripping_body(handler: "Handler", server: "HttpServer") -> None:
    """Answer 200 at once, then send a body that never ends, a byte at a time."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    _drip(handler, server)


def flooding(handler: "Handler", server: "HttpServer") -> None:
    """Answer 200 with a body that never ends, as fast as it is read."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    with contextlib.suppress(OSError):
        while not server.closing.is_set():
            handler.wfile.write(b"x" * 65536)


def hanging_up(handler: "Handler", server: "HttpServer") -> None:
    """Close the connection without an answer."""


def _drip(handler: "Handler", server: "HttpServer") -> None:
    with contextlib.suppress(OSError):
        while not server.closing.wait(0.02):
            handler.wfile.write(b"x")
            handler.wfile.flush()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Listener"

    def do_POST(self) -> None:
        owner = self.server.owner
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body)
        owner.requests.append(request)
        self.close_connection = True
        if owner.behaviour:
            owner.behaviour(self, owner)
        else:
            self.reply(owner.answer(request))

    do_GET = do_POST

    def reply(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in ({"Content-Length": str(len(reply.body))} | reply.headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, *args: Any) -> None:
        """Tests are quiet."""


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    owner: "HttpServer"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves early is what many tests are about."""


class HttpServer:
    """A server in a thread of this process, on a free port of 127.0.0.1. Use it in a `with` statement.

    `requests` holds what came in. `behaviour` replaces the ordinary answer until it is None again.
    """

    host: ClassVar[str] = "127.0.0.1"

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.behaviour: Behaviour | None = None
        self.closing = threading.Event()
        self._listener = _Listener((self.host, 0), Handler)
        self._listener.owner = self
        if tls:
            self._listener.socket = tls.wrap_socket(self._listener.socket, server_side=True)
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.01,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._listener.server_address[1])

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def answer(self, request: Request) -> Reply:
        """Return the ordinary answer to `request`."""
        return Reply()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._listener.shutdown()
        self._listener.server_close()
