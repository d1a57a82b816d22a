"""Where django-allauth asks the product how sign-in works here."""

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from django.http import HttpRequest
from django.urls import reverse

from ilert.common import encrypted
from ilert.common.links import absolute


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """People are invited; nobody signs up by themselves."""
        return False

    def get_reset_password_from_key_url(self, key: str) -> str:
        """Built from PUBLIC_URL, as a forged Host header must not decide where a reset link leads."""
        return absolute(reverse("account_reset_password_from_key", kwargs={"uidb36": "UID", "key": "KEY"})).replace(
            "UID-KEY", key
        )


class MFAAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    def encrypt(self, text: str) -> str:
        """A stolen dump of the database alone makes no codes."""
        return encrypted.encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        return encrypted.decrypt(encrypted_text)
