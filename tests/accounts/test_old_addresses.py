"""Whoever has another address now: the old one, and whoever reads what is sent there, are nobody here."""

import re
from importlib import import_module

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.db import connection
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts import services
from accounts.models import Role, User

OLD, NEW = "bob@example.org", "robert@example.org"
PASSWORDS = {"password1": "quite-new-secret", "password2": "quite-new-secret"}


@pytest.fixture(autouse=True)
def _mails(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    settings.PUBLIC_URL = "https://ilert.example.com"


@pytest.fixture(params=["product", "admin site"])
def moved(request: pytest.FixtureRequest, as_alice: Client, bob: User) -> User:
    """Bob, who has another address since; before that, somebody had asked for a new password of his."""
    _forget_password(OLD)
    EmailAddress.objects.get_or_create(user=bob, email=OLD)  # as an earlier version did then
    entry = {"email": NEW, "name": "Bob", "role": "member"}
    if request.param == "product":
        as_alice.post(reverse("person-edit", args=[bob.pk]), entry)
    else:
        entry |= {"time_zone": "UTC", "theme": "dark", "is_active": "on"}
        as_alice.post(reverse("admin:accounts_user_change", args=[bob.pk]), entry)
    bob.refresh_from_db()
    assert bob.email == NEW
    return bob


def _forget_password(email: str) -> None:
    Client().post(reverse("account_reset_password"), {"email": email})


def _follow(link: str) -> None:
    """Set a new password through a mailed link, if it lets one."""
    guest = Client()
    page = guest.get(link, follow=True)
    guest.post(page.redirect_chain[-1][0] if page.redirect_chain else link, PASSWORDS)


def _links() -> list[str]:
    texts = "\n".join(str(message.body) for message in mail.outbox)
    return re.findall(r"https://ilert\.example\.com(/accounts/password/reset/key/\S+)", texts)


def test_old_mailbox_sets_no_password(moved: User) -> None:
    _forget_password(OLD)

    assert len(_links()) == 1  # of the time when it was his
    for link in _links():
        _follow(link)
    moved.refresh_from_db()
    assert moved.check_password("bob-password")


def test_new_mailbox_sets_a_password(moved: User) -> None:
    _forget_password(NEW)

    _follow(_links()[-1])

    moved.refresh_from_db()
    assert moved.check_password("quite-new-secret")


def test_old_address_does_not_sign_in(moved: User) -> None:
    guest = Client()
    guest.post(reverse("account_login"), {"login": OLD, "password": "bob-password"})
    assert "_auth_user_id" not in guest.session

    guest.post(reverse("account_login"), {"login": NEW, "password": "bob-password"})
    assert guest.session["_auth_user_id"] == str(moved.pk)


def test_who_is_given_the_address_is_the_only_one_to_get_mail(moved: User) -> None:
    eve = User.objects.create_user(OLD, "eves-own-secret", name="Eve")
    mail.outbox.clear()

    _forget_password(OLD)

    assert [message.to for message in mail.outbox] == [[OLD]]
    _follow(_links()[0])
    moved.refresh_from_db()
    eve.refresh_from_db()
    assert moved.check_password("bob-password")
    assert eve.check_password("quite-new-secret")


def test_nothing_but_the_person_has_an_address(client: Client, bob: User) -> None:
    _forget_password(OLD)
    _follow(_links()[0])
    client.post(reverse("account_login"), {"login": OLD, "password": "quite-new-secret"})

    assert client.session["_auth_user_id"] == str(bob.pk)
    assert not EmailAddress.objects.exists()


def test_whoever_asks_for_a_password_of_mine_does_not_keep_me_from_a_second_factor(client: Client, bob: User) -> None:
    _forget_password(OLD)
    client.post(reverse("account_login"), {"login": OLD, "password": "bob-password"})
    client.post(reverse("account_reauthenticate"), {"password": "bob-password"})

    assert client.get(reverse("mfa_activate_totp")).status_code == 200


def test_present_address_stays_as_it_was_noted(bob: User) -> None:
    EmailAddress.objects.create(user=bob, email=OLD)

    services.update_person(bob, name="Robert", email=OLD, role=Role.MEMBER)

    assert EmailAddress.objects.get().email == OLD


def test_upgrade_forgets_what_was_noted(bob: User) -> None:
    EmailAddress.objects.create(user=bob, email=OLD)
    migration = import_module("accounts.migrations.0008_no_addresses_beside_the_persons")

    with connection.cursor() as cursor:
        cursor.execute(migration.FORGET)

    assert not EmailAddress.objects.exists()
