"""TOTP and recovery codes."""

import re
from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.core.cache import cache
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoCaptureOnCommitCallbacks

from accounts.models import AuditEntry, User
from accounts.views.audit import AuditFilters
from ilert.common.clock import database_now
from tests.html import assert_clean

LOGIN = {"login": "alice@example.org", "password": "alice-password"}


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


def _at_the_code(address: str = "192.0.2.1") -> Client:
    """Somebody who has the password."""
    thief = Client(REMOTE_ADDR=address)
    thief.post(reverse("account_login"), LOGIN)
    return thief


def _enter(client: Client, code: str) -> str:
    return str(client.post(reverse("mfa_authenticate"), {"code": code}).content.decode())


def test_codes_of_an_account_are_tried_five_times_wherever_from(protected: tuple[Client, str]) -> None:
    cache.clear()
    answers = [_enter(_at_the_code(f"192.0.2.{number}"), "000000") for number in range(7)]

    assert ["Too many wrong codes" in answer for answer in answers] == [False] * 5 + [True] * 2
    thief = _at_the_code("192.0.2.8")
    _enter(thief, _code(protected[1]))
    assert "_auth_user_id" not in thief.session
    assert AuditEntry.objects.filter(verb="failed second factor of").count() == 5


def test_codes_are_tried_again_after_five_minutes(protected: tuple[Client, str], alice: User) -> None:
    then = database_now() - timedelta(minutes=6)
    for _ in range(9):
        AuditEntry.objects.create(at=then, verb="failed second factor of", object_type="person", object_id=alice.pk)
    cache.clear()

    client = _at_the_code()
    _enter(client, _code(protected[1]))

    assert "_auth_user_id" in client.session


def test_the_limit_holds_where_the_code_is_asked_again(protected: tuple[Client, str]) -> None:
    client, secret = protected
    cache.clear()
    for _ in range(5):
        client.post(reverse("mfa_reauthenticate"), {"code": "000000"})

    page = client.post(reverse("mfa_reauthenticate"), {"code": _code(secret)})

    assert "Too many wrong codes" in page.content.decode()


def test_wrong_code_is_in_the_log_among_the_sign_ins(protected: tuple[Client, str], alice: User) -> None:
    _enter(_at_the_code("192.0.2.77"), "000000")

    row = AuditFilters.read(QueryDict("kind=sign-ins")).entries()[0]
    assert (row.verb, row.object_id, row.address, row.actor) == (
        "failed second factor of",
        alice.pk,
        "192.0.2.77",
        None,
    )


def test_what_is_counted_is_shared_by_all_processes(db: None) -> None:
    assert cache.add("once", "y")
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM ilert_cache")
        assert cursor.fetchone() == (1,)


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
