"""TOTP and recovery codes."""

import re
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoCaptureOnCommitCallbacks

from accounts.models import AuditEntry, User
from tests.html import assert_clean

LOGIN = {"login": "alice@example.org", "password": "alice-password"}


@pytest.fixture(autouse=True)
def _nothing_counted_yet() -> None:
    cache.clear()


def _code(secret: str) -> str:
    return str(format_hotp_value(hotp_value(secret, next(iter(yield_hotp_counters_from_time())))))


def _page(client: Client, name: str) -> Any:
    response = client.get(reverse(name))
    assert response.status_code == 200, name
    assert_clean(response)
    return response


@pytest.fixture
def protected(
    client: Client, alice: User, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> tuple[Client, str]:
    """Alice has set it up; her client, and the secret."""
    client.post(reverse("account_login"), LOGIN)
    assert client.get(reverse("mfa_activate_totp"))["Location"].startswith(reverse("account_reauthenticate"))
    _page(client, "account_reauthenticate")
    client.post(reverse("account_reauthenticate"), {"password": LOGIN["password"]})
    page = _page(client, "mfa_activate_totp")
    secret = page.context["form"].secret
    with django_capture_on_commit_callbacks(execute=True):
        client.post(reverse("mfa_activate_totp"), {"code": _code(secret)})
    assert Authenticator.objects.filter(user=alice).count() == 2  # the app, and the recovery codes
    return client, secret


def test_password_alone_does_not_let_in(protected: tuple[Client, str], alice: User) -> None:
    cache.clear()  # a code is good for one use within its half minute
    thief = Client()
    answer = thief.post(reverse("account_login"), LOGIN)

    assert answer["Location"] == reverse("mfa_authenticate")
    assert "_auth_user_id" not in thief.session
    _page(thief, "mfa_authenticate")
    assert thief.post(reverse("mfa_authenticate"), {"code": "000000"}).status_code == 200
    assert thief.get(reverse("people")).status_code == 302
    thief.post(reverse("mfa_authenticate"), {"code": _code(protected[1])})
    assert thief.get(reverse("people")).status_code == 200


def test_recovery_code_works_once(protected: tuple[Client, str]) -> None:
    client, _ = protected
    codes = re.findall(r"\b[0-9a-f]{8}\b", _page(client, "mfa_view_recovery_codes").content.decode())
    assert len(set(codes)) >= 10

    def enters(code: str) -> bool:
        guest = Client()
        guest.post(reverse("account_login"), LOGIN)
        guest.post(reverse("mfa_authenticate"), {"code": code})
        return "_auth_user_id" in guest.session

    assert enters(codes[0])
    assert not enters(codes[0])
    assert enters(codes[1])


def test_pages_are_drawn(protected: tuple[Client, str]) -> None:
    client, _ = protected
    for name in ("mfa_index", "mfa_deactivate_totp", "mfa_generate_recovery_codes", "mfa_reauthenticate"):
        _page(client, name)


def test_secrets_are_encrypted_in_the_database(protected: tuple[Client, str], alice: User) -> None:
    stored = repr(list(Authenticator.objects.values_list("data", flat=True)))

    assert protected[1] not in stored


def test_turning_it_on_and_off_is_logged(protected: tuple[Client, str], alice: User) -> None:
    client, _ = protected
    client.post(reverse("mfa_deactivate_totp"))

    verbs = AuditEntry.objects.filter(actor=alice).values_list("verb", flat=True)
    assert [verb for verb in verbs if "factor" in verb] == ["removed second factor of", "set up second factor of"]
    assert not Authenticator.objects.exists()
