"""The system page: one look tells, and each fault says what to do."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from ilert.common.clock import database_now
from incidents.watch.models import Audit, Finding, Pulse, Role
from notifications import breaker
from notifications.models import Attempt, Notification, Provider
from tests.html import assert_clean

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def alive() -> None:
    now = database_now()
    for role in Role:
        Pulse.objects.create(
            role=role, host="web-1", pid=7, version="0.1.0", started_at=now - timedelta(hours=1), last_seen_at=now
        )


def page(client: Client) -> str:
    response = client.get(reverse("system"))
    assert response.status_code == 200
    assert_clean(response)
    return response.content.decode()


def test_all_is_well(as_alice: Client) -> None:
    text = page(as_alice)
    assert "All is well" in text
    assert "What to do" not in text
    assert text.count("Alive") == 3


def test_only_admins_see_it(client: Client, bob: User) -> None:
    client.force_login(bob)
    assert client.get(reverse("system")).status_code == 403
    assert reverse("system") not in client.get(reverse("incident-list")).content.decode()


def test_admins_find_it(as_alice: Client) -> None:
    assert f'href="{reverse("system")}"' in as_alice.get(reverse("incident-list")).content.decode()


def test_it_renews_itself(as_alice: Client) -> None:
    fragment = as_alice.get(reverse("system"), headers={"HX-Request": "true"}).content.decode()
    assert fragment.lstrip().startswith('<div class="system')
    assert 'hx-trigger="every 5s"' in fragment


def test_a_dead_worker_is_told_before_the_auditor_comes_by(as_alice: Client) -> None:
    Pulse.objects.filter(role=Role.WORKER).update(last_seen_at=database_now() - timedelta(seconds=26))
    text = page(as_alice)
    for words in ("1 thing to look at", "Pages still go out", "No worker runs", "kill -9 7", "seen just now", "Silent"):
        assert words in text


def test_what_the_auditor_wrote_down_is_shown_with_it(as_alice: Client) -> None:
    now = database_now()
    Pulse.objects.filter(role=Role.WORKER).update(last_seen_at=now - timedelta(hours=2))
    Finding.objects.create(
        kind="no-worker", title="No worker runs", opened_at=now - timedelta(hours=2), told_at=now, grave=False
    )
    text = page(as_alice)
    assert "admins told" in text
    assert "2 h ago" in text


def test_untold_incidents_are_shown_as_the_auditor_found_them(as_alice: Client) -> None:
    Finding.objects.create(kind="untold", title="Nobody is told about open incidents", text="#7", grave=True)
    text = page(as_alice)
    assert "Pages may not go out" in text
    assert "#7" in text


def test_a_failing_mail_server_is_told_in_its_own_words(as_alice: Client, alice: User) -> None:
    now = database_now()
    message = Notification.objects.create(
        dedupe_key="x",
        user_name="Alice",
        channel="email",
        target="alice@example.org",
        title="Disk",
        due_at=now,
        provider=Provider.objects.create(name="email"),
    )
    Attempt.objects.create(
        notification=message, number=1, started_at=now, finished_at=now, succeeded=False, answer="550 <b>denied</b>"
    )
    text = page(as_alice)
    for words in ("Messages by email fail", "1 of 1 attempts", "550 &lt;b&gt;denied", "EMAIL_URL"):
        assert words in text


def test_what_was_wrong_before_is_kept(as_alice: Client) -> None:
    now = database_now()
    Finding.objects.create(
        kind="broker", title="The broker cannot be reached", opened_at=now - timedelta(hours=1), closed_at=now
    )
    assert "The broker cannot be reached" in page(as_alice)


def test_an_auditor_that_fell_silent_shows(as_alice: Client) -> None:
    Audit.objects.create(pk=1, finished_at=database_now() - timedelta(minutes=10))
    assert "needs attention" in page(as_alice)


def test_a_heartbeat_that_is_not_set_up_is_suggested(as_alice: Client) -> None:
    assert "ILERT_HEARTBEAT_URL" in page(as_alice)


def test_what_each_breaker_does_is_told_with_since_when_why_and_what_to_do(as_alice: Client) -> None:
    now = database_now()
    Provider.objects.create(name="ntfy:ntfy.example.org")
    assert "Works" in page(as_alice)
    email = Provider.objects.create(name="email")
    for _ in range(breaker.LIMIT):
        assert "Left alone" not in page(as_alice)
        breaker.record(set(), {"email": ["no answer within 8 s"]}, now)
    text = page(as_alice)
    for words in ("Left alone (open)", "no answer within 8 s", "Check the mail server and EMAIL_URL", "next try"):
        assert words in text
    email.refresh_from_db()
    assert email.opened_at == now

    Provider.objects.filter(pk="email").update(open_until=now)
    assert "One message tries (half-open)" in page(as_alice)
    breaker.record({"email"}, {}, now)
    text = page(as_alice)
    assert "Left alone" not in text
    assert "no answer within 8 s" not in text
