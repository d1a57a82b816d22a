"""Contact methods: how a person becomes reachable, and stops being."""

import datetime as dt
import logging
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.models import User
from ilert.common.clock import database_now
from notifications import channels, claims, outbox, outcomes, services
from notifications.channels import Message
from notifications.models import ContactMethod, Notification, NotificationRule, OutboxMail, Priority
from tests.notifications.conftest import use_mail_server
from tests.servers.http import hanging_up, replying
from tests.servers.ntfy import NtfyServer
from tests.servers.smtp import SmtpServer

NOW = dt.datetime(2026, 3, 1, 3, 0, tzinfo=dt.UTC)


def plan(method: ContactMethod, key: str) -> Notification:
    notification = outbox.plan(key, outbox.Recipient.of(method), outbox.Content("Disk full", "", True), NOW, NOW)
    outbox.insert([notification])
    return notification


def test_a_new_person_is_reached_by_mail_at_once(bob: User) -> None:
    method = bob.contact_methods.get()
    assert (method.channel, method.address) == ("email", "bob@example.org")
    for priority in Priority:
        (rule,) = services.methods_for(bob, priority)
        assert (rule.contact_method, rule.delay_minutes) == (method, 0)


def test_a_person_who_is_changed_gets_no_second_one(bob: User) -> None:
    bob.name = "Robert"
    bob.save()
    assert bob.contact_methods.count() == 1


def test_the_soonest_rule_comes_first(bob: User) -> None:
    ntfy = services.create_contact_method(bob, "ntfy", "https://ntfy.sh/ilert-x", "tk_1", verified_at=NOW)
    NotificationRule.objects.filter(contact_method__channel="email", priority="high").update(delay_minutes=5)
    assert [rule.contact_method.channel for rule in services.methods_for(bob, Priority.HIGH)] == ["ntfy", "email"]
    assert [rule.contact_method.channel for rule in services.methods_for(bob, Priority.LOW)] == ["email", "ntfy"]
    assert ntfy.secret == "tk_1"


def test_a_method_is_stored_with_its_rules_or_not_at_all(bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise IntegrityError

    monkeypatch.setattr(NotificationRule.objects, "bulk_create", broken)
    with pytest.raises(IntegrityError), transaction.atomic():
        services.create_contact_method(bob, "ntfy", "https://ntfy.sh/x")
    assert bob.contact_methods.count() == 1


def test_address_and_secret_are_encrypted_in_the_database(bob: User) -> None:
    from django.db import connection

    services.create_contact_method(bob, "ntfy", "https://ntfy.sh/ilert-hidden", "tk_hidden")
    with connection.cursor() as cursor:
        cursor.execute("select address || secret from notifications_contactmethod where channel = 'ntfy'")
        assert "hidden" not in cursor.fetchone()[0]


def test_removing_a_method_cancels_what_waits_for_it_and_says_why(bob: User) -> None:
    method = bob.contact_methods.get()
    plan(method, "sending"), plan(method, "done")
    sending, done = claims.claim(NOW, 2).notifications
    outcomes.finish([outcomes.Result(done, NOW, NOW, "250 OK")])
    waiting = plan(method, "waiting")

    services.delete_contact_method(method)

    assert not bob.contact_methods.exists()
    assert not NotificationRule.objects.filter(user=bob).exists()
    for notification in (waiting, sending):
        notification.refresh_from_db()
        assert notification.state == "cancelled"
        assert notification.answer == "The contact method was removed."
        assert notification.due_at is None
        assert notification.lease_until is None
        assert notification.finished_at is not None
    done.refresh_from_db()
    assert (done.state, done.answer, done.target) == ("accepted", "250 OK", "bob@example.org")


def test_a_test_shows_the_answer_of_the_provider(bob: User, ntfy: NtfyServer) -> None:
    method = services.create_contact_method(bob, "ntfy", f"{ntfy.url}/ilert-topic", verified_at=NOW)
    result = services.send_test(method)
    (shown,) = ntfy.messages("ilert-topic")
    assert result == services.TestResult(True, f"ntfy took it as {shown['id']}")
    assert shown["priority"] == 5
    assert "Bob" in shown["message"]


@pytest.mark.parametrize("behaviour", [replying(403), replying(503), hanging_up])
def test_a_test_that_fails_shows_why(bob: User, ntfy: NtfyServer, behaviour: Any) -> None:
    method = services.create_contact_method(bob, "ntfy", f"{ntfy.url}/ilert-topic")
    ntfy.behaviour = behaviour
    result = services.send_test(method)
    assert not result.ok
    assert result.answer


def test_a_fault_of_ours_is_said_to_be_ours_and_logged_without_secrets(
    bob: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: object, address: str, secret: str, message: Message) -> str:
        raise RuntimeError(f"cannot use {address}")

    monkeypatch.setattr(type(channels.get("ntfy")), "send", broken)
    method = services.create_contact_method(bob, "ntfy", "https://ntfy.sh/ilert-hidden")
    result = services.send_test(method)
    assert not result.ok
    assert "fault of its own" in result.answer
    assert "RuntimeError" in caplog.text
    assert "ilert-hidden" not in caplog.text


def test_no_log_line_holds_a_topic_or_a_token(bob: User, ntfy: NtfyServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    method = services.create_contact_method(bob, "ntfy", f"{ntfy.url}/ilert-hidden", "tk_hidden")
    services.send_test(method)
    ntfy.behaviour = replying(500)
    ContactMethod.objects.update(last_test_at=None)
    services.send_test(method)
    own = [record.getMessage() for record in caplog.records if not record.name.startswith("django.db")]
    assert not any("hidden" in line for line in own)


def test_tests_are_sent_with_pauses(bob: User, ntfy: NtfyServer) -> None:
    methods = [services.create_contact_method(bob, "ntfy", f"{ntfy.url}/ilert-{number}") for number in range(4)]

    assert services.send_test(methods[0]).ok
    assert "Try again in 10 s" in services.send_test(methods[0]).answer
    assert len(ntfy.messages("ilert-0")) == 1
    assert [services.send_test(method).ok for method in methods[1:]] == [True, True, False]
    assert not ntfy.messages("ilert-3")

    ContactMethod.objects.update(last_test_at=database_now() - services.TEST_PAUSE)
    assert services.send_test(methods[0]).ok
    assert len(ntfy.messages("ilert-0")) == 2


class TestWarnings:
    """What is shown in red: what keeps a person from being reached."""

    def titles(self, user: User) -> list[tuple[str, str]]:
        return [(warning.tone, warning.title) for warning in services.warnings_for(user, database_now())]

    def test_without_any_method(self, bob: User) -> None:
        services.delete_contact_method(bob.contact_methods.get())
        assert self.titles(bob) == [("danger", "Nothing can reach you")]

    def test_with_mail_and_no_mail_server(self, bob: User) -> None:
        assert self.titles(bob) == [("danger", "Nothing reaches you yet")]

    def test_with_mail_alone(self, bob: User, settings: Settings) -> None:
        use_mail_server(settings, SmtpServer())
        assert self.titles(bob) == [("warning", "This may not wake you")]

    def test_with_an_app_that_rings(self, bob: User) -> None:
        services.create_contact_method(bob, "ntfy", "https://ntfy.sh/x", verified_at=NOW)
        assert self.titles(bob) == []

    def test_with_a_method_that_is_not_confirmed(self, bob: User) -> None:
        services.create_contact_method(bob, "ntfy", "https://ntfy.sh/x", verified_at=NOW)
        services.create_contact_method(bob, "email", "b@example.org")
        assert self.titles(bob) == [("danger", "E-mail: b@example.org is not confirmed")]

    def test_with_none_that_is_confirmed(self, bob: User) -> None:
        bob.contact_methods.update(verified_at=None)
        assert self.titles(bob) == [("danger", "Nothing reaches you yet")]

    def test_with_a_priority_that_nothing_is_used_for(self, bob: User) -> None:
        services.create_contact_method(bob, "ntfy", "https://ntfy.sh/x", verified_at=NOW)
        NotificationRule.objects.filter(contact_method__channel="ntfy", priority="high").delete()
        assert self.titles(bob) == [("danger", "High-priority incidents do not reach you")]


class TestOutbox:
    """Mail without a mail server."""

    def test_a_password_reset_ends_up_there(self, bob: User, client: Client) -> None:
        client.post(reverse("account_reset_password"), {"email": bob.email})
        mail = OutboxMail.objects.get()
        assert mail.recipients == bob.email
        assert "http" in mail.text

    def test_the_newest_are_kept(self, bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("notifications.mail.KEPT", 3)
        monkeypatch.setattr(services, "TEST_PAUSE", dt.timedelta(0))
        method = bob.contact_methods.get()
        for _ in range(5):
            services.send_test(method)
        newest = list(OutboxMail.objects.values_list("pk", flat=True))
        assert len(newest) == 3
        services.send_test(method)
        assert list(OutboxMail.objects.values_list("pk", flat=True))[1:] == newest[:2]

    def test_what_postgresql_cannot_store_is_left_out(self, bob: User, message: Message) -> None:
        import dataclasses

        strange = dataclasses.replace(message, title="a\x00b", text="nul \x00 half \ud800")
        channels.get("email").send(bob.email, "", strange)
        assert "nul  half ?" in OutboxMail.objects.get().text
