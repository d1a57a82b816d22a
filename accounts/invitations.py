"""The link by which an invited person sets the first password: signed, good for a week, and only once."""

from datetime import timedelta

from django.core import signing
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.crypto import salted_hmac

from accounts.models import User
from ilert.common.links import absolute

GOOD_FOR = timedelta(days=7)
_SALT = "accounts.invitation"


def link(person: User) -> str:
    token = signing.dumps({"person": person.pk, "state": _state(person)}, salt=_SALT)
    return absolute(reverse("invitation", args=[token]))


def read(token: str) -> User | None:
    """Return whom a link invites; None when it is forged, too old, or has been used."""
    try:
        content = signing.loads(token, salt=_SALT, max_age=GOOD_FOR)
    except signing.BadSignature:
        return None
    person = User.objects.filter(pk=content["person"], is_active=True).first()
    return person if person and content["state"] == _state(person) and not person.has_usable_password() else None


def send(person: User, inviter: User) -> None:
    """Mail the link. Raises OSError when no mail server takes it."""
    context = {"person": person, "inviter": inviter, "link": link(person), "days": GOOD_FOR.days}
    text = render_to_string("accounts/invitation_mail.txt", context)
    send_mail(f"{inviter} invites you to ilert", text, None, [person.email])


def _state(person: User) -> str:
    """A word that changes with the password, the address and their access, so that a link ends with each of them."""
    return salted_hmac(_SALT, f"{person.password} {person.email}{person.access_mark}").hexdigest()[:16]
