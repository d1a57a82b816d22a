"""The matrix: every route × everybody × own and other objects, and what holds for every address."""

from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.api_keys.models import ApiKey
from accounts.api_keys.services import create_api_key
from accounts.models import Role, Team, User
from accounts.rights import LEVELS, NAMESPACES, ROUTES, SAFE_METHODS, Level, rule_of
from alertsources.models import AlertSource
from incidents.models import Incident
from incidents.trial import send_test_event
from notifications.models import ContactMethod
from tests.accounts.routes import Route, all_routes, fixed_variables, product_routes
from tests.conftest import NOW

# Their objects belong to one person, whatever the role.
PERSONAL = {"contact-method-test", "contact-method-delete", "contact-method-verify", "api-key-revoke"}
# Of those, what is a page too.
PERSONAL_PAGES = {"contact-method-verify"}
# The address or the body holds the credential, so that a forged form could not be sent.
WITHOUT_CSRF = {"incident-link-accept", "events", "events-api", "api-unknown"}
# Opened by a key of their own, which the table cannot know.
OWN_KEY = {"metrics"}
# Without a second factor there is nothing to see there, and the view says so.
SECOND_FACTOR = {"mfa_deactivate_totp", "mfa_view_recovery_codes", "mfa_download_recovery_codes"}


@dataclass(frozen=True)
class World:
    """Blue's things, its people, and somebody of Red."""

    viewers: dict[str, User | None]
    source: AlertSource
    incident: Incident
    method: ContactMethod
    key: ApiKey

    def variables(self) -> dict[str, dict[str, Any]]:
        known = {name: {"pk": self._about(rule.about)} for name, rule in ROUTES.items() if rule.about}
        known |= {name: {"pk": self.method.pk} for name in PERSONAL}
        about_people = [name for name in ROUTES if name.startswith("person-") and name != "person-invite"]
        known |= {name: {"pk": self.method.user_id} for name in about_people}
        team = Team.objects.get(name="Red")
        known |= {name: {"pk": team.pk} for name in ("team-detail", "team-edit", "team-delete")}
        known["api-key-revoke"] = {"pk": self.key.pk}
        known["rest-user"] = {"pk": self.method.user_id}
        known["source-event"] = {"pk": self.source.pk, "event_pk": self.incident.events.get().pk}
        return known | fixed_variables()

    def _about(self, label: str) -> int:
        things = {AlertSource: self.source, Incident: self.incident, type(self.source.escalation_policy): None}
        by_label = {model._meta.label: thing for model, thing in things.items()}
        thing = by_label[label]
        return thing.pk if thing else self.source.escalation_policy_id


@pytest.fixture
def world(source: AlertSource, alice: User, bob: User, charlie: User) -> World:
    dora = User.objects.create_user("dora@example.org", "dora-password", name="Dora", role=Role.MEMBER)
    blue, red = Team.objects.create(name="Blue"), Team.objects.create(name="Red")
    blue.members.set([bob, charlie])
    red.members.set([dora])
    source.team = source.escalation_policy.team = blue
    source.save()
    source.escalation_policy.save()
    incident = send_test_event(source, alice, NOW)
    viewers = {"signed out": None, "stakeholder": charlie, "member": bob, "admin": alice, "other team": dora}
    key, _ = create_api_key(bob, "Bob's", NOW)
    return World(viewers, source, incident, bob.contact_methods.get(), key)


def _client(route: Route, viewer: User | None) -> Client:
    client = APIClient(raise_request_exception=True)
    if viewer and route.is_rest:
        client.force_authenticate(viewer)
    elif viewer:
        client.force_login(viewer)
    return client


def _expected(route: Route, who: str, world: World, method: str) -> str:
    rule, viewer = ROUTES[route.name], world.viewers[who]
    asked = rule.asks(method)
    if asked == Level.NOBODY:
        return "missing"
    if asked == Level.ANYBODY:
        return "open"
    if viewer is None:
        return "refused" if route.is_rest else "sign in"
    if LEVELS[viewer.role] < asked:
        return "forbidden"
    done = {"GET", "HEAD", "POST"} if route.name in PERSONAL_PAGES else {"POST"}
    personal = route.name in PERSONAL and method in done and viewer != world.method.user
    other = who == "other team" if rule.about else personal
    return "missing" if other else "open"


def _found(response: Any, route: Route) -> str:
    if response.status_code == 302 and response["Location"].startswith(reverse("account_login") + "?next="):
        return "sign in"
    if response.status_code == 404 and ROUTES[route.name].asks("GET") == Level.ANYBODY:
        return "open"  # a token or a key that does not exist is told so by the view
    if response.status_code == 404 and route.name in SECOND_FACTOR:
        return "open"
    if response.status_code == 401 and route.name in OWN_KEY:
        return "open"
    return {401: "refused", 403: "forbidden", 404: "missing"}.get(response.status_code, "open")


def _ask(client: Client, method: str, address: str) -> Any:
    """Ask, and take back what came of it. A reading method finds a database that takes no writes."""
    with transaction.atomic():
        if method in SAFE_METHODS:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION READ ONLY")
        response = client.generic(method, address)
        transaction.set_rollback(True)
    return response


def test_every_route_has_a_rule() -> None:
    without = {route.name or str(route.pattern.pattern) for route in all_routes() if rule_of(route.name) is None}

    assert not without, "add them to accounts.rights.ROUTES"


def test_every_rule_has_a_route() -> None:
    names = {route.name for route in all_routes()}

    assert set(ROUTES) <= names
    assert set(NAMESPACES) <= {name.partition(":")[0] for name in names if ":" in name}


@pytest.mark.parametrize("route", product_routes(), ids=lambda route: route.name)
def test_route_is_open_to_those_whom_the_table_names(route: Route, world: World, settings: Settings) -> None:
    settings.SECURE_HSTS_SECONDS = 60
    address = route.address(world.variables())
    for who, viewer in world.viewers.items():
        client = _client(route, viewer)
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
            response = _ask(client, method, address)
            assert _found(response, route) == _expected(route, who, world, method), f"{who}: {method} {address}"
            assert response.status_code < 500 or response.status_code == 503, f"{who}: {method} {address}"


@pytest.mark.parametrize("route", product_routes(), ids=lambda route: route.name)
@pytest.mark.parametrize("who", ["signed out", "admin"])
def test_every_answer_tells_browsers_to_be_careful(route: Route, who: str, world: World, settings: Settings) -> None:
    settings.SECURE_HSTS_SECONDS = 60

    response = _client(route, world.viewers[who]).get(route.address(world.variables()), secure=True)

    assert "default-src 'none'" in response["Content-Security-Policy"]
    assert "unsafe" not in response["Content-Security-Policy"]
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["X-Frame-Options"] == "DENY"
    assert response["Referrer-Policy"] == "same-origin"
    assert response["Strict-Transport-Security"].startswith("max-age=60")


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
@pytest.mark.parametrize(
    "route", [route for route in product_routes() if not route.is_rest], ids=lambda route: route.name
)
def test_forged_form_is_refused(route: Route, method: str, world: World, settings: Settings) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.viewers["admin"])
    with transaction.atomic():
        response = getattr(client, method)(route.address(world.variables()))
        transaction.set_rollback(True)

    refused = response.status_code == 403 and "This form was too old" in response.content.decode()
    assert refused == (route.name not in WITHOUT_CSRF)


@pytest.mark.parametrize("who", ["stakeholder", "member", "admin"])
def test_admin_site_is_for_admins(who: str, world: World) -> None:
    client = Client()
    client.force_login(world.viewers[who])
    lists = [route.name for route in all_routes() if route.name.startswith("admin:") and "_changelist" in route.name]
    assert len(lists) > 5
    for name in ["admin:index", *lists]:
        assert _ask(client, "GET", reverse(name)).status_code == (200 if who == "admin" else 403), name
