"""The link by which somebody who has forgotten their password sets a new one."""

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.tokens import PasswordResetTokenGenerator

from accounts.models import User


class ResetTokens(PasswordResetTokenGenerator):
    """Django's own, which end with the password, the address and the next sign-in; and with their access.

    django-allauth's note the address in a table of its own each time that anybody asks for a link. Who is looked up by
    an address is looked up there first, so that an old one would have gone on to sign in and to set passwords.
    """

    def _make_hash_value(self, user: AbstractBaseUser, timestamp: int) -> str:
        assert isinstance(user, User)
        return super()._make_hash_value(user, timestamp) + user.access_mark
