"""A mail server on loopback: keeps what it gets, and fails in the ways that real ones do."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Self, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

QUEUED = "250 2.0.0 Ok: queued as 4F1A2B3C"
Hook = Callable[[SMTP], Awaitable[str]]


@dataclass
class SmtpServer:
    """Use it in a `with` statement. `answers` replaces the reply to a command; a callable may do worse.

    server.answers["RCPT"] = "550 5.1.1 no such user"
    server.answers["DATA"] = hang
    """

    login: tuple[str, str] | None = None
    starttls: ssl.SSLContext | None = None
    tls: ssl.SSLContext | None = None
    answers: dict[str, str | Hook] = field(default_factory=dict)
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    called: str = ""
    host: str = "127.0.0.1"
    port: int = 0

    def __enter__(self) -> Self:
        listener = socket.create_server((self.host, 0))
        self.port = listener.getsockname()[1]
        self._controller = _Controller(self, listener)
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop(no_assert=True)

    # What aiosmtpd calls.

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = self.called = hostname
        said = await self._said("EHLO", server)
        return [said] if said else responses

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        said = await self._said("RCPT", server)
        if said:
            return said
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        said = await self._said("DATA", server)
        if said:
            return said
        content = cast(bytes, envelope.content)
        self.mails.append(message_from_bytes(content, policy=policy.default))
        self.recipients += envelope.rcpt_tos
        return QUEUED

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        return await self._said("QUIT", server) or "221 Bye"

    async def _said(self, command: str, server: SMTP) -> str:
        answer = self.answers.get(command, "")
        return answer if isinstance(answer, str) else await answer(server)

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, kind: str, data: Any) -> AuthResult:
        given = (data.login.decode(), data.password.decode()) if isinstance(data, LoginPassword) else None
        return AuthResult(success=given == self.login, handled=given == self.login)


async def hang(server: SMTP) -> str:
    """Say nothing more."""
    await asyncio.Event().wait()
    return ""


async def hang_up(server: SMTP) -> str:
    """Break the connection, as a crashing server or a lost network does."""
    cast(asyncio.Transport, server.transport).abort()
    return "421 gone"


async def drip(server: SMTP) -> str:
    """Say a line that never ends, a byte at a time."""
    transport = cast(asyncio.Transport, server.transport)
    while not transport.is_closing():
        transport.write(b"2")
        await asyncio.sleep(0.02)
    return ""


class _Controller(Controller):
    def __init__(self, owner: SmtpServer, listener: socket.socket) -> None:
        options: dict[str, Any] = {"decode_data": False}
        if owner.login:
            options |= {"authenticator": owner.authenticate, "auth_required": True, "auth_require_tls": False}
        if owner.starttls:
            options["tls_context"] = owner.starttls
        self._listener = listener
        self._tls = owner.tls
        super().__init__(owner, hostname=owner.host, port=owner.port, **options)

    def _create_server(self) -> Any:
        return self.loop.create_server(self._factory_invoker, sock=self._listener, ssl=self._tls)
