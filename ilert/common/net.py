"""Connections that end: one time limit over everything, from the name to the last byte."""

import contextlib
import ipaddress
import queue
import socket
import threading
import time
from collections.abc import Sequence

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# With several addresses a dead one must leave time for the next.
_CONNECT_TIMEOUT = 3.0


class Deadline:
    """A moment after which nobody waits any longer."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left. Raises TimeoutError when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no answer within {self.seconds:g} s")
        return left


def resolve(host: str, deadline: Deadline) -> list[IPAddress]:
    """Return the addresses of `host`, each once, in the resolver's order. Raises OSError or TimeoutError.

    Spellings such as 0x7f.1 are resolved too, exactly as a connection would. IPv4 inside IPv6 is returned as IPv4.
    """
    with contextlib.suppress(ValueError):
        return [_plain(ipaddress.ip_address(host))]
    answers: queue.SimpleQueue[list[IPAddress] | OSError] = queue.SimpleQueue()
    # getaddrinfo knows no time limit, so it gets a thread that nobody waits for.
    threading.Thread(target=_look_up, args=(host, answers), daemon=True, name="resolve").start()
    try:
        answer = answers.get(timeout=deadline.left())
    except queue.Empty:
        raise TimeoutError(f"the name was not resolved within {deadline.seconds:g} s") from None
    if isinstance(answer, OSError):
        raise answer
    return answer


def connect(addresses: Sequence[IPAddress], port: int, deadline: Deadline) -> socket.socket:
    """Return a TCP connection to the first of `addresses` that takes one. Raises OSError or TimeoutError."""
    error: OSError = OSError("no address")
    for number, address in enumerate(addresses, start=1):
        is_last = number == len(addresses)
        try:
            limit = deadline.left() if is_last else min(deadline.left(), _CONNECT_TIMEOUT)
            connection = socket.create_connection((str(address), port), timeout=limit)
        except OSError as caught:
            error = caught
        else:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
    raise error


def _look_up(host: str, answers: "queue.SimpleQueue[list[IPAddress] | OSError]") -> None:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        answers.put(error if isinstance(error, OSError) else OSError("not a host name"))
    else:
        answers.put(list(dict.fromkeys(_plain(ipaddress.ip_address(str(info[4][0]))) for info in found)))


def _plain(address: IPAddress) -> IPAddress:
    """::ffff:10.0.0.1 reaches the host 10.0.0.1 and must be judged as such."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address
