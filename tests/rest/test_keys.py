"""REST keys: what opens the API, what does not, and what is kept of a key."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.test import Client

from accounts.api_keys import services
from accounts.api_keys.models import ApiKey
from accounts.models import User
from tests.rest.conftest import Api

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def current(text: str, scheme: str = "Bearer") -> Any:
    return Client().get("/api/v1/users/current", headers={"Authorization": f"{scheme} {text}"})


def test_a_key_says_who_asks(alices: Api, alice: User) -> None:
    answer = alices.get("/users/current")
    assert answer.status_code == 200
    assert answer.json() == {
        "id": alice.pk, "name": "Alice", "email": "alice@example.org", "role": "ADMIN", "timezone": "UTC",
        "active": True,
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "ilk_nonsense", "x" * 10_000, "\xff"])
def test_whoever_has_no_key_is_told_so_in_json(db: None, text: str) -> None:
    answer = current(text)
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == 'Bearer realm="ilert"'
    assert answer.json() == {
        "status": 401, "code": "NOT_AUTHENTICATED", "message": "The API key is unknown or was revoked."
    }  # fmt: skip


def test_without_a_header_or_with_another_scheme_it_is_the_same(alices: Api) -> None:
    assert Client().get("/api/v1/users/current").status_code == 401
    assert current(alices.text, "Basic").status_code == 401
    assert current(alices.text, "bearer").status_code == 200


def test_a_revoked_key_opens_nothing_any_more(alices: Api) -> None:
    services.revoke_api_key(alices.key, NOW)
    assert current(alices.text).status_code == 401


def test_the_key_of_somebody_who_has_left_opens_nothing(alices: Api, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert current(alices.text).status_code == 401


def test_the_key_itself_is_stored_nowhere(alices: Api) -> None:
    row = ApiKey.objects.values().get()
    assert alices.text not in repr(row)
    assert row["prefix"] == alices.text[:10]
    assert bytes(row["key_hash"]) == services.digest(alices.text)


def test_the_last_use_is_noted_once_a_minute(alices: Api, django_assert_num_queries: Any) -> None:
    def used() -> datetime | None:
        return ApiKey.objects.get().last_used_at

    assert used() is None
    with time_machine.travel(NOW, tick=False):
        current(alices.text)
    assert used() == NOW
    with time_machine.travel(NOW + timedelta(seconds=59), tick=False), django_assert_num_queries(1):
        current(alices.text)
    assert used() == NOW
    with time_machine.travel(NOW + timedelta(seconds=60), tick=False):
        current(alices.text)
    assert used() == NOW + timedelta(seconds=60)


def test_a_database_that_is_away_is_503(alices: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(text: str) -> None:
        raise OperationalError("connection refused at secret-host")

    monkeypatch.setattr("accounts.api_keys.authentication.find_api_key", away)
    answer = alices.get("/users/current")
    assert (answer.status_code, answer["Retry-After"], answer.json()["code"]) == (503, "5", "UNAVAILABLE")
    assert "secret-host" not in answer.text


def test_a_fault_of_ours_is_500_without_its_words(alices: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(text: str) -> None:
        raise RuntimeError("secret words")

    monkeypatch.setattr("accounts.api_keys.authentication.find_api_key", broken)
    answer = alices.get("/users/current")
    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL")
    assert "secret words" not in answer.text


def test_a_page_of_ours_may_ask_by_its_session(as_alice: Client) -> None:
    assert as_alice.get("/api/v1/users/current").json()["name"] == "Alice"


def test_a_page_of_others_may_not_write_by_the_session_of_ours(alice: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    answer = client.post("/api/v1/users", "{}", content_type="application/json")
    assert answer.status_code == 403
    assert "CSRF" in answer.json()["message"]


def test_an_address_that_is_not_there_is_json(alices: Api) -> None:
    for path in ("/nothing", "/users/abc", "/users/99999999999999999999999", "/users/0"):
        answer = alices.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND"), path


def test_a_method_that_is_not_there_is_json(alices: Api) -> None:
    answer = alices.delete("/users/current")
    assert (answer.status_code, answer.json()["code"]) == (405, "METHOD_NOT_ALLOWED")


# The page


def test_a_key_is_shown_once(as_alice: Client) -> None:
    page = as_alice.post("/profile/api-keys", {"name": "Terraform"})
    key = ApiKey.objects.get()
    text = page.context["text"]
    assert services.find_api_key(text) == key
    assert page.text.count(text) == 2  # the field, and the line to try it with
    assert "no-store" in page["Cache-Control"]
    again = as_alice.get("/profile/api-keys").text
    assert text not in again
    assert key.prefix in again


def test_a_name_is_needed_and_is_mine_once(as_alice: Client, bob: User) -> None:
    services.create_api_key(bob, "Terraform", NOW)
    assert as_alice.post("/profile/api-keys", {"name": " "}).status_code == 422
    assert as_alice.post("/profile/api-keys", {"name": "Terraform"}).status_code == 200
    page = as_alice.post("/profile/api-keys", {"name": "Terraform"})
    assert page.status_code == 422
    assert "You have a key of this name." in page.text


def test_a_revoked_key_frees_its_name_and_stays_in_the_list(as_alice: Client, alice: User) -> None:
    key, text = services.create_api_key(alice, "Terraform", NOW)
    page = as_alice.post(f"/profile/api-keys/{key.pk}/revoke", follow=True)
    assert "Terraform is revoked." in page.text
    assert current(text).status_code == 401
    assert "Revoked keys" in page.text
    services.create_api_key(alice, "Terraform", NOW)


def test_nobody_sees_or_revokes_the_keys_of_others(as_alice: Client, bob: User) -> None:
    key, text = services.create_api_key(bob, "Bob's own", NOW)
    assert "Bob" not in as_alice.get("/profile/api-keys").text
    assert as_alice.post(f"/profile/api-keys/{key.pk}/revoke").status_code == 404
    assert current(text).status_code == 200


# The command


def test_the_command_prints_a_key_that_works(alice: User) -> None:
    out = io.StringIO()
    call_command("create_api_key", "ALICE@example.org", stdout=out)
    call_command("create_api_key", "alice@example.org", stdout=io.StringIO())
    assert current(out.getvalue().strip()).json()["email"] == "alice@example.org"


def test_the_command_says_what_is_wrong(alice: User) -> None:
    with pytest.raises(CommandError, match="Nobody who is active"):
        call_command("create_api_key", "nobody@example.org")
    call_command("create_api_key", "alice@example.org", "--name", "CI", stdout=io.StringIO())
    with pytest.raises(CommandError, match="already"):
        call_command("create_api_key", "alice@example.org", "--name", "CI")
