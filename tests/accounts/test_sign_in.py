"""Signing in and out, and setting a new password."""

import re
from importlib import import_module

import pytest
from django.core import mail
from django.db import IntegrityError, connection
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.models import AuditEntry, User
from tests.html import assert_clean

LOGIN = {"login": "alice@example.org", "password": "alice-password"}


def test_right_password_leads_to_the_start_page(client: Client, alice: User) -> None:
    response = client.post(reverse("account_login"), LOGIN)

    assert response.status_code == 302
    assert response["Location"] == reverse("home")


def test_address_is_compared_without_case(client: Client, alice: User) -> None:
    assert client.post(reverse("account_login"), LOGIN | {"login": "Alice@Example.ORG"}).status_code == 302


@pytest.mark.parametrize("typed", ["Bob.Smith@example.org", "bob.smith@example.org"])
def test_address_that_was_given_with_capitals_signs_in(client: Client, db: None, typed: str) -> None:
    bob = User.objects.create_user("Bob.Smith@Example.org", "a-good-password-1")

    client.post(reverse("account_login"), {"login": typed, "password": "a-good-password-1"})

    assert bob.email == "bob.smith@example.org"
    assert "_auth_user_id" in client.session


def test_database_keeps_addresses_in_lower_case(alice: User) -> None:
    with pytest.raises(IntegrityError):
        User.objects.filter(pk=alice.pk).update(email="Alice@example.org")


def test_addresses_with_capitals_are_brought_up_to_date(alice: User, bob: User) -> None:
    migration = import_module("accounts.migrations.0006_addresses_in_lower_case")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE accounts_user DROP CONSTRAINT accounts_user_email_lower")
        cursor.execute("UPDATE accounts_user SET email = 'Alice@example.org' WHERE id = %s", [alice.pk])
        cursor.execute(migration.LOWER)

    assert set(User.objects.values_list("email", flat=True)) == {"alice@example.org", "bob@example.org"}


@pytest.mark.parametrize("wrong", [{"password": "not-hers"}, {"login": "nobody@example.org"}])
def test_wrong_password_is_said_at_the_field_and_keeps_the_address(
    client: Client, alice: User, wrong: dict[str, str]
) -> None:
    entry = LOGIN | wrong

    response = client.post(reverse("account_login"), entry)

    page = response.content.decode()
    assert response.status_code == 200
    assert "E-mail address or password is wrong" in page
    assert 'id="id_password_error"' in page
    assert 'aria-describedby="id_password_error"' in page
    assert entry["login"] in page
    assert entry["password"] not in page
    assert_clean(response)


def test_somebody_who_has_left_cannot_sign_in(client: Client, alice: User) -> None:
    alice.is_active = False
    alice.save()

    client.post(reverse("account_login"), LOGIN)

    assert "_auth_user_id" not in client.session


def test_nobody_signs_up(client: Client, db: None) -> None:
    page = client.post(
        reverse("account_signup"), {"email": "eve@example.org", "password1": "x" * 12, "password2": "x" * 12}
    ).content.decode()

    assert "People are invited here" in page
    assert not User.objects.exists()
    assert reverse("account_signup") not in client.get(reverse("account_login")).content.decode()


def test_signing_out_asks_first(as_alice: Client) -> None:
    assert as_alice.get(reverse("account_logout")).status_code == 200
    assert "_auth_user_id" in as_alice.session

    as_alice.post(reverse("account_logout"))

    assert "_auth_user_id" not in as_alice.session


def test_forgotten_password_is_replaced_through_the_mailed_link(
    client: Client, alice: User, settings: Settings
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    settings.PUBLIC_URL = "https://ilert.example.com"

    client.post(reverse("account_reset_password"), {"email": alice.email})
    link = re.search(r"https://ilert\.example\.com(/\S+)", str(mail.outbox[0].body))
    assert link
    form = client.get(link[1], follow=True)
    assert_clean(form)
    done = client.post(
        form.redirect_chain[-1][0], {"password1": "quite-new-secret", "password2": "quite-new-secret"}, follow=True
    )

    assert "Your new password is saved" in done.content.decode()
    assert_clean(done)
    alice.refresh_from_db()
    assert alice.check_password("quite-new-secret")


def test_reset_link_that_is_no_good_offers_a_new_one(client: Client, db: None) -> None:
    page = client.get(reverse("account_reset_password_from_key", kwargs={"uidb36": "1", "key": "no-good"})).content

    assert "This link does not work any more" in page.decode()


def test_password_is_changed_with_the_present_one(as_alice: Client, alice: User) -> None:
    entry = {"oldpassword": "alice-password", "password1": "quite-new-secret", "password2": "quite-new-secret"}

    wrong = as_alice.post(reverse("account_change_password"), entry | {"oldpassword": "wrong"})
    assert wrong.status_code == 200
    assert 'id="id_oldpassword_error"' in wrong.content.decode()
    as_alice.post(reverse("account_change_password"), entry)

    alice.refresh_from_db()
    assert alice.check_password("quite-new-secret")


def test_admin_site_has_no_page_of_its_own_for_the_password(as_alice: Client, alice: User) -> None:
    new = {"old_password": "alice-password", "new_password1": "quite-new-secret", "new_password2": "quite-new-secret"}

    answer = as_alice.post("/admin/password_change/", new)

    assert answer["Location"] == reverse("account_change_password")
    alice.refresh_from_db()
    assert alice.check_password("alice-password")


def test_admin_site_leads_to_the_page_for_ones_own_password(as_alice: Client, alice: User) -> None:
    page = reverse("admin:accounts_user_change", args=[alice.pk])
    entry = {"email": alice.email, "name": "Alicia", "role": "admin", "time_zone": "UTC", "theme": "dark"}

    form = as_alice.get(page).content.decode()
    as_alice.post(page, entry | {"is_active": "on", "new_password": "quite-new-secret"})

    assert reverse("account_change_password") in form
    assert 'name="new_password"' not in form
    alice.refresh_from_db()
    assert alice.name == "Alicia"
    assert alice.check_password("alice-password")


def test_admin_site_refuses_weak_passwords_and_logs_new_ones(as_alice: Client, bob: User) -> None:
    page = reverse("admin:accounts_user_change", args=[bob.pk])
    entry = {
        "email": bob.email,
        "name": "Bob",
        "role": "member",
        "time_zone": "UTC",
        "theme": "dark",
        "is_active": "on",
    }

    weak = as_alice.post(page, entry | {"new_password": "1"})
    assert weak.status_code == 200
    assert "too short" in weak.content.decode()
    as_alice.post(page, entry | {"new_password": "bobs-new-secret"})

    bob.refresh_from_db()
    assert bob.check_password("bobs-new-secret")
    assert AuditEntry.objects.filter(verb="changed password of", object_id=bob.pk, actor_name="Alice").count() == 1


def test_admin_site_has_no_sign_in_of_its_own(client: Client, db: None) -> None:
    response = client.get("/admin/", follow=True)

    assert response.redirect_chain[-1][0].startswith(reverse("account_login"))


def test_admin_site_is_reached_after_sign_in(client: Client, alice: User) -> None:
    address = client.get("/admin/", follow=True).redirect_chain[-1][0]

    response = client.post(address, LOGIN, follow=True)

    assert response.status_code == 200
    assert response.request["PATH_INFO"] == "/admin/"


def test_admin_site_sends_members_away(client: Client, bob: User) -> None:
    client.force_login(bob)

    assert client.get("/admin/", follow=True).status_code == 403


def test_admin_site_never_shows_a_password(as_alice: Client, alice: User) -> None:
    page = as_alice.get(reverse("admin:accounts_user_change", args=[alice.pk])).content.decode()

    assert alice.password not in page


def test_admin_site_sets_passwords(as_alice: Client, bob: User) -> None:
    entry = {
        "email": bob.email,
        "name": "Bob",
        "role": "member",
        "time_zone": "UTC",
        "theme": "dark",
        "is_active": "on",
    }

    as_alice.post(
        reverse("admin:accounts_user_change", args=[bob.pk]), entry | {"email": "Bob@example.org", "new_password": ""}
    )
    bob.refresh_from_db()
    assert bob.check_password("bob-password")
    assert bob.email == "bob@example.org"
    as_alice.post(reverse("admin:accounts_user_change", args=[bob.pk]), entry | {"new_password": "bobs-new-secret"})

    bob.refresh_from_db()
    assert bob.check_password("bobs-new-secret")
