"""The pages on which people say how they are reached, and the local outbox."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Theme, User
from notifications import channels, services
from notifications.channels.webhook import new_secret
from notifications.models import ContactMethod, OutboxMail
from tests.servers.http import replying
from tests.servers.ntfy import NtfyServer

HTMX = {"HX-Request": "true"}


@pytest.fixture
def as_bob(client: Client, bob: User) -> Client:
    client.force_login(bob)
    return client


def body(response: object) -> str:
    return response.content.decode()  # type: ignore[attr-defined,no-any-return]


def add(client: Client, channel: str, **data: str) -> object:
    return client.post(reverse("contact-method-add", args=[channel]), data)


class TestSignedOut:
    @pytest.mark.django_db
    @pytest.mark.parametrize("path", ["/profile", "/outbox", "/profile/contact-methods/add/ntfy"])
    def test_every_page_asks_to_sign_in(self, client: Client, path: str) -> None:
        response = client.get(path)
        assert response.status_code == 302
        assert response["Location"].startswith(reverse("account_login"))


class TestProfile:
    def test_shows_methods_channels_and_what_is_in_the_way(self, as_bob: Client) -> None:
        page = body(as_bob.get("/profile"))
        assert "bob@example.org" in page
        assert "At once: high and low priority" in page
        assert "Nothing reaches you yet" in page
        assert "local outbox" in page
        for channel in channels.ALL.values():
            assert reverse("contact-method-add", args=[channel.slug]) in page

    def test_is_not_kept_by_a_cache(self, as_bob: Client) -> None:
        assert "no-store" in as_bob.get("/profile")["Cache-Control"]

    def test_name_zone_and_theme(self, as_bob: Client, bob: User) -> None:
        response = as_bob.post("/profile", {"name": "Robert", "time_zone": "Europe/Berlin", "theme": "dark"})
        assert response.status_code == 302
        bob.refresh_from_db()
        assert (bob.name, bob.time_zone, bob.theme) == ("Robert", "Europe/Berlin", Theme.DARK)

    def test_keeps_what_was_typed_and_says_what_is_wrong(self, as_bob: Client, bob: User) -> None:
        response = as_bob.post("/profile", {"name": "Robert", "time_zone": "Mars/Olympus", "theme": "dark"})
        assert response.status_code == 422
        assert 'value="Robert"' in body(response)
        assert "id_time_zone_error" in body(response)
        bob.refresh_from_db()
        assert bob.name == "Bob"

    def test_a_zone_by_an_old_name_stays_possible(self, as_bob: Client, bob: User) -> None:
        User.objects.filter(pk=bob.pk).update(time_zone="Etc/GMT+3")
        assert as_bob.post("/profile", {"name": "Bob", "time_zone": "Etc/GMT+3", "theme": "dark"}).status_code == 302

    def test_role_and_address_cannot_be_changed_here(self, as_bob: Client, bob: User) -> None:
        data = {"name": "Bob", "time_zone": "UTC", "theme": "dark", "role": "admin", "email": "x@example.org"}
        as_bob.post("/profile", data)
        bob.refresh_from_db()
        assert (bob.role, bob.email) == ("member", "bob@example.org")


class TestAdding:
    def test_ntfy(self, as_bob: Client, bob: User) -> None:
        response = add(as_bob, "ntfy", server="https://ntfy.sh", topic="ilert-0123456789", token="")
        method = bob.contact_methods.get(channel="ntfy")
        assert response["Location"] == reverse("contact-method-verify", args=[method.pk])  # type: ignore[index]
        assert method.address == "https://ntfy.sh/ilert-0123456789"
        assert method.rules.count() == 2

    def test_webhook_keeps_the_secret_that_was_shown(self, as_bob: Client, bob: User) -> None:
        page = body(as_bob.get(reverse("contact-method-add", args=["webhook"])))
        (shown,) = set(re.findall(r"whsec_[A-Za-z0-9+/=]{44}", page))
        add(as_bob, "webhook", url="https://hooks.example.com/x", signing_secret=shown)
        assert bob.contact_methods.get(channel="webhook").secret == shown

    def test_email(self, as_bob: Client, bob: User) -> None:
        add(as_bob, "email", email="bob@home.example.org")
        assert bob.contact_methods.filter(channel="email").count() == 2

    def test_a_mistake_is_named_beside_its_field_and_nothing_typed_is_lost(self, as_bob: Client, bob: User) -> None:
        response = add(as_bob, "ntfy", server="ntfy.sh", topic="my-own-topic", token="tk_1")
        assert response.status_code == 422  # type: ignore[attr-defined]
        assert "id_server_error" in body(response)
        assert 'value="my-own-topic"' in body(response)
        assert not bob.contact_methods.filter(channel="ntfy").exists()

    def test_an_unknown_channel_is_not_found(self, as_bob: Client) -> None:
        assert as_bob.get("/profile/contact-methods/add/pigeon").status_code == 404

    @pytest.mark.parametrize("slug", sorted(channels.ALL))
    def test_every_channel_has_a_page(self, as_bob: Client, slug: str) -> None:
        channel = channels.get(slug)
        page = body(as_bob.get(reverse("contact-method-add", args=[slug])))
        assert channel.summary in page
        for name in channel.form_class().fields:
            assert f'name="{name}"' in page


class TestNtfySetup:
    def setup(self, client: Client, **data: str) -> str:
        return body(client.post(reverse("contact-method-setup", args=["ntfy"]), data, headers=HTMX))

    def test_the_code_can_be_scanned_for_the_link(self, as_bob: Client) -> None:
        page = body(as_bob.get(reverse("contact-method-add", args=["ntfy"])))
        topic = re.search(r'name="topic" value="(ilert-[0-9a-f]{24})"', page)
        assert topic
        assert decode(page) == f"ntfy://ntfy.sh/{topic[1]}"

    def test_follows_what_is_typed(self, as_bob: Client) -> None:
        fragment = self.setup(as_bob, server="http://ntfy.example.com:8080/", topic="mine")
        assert decode(fragment) == "ntfy://ntfy.example.com:8080/mine?secure=false"
        assert "Use another server" in fragment

    def test_waits_for_a_topic_that_can_be(self, as_bob: Client) -> None:
        fragment = self.setup(as_bob, server="https://ntfy.sh", topic="not a topic")
        assert '<svg class="qr"' not in fragment
        assert "the code to scan appears here" in fragment

    def test_nothing_is_inline(self, as_bob: Client) -> None:
        """A strict content security policy refuses it."""
        for slug in channels.ALL:
            page = body(as_bob.get(reverse("contact-method-add", args=[slug])))
            assert not re.search(r'\sstyle="|<style|\son[a-z]+="|<script(?![^>]*\ssrc=)', page)

    def test_a_channel_without_set_up_has_no_such_part(self, as_bob: Client) -> None:
        assert as_bob.post(reverse("contact-method-setup", args=["email"]), {}).status_code == 404


class TestTest:
    def test_shows_the_answer_of_the_provider_in_place(self, as_bob: Client, bob: User, ntfy: NtfyServer) -> None:
        method = services.create_contact_method(bob, "ntfy", f"{ntfy.url}/ilert-topic")
        page = body(as_bob.post(reverse("contact-method-test", args=[method.pk]), headers=HTMX))
        assert "Sent." in page
        assert ntfy.published[0]["id"] in page
        assert "<html" not in page

    def test_shows_the_reason_of_a_failure(self, as_bob: Client, bob: User, ntfy: NtfyServer) -> None:
        ntfy.behaviour = replying(403, b'{"error": "<b>forbidden</b>"}')
        method = services.create_contact_method(bob, "ntfy", f"{ntfy.url}/ilert-topic")
        page = body(as_bob.post(reverse("contact-method-test", args=[method.pk]), headers=HTMX))
        assert "Not sent." in page
        assert "&lt;b&gt;forbidden" in page

    def test_works_without_script(self, as_bob: Client, bob: User) -> None:
        method = bob.contact_methods.get()
        response = as_bob.post(reverse("contact-method-test", args=[method.pk]), follow=True)
        assert "Shown in the local outbox" in body(response)

    def test_looking_sends_nothing(self, as_bob: Client, bob: User) -> None:
        method = bob.contact_methods.get()
        assert as_bob.get(reverse("contact-method-test", args=[method.pk])).status_code == 405
        assert not OutboxMail.objects.exists()


class TestRemoving:
    def test_asks_first(self, as_bob: Client, bob: User) -> None:
        method = bob.contact_methods.get()
        url = reverse("contact-method-delete", args=[method.pk])
        page = body(as_bob.get("/profile"))
        assert f'action="{url}"' in page
        assert "It is your only one" in page
        assert as_bob.get(url).status_code == 405
        assert as_bob.post(url).status_code == 302
        assert not bob.contact_methods.exists()
        assert "Nothing can reach you" in body(as_bob.get("/profile"))


class TestOthers:
    """What is mine is nobody else's, not even an admin's."""

    @pytest.mark.parametrize("name", ["contact-method-test", "contact-method-delete"])
    def test_cannot_use_or_remove_my_methods(self, as_bob: Client, alice: User, name: str) -> None:
        method = alice.contact_methods.get()
        assert as_bob.post(reverse(name, args=[method.pk])).status_code == 404
        assert ContactMethod.objects.filter(pk=method.pk).exists()
        assert not OutboxMail.objects.exists()

    def test_do_not_see_my_topics_and_secrets(self, as_alice: Client, bob: User) -> None:
        services.create_contact_method(bob, "ntfy", "https://ntfy.sh/ilert-concealed", "tk_concealed")
        services.create_contact_method(bob, "webhook", "https://hooks.example.com/concealed", new_secret())
        for path in ("/profile", "/outbox"):
            assert "concealed" not in body(as_alice.get(path))

    def test_an_access_token_is_shown_to_nobody_again(self, as_bob: Client, bob: User) -> None:
        services.create_contact_method(bob, "ntfy", "https://ntfy.sh/ilert-topic", "tk_hidden")
        page = body(as_bob.get("/profile"))
        assert "ilert-topic" in page
        assert "tk_hidden" not in page

    def test_a_forged_form_of_another_site_is_refused(self, bob: User) -> None:
        client = Client(enforce_csrf_checks=True)
        client.force_login(bob)
        method = bob.contact_methods.get()
        for url in (
            "/profile",
            "/outbox/clear",
            reverse("contact-method-add", args=["email"]),
            reverse("contact-method-test", args=[method.pk]),
            reverse("contact-method-delete", args=[method.pk]),
        ):
            assert client.post(url, {"email": "eve@example.com"}).status_code == 403
        assert bob.contact_methods.count() == 1


class TestOutbox:
    def test_is_not_for_members(self, as_bob: Client) -> None:
        assert as_bob.get("/outbox").status_code == 403
        assert as_bob.post("/outbox/clear").status_code == 403

    def test_says_what_it_is_for_when_empty(self, as_alice: Client) -> None:
        assert "No mail yet" in body(as_alice.get("/outbox"))

    def test_shows_mails_with_links_that_work_and_markup_that_does_not(self, as_alice: Client) -> None:
        OutboxMail.objects.create(
            sender="s",
            recipients="bob@example.org",
            subject="<b>Disk</b>",
            text="Accept: http://localhost:8000/a/tok~en-1_x\n<script>alert(1)</script> javascript:alert(1)",
        )
        page = body(as_alice.get("/outbox"))
        assert 'href="http://localhost:8000/a/tok~en-1_x"' in page
        assert "&lt;b&gt;Disk" in page
        assert "<script>alert" not in page
        assert 'href="javascript' not in page

    def test_pages_go_back_in_time(self, as_alice: Client) -> None:
        for number in range(45):
            OutboxMail.objects.create(sender="s", recipients="r", subject=f"mail-{number:02}")
        first = body(as_alice.get("/outbox"))
        assert re.findall(r"mail-(\d\d)", first) == [f"{number:02}" for number in range(44, 24, -1)]
        older = re.search(r'href="(\?before=\d+)"', first)
        assert older
        second = body(as_alice.get(f"/outbox{older[1]}"))
        assert re.findall(r"mail-(\d\d)", second)[0] == "24"
        older = re.search(r'href="(\?before=\d+)"', second)
        assert older
        last = body(as_alice.get(f"/outbox{older[1]}"))
        assert len(re.findall(r"mail-(\d\d)", last)) == 5
        assert "?before" not in last

    @pytest.mark.parametrize("before", ["x", "-1", "9" * 40, "", "²"])
    def test_a_strange_page_number_does_no_harm(self, as_alice: Client, before: str) -> None:
        assert as_alice.get("/outbox", {"before": before}).status_code == 200

    def test_can_be_cleared(self, as_alice: Client) -> None:
        OutboxMail.objects.create(sender="s", recipients="r", subject="x")
        assert as_alice.post("/outbox/clear").status_code == 302
        assert not OutboxMail.objects.exists()


def decode(page: str) -> str:
    """Read the QR code of `page` back: which modules are dark, compared with a code made for the text beside it."""
    import qrcode

    drawn = re.search(r'<svg class="qr"[^>]*viewBox="0 0 (\d+) \1"[^>]*>.*?<path fill="#000" d="([^"]+)"', page, re.S)
    assert drawn, "there is no QR code"
    dark = {(int(x), int(y)) for x, y in re.findall(r"M(\d+) (\d+)h1v1h-1z", drawn[2])}
    link = re.search(r'href="(ntfy://[^"]+)"', page)
    assert link
    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_M, border=4)
    code.add_data(link[1])
    matrix = code.get_matrix()
    assert len(matrix) == int(drawn[1])
    assert dark == {(x, y) for y, row in enumerate(matrix) for x, cell in enumerate(row) if cell}
    return link[1]
