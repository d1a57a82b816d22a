"""The admin site knows every model, lists it at a price that does not grow, and changes no history."""

from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.api_keys.services import create_api_key
from accounts.models import Team, User
from alertsources.models import AlertSource
from alertsources.services import create_source
from ilert.common.clock import database_now
from incidents.engine import escalation
from incidents.models import Incident
from incidents.trial import send_test_event
from notifications.models import Attempt, Notification, OutboxMail
from oncall.services import RuleData, create_policy
from tests.conftest import NOW
from tests.incidents.test_pages import open_incident

pytestmark = pytest.mark.django_db

OURS = ("accounts", "oncall", "alertsources", "notifications", "incidents")
# What has happened, or what the engine keeps its books in: nobody changes that by hand.
CHANGEABLE = {"user", "team", "escalationpolicy", "alertsource"}
# Of these there is one row.
SINGLE = {"audit", "retention"}


def models() -> list[type[Model]]:
    return [model for app in OURS for model in apps.get_app_config(app).get_models()]


def address(model: type[Model], page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def furnish(source: AlertSource, count: int, beginning: str) -> None:
    """Add `count` of whatever lists show."""
    for number in range(count):
        name = f"{beginning}{number}"
        user = User.objects.create_user(f"{name}@example.org", name=name)
        create_api_key(user, name, NOW)
        Team.objects.create(name=name).members.add(user)
        policy = create_policy(name, [RuleData(5, [user.pk])])
        send_test_event(create_source(name, "SEMATEXT", policy), user, NOW)
        incident = open_incident(source, f"disk of {name} full")
        Incident.objects.filter(pk=incident.pk).update(responder=user)
        OutboxMail.objects.create(sender="a", recipients="b", subject=name)
    escalation.escalate_due(database_now)
    for notification in Notification.objects.filter(attempts=None):
        Attempt.objects.create(notification=notification, number=1, started_at=NOW, finished_at=NOW, succeeded=True)


def test_every_model_is_registered() -> None:
    missing = [model._meta.label for model in models() if not admin.site.is_registered(model)]
    assert not missing


def test_nothing_of_packages_is_registered() -> None:
    """What is changed there would not be in the audit log."""
    assert {model._meta.app_label for model in admin.site._registry} <= {*OURS}


@pytest.mark.parametrize("model", models(), ids=lambda model: model._meta.model_name)
def test_a_list_has_columns_and_can_be_searched(model: type[Model], as_alice: Client) -> None:
    site = admin.site._registry[model]
    assert len(site.list_display) > 1
    assert site.search_fields or model._meta.model_name in SINGLE
    assert as_alice.get(f"{address(model, 'changelist')}?q=1").status_code == 200


def test_a_list_takes_the_same_few_queries_however_long_it_is(as_alice: Client, source: AlertSource) -> None:
    def queries() -> dict[str, int]:
        counts = {}
        for model in models():
            with CaptureQueriesContext(connection) as captured:
                assert as_alice.get(address(model, "changelist")).status_code == 200
            counts[model._meta.label] = len(captured)
        return counts

    furnish(source, 2, "a")
    few = queries()
    furnish(source, 8, "b")
    assert queries() == few
    assert max(few.values()) <= 12


def test_what_has_happened_cannot_be_changed(as_alice: Client, source: AlertSource) -> None:
    furnish(source, 1, "a")
    for model in models():
        if model._meta.model_name in CHANGEABLE:
            continue
        assert as_alice.get(address(model, "add")).status_code == 403, model
        if row := model._default_manager.first():
            page = as_alice.get(address(model, "change", row.pk))
            assert page.status_code == 200, model
            assert 'name="_save"' not in page.text, model
            assert as_alice.post(address(model, "delete", row.pk)).status_code == 403, model


def test_no_secret_is_shown(as_alice: Client, alice: User, source: AlertSource) -> None:
    key, text = create_api_key(alice, "CI", NOW)
    method = alice.contact_methods.get()
    method.secret = "very-secret-word"
    method.save()
    for thing in (key, method, source, alice):
        page = as_alice.get(address(type(thing), "change", thing.pk)).text
        for secret in (text, key.key_hash.hex(), "very-secret-word", source.integration_key, alice.password):
            assert secret not in page
