"""Proof that a contact method reaches its owner: a code and a link, sent through the channel itself.

Whoever can read the message enters the code, or opens the link and presses its one button. Opening alone changes
nothing, as mail scanners open every link.
"""

import secrets
from datetime import datetime, timedelta
from enum import Enum
from math import ceil

from django.core import signing
from django.db import transaction
from django.urls import reverse
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts import audit
from ilert.common.links import absolute
from notifications.channels import Link, Message
from notifications.models import ContactMethod, VerificationCode

GOOD_FOR = timedelta(minutes=10)
TRIES = 5
# For all methods of a person together, also those removed meanwhile: neither can a code be guessed by asking for new
# ones, nor a stranger's address be flooded.
CODES = 10
CODES_WITHIN = timedelta(hours=1)
_SALT = "notifications.verification"


class Outcome(Enum):
    """What came of an entered code. The value is what its owner is told."""

    CONFIRMED = "It reaches you. From now on it is used for incidents."
    WRONG = "This is not the code. Compare it with the newest message."
    OVER = "There is no code that is still good. Let a new one be sent."


def wait(user_id: int, now: datetime) -> int:
    """Return how many seconds it is until another code may be sent to a person; mostly 0."""
    sent = VerificationCode.objects.filter(user=user_id, sent_at__gt=now - CODES_WITHIN).order_by("-sent_at")
    blocking = sent.values_list("sent_at", flat=True)[CODES - 1 : CODES].first()
    return ceil((blocking + CODES_WITHIN - now).total_seconds()) if blocking else 0


def message(method: ContactMethod, now: datetime) -> Message:
    """Make a new code for `method`, in place of an earlier one, and return the message that carries it."""
    code = f"{secrets.randbelow(10**6):06}"
    VerificationCode.objects.filter(sent_at__lte=now - CODES_WITHIN).delete()
    row = VerificationCode.objects.create(
        user_id=method.user_id, contact_method=method, digest=_digest(method, code), sent_at=now
    )
    link = absolute(reverse("contact-method-link", args=[signing.dumps(str(row.pk), salt=_SALT)]))
    return Message(
        id=str(row.pk),
        title=f"{code} is your code for ilert",
        text=(
            f"{method.user} wants to be told about incidents here. To confirm it, enter {code} on the page where the "
            f"contact method was added, or open the link. Both are good for {GOOD_FOR.seconds // 60} minutes. If you "
            "did not ask for this, do nothing: nothing else will be sent."
        ),
        urgent=True,
        link=Link("Confirm", link),
        data={"test": True, "code": code},
    )


@transaction.atomic
def enter(method: ContactMethod, typed: str, now: datetime) -> Outcome:
    """Confirm `method` when `typed` is its newest code. Five wrong ones end a code."""
    code = _good_code(method, now)
    if code is None:
        return Outcome.OVER
    code.tries += 1
    code.save(update_fields=["tries"])
    if not constant_time_compare(code.digest, _digest(method, "".join(typed.split()))):
        return Outcome.WRONG if code.tries < TRIES else Outcome.OVER
    confirm(method, now)
    return Outcome.CONFIRMED


def read(token: str, now: datetime) -> ContactMethod | None:
    """Return the method that a link confirms; None when it is forged, too old, used, or followed by a newer one."""
    try:
        number = signing.loads(token, salt=_SALT)
    except signing.BadSignature:
        return None
    found = VerificationCode.objects.filter(pk=number).select_related("contact_method__user").first()
    method = found.contact_method if found else None
    if method is None or method.verified_at or not method.user.is_active:
        return None
    return method if _good_code(method, now) == found else None


@transaction.atomic
def enter_link(token: str, now: datetime) -> ContactMethod | None:
    """Confirm the method that a link was sent to, and return it; None as above."""
    method = read(token, now)
    if method:
        confirm(method, now)
    return method


def end_codes(method: ContactMethod) -> None:
    """Let codes that were sent to `method` confirm nothing any more: it has another address. They still count."""
    method.codes.update(contact_method=None)


def confirm(method: ContactMethod, now: datetime) -> None:
    """From now on incidents may be told through `method`."""
    with audit.changing(method, "confirmed"):
        method.verified_at = now
        method.save(update_fields=["verified_at"])


def _good_code(method: ContactMethod, now: datetime) -> VerificationCode | None:
    """Lock and return the code that confirms `method`: the newest, while it is good."""
    newest = VerificationCode.objects.select_for_update().filter(contact_method=method).order_by("-sent_at").first()
    if newest is None or method.verified_at or newest.tries >= TRIES or newest.sent_at <= now - GOOD_FOR:
        return None
    ended = method.user.access_ended_at
    return newest if ended is None or newest.sent_at > ended else None


def _digest(method: ContactMethod, code: str) -> str:
    # Keyed, as six digits behind a plain hash are found at once; with the address, so that another one needs its own.
    return salted_hmac(_SALT, f"{method.pk}:{method.address}:{code}", algorithm="sha256").hexdigest()
