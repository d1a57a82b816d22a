"""Whatever comes to whichever door of whichever adapter, the answer is one of the contract's."""

import json
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import integrations
from alertsources.models import AlertSource
from alertsources.services import create_source
from integrations import Integration
from oncall.models import EscalationPolicy
from tests.integrations.test_contract import each, samples

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("both_doors")]

FOREVER = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
CONTENT_TYPES = st.one_of(
    st.sampled_from(
        ["application/json", "application/x-www-form-urlencoded", "text/plain; charset=utf-16", "multipart/form-data"]
    ),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=40),
)
QUERIES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"), max_size=80)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture
def any_source(policy: EscalationPolicy, integration: Integration) -> AlertSource:
    return create_source("Any", integration.type, policy)


def post(source: AlertSource, body: bytes, content_type: str = "application/json", query: str = "") -> None:
    """Post a body, and look at the answer."""
    path = f"/api/v1/events/{source.integration.slug}/{source.integration_key}"
    response = Client().generic("POST", f"{path}?{query}" if query else path, body, content_type)
    assert response.status_code in (200, 400, 413, 415), response.content
    answer = json.loads(response.content)
    if response.status_code == 200:
        assert {"status", "outcome", "incidentKey", "incidentUrl", "eventId", "events"} == set(answer)
    else:
        assert {"status", "message", "code"} == set(answer)
        assert answer["status"] == response.status_code
        assert "Traceback" not in answer["message"]


@each
@FOREVER
@given(body=st.binary(max_size=400), content_type=CONTENT_TYPES, query=QUERIES)
def test_any_bytes(any_source: AlertSource, body: bytes, content_type: str, query: str) -> None:
    post(any_source, body, content_type, query)


@each
@FOREVER
@given(value=ANYTHING, content_type=CONTENT_TYPES)
def test_any_json(any_source: AlertSource, value: Any, content_type: str) -> None:
    post(any_source, json.dumps(value).encode(), content_type)


@each
@FOREVER
@given(data=st.data())
def test_any_value_in_any_place_of_a_real_payload(any_source: AlertSource, integration: Integration, data: Any) -> None:
    whole = [sample for sample in samples(integration) if isinstance(sample, dict)]
    payload = json.loads(json.dumps(data.draw(st.sampled_from(whole))))
    place = payload
    while True:
        names = list(place) if isinstance(place, dict) else list(range(len(place)))
        name = data.draw(st.sampled_from(names))
        if not isinstance(place[name], dict | list) or not place[name] or data.draw(st.booleans()):
            break
        place = place[name]
    place[name] = data.draw(ANYTHING)
    post(any_source, json.dumps(payload).encode())


def test_all_adapters_are_asked() -> None:
    assert {integration.slug for integration in integrations.ALL} == {"sematext", "eswatcher", "prometheus", "api"}
