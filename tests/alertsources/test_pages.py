"""The pages of alert sources: who may see and do what, and what the forms make of it."""

import json
import re
import shlex
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.models import User
from alertsources import services
from alertsources.forms import NEW_POLICY
from alertsources.models import AlertSource, Grouping, Priority
from incidents.models import Event, Incident, Outcome
from integrations import EventType, Payload, get
from oncall.models import EscalationPolicy
from tests.html import assert_clean

# What the create form sends when its options are left as they are.
ENTRY = {"name": "Shop", "priority": "high", "auto_resolution_minutes": "", "grouping": "key"}


@pytest.fixture
def as_bob(client: Client, bob: User) -> Client:
    client.force_login(bob)
    return client


def _incident(source: AlertSource) -> Incident:
    return Incident.objects.create(
        alert_source=source,
        escalation_policy=source.escalation_policy,
        summary="Down",
        incident_key="k",
        key_hash=b"k",
    )


# The list


def test_list_names_each_source_with_its_policy(as_alice: Client, source: AlertSource) -> None:
    page = as_alice.get(reverse("source-list")).content.decode()

    assert source.name in page
    assert source.escalation_policy.name in page
    assert f'id="source-state-{source.pk}"' in page


def test_empty_list_says_what_it_is_for(as_alice: Client) -> None:
    page = as_alice.get(reverse("source-list")).content.decode()

    assert "No alert source yet" in page
    assert page.count("Create new alert source") == 1


def test_members_get_no_button_that_is_not_for_them(as_bob: Client, source: AlertSource) -> None:
    assert "Create new alert source" not in as_bob.get(reverse("source-list")).content.decode()


@pytest.mark.parametrize("rows", [3, 30])
def test_list_takes_the_same_few_queries(
    as_alice: Client, policy: EscalationPolicy, rows: int, django_assert_max_num_queries: Any
) -> None:
    for number in range(rows):
        services.create_source(f"Source {number}", "SEMATEXT", policy)

    with django_assert_max_num_queries(4):
        as_alice.get(reverse("source-list"))


# Creating


def test_gallery_leads_to_each_tool(as_alice: Client) -> None:
    page = as_alice.get(reverse("source-create")).content.decode()

    assert reverse("source-create-of", args=["sematext"]) in page


def test_unknown_tool_does_not_exist(as_alice: Client) -> None:
    assert as_alice.get(reverse("source-create-of", args=["nagios"])).status_code == 404


def test_created_source_leads_to_its_setup_page(as_alice: Client, policy: EscalationPolicy) -> None:
    response = as_alice.post(reverse("source-create-of", args=["sematext"]), ENTRY | {"escalation_policy": policy.pk})

    source = AlertSource.objects.get()
    assert (source.name, source.integration_type, source.escalation_policy) == ("Shop", "SEMATEXT", policy)
    assert response["Location"] == source.get_absolute_url()


def test_only_policy_is_chosen_already(as_alice: Client, policy: EscalationPolicy) -> None:
    page = as_alice.get(reverse("source-create-of", args=["sematext"])).content.decode()

    assert "Choose a policy" not in page
    assert page.index("Default</option>") < page.index("New policy")


def test_with_several_policies_one_has_to_be_chosen(as_alice: Client, policy: EscalationPolicy) -> None:
    EscalationPolicy.objects.create(name="Other")

    response = as_alice.post(reverse("source-create-of", args=["sematext"]), {"name": "Shop", "escalation_policy": ""})

    assert 'id="id_escalation_policy_error"' in response.content.decode()


def test_policy_is_created_in_place_and_asks_its_maker(as_alice: Client, alice: User) -> None:
    as_alice.post(
        reverse("source-create-of", args=["sematext"]),
        ENTRY | {"escalation_policy": NEW_POLICY, "new_policy_name": "Shop team"},
    )

    policy = AlertSource.objects.get().escalation_policy
    assert policy.name == "Shop team"
    assert [list(rule.users.all()) for rule in policy.rules.all()] == [[alice]]


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        ({"name": "", "escalation_policy": NEW_POLICY, "new_policy_name": "Kept"}, "id_name_error"),
        ({"name": "Kept", "escalation_policy": NEW_POLICY, "new_policy_name": ""}, "id_new_policy_name_error"),
        ({"name": "Kept", "escalation_policy": NEW_POLICY, "new_policy_name": "dEFAULT"}, "id_new_policy_name_error"),
        ({"name": "Kept", "escalation_policy": "4711"}, "id_escalation_policy_error"),
        ({"name": "Kept\0"}, "id_name_error"),
    ],
)
def test_wrong_entry_is_kept_and_the_error_stands_beside_it(
    as_alice: Client, policy: EscalationPolicy, entry: dict[str, str], error: str
) -> None:
    response = as_alice.post(reverse("source-create-of", args=["sematext"]), entry)

    page = response.content.decode()
    assert response.status_code == 200
    assert f'id="{error}"' in page
    assert "Kept" in page
    assert_clean(response)
    assert not AlertSource.objects.exists()
    assert EscalationPolicy.objects.count() == 1


def test_options_are_folded_away_and_have_defaults(as_alice: Client, policy: EscalationPolicy) -> None:
    page = as_alice.get(reverse("source-create-of", args=["sematext"])).content.decode()
    assert '<details class="fold">' in page

    as_alice.post(reverse("source-create-of", args=["sematext"]), ENTRY | {"escalation_policy": policy.pk})

    source = AlertSource.objects.get()
    assert (source.priority, source.auto_resolution_minutes, source.grouping) == (Priority.HIGH, None, Grouping.KEY)


def test_options_are_kept(as_alice: Client, source: AlertSource) -> None:
    entry = ENTRY | {"escalation_policy": source.escalation_policy_id, "active": "on"}
    options = {"priority": "low", "auto_resolution_minutes": "60", "grouping": "one_open"}

    as_alice.post(reverse("source-edit", args=[source.pk]), entry | options)

    source.refresh_from_db()
    assert (source.priority, source.auto_resolution_minutes, source.grouping) == ("low", 60, "one_open")
    page = as_alice.get(reverse("source-edit", args=[source.pk])).content.decode()
    assert page.count("selected") == 5


def test_wrong_option_is_unfolded(as_alice: Client, policy: EscalationPolicy) -> None:
    entry = ENTRY | {"escalation_policy": policy.pk, "auto_resolution_minutes": "7"}

    page = as_alice.post(reverse("source-create-of", args=["sematext"]), entry).content.decode()

    assert '<details class="fold" open>' in page
    assert 'id="id_auto_resolution_minutes_error"' in page


# The set-up page


def test_setup_page_has_the_url_and_the_steps(as_alice: Client, source: AlertSource) -> None:
    page = unescape(as_alice.get(source.get_absolute_url()).content.decode())

    assert source.integration_url in page
    for text in ("Send data as", "Json", "HTTP method", "POST", "Sematext resolves its incidents by itself"):
        assert text in page


def test_setup_page_has_the_parameters_ready_to_paste(as_alice: Client, source: AlertSource) -> None:
    page = as_alice.get(source.get_absolute_url()).content.decode()

    parameters = json.loads(_text_of(page, "hook-json"))
    assert parameters == {
        name: f"${name}"
        for name in ("backToNormal", "ruleType", "description", "title", "applicationId", "url", "createTimestamp")
    }
    for name, value in parameters.items():
        assert f">{name}<" in page
        assert f">{value}<" in page


def test_curl_lines_are_an_alert_and_its_recovery(as_alice: Client, source: AlertSource) -> None:
    page = as_alice.get(source.get_absolute_url()).content.decode()

    alert, recovery = (_parsed(_text_of(page, name), source) for name in ("curl-alert", "curl-recovery"))

    assert (alert.type, recovery.type) == (EventType.ALERT, EventType.RESOLVE)
    assert alert.key == recovery.key


def _parsed(command: str, source: AlertSource) -> Any:
    words = shlex.split(command)
    assert words[:3] == ["curl", "-X", "POST"]
    assert words[3] == source.integration_url
    adapter = get("sematext")
    assert adapter
    body = words[words.index("-d") + 1].encode()
    (event,) = adapter.parse(Payload(body=body, content_type="application/json", query=""))
    return event


def _text_of(page: str, element_id: str) -> str:
    found = re.search(rf'<pre[^>]*id="{element_id}"[^>]*>(.*?)</pre>', page, re.S)
    assert found
    return unescape(found[1])


def test_members_never_see_the_key(as_bob: Client, source: AlertSource) -> None:
    for name in ("source-list", "policy-list"):
        assert source.integration_key not in as_bob.get(reverse(name)).content.decode()
    response = as_bob.get(source.get_absolute_url())

    assert response.status_code == 200
    assert source.integration_key not in response.content.decode()
    assert "shown to admins" in response.content.decode()


def test_key_is_on_no_list_of_the_admin_site(as_alice: Client, source: AlertSource) -> None:
    for address in (
        reverse("admin:alertsources_alertsource_changelist"),
        reverse("admin:alertsources_alertsource_change", args=[source.pk]),
    ):
        response = as_alice.get(address)
        assert response.status_code == 200
        assert source.integration_key not in response.content.decode()


@pytest.mark.parametrize(
    ("public_url", "host", "warning"),
    [
        ("http://localhost:8000", "localhost:8000", "only this machine itself can reach"),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", "only this machine itself can reach"),
        ("http://[::1]:8000", "localhost:8000", "only this machine itself can reach"),
        ("http://ilert.example.com", "10.0.0.7:8000", "You are looking at http://10.0.0.7:8000"),
        ("http://ilert.example.com", "ilert.example.com:80", ""),
        ("http://ilert.example.com", "ilert.example.com", ""),
    ],
)
def test_setup_page_warns_when_tools_may_not_reach_the_url(
    *, as_alice: Client, source: AlertSource, settings: Settings, public_url: str, host: str, warning: str
) -> None:
    settings.PUBLIC_URL = public_url
    settings.ALLOWED_HOSTS = ["*"]

    page = as_alice.get(source.get_absolute_url(), headers={"host": host}).content.decode()

    assert ("Can the tool reach this address?" in page) is bool(warning)
    assert warning in page
    assert ("PUBLIC_URL" in page) is bool(warning)


def test_steps_are_folded_away_once_events_arrive(as_alice: Client, source: AlertSource) -> None:
    assert "setup-new" in as_alice.get(source.get_absolute_url()).content.decode()

    Event.objects.create(alert_source=source, outcome=Outcome.TEST)

    assert "setup-new" not in as_alice.get(source.get_absolute_url()).content.decode()


# Editing, disabling, deleting


def test_source_is_edited(as_alice: Client, source: AlertSource) -> None:
    other = EscalationPolicy.objects.create(name="Other")

    as_alice.post(reverse("source-edit", args=[source.pk]), ENTRY | {"name": "Renamed", "escalation_policy": other.pk})

    source.refresh_from_db()
    assert (source.name, source.escalation_policy, source.active) == ("Renamed", other, False)


def test_editing_can_create_a_policy_too(as_alice: Client, source: AlertSource) -> None:
    as_alice.post(
        reverse("source-edit", args=[source.pk]),
        ENTRY | {"escalation_policy": NEW_POLICY, "new_policy_name": "Fresh", "active": "on"},
    )

    source.refresh_from_db()
    assert (source.escalation_policy.name, source.active) == ("Fresh", True)


def test_source_is_disabled_and_enabled(as_alice: Client, source: AlertSource) -> None:
    as_alice.post(reverse("source-set-active", args=[source.pk]), {"active": "0"})
    source.refresh_from_db()
    assert not source.active
    assert "Disabled" in as_alice.get(source.get_absolute_url()).content.decode()

    as_alice.post(reverse("source-set-active", args=[source.pk]), {"active": "1"})
    source.refresh_from_db()
    assert source.active


def test_source_without_incidents_is_deleted(as_alice: Client, source: AlertSource) -> None:
    Event.objects.create(alert_source=source, outcome=Outcome.TEST)

    response = as_alice.post(reverse("source-delete", args=[source.pk]))

    assert response["Location"] == reverse("source-list")
    assert not AlertSource.objects.exists()


def test_source_with_incidents_is_kept_and_can_be_disabled(as_alice: Client, source: AlertSource) -> None:
    _incident(source)

    response = as_alice.post(reverse("source-delete", args=[source.pk]), follow=True)

    page = response.content.decode()
    assert AlertSource.objects.exists()
    assert "cannot be deleted" in page
    assert reverse("source-set-active", args=[source.pk]) in page
    assert_clean(response)


# Rotating the key


def test_new_url_leaves_the_old_one_working_until_it_is_ended(as_alice: Client, source: AlertSource) -> None:
    old = source.integration_key

    as_alice.post(reverse("source-rotate-key", args=[source.pk]))

    source.refresh_from_db()
    assert source.integration_key != old
    assert services.find_by_key(old) == services.find_by_key(source.integration_key) == source
    assert "The old URL still works" in as_alice.get(source.get_absolute_url()).content.decode()

    as_alice.post(reverse("source-revoke-key", args=[source.pk]))

    assert services.find_by_key(old) is None
    assert "The old URL still works" not in as_alice.get(source.get_absolute_url()).content.decode()


@pytest.mark.parametrize("name", ["source-rotate-key", "source-revoke-key"])
def test_only_admins_rotate_keys_and_only_by_post(as_bob: Client, alice: User, source: AlertSource, name: str) -> None:
    assert as_bob.post(reverse(name, args=[source.pk])).status_code == 403
    as_bob.force_login(alice)
    assert as_bob.get(reverse(name, args=[source.pk])).status_code == 405
    assert services.find_by_key(source.integration_key) == source


# Who may


ADMIN_ROUTES: list[tuple[str, Callable[[AlertSource], list[Any]]]] = [
    ("source-create", lambda source: []),
    ("source-create-of", lambda source: ["sematext"]),
    ("source-edit", lambda source: [source.pk]),
    ("source-delete", lambda source: [source.pk]),
]


@pytest.mark.parametrize(("name", "arguments"), ADMIN_ROUTES)
@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("role", ["bob", "charlie"])
def test_only_admins_set_up_sources(
    *,
    client: Client,
    source: AlertSource,
    request: pytest.FixtureRequest,
    name: str,
    arguments: Callable[[AlertSource], list[Any]],
    method: str,
    role: str,
) -> None:
    client.force_login(request.getfixturevalue(role))

    response = getattr(client, method)(reverse(name, args=arguments(source)))

    assert response.status_code == 403
    assert "Only admins set up alert sources" in response.content.decode()
    assert AlertSource.objects.filter(active=True).count() == 1


def test_only_admins_disable_a_source(as_bob: Client, source: AlertSource) -> None:
    assert as_bob.post(reverse("source-set-active", args=[source.pk]), {"active": "0"}).status_code == 403
    source.refresh_from_db()
    assert source.active


def test_disabling_wants_a_post(as_alice: Client, source: AlertSource) -> None:
    assert as_alice.get(reverse("source-set-active", args=[source.pk])).status_code == 405


@pytest.mark.parametrize("name", ["source-detail", "source-edit", "source-delete"])
def test_missing_source_does_not_exist(as_alice: Client, name: str) -> None:
    assert as_alice.get(reverse(name, args=[4711])).status_code == 404
