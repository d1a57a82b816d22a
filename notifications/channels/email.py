"""E-mail over SMTP, or into the local outbox when no mail server is set up."""

import re
import smtplib

from django import forms
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.smtp import EmailBackend
from django.template.loader import render_to_string

from notifications import smtp
from notifications.channels.base import Channel, DeliveryError, Message, OnlyShown, PermanentError, TemporaryError
from notifications.channels.forms import AddressForm
from notifications.channels.text import one_line

LOCAL_OUTBOX = "notifications.mail.OutboxBackend"


def is_local_outbox() -> bool:
    """Whether mail is only shown in the local outbox, as no mail server is set up."""
    return settings.EMAIL_BACKEND == LOCAL_OUTBOX


class EmailForm(AddressForm):
    email = forms.EmailField(
        label="E-mail address",
        max_length=254,
        help_text="Best one whose mail makes your phone ring, also at night.",
        widget=forms.EmailInput(attrs={"placeholder": "you@example.com", "autocomplete": "email"}),
    )

    @property
    def address(self) -> str:
        return str(self.cleaned_data["email"])


class Email(Channel):
    slug = "email"
    name = "E-mail"
    icon = "mail"
    summary = "A mail with links to accept and to open. Works everywhere, though it seldom wakes anybody."
    form_class = EmailForm

    def send(self, address: str, secret: str, message: Message) -> str:
        connection = get_connection()
        mail = _mail(address, message)
        try:
            if isinstance(connection, EmailBackend):
                return one_line(smtp.send(connection, mail, self.timeout), 500)
            connection.send_messages([mail])
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise _delivery_error(error) from error
        if is_local_outbox():
            return OnlyShown("Shown in the local outbox, as no mail server is set up (EMAIL_URL).")
        return f"Accepted by {type(connection).__module__}"

    def obstacle(self) -> str:
        if not is_local_outbox():
            return ""
        return "No mail server is set up (EMAIL_URL), so mail is shown in the local outbox and reaches nobody."


def _mail(address: str, message: Message) -> EmailMultiAlternatives:
    links = [link for link in (message.accept, message.link) if link]
    context = {"message": message, "links": links, "installation": settings.PUBLIC_URL}
    headers = {
        # The same for a repeat, so that mail programs show it once.
        "Message-ID": _message_id(message.id),
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
        "X-ILert-Notification": one_line(message.id),
    }
    if message.urgent:
        headers |= {"X-Priority": "1", "Importance": "high"}
    mail = EmailMultiAlternatives(
        subject=_utf8(one_line(message.title)),
        body=_utf8(render_to_string("notifications/mail.txt", context)),
        to=[address],
        headers=headers,
    )
    mail.attach_alternative(_utf8(render_to_string("notifications/mail.html", context)), "text/html")
    return mail


def _message_id(message_id: str) -> str:
    return f"<{re.sub(r'[^A-Za-z0-9-]', '', message_id)}@{smtp.domain()}>"


def _utf8(text: str) -> str:
    return text.encode(errors="replace").decode()


def _delivery_error(error: Exception) -> DeliveryError:
    """Return what the server's answer means (RFC 5321 §4.2.1): 4yz may work later, 5yz will not.

    That includes a refused sign-in (535): it needs a person, and until then the next contact method is worth more
    than another try. Everything without an answer, such as a connection that broke, may work later.
    """
    code, words = _smtp_answer(error)
    if code:
        answer = one_line(f"{code} {words}", 500)
        return PermanentError(answer) if code >= 500 else TemporaryError(answer)
    server = f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return PermanentError(f"{server}: {one_line(str(error))}")
    if isinstance(error, ValueError) and not isinstance(error, OSError):
        return PermanentError(f"The mail cannot be written: {one_line(str(error))}")
    return TemporaryError(f"No answer from {server}: {one_line(str(error)) or type(error).__name__}")


def _smtp_answer(error: Exception) -> tuple[int, str]:
    code: int
    words: bytes | str
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, words = next(iter(error.recipients.values()))
    elif isinstance(error, smtplib.SMTPResponseException):
        code, words = error.smtp_code, error.smtp_error
    else:
        return 0, ""
    # -1 is smtplib's word for an answer that was none.
    return max(code, 0), words.decode(errors="replace") if isinstance(words, bytes) else str(words)
