"""The link by which somebody who has forgotten their password sets a new one."""

from django.contrib.auth.tokens import PasswordResetTokenGenerator


class ResetTokens(PasswordResetTokenGenerator):
    """Django's own, which end with the password, the address and the next sign-in.

    django-allauth's note the address in a table of its own each time that anybody asks for a link. Who is looked up by
    an address is looked up there first, so that an old one would have gone on to sign in and to set passwords.
    """
