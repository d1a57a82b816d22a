"""A contact method is used once its owner has shown that it reaches them."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from accounts import services as people
from accounts.models import User
from alertsources.models import AlertSource
from notifications import services, verification
from notifications.models import ContactMethod, Notification, OutboxMail, VerificationCode
from notifications.verification import Outcome
from tests.conftest import NOW
from tests.delivering import ask
from tests.html import assert_clean
from tests.servers.ntfy import NtfyServer


@pytest.fixture
def method(bob: User) -> ContactMethod:
    return services.create_contact_method(bob, "email", "bob@home.example")


def send(method: ContactMethod, minutes: float = 0) -> str:
    """Send a code some minutes after NOW. Returns it."""
    return code_of(verification.message(method, NOW + timedelta(minutes=minutes)).text)


def code_of(text: str) -> str:
    (code,) = set(re.findall(r"\b\d{6}\b", text))
    return code


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10**6:06}"


def test_the_code_confirms(method: ContactMethod) -> None:
    code = send(method)
    assert verification.enter(method, f" {code[:3]} {code[3:]} ", NOW) is Outcome.CONFIRMED
    method.refresh_from_db()
    assert method.verified_at == NOW


def test_a_code_is_stored_nowhere(method: ContactMethod) -> None:
    code = send(method)
    assert code not in repr(list(VerificationCode.objects.values()))


def test_five_wrong_tries_end_a_code(method: ContactMethod) -> None:
    code = send(method)
    tried = [verification.enter(method, wrong(code), NOW) for _ in range(5)]
    assert tried == [Outcome.WRONG] * 4 + [Outcome.OVER]
    assert verification.enter(method, code, NOW) is Outcome.OVER
    assert not ContactMethod.objects.verified().filter(pk=method.pk).exists()


def test_a_fifth_try_that_is_right_is_in_time(method: ContactMethod) -> None:
    code = send(method)
    for _ in range(4):
        verification.enter(method, wrong(code), NOW)
    assert verification.enter(method, code, NOW) is Outcome.CONFIRMED


@pytest.mark.parametrize(("minutes", "outcome"), [(9.9, Outcome.CONFIRMED), (10, Outcome.OVER)])
def test_a_code_is_good_for_ten_minutes(method: ContactMethod, minutes: float, outcome: Outcome) -> None:
    code = send(method)
    assert verification.enter(method, code, NOW + timedelta(minutes=minutes)) is outcome


def test_a_new_code_ends_the_one_before(method: ContactMethod) -> None:
    first, second = send(method), send(method, 1)
    if first != second:
        assert verification.enter(method, first, NOW + timedelta(minutes=1)) is Outcome.WRONG
    assert verification.enter(method, second, NOW + timedelta(minutes=1)) is Outcome.CONFIRMED


def test_a_code_is_for_one_method_and_one_address(method: ContactMethod, bob: User) -> None:
    other = services.create_contact_method(bob, "email", "bob@work.example")
    send(other)
    assert verification.enter(other, send(method), NOW) is Outcome.WRONG

    code = send(method)
    method.address = "eve@example.org"
    assert verification.enter(method, code, NOW) is Outcome.WRONG


def test_a_link_sent_to_the_old_address_does_not_confirm_the_new_one(bob: User, method: ContactMethod) -> None:
    message = verification.message(method, NOW)
    assert message.link
    token = message.link.url.rstrip("/").rsplit("/", 1)[1]
    assert verification.read(token, NOW) == method

    User.objects.filter(pk=bob.pk).update(email="bob@new.example")
    bob.refresh_from_db()
    services.move_email_methods(bob, "bob@home.example", NOW)

    assert verification.enter_link(token, NOW) is None
    method.refresh_from_db()
    assert (method.address, method.verified_at) == ("bob@new.example", None)
    assert VerificationCode.objects.filter(user=bob).count() == 1  # it still counts


def test_ten_codes_an_hour_whatever_is_removed_and_added(bob: User, method: ContactMethod) -> None:
    for minute in range(10):
        assert verification.wait(bob.pk, NOW + timedelta(minutes=minute)) == 0
        send(method, minute)
    services.delete_contact_method(method)
    assert verification.wait(bob.pk, NOW + timedelta(minutes=10)) == 50 * 60
    assert verification.wait(bob.pk, NOW + timedelta(minutes=60)) == 0


def test_too_many_codes_are_refused_with_the_time_to_wait(bob: User) -> None:
    for number in range(10):
        again = services.create_contact_method(bob, "email", f"{number}@example.org")
        assert services.send_test(again).ok
        services.delete_contact_method(again)
    last = services.create_contact_method(bob, "email", "last@example.org")
    assert "Try again in 60 min" in services.send_test(last).answer
    assert OutboxMail.objects.count() == 10


def test_an_unconfirmed_method_gets_no_incident_and_a_confirmed_one_does(source: AlertSource, alice: User) -> None:
    alice.contact_methods.update(verified_at=None)
    ask(source)
    assert not Notification.objects.filter(user=alice).exists()

    method = alice.contact_methods.get()
    verification.enter(method, send(method), NOW)
    ask(source, name="other")
    assert Notification.objects.filter(user=alice, contact_method=method).count() == 1


@pytest.mark.django_db
def test_an_invited_person_is_told_once_the_invitation_was_used() -> None:
    person = people.invite("eve@example.org", "Eve", "member")
    assert not ContactMethod.objects.verified().filter(user=person).exists()
    people.accept_invitation(person, "quite-new-secret")
    assert ContactMethod.objects.verified().filter(user=person).count() == 1


class TestPages:
    @pytest.fixture
    def as_bob(self, client: Client, bob: User) -> Client:
        client.force_login(bob)
        return client

    def test_adding_sends_the_code_and_entering_it_confirms(self, as_bob: Client, bob: User, ntfy: NtfyServer) -> None:
        data = {"server": ntfy.url, "topic": "ilert-0123456789", "token": ""}
        response = as_bob.post(reverse("contact-method-add", args=["ntfy"]), data, follow=True)
        assert "ntfy took it" in response.content.decode()
        assert_clean(response)
        method = bob.contact_methods.get(channel="ntfy")
        page = reverse("contact-method-verify", args=[method.pk])

        code = code_of(ntfy.messages("ilert-0123456789")[0]["message"])
        assert "six digits" in as_bob.post(page, {"code": "12345"}).content.decode()
        assert Outcome.WRONG.value in as_bob.post(page, {"code": wrong(code)}).content.decode()
        assert as_bob.post(page, {"code": code})["Location"] == f"/profile#method-{method.pk}"
        method.refresh_from_db()
        assert method.verified_at
        assert as_bob.get(page).status_code == 302

    def test_profile_says_what_is_not_confirmed(self, as_bob: Client, method: ContactMethod) -> None:
        page = as_bob.get("/profile").content.decode()
        assert "Not confirmed" in page
        assert reverse("contact-method-verify", args=[method.pk]) in page

    def test_the_link_needs_no_sign_in_and_a_button(self, client: Client, method: ContactMethod) -> None:
        services.send_test(method)
        link = re.search(r"/contact-methods/confirm/\S+", OutboxMail.objects.get().text)
        assert link
        for _ in range(2):
            page = client.get(link[0])
            assert_clean(page)
            assert "Bob" in page.content.decode()
        method.refresh_from_db()
        assert method.verified_at is None

        assert "From now on" in client.post(link[0]).content.decode()
        method.refresh_from_db()
        assert method.verified_at
        assert client.get(link[0]).status_code == client.post(link[0]).status_code == 404

    def test_a_link_ends_with_a_newer_code(self, client: Client, method: ContactMethod) -> None:
        services.send_test(method)
        link = re.search(r"/contact-methods/confirm/\S+", OutboxMail.objects.get().text)
        assert link
        ContactMethod.objects.update(last_test_at=None)
        services.send_test(method)
        assert client.post(link[0]).status_code == 404
        method.refresh_from_db()
        assert method.verified_at is None

    def test_a_link_does_not_come_back_with_its_person(self, client: Client, bob: User, method: ContactMethod) -> None:
        services.send_test(method)
        link = re.search(r"/contact-methods/confirm/\S+", OutboxMail.objects.get().text)
        assert link
        for active in (False, True):
            people.set_person_active(bob, active)
        assert client.post(link[0]).status_code == 404


class TestAnotherAddress:
    """An admin gives somebody another e-mail address."""

    def edit(self, client: Client, person: User, email: str, **more: str) -> None:
        data = {"name": person.name, "email": email, "role": person.role} | more
        assert client.post(reverse("person-edit", args=[person.pk]), data).status_code == 302

    def test_moves_the_method_which_has_to_be_confirmed(
        self, as_alice: Client, bob: User, method: ContactMethod
    ) -> None:
        assert 'name="move" id="id_move" checked' in " ".join(
            as_alice.get(reverse("person-edit", args=[bob.pk])).content.decode().split()
        ).replace('aria-describedby="id_move_helptext" ', "")
        self.edit(as_alice, bob, "robert@example.org", move="on")
        moved = bob.contact_methods.exclude(pk=method.pk).get()
        assert (moved.address, moved.verified_at) == ("robert@example.org", None)
        method.refresh_from_db()
        assert method.address == "bob@home.example"

    def test_leaves_it_when_told_so(self, as_alice: Client, bob: User) -> None:
        self.edit(as_alice, bob, "robert@example.org")
        kept = bob.contact_methods.get()
        assert kept.address == "bob@example.org"
        assert kept.verified_at

    def test_nothing_changes_with_the_same_address(self, as_alice: Client, bob: User) -> None:
        self.edit(as_alice, bob, "bob@example.org", move="on")
        assert bob.contact_methods.get().verified_at

    def test_ones_own_stays_confirmed(self, as_alice: Client, alice: User) -> None:
        self.edit(as_alice, alice, "alicia@example.org", move="on")
        moved = alice.contact_methods.get()
        assert moved.address == "alicia@example.org"
        assert moved.verified_at

    def test_what_waits_for_the_old_address_is_not_sent_to_the_new_one(
        self, as_alice: Client, bob: User, alice: User, source: AlertSource
    ) -> None:
        other = User.objects.create_user("dora@example.org", "dora-password", name="Dora", role="admin")
        ask(source)
        as_alice.force_login(other)
        self.edit(as_alice, alice, "alicia@example.org", move="on")
        assert Notification.objects.get(user=alice).state == "cancelled"
