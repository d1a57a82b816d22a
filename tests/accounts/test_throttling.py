"""Wrong passwords are throttled, and nothing tells whether an account exists."""

import re
import statistics
import time

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.models import AuditEntry, User
from tests.html import assert_clean

LOGIN = reverse("account_login")
RIGHT = {"login": "alice@example.org", "password": "alice-password"}


def _try(client: Client, login: str, password: str = "wrong", address: str = "192.0.2.1"):  # type: ignore[no-untyped-def]
    return client.post(LOGIN, {"login": login, "password": password}, REMOTE_ADDR=address)


@pytest.mark.parametrize("login", ["alice@example.org", "nobody@example.org"])
def test_wrong_passwords_are_throttled(client: Client, alice: User, login: str) -> None:
    answers = [_try(client, login) for _ in range(20)]

    assert [answer.status_code for answer in answers] == [200] * 9 + [429] * 11
    assert_clean(answers[-1])
    assert answers[-1]["Retry-After"] == "900"
    # The right one, too, and written otherwise.
    assert _try(client, login.upper(), "alice-password").status_code == 429
    assert "_auth_user_id" not in client.session


def test_known_and_unknown_accounts_are_answered_alike(alice: User) -> None:
    def pages(login: str) -> list[str]:
        client = Client()
        found = [_try(client, login).content.decode() for _ in range(12)]
        return [re.sub(r'value="[\w]{64}"|token=?"?\w{64}', "", page).replace(login, "WHO") for page in found]

    assert pages("alice@example.org") == pages("nobody@example.org")


def test_the_same_person_gets_in_from_elsewhere(client: Client, alice: User) -> None:
    for _ in range(20):
        _try(client, "alice@example.org")

    assert _try(client, "alice@example.org", "alice-password", "192.0.2.2").status_code == 302


def test_a_right_password_makes_the_wrong_ones_forgotten(client: Client, alice: User) -> None:
    for _ in range(3):
        for _ in range(8):
            assert _try(client, "alice@example.org").status_code == 200
        assert _try(client, "alice@example.org", "alice-password").status_code == 302
        client.logout()


def test_one_address_cannot_try_many_accounts(client: Client, alice: User) -> None:
    for number in range(40):
        _try(client, f"person-{number}@example.org")

    assert AuditEntry.objects.filter(verb="failed to sign in").count() <= 31


def test_addresses_of_one_network_count_as_one(client: Client, alice: User) -> None:
    answers = [_try(client, "alice@example.org", address=f"2001:db8::{number:x}") for number in range(12)]

    assert [answer.status_code for answer in answers] == [200] * 9 + [429] * 3
    assert _try(client, "alice@example.org", address="2001:db8:0:1::1").status_code == 200
    assert "2001:db8::b" in AuditEntry.objects.values_list("address", flat=True)


def test_known_and_unknown_accounts_take_alike_long(alice: User, settings: Settings) -> None:
    """With the real hasher, which takes most of the time: without it for strangers there would be a factor of 5."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
    alice.set_password("alice-password")
    alice.save()

    def seconds(login: str) -> float:
        taken = []
        for number in range(7):
            client = Client()
            client.get(LOGIN)
            before = time.process_time()
            _try(client, login, address=f"192.0.2.{number}")
            taken.append(time.process_time() - before)
        return statistics.median(taken)

    known, unknown = seconds("alice@example.org"), seconds("nobody@example.org")

    assert 0.6 < known / unknown < 1.67, (known, unknown)


@pytest.mark.parametrize("login", ["alice@example.org", "nobody@example.org"])
def test_forgotten_password_says_the_same_to_both(client: Client, alice: User, login: str) -> None:
    response = client.post(reverse("account_reset_password"), {"email": login})

    assert response.status_code == 302
    assert response["Location"] == reverse("account_reset_password_done")


# Sessions


def _signed_in(address: str) -> Client:
    client = Client(headers={"user-agent": f"Browser of {address}"})
    assert _try(client, "alice@example.org", "alice-password", address).status_code == 302
    return client


def test_sessions_are_listed_and_ended(alice: User, bob: User) -> None:
    here, there, elsewhere = (_signed_in(f"192.0.2.{number}") for number in (1, 2, 3))
    bobs = Client()
    _try(bobs, "bob@example.org", "bob-password")
    page = here.get(reverse("sessions"))
    assert_clean(page)
    for text in ("192.0.2.1", "Browser of 192.0.2.2", "This one"):
        assert text in page.content.decode()
    number = re.search(r'value="(\d+)"\s+aria-label="End the session of 192.0.2.2"', page.content.decode())
    assert number

    bobs.post(reverse("sessions-end"), {"session": number[1]})
    assert there.get(reverse("people")).status_code == 200  # not his to end
    here.post(reverse("sessions-end"), {"session": number[1]})
    assert there.get(reverse("people")).status_code == 302
    assert elsewhere.get(reverse("people")).status_code == 200
    here.post(reverse("sessions-end"))
    assert elsewhere.get(reverse("people")).status_code == 302
    assert here.get(reverse("people")).status_code == 200
    assert bobs.get(reverse("people")).status_code == 200


def test_reading_the_list_of_sessions_writes_nothing(alice: User) -> None:
    here, there = _signed_in("192.0.2.1"), _signed_in("192.0.2.2")
    Session.objects.filter(pk=there.session.session_key).delete()

    page = here.get(reverse("sessions")).content.decode()

    assert "192.0.2.2" not in page
