"""People: invited, changed, shut out; teams."""

import re
from datetime import timedelta

import pytest
import time_machine
from allauth.usersessions.models import UserSession
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts import invitations, services
from accounts.api_keys.services import create_api_key
from accounts.models import AuditEntry, Role, Team, User
from alertsources.models import AlertSource
from oncall.models import EscalationPolicy
from tests.conftest import NOW
from tests.html import assert_clean

NEW = {"email": "eve@example.org", "name": "Eve", "role": "member"}
PASSWORD = {"new_password1": "quite-new-secret", "new_password2": "quite-new-secret"}


class Broken(BaseEmailBackend):
    def send_messages(self, email_messages: object) -> int:
        raise ConnectionRefusedError("Connection refused")


@pytest.fixture
def mails(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    settings.PUBLIC_URL = "https://ilert.example.com"


@pytest.fixture
def eve(alice: User) -> User:
    return services.invite("eve@example.org", "Eve", Role.MEMBER)


def _path(person: User) -> str:
    return re.sub(r"https?://[^/]+", "", invitations.link(person))


def test_invited_person_chooses_a_password_and_signs_in(
    as_alice: Client, alice: User, mails: None, client: Client
) -> None:
    as_alice.post(reverse("person-invite"), NEW)
    text = str(mail.outbox[0].body)
    link = re.search(r"https://ilert\.example\.com(/invitation/\S+)", text)
    assert link
    assert mail.outbox[0].to == ["eve@example.org"]
    assert "Alice invites you" in text
    guest = Client()

    page = guest.get(link[1])
    assert_clean(page)
    assert "Welcome, Eve" in page.content.decode()
    guest.post(link[1], PASSWORD)

    signed_in = guest.post(reverse("account_login"), {"login": "eve@example.org", "password": "quite-new-secret"})
    assert signed_in["Location"] == reverse("home")
    assert guest.get(link[1]).status_code == 404  # each link works once


def test_weak_password_is_refused_and_said_at_the_field(client: Client, eve: User) -> None:
    response = client.post(_path(eve), {"new_password1": "short", "new_password2": "short"})

    assert response.status_code == 422
    assert_clean(response)
    eve.refresh_from_db()
    assert eve.is_invited


@pytest.mark.parametrize("spoil", ["forge", "age", "readdress", "deactivate"])
def test_link_that_is_no_good_sets_no_password(client: Client, eve: User, spoil: str) -> None:
    with time_machine.travel(NOW, tick=False):
        path = _path(eve)
    later = NOW + (timedelta(days=8) if spoil == "age" else timedelta(days=6))
    if spoil == "forge":
        path = path[:-1] + ("A" if path[-1] != "A" else "B")
    elif spoil == "readdress":
        services.update_person(eve, name="Eve", email="eva@example.org", role=Role.MEMBER)
    elif spoil == "deactivate":
        services.set_person_active(eve, False)
    with time_machine.travel(later, tick=False):
        response = client.post(path, PASSWORD)

    assert response.status_code == 404
    eve.refresh_from_db()
    assert not eve.has_usable_password()


def test_link_still_works_before_it_is_too_old(client: Client, eve: User) -> None:
    with time_machine.travel(NOW, tick=False):
        path = _path(eve)
    with time_machine.travel(NOW + timedelta(days=6), tick=False):
        assert client.get(path).status_code == 200


def test_mail_that_is_not_taken_is_said_and_can_be_sent_again(as_alice: Client, settings: Settings) -> None:
    settings.EMAIL_BACKEND = "tests.accounts.test_people.Broken"

    page = as_alice.post(reverse("person-invite"), NEW, follow=True).content.decode()

    assert "could not be mailed" in page
    eve = User.objects.get(email="eve@example.org")
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    as_alice.post(reverse("person-invite-again", args=[eve.pk]))
    assert mail.outbox[0].to == ["eve@example.org"]


def test_whoever_has_a_password_is_not_invited_again(as_alice: Client, bob: User, mails: None) -> None:
    as_alice.post(reverse("person-invite-again", args=[bob.pk]))

    assert not mail.outbox


def test_nobody_is_invited_twice(as_alice: Client, bob: User) -> None:
    response = as_alice.post(reverse("person-invite"), NEW | {"email": "BOB@example.org"})

    assert response.status_code == 422
    assert "here already" in response.content.decode()


def test_the_last_admin_stays(as_alice: Client, alice: User) -> None:
    entry = {"email": alice.email, "name": "Alice", "role": "member"}
    assert as_alice.post(reverse("person-edit", args=[alice.pk]), entry).status_code == 422
    as_alice.post(reverse("person-set-active", args=[alice.pk]), {"active": "0"})
    admin_site = {"email": alice.email, "role": "member", "time_zone": "UTC", "theme": "dark", "is_active": "on"}
    as_alice.post(reverse("admin:accounts_user_change", args=[alice.pk]), admin_site)

    alice.refresh_from_db()
    assert alice.is_admin
    assert alice.is_active
    assert "cannot be deactivated" in as_alice.get(alice.get_absolute_url()).content.decode()


def test_an_admin_may_go_while_another_stays(as_alice: Client, alice: User, bob: User) -> None:
    services.update_person(bob, name="Bob", email=bob.email, role=Role.ADMIN)

    as_alice.post(reverse("person-edit", args=[alice.pk]), {"email": alice.email, "name": "Alice", "role": "member"})

    alice.refresh_from_db()
    assert not alice.is_admin


def test_whoever_is_shut_out_is_out_at_once(as_alice: Client, bob: User) -> None:
    bobs = Client()
    bobs.force_login(bob)
    assert bobs.get(reverse("people")).status_code == 200

    as_alice.post(reverse("person-set-active", args=[bob.pk]), {"active": "0"})

    assert bobs.get(reverse("people")).status_code == 302
    as_alice.post(reverse("person-set-active", args=[bob.pk]), {"active": "1"})
    bob.refresh_from_db()
    assert bob.is_active


def _out_and_in_again(as_alice: Client, person: User, where: str) -> None:
    for active in (False, True):
        if where == "product":
            as_alice.post(reverse("person-set-active", args=[person.pk]), {"active": "1" if active else "0"})
            continue
        entry = {"email": person.email, "role": "member", "time_zone": "UTC", "theme": "dark"}
        entry |= {"is_active": "on"} if active else {}
        as_alice.post(reverse("admin:accounts_user_change", args=[person.pk]), entry)
    person.refresh_from_db()
    assert person.is_active
    assert person.access_ended_at


@pytest.mark.parametrize("where", ["product", "admin site"])
def test_sessions_and_keys_do_not_come_back_with_a_person(as_alice: Client, bob: User, where: str) -> None:
    _, key = create_api_key(bob, "CI", NOW)
    bobs, script = Client(), Client(headers={"Authorization": f"Bearer {key}"})
    bobs.force_login(bob)

    _out_and_in_again(as_alice, bob, where)

    assert bobs.get(reverse("people")).status_code == 302
    assert script.get("/api/v1/users/current").status_code == 401
    assert AuditEntry.objects.filter(verb="revoked", object_type="API key").count() == 1


def test_who_is_in_already_keeps_everything(as_alice: Client, bob: User) -> None:
    _, key = create_api_key(bob, "CI", NOW)
    bobs, script = Client(), Client(headers={"Authorization": f"Bearer {key}"})
    bobs.force_login(bob)
    stale = User.objects.get(pk=bob.pk)
    stale.is_active = False  # as a page that was opened while he was out would have it

    as_alice.post(reverse("person-set-active", args=[bob.pk]), {"active": "1"})
    services.set_person_active(stale, True)

    assert bobs.get(reverse("people")).status_code == 200
    assert script.get("/api/v1/users/current").status_code == 200
    assert not AuditEntry.objects.filter(verb="activated").exists()


def test_a_session_that_no_list_knows_of_ends_too(as_alice: Client, bob: User) -> None:
    bobs = Client()
    bobs.force_login(bob)
    UserSession.objects.all().delete()

    _out_and_in_again(as_alice, bob, "product")

    assert bobs.get(reverse("people")).status_code == 302
    bobs.force_login(bob)
    assert bobs.get(reverse("people")).status_code == 200
    assert as_alice.get(reverse("people")).status_code == 200


def test_a_session_from_before_the_secret_key_was_replaced_ends_too(
    as_alice: Client, bob: User, settings: Settings
) -> None:
    bobs = Client()
    bobs.force_login(bob)
    UserSession.objects.all().delete()
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another one", [settings.SECRET_KEY]

    _out_and_in_again(as_alice, bob, "product")

    assert as_alice.get(reverse("people")).status_code == 200
    assert bobs.get(reverse("people")).status_code == 302


@pytest.mark.parametrize("where", ["product", "admin site"])
def test_links_do_not_come_back_with_a_person(as_alice: Client, bob: User, eve: User, where: str, mails: None) -> None:
    Client().post(reverse("account_reset_password"), {"email": bob.email})
    forgotten = _mailed_path()
    invited = _path(eve)

    _out_and_in_again(as_alice, bob, where)
    _out_and_in_again(as_alice, eve, where)

    assert "This link does not work any more" in Client().get(forgotten, follow=True).content.decode()
    assert Client().post(invited, PASSWORD).status_code == 404


def test_links_that_are_sent_after_that_work(as_alice: Client, bob: User, eve: User, mails: None) -> None:
    _out_and_in_again(as_alice, bob, "product")
    _out_and_in_again(as_alice, eve, "product")

    Client().post(reverse("account_reset_password"), {"email": bob.email})

    assert Client().get(_mailed_path(), follow=True).context["form"]
    assert Client().post(_path(eve), PASSWORD).status_code == 302


def _mailed_path() -> str:
    found = re.search(r"https://ilert\.example\.com(/\S+)", str(mail.outbox[-1].body))
    assert found
    return found[1]


def test_log_has_both_steps_and_nothing_beside(as_alice: Client, bob: User) -> None:
    _out_and_in_again(as_alice, bob, "admin site")

    entries = AuditEntry.objects.filter(object_type="person", object_id=bob.pk, verb="changed")
    changes = [entry.after for entry in entries]
    assert [change["is_active"] for change in changes] == [True, False]
    assert not any("access_ended_at" in change for change in changes)


def test_an_admin_who_cannot_sign_in_is_none_to_count_on(as_alice: Client, alice: User) -> None:
    services.invite("typo@example.org", "Typo", Role.ADMIN)
    entry = {"email": alice.email, "name": "Alice", "role": "member"}

    assert as_alice.post(reverse("person-edit", args=[alice.pk]), entry).status_code == 422
    assert "cannot be deactivated" in as_alice.get(alice.get_absolute_url()).content.decode()


def test_an_invited_admin_may_be_shut_out(alice: User) -> None:
    invited = services.invite("typo@example.org", "Typo", Role.ADMIN)

    services.set_person_active(invited, False)

    assert not invited.is_active


@pytest.mark.django_db
def test_first_admin_is_made_while_none_can_sign_in(settings: Settings) -> None:
    settings.ILERT_ADMIN_EMAIL, settings.ILERT_ADMIN_PASSWORD = "Boss@example.org", ""
    services.invite("typo@example.org", "Typo", Role.ADMIN)

    email, password = services.ensure_first_admin()

    assert email == "boss@example.org"
    assert Client().post(reverse("account_login"), {"login": email, "password": password}).status_code == 302
    assert services.ensure_first_admin() == (email, None)


@pytest.mark.django_db
def test_first_admin_may_be_there_without_a_password(settings: Settings) -> None:
    settings.ILERT_ADMIN_EMAIL, settings.ILERT_ADMIN_PASSWORD = "boss@example.org", "a-good-password-1"
    boss = services.invite("boss@example.org", "Boss", Role.MEMBER)

    assert services.ensure_first_admin() == ("boss@example.org", None)

    boss.refresh_from_db()
    assert (boss.role, boss.name, boss.check_password("a-good-password-1")) == (Role.ADMIN, "Boss", True)


@pytest.mark.django_db
def test_first_admin_who_was_shut_out_comes_back_without_their_keys(settings: Settings) -> None:
    settings.ILERT_ADMIN_EMAIL, settings.ILERT_ADMIN_PASSWORD = "boss@example.org", "a-good-password-1"
    boss = User.objects.create_user("boss@example.org", "old-password", is_active=False)
    _, key = create_api_key(boss, "CI", NOW)

    services.ensure_first_admin()

    assert Client(headers={"Authorization": f"Bearer {key}"}).get("/api/v1/users/current").status_code == 401
    boss.refresh_from_db()
    assert boss.is_admin
    assert boss.access_ended_at


@pytest.mark.django_db
def test_first_admin_who_was_in_all_the_time_keeps_their_keys(settings: Settings) -> None:
    settings.ILERT_ADMIN_EMAIL, settings.ILERT_ADMIN_PASSWORD = "boss@example.org", "a-good-password-1"
    boss = User.objects.create_user("boss@example.org", "old-password")
    _, key = create_api_key(boss, "CI", NOW)

    services.ensure_first_admin()

    assert Client(headers={"Authorization": f"Bearer {key}"}).get("/api/v1/users/current").status_code == 200


def test_page_says_what_asks_a_person(as_alice: Client, policy: EscalationPolicy, bob: User) -> None:
    page = as_alice.get(bob.get_absolute_url()).content.decode()

    assert policy.get_absolute_url() in page
    assert "do not ask them any more" in page


def test_page_does_not_tell_of_policies_of_other_teams(
    client: Client, policy: EscalationPolicy, alice: User, bob: User
) -> None:
    policy.team = Team.objects.create(name="Blue")
    policy.save()
    client.force_login(bob)

    assert policy.get_absolute_url() not in client.get(alice.get_absolute_url()).content.decode()


def test_colleagues_see_how_a_person_is_reached(client: Client, alice: User, bob: User) -> None:
    client.force_login(bob)
    address = reverse("person-reach", args=[alice.pk])

    assert "At once: high and low priority" in client.get(address).content.decode()
    alice.contact_methods.all().delete()
    assert "Nothing can reach" in client.get(address).content.decode()


@pytest.mark.parametrize("name", ["people", "person-invite", "team-create"])
def test_page_is_drawn(as_alice: Client, bob: User, name: str) -> None:
    response = as_alice.get(reverse(name))

    assert response.status_code == 200
    assert_clean(response)


def test_team_is_made_filled_and_deleted(as_alice: Client, bob: User, source: AlertSource) -> None:
    as_alice.post(reverse("team-create"), {"name": "Blue", "members": [bob.pk]})
    team = Team.objects.get()
    assert list(team.members.all()) == [bob]
    assert as_alice.post(reverse("team-create"), {"name": "BLUE"}).status_code == 422
    as_alice.post(reverse("team-edit", args=[team.pk]), {"name": "Blues", "members": []})
    source.team = team
    source.save()
    page = as_alice.get(team.get_absolute_url())
    assert_clean(page)
    assert source.name in page.content.decode()
    as_alice.post(reverse("team-delete", args=[team.pk]))
    assert Team.objects.get().name == "Blues"
    source.team = None
    source.save()
    as_alice.post(reverse("team-delete", args=[team.pk]))
    assert not Team.objects.exists()


def test_sources_and_policies_are_given_to_a_team(as_alice: Client, alice: User, source: AlertSource) -> None:
    team = Team.objects.create(name="Blue")
    policy = source.escalation_policy
    as_alice.post(
        reverse("source-edit", args=[source.pk]),
        {"name": "Web", "escalation_policy": policy.pk, "team": team.pk, "priority": "high", "grouping": "key",
         "active": "on"},
    )  # fmt: skip
    as_alice.post(
        reverse("policy-edit", args=[policy.pk]),
        {"name": "Night", "team": team.pk, "delay_minutes": 0, "rules-TOTAL_FORMS": 1, "rules-INITIAL_FORMS": 0,
         "rules-0-escalation_timeout": 5, "rules-0-users": [alice.pk]},
    )  # fmt: skip

    source.refresh_from_db()
    policy.refresh_from_db()
    assert (source.team, policy.team) == (team, team)
