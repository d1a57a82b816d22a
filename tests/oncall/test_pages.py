"""The pages of escalation policies."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts import services
from accounts.models import Role, User
from alertsources.models import AlertSource
from oncall.forms import Draft, new_rule
from oncall.levels import course
from oncall.models import EscalationPolicy
from oncall.services import RuleData, create_policy
from tests.html import assert_clean


def _entry(*rules: tuple[object, list[int]], **fields: str) -> dict[str, Any]:
    """What the browser sends for a policy with these (minutes, people)."""
    entry: dict[str, Any] = {
        "name": "Night",
        "delay_minutes": 0,
        "rules-TOTAL_FORMS": len(rules),
        "rules-INITIAL_FORMS": 0,
    }
    entry |= fields
    for index, (minutes, users) in enumerate(rules):
        entry[f"rules-{index}-escalation_timeout"] = minutes
        entry[f"rules-{index}-users"] = users
    return entry


def _rules(policy: EscalationPolicy) -> list[tuple[int, list[str]]]:
    return [(rule.escalation_timeout, sorted(str(user) for user in rule.users.all())) for rule in policy.rules.all()]


# Reading


def test_list_says_who_is_asked_when(as_alice: Client, policy: EscalationPolicy) -> None:
    page = " ".join(as_alice.get(reverse("policy-list")).content.decode().split())

    assert "at once: Alice" in page
    assert "after 10 min: Bob" in page


def test_empty_list_says_what_it_is_for(as_alice: Client) -> None:
    assert "No escalation policy yet" in as_alice.get(reverse("policy-list")).content.decode()


@pytest.mark.parametrize("rows", [3, 30])
def test_list_takes_the_same_few_queries(
    as_alice: Client, alice: User, rows: int, django_assert_max_num_queries: Any
) -> None:
    for number in range(rows):
        create_policy(f"Policy {number}", [RuleData(5, [alice.pk]), RuleData(5, [alice.pk])])

    with django_assert_max_num_queries(6):
        as_alice.get(reverse("policy-list"))


def test_detail_shows_the_course_and_the_sources(as_alice: Client, source: AlertSource) -> None:
    page = as_alice.get(source.escalation_policy.get_absolute_url()).content.decode()

    for text in ("At once", "After 10 min", "After 30 min", source.name):
        assert text in page


def test_times_add_up_and_a_level_that_reaches_nobody_takes_none(alice: User, bob: User) -> None:
    gone = User.objects.create_user("gone@example.org", name="Gone", is_active=False)
    policy = create_policy(
        "Night",
        [RuleData(10, [alice.pk]), RuleData(99, [gone.pk]), RuleData(20, [bob.pk])],
        repeating=True,
        frequency=3,
    )

    found = course(policy)

    assert [(level.minutes, level.people, level.not_asked) for level in found.levels] == [
        (0, [alice], []),
        (10, [], [gone]),
        (10, [bob], []),
    ]
    assert (found.end, found.rounds, found.reaches_nobody) == (30, 3, False)


def test_rule_that_reaches_nobody_is_warned_about(as_alice: Client, policy: EscalationPolicy, bob: User) -> None:
    services.update_person(bob, name="Bob", email=bob.email, role=Role.STAKEHOLDER)

    assert "Bob (only reads)" in as_alice.get(policy.get_absolute_url()).content.decode()
    assert "Rule 2 reaches nobody" in as_alice.get(policy.get_absolute_url()).content.decode()
    assert "A rule reaches nobody" in as_alice.get(reverse("policy-list")).content.decode()


def test_policy_that_reaches_nobody_at_all_is_warned_about(as_alice: Client) -> None:
    policy = EscalationPolicy.objects.create(name="Empty")

    assert "This policy reaches nobody" in as_alice.get(policy.get_absolute_url()).content.decode()
    assert "Reaches nobody" in as_alice.get(reverse("policy-list")).content.decode()


# Writing


def test_new_policy_starts_with_the_viewer(as_alice: Client, alice: User) -> None:
    page = as_alice.get(reverse("policy-create")).content.decode()

    assert f'value="{alice.pk}"' in page
    assert "checked" in page


def test_policy_is_created(as_alice: Client, alice: User, bob: User) -> None:
    response = as_alice.post(reverse("policy-create"), _entry((5, [alice.pk, bob.pk]), (30, [bob.pk])))

    policy = EscalationPolicy.objects.get()
    assert response["Location"] == policy.get_absolute_url()
    assert (policy.name, policy.repeating, policy.rounds) == ("Night", False, 1)
    assert _rules(policy) == [(5, ["Alice", "Bob"]), (30, ["Bob"])]


def test_policy_is_edited(as_alice: Client, policy: EscalationPolicy, bob: User) -> None:
    as_alice.post(
        reverse("policy-edit", args=[policy.pk]), _entry((7, [bob.pk]), name="Day", repeating="on", frequency="4")
    )

    policy.refresh_from_db()
    assert (policy.name, policy.repeating, policy.rounds) == ("Day", True, 4)
    assert _rules(policy) == [(7, ["Bob"])]


def test_a_delay_is_kept_and_shown(as_alice: Client, policy: EscalationPolicy, bob: User) -> None:
    edit = reverse("policy-edit", args=[policy.pk])
    as_alice.post(edit, _entry((7, [bob.pk]), delay_minutes="5"))

    policy.refresh_from_db()
    assert policy.delay_minutes == 5
    page = as_alice.get(policy.get_absolute_url()).content.decode()
    for text in ("Nobody is asked for 5 min", "After 5 min", "After 12 min"):
        assert text in page
    assert 'name="delay_minutes" value="5"' in as_alice.get(edit).content.decode()
    assert "after 5 min: Bob" in " ".join(as_alice.get(reverse("policy-list")).content.decode().split())


def test_an_accept_timeout_is_kept_shown_and_turned_off(as_alice: Client, policy: EscalationPolicy, bob: User) -> None:
    edit = reverse("policy-edit", args=[policy.pk])
    as_alice.post(edit, _entry((7, [bob.pk]), accept_timeout_minutes="30"))

    policy.refresh_from_db()
    assert policy.accept_timeout_minutes == 30
    assert "accepted incident for 30 min" in as_alice.get(policy.get_absolute_url()).content.decode()
    assert 'name="accept_timeout_minutes" value="30"' in as_alice.get(edit).content.decode()

    as_alice.post(edit, _entry((7, [bob.pk]), accept_timeout_minutes=""))
    policy.refresh_from_db()
    assert policy.accept_timeout_minutes is None


def test_policy_keeps_its_own_name(as_alice: Client, policy: EscalationPolicy, bob: User) -> None:
    as_alice.post(reverse("policy-edit", args=[policy.pk]), _entry((7, [bob.pk]), name="DEFAULT"))

    policy.refresh_from_db()
    assert policy.name == "DEFAULT"


def test_what_is_not_shown_cannot_be_wrong(as_alice: Client, bob: User) -> None:
    """Without `repeating` the rounds are hidden, whatever is in them."""
    as_alice.post(reverse("policy-create"), _entry((7, [bob.pk]), frequency="99"))

    assert EscalationPolicy.objects.get().frequency == 1


@pytest.mark.parametrize(
    ("fields", "rule", "error"),
    [
        ({"name": ""}, (5, True), "id_name_error"),
        ({"name": "default"}, (5, True), "id_name_error"),
        ({"name": "Kept", "repeating": "on", "frequency": ""}, (5, True), "id_frequency_error"),
        ({"name": "Kept", "repeating": "on", "frequency": "10"}, (5, True), "id_frequency_error"),
        ({"name": "Kept", "delay_minutes": "61"}, (5, True), "id_delay_minutes_error"),
        ({"name": "Kept", "accept_timeout_minutes": "0"}, (5, True), "id_accept_timeout_minutes_error"),
        ({"name": "Kept", "accept_timeout_minutes": "1441"}, (5, True), "id_accept_timeout_minutes_error"),
        ({"name": "Kept", "delay_minutes": ""}, (5, True), "id_delay_minutes_error"),
        ({"name": "Kept"}, (0, True), "id_rules-0-escalation_timeout_error"),
        ({"name": "Kept"}, (1441, True), "id_rules-0-escalation_timeout_error"),
        ({"name": "Kept"}, ("soon", True), "id_rules-0-escalation_timeout_error"),
        ({"name": "Kept"}, (5, False), "id_rules-0-users_error"),
    ],
)
def test_wrong_entry_is_kept_and_the_error_stands_beside_it(
    *,
    as_alice: Client,
    policy: EscalationPolicy,
    alice: User,
    fields: dict[str, str],
    rule: tuple[object, bool],
    error: str,
) -> None:
    minutes, people = rule
    response = as_alice.post(reverse("policy-create"), _entry((minutes, [alice.pk] if people else []), **fields))

    page = response.content.decode()
    assert response.status_code == 200
    assert f'id="{error}"' in page
    assert f'value="{minutes}"' in page
    assert fields["name"] in page
    assert_clean(response)
    assert EscalationPolicy.objects.count() == 1


def test_stakeholders_and_people_who_have_left_cannot_be_chosen(as_alice: Client, charlie: User) -> None:
    gone = User.objects.create_user("gone@example.org", name="Gone", role=Role.MEMBER, is_active=False)

    for user in (charlie, gone):
        response = as_alice.post(reverse("policy-create"), _entry((5, [user.pk])))
        assert 'id="id_rules-0-users_error"' in response.content.decode()
    assert not EscalationPolicy.objects.exists()


def test_somebody_who_has_left_stays_visible_in_the_rule(as_alice: Client, policy: EscalationPolicy, bob: User) -> None:
    bob.is_active = False
    bob.save()

    assert "Bob (not active)" in as_alice.get(reverse("policy-edit", args=[policy.pk])).content.decode()


def test_policy_without_rules_is_refused(as_alice: Client) -> None:
    response = as_alice.post(reverse("policy-create"), _entry())

    assert response.status_code == 200
    assert not EscalationPolicy.objects.exists()


@pytest.mark.parametrize("count", ["-1", "1e9", "1000000", ""])
def test_forged_number_of_rules_does_no_harm(as_alice: Client, count: str) -> None:
    for action in ({}, {"do": "add"}):
        response = as_alice.post(reverse("policy-create"), _entry(**action) | {"rules-TOTAL_FORMS": count})
        assert response.status_code == 200
    assert not EscalationPolicy.objects.exists()


# The buttons that change the rules of the unsaved form


def test_buttons_keep_what_is_typed_and_save_nothing(as_alice: Client, policy: EscalationPolicy, bob: User) -> None:
    before = _rules(policy)

    response = as_alice.post(
        reverse("policy-edit", args=[policy.pk]), _entry(("soon", [bob.pk]), name="Half typed", do="add")
    )

    page = response.content.decode()
    assert "Half typed" in page
    assert 'value="soon"' in page
    assert 'name="rules-TOTAL_FORMS" value="2"' in page
    assert "_error" not in page
    assert_clean(response)
    assert _rules(policy) == before


@pytest.mark.parametrize(
    ("action", "minutes", "focus"),
    [
        ("add", [1, 2, 3, 15], "rules-3"),
        ("remove-0", [2, 3], "rules-0"),
        ("remove-2", [1, 2], "rules-1"),
        ("up-2", [1, 3, 2], "rules-1-up"),
        ("up-1", [2, 1, 3], "rules-0-down"),
        ("down-0", [2, 1, 3], "rules-1-down"),
        ("down-1", [1, 3, 2], "rules-2-up"),
        ("up-0", [1, 2, 3], "rules-0-down"),
        ("remove-9", [1, 2, 3], ""),
        ("remove--1", [1, 2, 3], ""),
        ("dance", [1, 2, 3], ""),
    ],
)
def test_buttons_change_the_rules_and_lead_the_keyboard_on(action: str, minutes: list[int], focus: str) -> None:
    draft = Draft([new_rule() | {"escalation_timeout": number} for number in (1, 2, 3)])

    draft.apply(action)

    assert [rule["escalation_timeout"] for rule in draft.rules] == minutes
    assert draft.focus == focus


def test_last_rule_cannot_be_removed() -> None:
    draft = Draft([new_rule()])

    draft.apply("remove-0")

    assert len(draft.rules) == 1


# Deleting


def test_policy_is_deleted(as_alice: Client, policy: EscalationPolicy) -> None:
    assert as_alice.post(reverse("policy-delete", args=[policy.pk]))["Location"] == reverse("policy-list")
    assert not EscalationPolicy.objects.exists()


def test_policy_that_sources_follow_is_kept_and_names_them(as_alice: Client, source: AlertSource) -> None:
    page = as_alice.post(reverse("policy-delete", args=[source.escalation_policy_id]), follow=True).content.decode()

    assert EscalationPolicy.objects.exists()
    assert "cannot be deleted" in page
    assert source.name in page


# Who may


@pytest.mark.parametrize("name", ["policy-create", "policy-edit", "policy-delete"])
@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("role", ["bob", "charlie"])
def test_only_admins_change_policies(
    *, client: Client, policy: EscalationPolicy, request: pytest.FixtureRequest, name: str, method: str, role: str
) -> None:
    client.force_login(request.getfixturevalue(role))
    arguments = [] if name == "policy-create" else [policy.pk]

    response = getattr(client, method)(reverse(name, args=arguments))

    assert response.status_code == 403
    assert "Only admins change escalation policies" in response.content.decode()
    assert EscalationPolicy.objects.count() == 1


def test_members_read_policies_without_the_buttons(client: Client, bob: User, policy: EscalationPolicy) -> None:
    client.force_login(bob)

    page = client.get(policy.get_absolute_url()).content.decode()

    assert policy.name in page
    assert reverse("policy-edit", args=[policy.pk]) not in page


def test_admin_site_lists_policies(as_alice: Client, policy: EscalationPolicy) -> None:
    for address in (
        reverse("admin:oncall_escalationpolicy_changelist") + "?q=Alice",
        reverse("admin:oncall_escalationpolicy_change", args=[policy.pk]),
    ):
        assert as_alice.get(address).status_code == 200


def test_name_that_is_taken_in_the_same_instant_is_an_error_of_the_form(
    as_alice: Client, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both forms found the name free; the database lets one have it."""
    create_policy("Night", [])
    monkeypatch.setattr("oncall.forms.PolicyForm.clean_name", lambda form: form.cleaned_data["name"])

    response = as_alice.post(reverse("policy-create"), _entry((7, [bob.pk]), name="NIGHT"))

    assert response.status_code == 200
    assert "Another escalation policy has this name already" in response.content.decode()
    assert EscalationPolicy.objects.count() == 1


def test_button_with_a_number_beyond_all_measure_does_nothing(as_alice: Client, policy: EscalationPolicy) -> None:
    page = as_alice.post(reverse("policy-edit", args=[policy.pk]), {"do": "up-" + "1" * 5000})

    assert page.status_code == 200


def test_empty_rule_is_said_to_be_wrong_whatever_the_form_says_it_began_with(as_alice: Client, alice: User) -> None:
    entry = {
        "name": "Night", "delay_minutes": "0", "rules-TOTAL_FORMS": "2", "rules-INITIAL_FORMS": "0",
        "rules-0-users": [alice.pk], "rules-0-escalation_timeout": "5", "rules-1-escalation_timeout": "",
    }  # fmt: skip

    page = as_alice.post(reverse("policy-create"), entry)

    assert "Choose at least one person" in page.content.decode()
    assert not EscalationPolicy.objects.filter(name="Night").exists()
