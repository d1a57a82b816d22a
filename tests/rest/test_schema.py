"""The OpenAPI document, and requests made from it: none may end in a fault of ours, or be answered beside it."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from django.core.management import call_command
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from accounts.models import User
from alertsources.models import AlertSource
from tests.incidents.test_pages import open_incident
from tests.rest.conftest import Api

pytestmark = pytest.mark.django_db

# As many of each operation; `make model` asks for more.
FEW, MANY = 6, int(os.environ.get("SCHEMA_EXAMPLES", "150"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(autouse=True)
def _one_transaction() -> Iterator[None]:
    """As with Django's test client: a request does not begin by closing the connection of the test."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


@pytest.fixture
def ids(source: AlertSource, alice: User) -> dict[str, list[Any]]:
    """Things that are there, so that not every path leads to a 404."""
    incidents = [open_incident(source, f"disk of web-{number} full").pk for number in range(3)]
    return {
        "/alert-sources": [source.pk],
        "/escalation-policies": [source.escalation_policy_id],
        "/incidents": incidents,
        "/users": [alice.pk],
    }


def ask_everything(api: Api, ids: dict[str, list[Any]], examples: int) -> dict[int, int]:
    """Send `examples` requests to each operation. Returns how often which status came."""
    application = get_wsgi_application()
    document = schemathesis.openapi.from_wsgi("/api/v1/schema", application)
    statuses: dict[int, int] = {}
    for found in document.get_all_operations():
        _ask(found.ok(), api, ids, examples, lambda status: statuses.update({status: statuses.get(status, 0) + 1}))
    return statuses


def _ask(operation: Any, api: Api, ids: dict[str, list[Any]], examples: int, count: Callable[[int], None]) -> None:
    headers = {"Authorization": f"Bearer {api.text}", "Accept-Encoding": "identity"}
    known = next((rows for place, rows in ids.items() if f"{place}/" in operation.path), [])

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(case=operation.as_strategy(), place=st.integers(min_value=0, max_value=9))
    def ask(case: Any, place: int) -> None:
        if known and place and "id" in case.path_parameters:
            case.path_parameters["id"] = known[place % len(known)]
        response = case.call_and_validate(headers=headers, checks=CHECKS)
        count(response.status_code)

    ask()


@pytest.mark.parametrize("who", ["alices", "bobs", "charlies"])
def test_whatever_is_sent_is_answered_as_the_document_says(
    who: str, request: pytest.FixtureRequest, ids: dict[str, list[Any]]
) -> None:
    statuses = ask_everything(request.getfixturevalue(who), ids, FEW)
    assert statuses[200] > 30
    assert statuses[400] > 3  # a stakeholder is mostly refused before what was sent is looked at
    assert (403 in statuses) == (who != "alices")


@pytest.mark.model
@pytest.mark.parametrize("who", ["alices", "bobs", "charlies"])
def test_at_length(who: str, request: pytest.FixtureRequest, ids: dict[str, list[Any]]) -> None:
    print(who, ask_everything(request.getfixturevalue(who), ids, MANY))


def test_the_document_has_no_gaps(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn")
    assert "openapi: 3" in capsys.readouterr().out


def test_the_document_comes_as_json_and_as_yaml(client: Client) -> None:
    answer = client.get("/api/v1/schema", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["info"]["title"]) == (200, "ilert")
    assert client.get("/api/v1/schema?format=yaml").text.startswith("openapi: 3")
    paths = answer.json()["paths"]
    assert {"/api/v1/events", "/api/v1/events/{integration}/{key}", "/api/v1/incidents/{id}/accept"} <= set(paths)
    for path in paths.values():
        for operation in path.values():
            assert "4XX" in operation["responses"]


def test_the_page_of_the_api_is_for_those_who_are_signed_in(client: Client, as_alice: Client) -> None:
    page = as_alice.get("/api/docs")
    assert page.status_code == 200
    assert 'data-schema="/api/v1/schema"' in page.text
    assert Client().get("/api/docs").status_code == 302
