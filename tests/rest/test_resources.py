"""Alert sources, escalation policies, people and on-calls by REST."""

from typing import Any

import pytest

from accounts.models import AuditEntry, Team, User
from alertsources.models import AlertSource
from alertsources.services import create_source
from incidents.trial import send_test_event
from notifications.models import OutboxMail
from oncall.models import EscalationPolicy
from oncall.services import RuleData, Timing, create_policy
from tests.conftest import NOW
from tests.rest.conftest import Api

pytestmark = pytest.mark.django_db


def wrong(answer: Any) -> dict[str, list[str]]:
    """Return the sentences of a 400, by field."""
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID"), answer.text
    for name, sentences in answer.json()["errors"].items():
        assert all(sentence in answer.json()["message"] for sentence in sentences)
        assert name in answer.json()["message"] or not name
    errors: dict[str, list[str]] = answer.json()["errors"]
    return errors


# Alert sources


def source_data(policy: EscalationPolicy, **more: Any) -> dict[str, Any]:
    return {"name": "Nagios", "integrationType": "SEMATEXT", "escalationPolicy": {"id": policy.pk}} | more


def test_a_source_is_created_with_key_and_url(alices: Api, policy: EscalationPolicy) -> None:
    answer = alices.post("/alert-sources", source_data(policy))
    source = AlertSource.objects.get()
    assert answer.status_code == 201
    assert answer["Location"].endswith(f"/api/v1/alert-sources/{source.pk}")
    found = answer.json()
    assert found == {
        "id": source.pk, "name": "Nagios", "integrationType": "SEMATEXT", "active": True,
        "escalationPolicy": {"id": policy.pk, "name": "Default"}, "team": None, "incidentPriorityRule": "HIGH",
        "autoResolutionTimeout": None, "grouping": "KEY", "rateLimit": None, "burstLimit": None,
        "integrationKey": source.integration_key, "integrationUrl": source.integration_url,
        "createdAt": found["createdAt"],
    }  # fmt: skip
    assert alices.get(f"/alert-sources/{source.pk}").json() == found
    assert alices.get("/alert-sources").json() == [found]


def test_what_was_got_can_be_put_back_changed(alices: Api, source: AlertSource) -> None:
    found = alices.get(f"/alert-sources/{source.pk}").json()
    changed = found | {
        "name": "Other", "active": False, "autoResolutionTimeout": "PT2H", "grouping": "ONE_OPEN",
        "incidentPriorityRule": "LOW", "rateLimit": 7, "status": "PENDING",
    }  # fmt: skip
    answer = alices.put(f"/alert-sources/{source.pk}", changed)
    assert answer.status_code == 200, answer.text
    changed.pop("status")
    assert answer.json() == changed == alices.get(f"/alert-sources/{source.pk}").json()
    source.refresh_from_db()
    assert (source.auto_resolution_minutes, source.priority, source.rate_limit) == (120, "low", 7)


def test_each_write_leaves_one_row_of_the_log(alices: Api, alice: User, policy: EscalationPolicy) -> None:
    team = Team.objects.create(name="Blue")
    made = alices.post("/alert-sources", source_data(policy, active=False, team={"id": team.pk})).json()
    assert (made["active"], made["team"]) == (False, {"id": team.pk, "name": "Blue"})
    assert alices.put(f"/alert-sources/{made['id']}", made | {"team": None}).json()["team"] is None
    alices.delete(f"/alert-sources/{made['id']}")
    alices.post("/escalation-policies", policy_data((5, [alice.pk]), team={"id": team.pk}))
    rows = AuditEntry.objects.order_by("pk").filter(actor=alice)
    assert list(rows.values_list("verb", "object_type", "actor_name")) == [
        ("created", "alert source", "Alice"),
        ("changed", "alert source", "Alice"),
        ("deleted", "alert source", "Alice"),
        ("created", "escalation policy", "Alice"),
    ]
    assert "team.id" in wrong(alices.post("/alert-sources", source_data(policy, team={"id": 999})))


def test_put_replaces_all(alices: Api, source: AlertSource, policy: EscalationPolicy) -> None:
    AlertSource.objects.update(auto_resolution_minutes=60, active=False, rate_limit=3)
    alices.put(f"/alert-sources/{source.pk}", source_data(policy))
    source.refresh_from_db()
    assert (source.auto_resolution_minutes, source.active, source.rate_limit) == (None, True, None)


def test_what_is_wrong_is_named(alices: Api, policy: EscalationPolicy, source: AlertSource) -> None:
    def errors(**more: Any) -> dict[str, list[str]]:
        return wrong(alices.post("/alert-sources", source_data(policy, **more)))

    assert set(wrong(alices.post("/alert-sources", {}))) == {"name", "integrationType", "escalationPolicy"}
    assert "SEMATEXT" in errors(integrationType="NOPE")["integrationType"][0]
    assert errors(escalationPolicy={"id": 999})["escalationPolicy.id"] == ["There is no such escalation policy."]
    assert "escalationPolicy.id" in errors(escalationPolicy={})
    assert "escalationPolicy.id" in errors(escalationPolicy={"id": 10**30})
    assert errors(nmae="x")["nmae"] == ["There is no such field."]
    assert "name" in errors(name="a\x00b")
    assert "name" in errors(name="x" * 256)
    assert "autoResolutionTimeout" in errors(autoResolutionTimeout="PT11M")
    assert "rateLimit" in errors(rateLimit=0)
    put = alices.put(f"/alert-sources/{source.pk}", source_data(policy, integrationType="ESWATCHER"))
    assert "cannot be changed" in wrong(put)["integrationType"][0]
    assert AlertSource.objects.count() == 1


@pytest.mark.parametrize("body", ["{", "[]", '"x"', "null", "[" * 100_000, '{"name": NaN}', b"\xff"])
def test_a_body_that_cannot_be_read_is_400(alices: Api, body: Any) -> None:
    answer = alices.generic("POST", "/alert-sources", body)
    assert answer.status_code == 400
    assert set(answer.json()) >= {"status", "message", "code"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/users", b'{"\\ud800": 1}'),
        ("/users", b'{"email": "x@example.org", "role": "\\ud800"}'),
        ("/alert-sources", b'{"name": "a", "integrationType": "\\ud800", "escalationPolicy": {"id": 1}}'),
    ],
)
def test_half_a_character_is_said_to_be_wrong(alices: Api, path: str, body: bytes) -> None:
    """The sentence repeats what was sent, and has to be written as UTF-8."""
    assert "\N{REPLACEMENT CHARACTER}" in alices.post(path, body).json()["message"]


def test_a_body_that_is_too_large_is_413(alices: Api, settings: Any) -> None:
    settings.ILERT_MAX_BODY = 100
    answer = alices.post("/alert-sources", {"name": "x" * 200})
    assert (answer.status_code, answer.json()["code"]) == (413, "BODY_TOO_LARGE")


def test_only_json_is_taken(alices: Api) -> None:
    assert alices.generic("POST", "/alert-sources", "a=b", "application/x-www-form-urlencoded").status_code == 415


def test_members_see_no_keys_and_change_nothing(bobs: Api, charlies: Api, source: AlertSource) -> None:
    for api in (bobs, charlies):
        found = api.get(f"/alert-sources/{source.pk}")
        assert (found.json()["integrationKey"], found.json()["integrationUrl"]) == (None, None)
        assert source.integration_key not in api.get("/alert-sources").text
        for answer in (
            api.post("/alert-sources", {}),
            api.put(f"/alert-sources/{source.pk}", {}),
            api.delete(f"/alert-sources/{source.pk}"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")


def test_things_of_another_team_are_not_there(alices: Api, bobs: Api, bob: User, source: AlertSource) -> None:
    policy = source.escalation_policy
    source.team = policy.team = Team.objects.create(name="Red")
    source.save()
    policy.save()
    incident = send_test_event(source, alices.key.user, NOW)
    own = create_source("Own", "SEMATEXT", create_policy("Own", [RuleData(5, [bob.pk])]))
    assert [item["id"] for item in bobs.get("/alert-sources").json()] == [own.pk]
    assert [item["name"] for item in bobs.get("/escalation-policies").json()] == ["Own"]
    assert {entry["escalationPolicy"]["name"] for entry in bobs.get("/on-calls").json()} == {"Own"}
    assert bobs.get("/incidents").json() == []
    for path in (f"/alert-sources/{source.pk}", f"/escalation-policies/{policy.pk}", f"/incidents/{incident.pk}"):
        assert bobs.get(path).status_code == 404
        assert alices.get(path).status_code == 200
    report = {"summary": "x", "alertSource": {"id": source.pk}}
    assert wrong(bobs.post("/incidents", report)) == {"alertSource.id": ["There is no such alert source."]}


def test_a_source_with_incidents_is_kept(alices: Api, alice: User, source: AlertSource) -> None:
    empty = create_source("Empty", "SEMATEXT", source.escalation_policy)
    assert alices.delete(f"/alert-sources/{empty.pk}").status_code == 204
    send_test_event(source, alice, NOW)
    answer = alices.delete(f"/alert-sources/{source.pk}")
    assert (answer.status_code, answer.json()["code"]) == (409, "SOURCE_IN_USE")


# Policies


def policy_data(*rules: tuple[Any, list[Any]], **more: Any) -> dict[str, Any]:
    written = [{"escalationTimeout": minutes, "users": [{"id": pk} for pk in ids]} for minutes, ids in rules]
    return {"name": "Night", "escalationRules": written} | more


def test_a_policy_is_created_read_replaced_and_deleted(alices: Api, alice: User, bob: User) -> None:
    answer = alices.post("/escalation-policies", policy_data((5, [alice.pk, bob.pk]), (30, [bob.pk])))
    assert answer.status_code == 201, answer.text
    found = answer.json()
    assert found["escalationRules"] == [
        {
            "escalationTimeout": 5,
            "users": [{"id": alice.pk, "name": "Alice"}, {"id": bob.pk, "name": "Bob"}],
            "schedules": [],
        },
        {"escalationTimeout": 30, "users": [{"id": bob.pk, "name": "Bob"}], "schedules": []},
    ]
    path = f"/escalation-policies/{found['id']}"
    assert alices.put(path, found).json() == found == alices.get(path).json()
    assert found["delayMinutes"] == 0
    waits = alices.put(path, policy_data((1, [bob.pk]), delayMinutes=60)).json()
    assert waits["acceptTimeoutMinutes"] is None
    asks = alices.put(path, waits | {"acceptTimeoutMinutes": 1440}).json()
    assert asks["acceptTimeoutMinutes"] == 1440 == EscalationPolicy.objects.get(pk=found["id"]).accept_timeout_minutes
    assert waits["delayMinutes"] == 60 == EscalationPolicy.objects.get(pk=found["id"]).delay_minutes
    changed = alices.put(path, policy_data((1, [bob.pk]), name="NIGHT", repeating=True, frequency=4)).json()
    assert (changed["name"], changed["repeating"], changed["frequency"]) == ("NIGHT", True, 4)
    assert [rule["escalationTimeout"] for rule in changed["escalationRules"]] == [1]
    assert alices.delete(path).status_code == 204
    assert not EscalationPolicy.objects.exists()


def test_what_is_wrong_with_a_policy_is_named(alices: Api, alice: User, charlie: User, policy: Any) -> None:
    def errors(*rules: tuple[Any, list[Any]], **more: Any) -> dict[str, list[str]]:
        return wrong(alices.post("/escalation-policies", policy_data(*rules, **more)))

    ok = (5, [alice.pk])
    assert "escalationRules" in errors()
    assert "escalationRules" in errors(*[ok] * 21)
    assert "escalationRules[1].escalationTimeout" in errors(ok, (0, [alice.pk]))
    assert "escalationRules[0].users" in errors((5, []))
    assert list(errors(ok, (5, [alice.pk, 999]))) == ["escalationRules[1].users[1].id"]
    assert list(errors((5, [charlie.pk]))) == ["escalationRules[0].users[0].id"]
    assert errors(ok, name="default") == {"name": ["Another escalation policy has this name already."]}
    assert "frequency" in errors(ok, frequency=10)
    assert "delayMinutes" in errors(ok, delayMinutes=61)
    assert "delayMinutes" in errors(ok, delayMinutes=-1)
    assert "acceptTimeoutMinutes" in errors(ok, acceptTimeoutMinutes=0)
    assert "acceptTimeoutMinutes" in errors(ok, acceptTimeoutMinutes=1441)
    assert "escalationRules[0].schedules" in errors(
        escalationRules=[{"escalationTimeout": 5, "users": [{"id": alice.pk}], "schedules": [{"id": 1}]}]
    )
    assert EscalationPolicy.objects.count() == 1


def test_a_policy_that_sources_follow_is_kept(alices: Api, source: AlertSource) -> None:
    answer = alices.delete(f"/escalation-policies/{source.escalation_policy_id}")
    assert (answer.status_code, answer.json()["code"]) == (409, "POLICY_IN_USE")


def test_on_calls_count_the_delay(alices: Api, alice: User) -> None:
    create_policy("Patient", [RuleData(5, [alice.pk]), RuleData(5, [alice.pk])], timing=Timing(delay_minutes=7))
    assert [entry["afterMinutes"] for entry in alices.get("/on-calls").json()] == [7, 12]


def test_on_calls_say_who_is_asked_when(alices: Api, alice: User, bob: User, policy: EscalationPolicy) -> None:
    create_policy("Other", [RuleData(5, [alice.pk])])
    found = alices.get(f"/on-calls?escalation-policy={policy.pk}").json()
    assert [(entry["escalationLevel"], entry["afterMinutes"], entry["user"]["name"]) for entry in found] == [
        (1, 0, "Alice"),
        (2, 10, "Bob"),
    ]
    assert len(alices.get("/on-calls").json()) == 3


# People


def test_an_admin_invites_somebody(alices: Api, bobs: Api) -> None:
    answer = alices.post("/users", {"email": "New@example.org", "name": "New", "role": "STAKEHOLDER"})
    person = User.objects.get(email="new@example.org")
    assert answer.status_code == 201, answer.text
    assert answer["Location"].endswith(f"/api/v1/users/{person.pk}")
    assert (person.role, person.has_usable_password()) == ("stakeholder", False)
    mail = OutboxMail.objects.get()
    assert "new@example.org" in mail.recipients
    assert bobs.get(f"/users/{person.pk}").json() == answer.json()
    assert list(wrong(alices.post("/users", {"email": "NEW@example.org"}))) == ["email"]
    assert list(wrong(alices.post("/users", {"email": "no"}))) == ["email"]
    assert "role" in wrong(alices.post("/users", {"email": "x@example.org", "role": "GOD"}))
    assert bobs.post("/users", {"email": "x@example.org"}).status_code == 403


# Pages of lists


def test_lists_are_paged_by_index_and_by_link(alices: Api, source: AlertSource) -> None:
    more = [create_source(f"Number {n}", "SEMATEXT", source.escalation_policy) for n in range(6)]
    ids = [source.pk, *(one.pk for one in more)]
    assert [item["id"] for item in alices.get("/alert-sources?start-index=2&max-results=2").json()] == ids[2:4]
    seen, path = [], "/alert-sources?max-results=3"
    while path:
        answer = alices.get(path)
        seen += [item["id"] for item in answer.json()]
        link = answer.get("Link", "")
        assert not link or link.endswith('>; rel="next"')
        path = link.partition("/api/v1")[2].partition(">")[0]
    assert seen == ids


@pytest.mark.parametrize(
    "query", ["max-results=0", "max-results=101", "max-results=x", "start-index=10001", "start-index=-1", "cursor=x"]
)
def test_a_page_that_cannot_be_is_400(alices: Api, query: str) -> None:
    assert list(wrong(alices.get(f"/alert-sources?{query}"))) == [query.partition("=")[0]]


@pytest.mark.parametrize("path", ["/alert-sources", "/escalation-policies", "/on-calls", "/users"])
def test_lists_take_the_same_few_queries(
    alices: Api, source: AlertSource, path: str, django_assert_num_queries: Any
) -> None:
    alices.get("/users/current")
    bound = {"/alert-sources": 2, "/escalation-policies": 4, "/on-calls": 4, "/users": 2}[path]
    for number in range(20):
        user = User.objects.create_user(f"u{number}@example.org")
        policy = create_policy(f"Policy {number}", [RuleData(5, [user.pk]), RuleData(5, [user.pk])])
        create_source(f"Source {number}", "SEMATEXT", policy)
    with django_assert_num_queries(bound):
        assert len(alices.get(path).json()) > 20
