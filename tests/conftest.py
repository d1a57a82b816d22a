"""The cast and the stage: real PostgreSQL and Valkey (`make test` brings them), and nobody outside."""

from datetime import UTC, datetime

import pytest
from django.test import Client

from accounts.models import Role, User
from alertsources.models import AlertSource
from alertsources.services import create_source
from incidents.intake.limits import Rates
from oncall.models import EscalationPolicy
from oncall.services import RuleData, replace_rules
from tests.delivering import Inline

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _quick_and_local(settings: pytest.FixtureRequest) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.EMAIL_BACKEND = "notifications.mail.OutboxBackend"
    settings.STATIC_ROOT = settings.BASE_DIR / "ilert" / "static"
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }


@pytest.fixture(autouse=True)
def _rates_stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is counted on the way in is not shared by a thread that would use the database beside the test."""
    monkeypatch.setattr(Rates, "_wake", lambda self: None)


@pytest.fixture(autouse=True)
def _send_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages are sent by the test's own thread: others would not see what a test has not committed."""
    monkeypatch.setattr("incidents.engine.delivery.senders", Inline)


@pytest.fixture
def now() -> datetime:
    """The moment a story begins. Stories move it by passing later ones."""
    return NOW


@pytest.fixture
def alice(db: None) -> User:
    """Admin, and the first to be asked."""
    return User.objects.create_user("alice@example.org", "alice-password", name="Alice", role=Role.ADMIN)


@pytest.fixture
def bob(db: None) -> User:
    """Member, asked second."""
    return User.objects.create_user("bob@example.org", "bob-password", name="Bob", role=Role.MEMBER)


@pytest.fixture
def charlie(db: None) -> User:
    """Stakeholder: reads, and changes nothing."""
    return User.objects.create_user("charlie@example.org", "charlie-password", name="Charlie", role=Role.STAKEHOLDER)


@pytest.fixture
def policy(alice: User, bob: User) -> EscalationPolicy:
    """Alice at once, Bob after 10 minutes; he has 20."""
    policy = EscalationPolicy.objects.create(name="Default")
    replace_rules(policy, [RuleData(10, [alice.pk]), RuleData(20, [bob.pk])])
    return policy


@pytest.fixture
def source(policy: EscalationPolicy) -> AlertSource:
    return create_source("Sematext production", "SEMATEXT", policy)


@pytest.fixture
def as_alice(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client
