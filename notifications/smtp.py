"""One mail to one SMTP server, with the server's own answer and one time limit over the whole conversation."""

import contextlib
import smtplib
import socket
import threading
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend
from django.core.mail.message import sanitize_address

from ilert.common import net


def domain() -> str:
    """Return how this installation is called in mail: as in PUBLIC_URL, since asking the resolver may take long."""
    host = urlsplit(settings.PUBLIC_URL).hostname or "localhost"
    return f"[IPv6:{host}]" if ":" in host else host


def send(server: EmailBackend, mail: EmailMessage, timeout: float) -> str:
    """Hand `mail` to the server that the settings of `server` name and return its answer, "250 2.0.0 queued as …".

    Django's backend throws that answer away and gives every single step the whole time-out. Raises
    smtplib.SMTPException, OSError (TimeoutError when the time is up) or ValueError for an address that is none.
    """
    encoding = mail.encoding or "utf-8"
    sender = sanitize_address(mail.from_email, encoding)
    recipients = [sanitize_address(address, encoding) for address in mail.recipients()]
    # Django's message takes a line separator, Python's, which the stubs name, does not.
    content = mail.message().as_bytes(linesep="\r\n")  # type: ignore[call-arg]
    deadline = net.Deadline(timeout)
    try:
        session = _connect(server, deadline)
        try:
            _sign_in(session, server)
            session.sendmail(sender, recipients, content)
            return session.answer
        finally:
            session.leave()
    except (smtplib.SMTPServerDisconnected, OSError):
        # At the deadline the socket is shut, which looks as if the server had hung up.
        deadline.left()
        raise


class _Session(smtplib.SMTP):
    """An SMTP conversation that ends at its deadline and keeps what the server said to the message."""

    answer = ""

    def __init__(self, host: str, port: int, *, deadline: net.Deadline, **options: Any) -> None:
        self._deadline = deadline
        self._alarm = threading.Timer(deadline.left(), self._cut)
        self._alarm.daemon = True
        self._alarm.start()
        try:
            super().__init__(host, port, **options)
        except BaseException:
            self._alarm.cancel()
            raise

    def _get_socket(self, host: str, port: int, timeout: float | None) -> socket.socket:
        connection = net.connect(net.resolve(host, self._deadline), port, self._deadline)
        connection.settimeout(self._deadline.left())
        return connection

    def data(self, msg: Any) -> tuple[int, bytes]:
        code, text = super().data(msg)
        self.answer = f"{code} {text.decode(errors='replace')}"
        return code, text

    def leave(self) -> None:
        """Say goodbye; whatever goes wrong now changes nothing about the message."""
        try:
            self.quit()
        except (smtplib.SMTPException, OSError):
            self.close()
        finally:
            self._alarm.cancel()

    def _cut(self) -> None:
        connection = getattr(self, "sock", None)
        if connection is not None:
            with contextlib.suppress(OSError):  # it may have ended by itself
                # Not the method of an SSL socket, which would pull its state away under the thread that reads.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)


class _SecureSession(_Session, smtplib.SMTP_SSL):
    """The same over TLS from the first byte."""

    def _get_socket(self, host: str, port: int, timeout: float | None) -> socket.socket:
        connection = super()._get_socket(host, port, timeout)
        return self.context.wrap_socket(connection, server_hostname=host)


def _connect(server: EmailBackend, deadline: net.Deadline) -> _Session:
    options: dict[str, Any] = {"local_hostname": domain(), "timeout": deadline.left()}
    if server.use_ssl:
        return _SecureSession(server.host, server.port, deadline=deadline, context=server.ssl_context, **options)
    return _Session(server.host, server.port, deadline=deadline, **options)


def _sign_in(session: _Session, server: EmailBackend) -> None:
    if server.use_tls:
        session.starttls(context=server.ssl_context)
    if server.username and server.password:
        session.login(server.username, server.password)
