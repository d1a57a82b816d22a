"""Where mail goes when no mail server is set up: into a table that admins can read, so that nothing is lost."""

from collections.abc import Sequence
from typing import Any

from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend

from notifications.models import OutboxMail

KEPT = 500


class OutboxBackend(BaseEmailBackend):
    """Django's mail backend for `EMAIL_BACKEND` without `EMAIL_URL`. The newest `KEPT` mails stay."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        rows = OutboxMail.objects.bulk_create([_row(mail) for mail in email_messages if mail.recipients()])
        if rows:
            _prune()
        return len(rows)


def _row(mail: EmailMessage) -> OutboxMail:
    html = ""
    if isinstance(mail, EmailMultiAlternatives):
        html = next((str(part[0]) for part in mail.alternatives if part[1] == "text/html"), "")
    # Building the message raises BadHeaderError for a header that no mail server would be given either.
    headers = {name: str(value) for name, value in mail.message().items()}
    return OutboxMail(
        sender=_clean(mail.from_email),
        recipients=_clean(", ".join(mail.recipients())),
        subject=_clean(mail.subject),
        text=_clean(mail.body),
        html=_clean(html),
        headers={name: _clean(value) for name, value in headers.items()},
    )


def _clean(text: Any) -> str:
    """PostgreSQL stores neither NUL nor lone surrogates."""
    return str(text).replace("\x00", "").encode(errors="replace").decode()


def _prune() -> None:
    oldest = OutboxMail.objects.order_by("-pk").values_list("pk", flat=True)[KEPT - 1 : KEPT].first()
    if oldest is not None:
        OutboxMail.objects.filter(pk__lt=oldest).delete()
