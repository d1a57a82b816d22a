"""HTTP requests to addresses that people typed in: bounded in time and size, and kept out of private networks.

No redirect is followed and no proxy of the environment is used: either would lead somewhere that was not checked.
"""

import contextlib
import ipaddress
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cache
from socket import socket
from typing import Any

import httpcore
import httpx
from django.conf import settings

from ilert.common import net

TIMEOUT = 8.0
MAX_BODY = 64 * 1024
# RFC 6052: the whole IPv4 internet as it looks from a network that has IPv6 only.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class OutboundError(Exception):
    """A request got no answer; the text says why, in a sentence that names the host only."""


class UnusableURL(OutboundError):
    """No request was made, and none will be until the URL or the settings change."""


class BlockedAddress(UnusableURL):
    """The host is in a network that `ILERT_ALLOW_PRIVATE_NETWORKS` does not list."""


@dataclass(frozen=True)
class Response:
    """What the server answered. `text` is cut off at 64 KiB, or where the time was up."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    text: str = field(repr=False)

    def retry_after(self, now: datetime) -> float | None:
        """Return the seconds that the server asked to be left alone, if it did (RFC 9110 §10.2.3)."""
        value = self.headers.get("retry-after", "").strip()
        if value.isdecimal() and len(value) < 10:
            return float(value)
        try:
            return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
        except (ValueError, TypeError):
            return None


def parse(url: str) -> httpx.URL:
    """Return `url` taken apart. Raises UnusableURL with what is wrong with it."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise UnusableURL("This is not a URL.") from None
    if parsed.scheme not in ("http", "https"):
        raise UnusableURL("The URL must start with https:// or http://.")
    if not parsed.host or "%" in parsed.host or len(parsed.raw_host) > 253:
        raise UnusableURL("The URL names no valid host.")
    if parsed.port is not None and not 0 < parsed.port < 65536:
        raise UnusableURL("The port in the URL must be between 1 and 65535.")
    if parsed.userinfo:
        raise UnusableURL("The URL must not contain a user name or password.")
    return parsed


def post(url: str, *, content: bytes, headers: Mapping[str, str], timeout: float = TIMEOUT) -> Response:
    """POST `content` and return the answer, whatever its status. The whole request takes `timeout` seconds at most.

    Once the status has arrived the request is answered: a body that drips or breaks off is left unread. Raises
    UnusableURL (BlockedAddress for a private network) or OutboundError.
    """
    deadline = net.Deadline(timeout)
    return _answered(Request("POST", parse(url), headers, content), _CheckedNetwork(deadline), deadline)


def get_own(url: str, *, timeout: float = TIMEOUT) -> Response:
    """GET a URL out of the operator's own settings, which may be in any network. Otherwise as `post`."""
    deadline = net.Deadline(timeout)
    return _answered(Request("GET", parse(url), {}, b""), _OwnNetwork(deadline), deadline)


@dataclass(frozen=True)
class Request:
    method: str
    url: httpx.URL
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)


def _answered(request: Request, network: "_CheckedNetwork", deadline: net.Deadline) -> Response:
    parsed = request.url
    try:
        return _exchange(request, network)
    except (httpcore.TimeoutException, TimeoutError):
        raise OutboundError(f"{_shown(parsed)} did not answer within {deadline.seconds:g} s.") from None
    except (httpcore.NetworkError, OSError) as error:
        raise OutboundError(f"No connection to {_shown(parsed)}: {_reason(error)}.") from error
    except httpcore.ProtocolError as error:
        raise OutboundError(f"{_shown(parsed)} did not answer in HTTP: {error or 'it hung up'}.") from error


def _exchange(request: Request, network: "_CheckedNetwork") -> Response:
    url = request.url
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    sent = {"Host": url.netloc.decode("ascii"), "User-Agent": "ilert", "Accept-Encoding": "identity", **request.headers}
    with (
        httpcore.ConnectionPool(
            ssl_context=_ssl_context(), network_backend=network, max_connections=1, retries=0
        ) as pool,
        pool.stream(request.method, target, headers=list(sent.items()), content=request.content) as answer,
    ):
        received = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
        return Response(answer.status, received, _read(answer).decode(errors="replace"))


def _read(answer: httpcore.Response) -> bytes:
    body = bytearray()
    with contextlib.suppress(httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
        for chunk in answer.iter_stream():
            body += chunk
            if len(body) >= MAX_BODY:
                break
    return bytes(body[:MAX_BODY])


class _CheckedNetwork(httpcore.NetworkBackend):
    """Resolves a name once, and connects to exactly the address that was checked: a second look-up could differ.

    TLS still names and verifies the host of the URL, as httpcore starts it with that.
    """

    def __init__(self, deadline: net.Deadline) -> None:
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = net.resolve(host, self._deadline)
        allowed = [address for address in addresses if self.is_allowed(address)]
        if not allowed:
            raise BlockedAddress(_why_blocked(host, addresses[0]))
        return _TimedStream(net.connect(allowed, port, self._deadline), self._deadline)

    def is_allowed(self, address: net.IPAddress) -> bool:
        return is_allowed(address)


class _OwnNetwork(_CheckedNetwork):
    """For the operator's own addresses, which are as trusted as the settings they stand in."""

    def is_allowed(self, address: net.IPAddress) -> bool:
        return True


class _TimedStream(httpcore.NetworkStream):
    """A socket whose every wait ends at the deadline, so that a dripping peer cannot hold us."""

    def __init__(self, connection: socket, deadline: net.Deadline) -> None:
        self._socket = connection
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _as_httpcore(httpcore.ReadTimeout, httpcore.ReadError):
            self._socket.settimeout(self._deadline.left())
            return self._socket.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        view = memoryview(buffer)
        with _as_httpcore(httpcore.WriteTimeout, httpcore.WriteError):
            while view:
                self._socket.settimeout(self._deadline.left())
                view = view[self._socket.send(view) :]

    def close(self) -> None:
        self._socket.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            with _as_httpcore(httpcore.ConnectTimeout, httpcore.ConnectError):
                self._socket.settimeout(self._deadline.left())
                secured = ssl_context.wrap_socket(self._socket, server_hostname=server_hostname)
        except Exception:
            self.close()
            raise
        return _TimedStream(secured, self._deadline)


@contextlib.contextmanager
def _as_httpcore(timed_out: type[Exception], failed: type[Exception]) -> Any:
    try:
        yield
    except TimeoutError as error:
        raise timed_out(str(error)) from error
    except OSError as error:
        raise failed(_reason(error)) from error


def is_allowed(address: net.IPAddress) -> bool:
    """Whether requests may go to `address`: it is public, or the operator listed its network."""
    if any(address in network for network in settings.ILERT_ALLOW_PRIVATE_NETWORKS):
        return True
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return _is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        # Deprecated ways to wrap an IPv4 address, which may be a private one.
        if address.is_site_local or address.sixtofour or address.teredo:
            return False
    return _is_public(address)


def _is_public(address: net.IPAddress) -> bool:
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _why_blocked(host: str, address: net.IPAddress) -> str:
    where = "is a private address" if host == str(address) else f"is at {address}, a private address"
    return (
        f"{host} {where}. ilert only sends there if ILERT_ALLOW_PRIVATE_NETWORKS lists its network, "
        f"for example {address}/{address.max_prefixlen}."
    )


def _shown(url: httpx.URL) -> str:
    return url.netloc.decode("ascii")


def _reason(error: BaseException) -> str:
    """What the system says, without numbers and addresses of ours."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or error})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


@cache
def _ssl_context() -> ssl.SSLContext:
    # Made once, as reading the certificates takes longer than a request. SSL_CERT_FILE adds a company's own ones.
    return httpx.create_ssl_context()
