"""What can be done with REST keys."""

import hashlib
import secrets
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q

from accounts import audit
from accounts.api_keys.models import ApiKey
from accounts.models import User

# Says what it is when it is found where it should not be, as scanners for secrets look for such beginnings.
BEGINNING = "ilk_"
SHOWN = 10
USED_EVERY = timedelta(minutes=1)


class NameTaken(Exception):
    """The person has another key of this name that still works."""


def create_api_key(user: User, name: str, now: datetime) -> tuple[ApiKey, str]:
    """Make a key. Returns it with its text, which is nowhere else and cannot be shown again."""
    text = BEGINNING + secrets.token_urlsafe(32)
    try:
        with transaction.atomic():
            key = ApiKey.objects.create(
                user=user, name=name, prefix=text[:SHOWN], key_hash=digest(text), created_at=now
            )
            audit.created(key)
    except IntegrityError as error:
        raise NameTaken from error
    return key, text


def revoke_api_key(key: ApiKey, now: datetime) -> None:
    """End a key at once and for ever. It stays in the list, so that people see until when it worked."""
    if key.revoked_at is None:
        with audit.changing(key, "revoked"):
            key.revoked_at = now
            key.save(update_fields=["revoked_at"])


def find_api_key(text: str) -> ApiKey | None:
    """Return the key with its person, unless it is unknown or revoked or the person has left."""
    working = ApiKey.objects.filter(revoked_at=None, user__is_active=True)
    return working.select_related("user").filter(key_hash=digest(text)).first()


def note_use(key: ApiKey, now: datetime) -> None:
    """Remember when the key was last used, to the minute: a script in a loop must not write with each request."""
    if key.last_used_at is None or now - key.last_used_at >= USED_EVERY:
        due = Q(last_used_at=None) | Q(last_used_at__lte=now - USED_EVERY)
        ApiKey.objects.filter(due, pk=key.pk).update(last_used_at=now)


def digest(text: str) -> bytes:
    """Return what a key is found by. It has 256 random bits, so that a plain hash keeps it safe."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
