"""Connections are accepted one at a time, so that processes share them."""

import asyncio
import errno
import socket
from collections.abc import Iterator

import pytest

from ilert.up import acceptor as acceptors
from ilert.up.acceptor import Acceptor


class Crowd:
    """Clients that wait to be accepted."""

    def __init__(self, size: int) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.clients = [socket.create_connection(self.listener.getsockname()) for _ in range(size)]

    def waiting(self) -> int:
        """Count those who still wait, as another process would find them; they are gone then."""
        found = 0
        with self.listener.dup() as other:
            other.setblocking(False)
            try:
                while True:
                    other.accept()[0].close()
                    found += 1
            except BlockingIOError:
                return found

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.listener.close()


class Greeter(asyncio.Protocol):
    """Says hello to whom it is connected with."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello")
        transport.close()


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    crowd = Crowd(5)
    yield crowd
    crowd.close()


def test_a_turn_of_the_loop_accepts_one_and_leaves_the_others_to_whoever_is_free(crowd: Crowd) -> None:
    async def one_turn() -> None:
        acceptor = Acceptor(crowd.listener, Greeter)
        acceptor._accept()
        acceptor.close()
        await asyncio.sleep(0.05)

    asyncio.run(one_turn())
    assert crowd.clients[0].recv(10) == b"hello"
    assert crowd.waiting() == 4


def test_all_are_accepted_in_the_end(crowd: Crowd) -> None:
    async def greet() -> list[bytes]:
        acceptor = Acceptor(crowd.listener, Greeter)
        said = await asyncio.wait_for(
            asyncio.gather(*(asyncio.to_thread(client.recv, 10) for client in crowd.clients)), 5
        )
        acceptor.close()
        return said

    assert asyncio.run(greet()) == [b"hello"] * 5


def test_who_was_not_fast_enough_goes_on(crowd: Crowd) -> None:
    async def too_late() -> None:
        acceptor = Acceptor(crowd.listener, Greeter)
        crowd.waiting()
        acceptor._accept()
        acceptor.close()

    asyncio.run(too_late())


def test_without_room_for_another_connection_it_waits_for_a_moment(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise it would ask again at once, for as long as there is no room."""
    monkeypatch.setattr(acceptors, "PAUSE", 0.1)

    class Full(socket.socket):
        refusals = 0

        def accept(self) -> tuple[socket.socket, object]:
            Full.refusals += 1
            if Full.refusals < 3:
                raise OSError(errno.EMFILE, "Too many open files")
            return super().accept()

    async def greet() -> list[bytes]:
        with Full(fileno=crowd.listener.dup().detach()) as listener:
            listener.setblocking(False)
            acceptor = Acceptor(listener, Greeter)
            said = await asyncio.wait_for(
                asyncio.gather(*(asyncio.to_thread(client.recv, 10) for client in crowd.clients)), 5
            )
            acceptor.close()
            return said

    assert asyncio.run(greet()) == [b"hello"] * 5
    assert caplog.text.count("no connection can be accepted for a moment") == 2


def test_a_closed_one_accepts_nobody(crowd: Crowd) -> None:
    async def close() -> None:
        Acceptor(crowd.listener, Greeter).close()
        await asyncio.sleep(0.05)

    asyncio.run(close())
    assert crowd.waiting() == 5
