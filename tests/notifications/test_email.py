"""E-mail: what arrives, the server's own answer, and what ilert makes of its refusals."""

import dataclasses
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from notifications.channels import Message, PermanentError, TemporaryError
from notifications.channels.email import Email, EmailForm
from tests.notifications.conftest import MESSAGE_ID, use_mail_server
from tests.servers import smtp, tls
from tests.servers.smtp import SmtpServer

ADA = "ada@example.com"


def send(message: Message, address: str = ADA, timeout: float = 2.0) -> str:
    channel = Email()
    channel.timeout = timeout
    return channel.send(address, "", message)


def test_what_arrives(mail_server: SmtpServer, message: Message) -> None:
    assert send(message) == smtp.QUEUED
    (mail,) = mail_server.mails
    assert mail_server.recipients == [ADA]
    assert mail_server.called == "ilert.example.com"
    assert mail["Subject"] == message.title
    assert mail["Message-ID"] == f"<{MESSAGE_ID}@ilert.example.com>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["X-ILert-Notification"] == MESSAGE_ID
    assert mail["Importance"] == "high"
    text = mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert message.text in text
    assert "Accept: https://ilert.example.com/a/token\n" in text.replace("\r\n", "\n")
    assert "Open: https://ilert.example.com/incidents/7\n" in text.replace("\r\n", "\n")


def test_a_mail_never_holds_the_link_that_accepts_without_asking(mail_server: SmtpServer, message: Message) -> None:
    """Mail scanners open, and some even submit, what they find."""
    send(message)
    assert "/now" not in mail_server.mails[0].as_string()


def test_a_repeat_carries_the_same_id(mail_server: SmtpServer, message: Message) -> None:
    send(message)
    send(message)
    assert {mail["Message-ID"] for mail in mail_server.mails} == {f"<{MESSAGE_ID}@ilert.example.com>"}


def test_markup_in_a_message_stays_text(mail_server: SmtpServer, message: Message) -> None:
    send(dataclasses.replace(message, title="<b>1</b>", text="a < b\n<script>alert(1)</script>"))
    html = mail_server.mails[0].get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    text = mail_server.mails[0].get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "<script>alert(1)</script>" in text


@pytest.mark.parametrize(
    "title",
    ["Disk full\r\nBcc: eve@example.com", "a\nb", "Grüße 🔥 " * 100, "nul \x00", "half \ud800", "line\u2028separator"],
)
def test_no_title_adds_a_header(mail_server: SmtpServer, message: Message, title: str) -> None:
    send(dataclasses.replace(message, title=title))
    assert mail_server.recipients == [ADA]
    assert mail_server.mails[0]["Bcc"] is None
    assert "\n" not in str(mail_server.mails[0]["Subject"])


def test_the_local_part_of_an_address_cannot_add_a_recipient(mail_server: SmtpServer, message: Message) -> None:
    with pytest.raises(PermanentError, match="cannot be written"):
        send(message, "ada@example.com\r\nRCPT TO:<eve@example.com>")
    assert mail_server.recipients == []


@pytest.mark.parametrize("command", ["RCPT", "DATA"])
def test_a_4xx_is_temporary_and_a_5xx_is_permanent(mail_server: SmtpServer, message: Message, command: str) -> None:
    mail_server.answers[command] = "451 4.7.1 Greylisted, come back in a minute"
    with pytest.raises(TemporaryError, match=r"^451 4\.7\.1 Greylisted"):
        send(message)
    mail_server.answers[command] = "550 5.1.1 No such user"
    with pytest.raises(PermanentError, match=r"^550 5\.1\.1 No such user$"):
        send(message)


def test_sign_in(settings: Settings, message: Message) -> None:
    with SmtpServer(login=("ilert", "right")) as server:
        use_mail_server(settings, server)
        settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "ilert", "right"
        assert send(message) == smtp.QUEUED
        settings.EMAIL_HOST_PASSWORD = "wrong"
        with pytest.raises(PermanentError, match=r"^535 "):
            send(message)


def test_a_server_without_tls_is_not_given_a_password_in_clear(
    mail_server: SmtpServer, settings: Settings, message: Message
) -> None:
    settings.EMAIL_USE_TLS = True
    with pytest.raises(PermanentError, match="STARTTLS"):
        send(message)


@pytest.mark.parametrize("kind", ["starttls", "tls"])
def test_tls(kind: str, settings: Settings, message: Message, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = tmp_path / "certificate.pem"
    context = tls.server_context("localhost", certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server = SmtpServer()
    setattr(server, kind, context)
    with server:
        use_mail_server(settings, server)
        settings.EMAIL_USE_TLS, settings.EMAIL_USE_SSL = kind == "starttls", kind == "tls"
        with pytest.raises(TemporaryError, match="certificate verify failed: IP address mismatch"):
            send(message)
        settings.EMAIL_HOST = "localhost"
        assert send(message) == smtp.QUEUED


def test_tls_to_a_server_that_speaks_none_is_temporary(
    mail_server: SmtpServer, settings: Settings, message: Message
) -> None:
    settings.EMAIL_USE_SSL = True
    with pytest.raises(TemporaryError, match="No answer from 127"):
        send(message)


@pytest.mark.parametrize("behaviour", [smtp.hang, smtp.drip])
@pytest.mark.parametrize("command", ["EHLO", "DATA"])
def test_a_server_that_hangs_is_left_in_time(
    mail_server: SmtpServer, message: Message, behaviour: Any, command: str
) -> None:
    mail_server.answers[command] = behaviour
    begun = time.monotonic()
    with pytest.raises(TemporaryError, match=r"no answer within 0\.3 s"):
        send(message, timeout=0.3)
    assert time.monotonic() - begun < 1.0


def test_a_connection_lost_after_the_data_is_temporary(mail_server: SmtpServer, message: Message) -> None:
    """Nobody knows whether it arrived; the repeat carries the same id."""
    mail_server.answers["DATA"] = smtp.hang_up
    with pytest.raises(TemporaryError, match="No answer from 127"):
        send(message)


@pytest.mark.parametrize("behaviour", [smtp.hang, smtp.hang_up])
def test_what_was_taken_stays_taken_when_the_goodbye_fails(
    mail_server: SmtpServer, message: Message, behaviour: Any
) -> None:
    mail_server.answers["QUIT"] = behaviour
    assert send(message, timeout=0.5) == smtp.QUEUED


def test_a_closed_port_is_temporary(settings: Settings, message: Message) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    use_mail_server(settings, SmtpServer(port=port))
    with pytest.raises(TemporaryError, match=f"No answer from 127.0.0.1:{port}: .*Connection refused"):
        send(message)


@pytest.mark.django_db
def test_without_a_mail_server_it_is_shown_in_the_local_outbox(settings: Settings, message: Message) -> None:
    from notifications.models import OutboxMail

    settings.EMAIL_BACKEND = "notifications.mail.OutboxBackend"
    assert send(message) == "Shown in the local outbox, as no mail server is set up (EMAIL_URL)."
    mail = OutboxMail.objects.get()
    assert mail.subject == message.title
    assert mail.recipients == ADA
    assert "https://ilert.example.com/a/token" in mail.text
    assert mail.headers["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize("address", ["", "ada", "ada@", "a b@example.com", "ada@example.com\nBcc: x@y.z"])
def test_the_form_wants_an_address(address: str) -> None:
    assert list(EmailForm({"email": address}).errors) == ["email"]
