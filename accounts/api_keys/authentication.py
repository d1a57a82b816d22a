"""How the REST API knows people: by `Authorization: Bearer KEY`, or by the session of a page of ours."""

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts.api_keys.models import ApiKey
from accounts.api_keys.services import find_api_key, note_use
from accounts.models import User

SCHEME = "Bearer"


class BearerKey(BaseAuthentication):
    """A key in the header. Other schemes are not ours to judge."""

    def authenticate(self, request: Request) -> tuple[User, ApiKey] | None:
        scheme, _, text = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != SCHEME.lower():
            return None
        key = find_api_key(text.strip())
        if key is None:
            raise AuthenticationFailed("The API key is unknown or was revoked.", code="unknown_api_key")
        note_use(key, timezone.now())
        return key.user, key

    def authenticate_header(self, request: Request) -> str:
        """What 401 answers say in WWW-Authenticate."""
        return f'{SCHEME} realm="ilert"'
