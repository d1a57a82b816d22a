"""A text column that is encrypted at rest."""

import base64
import hashlib
from functools import cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models


class EncryptedTextField(models.TextField[str, str]):
    """Text that the database only sees encrypted, with the keys of `ILERT_ENCRYPTION_KEY`.

    The first key encrypts, all of them decrypt, so a key is rotated by putting the new one in front. The same text
    encrypts differently every time: such a column can be neither searched nor made unique.
    """

    def get_prep_value(self, value: Any) -> Any:
        if value in (None, ""):
            return value
        return encrypt(str(value))

    def from_db_value(self, value: str | None, *_: Any) -> str | None:
        if not value:
            return value
        try:
            return decrypt(value)
        except InvalidToken as error:
            raise ValueError(
                f"{self.model.__name__}.{self.name} was encrypted with a key that ILERT_ENCRYPTION_KEY does not list"
            ) from error


def encrypt(text: str) -> str:
    return _fernet(tuple(settings.ILERT_ENCRYPTION_KEYS)).encrypt(text.encode()).decode()


def decrypt(text: str) -> str:
    """Raises InvalidToken when none of the keys fits."""
    return _fernet(tuple(settings.ILERT_ENCRYPTION_KEYS)).decrypt(text.encode()).decode()


@cache
def _fernet(secrets: tuple[str, ...]) -> MultiFernet:
    return MultiFernet(
        [Fernet(base64.urlsafe_b64encode(hashlib.sha256(secret.encode()).digest())) for secret in secrets]
    )
