"""What a tool says again and again is read once."""

from unittest.mock import Mock

import pytest

from alertsources.models import AlertSource
from incidents.intake.prepare import MAX_REPEATED, prepare
from integrations import Payload, PayloadError
from integrations.sematext import Sematext

pytestmark = pytest.mark.django_db


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """The adapter's own, counted."""
    parse = Mock(wraps=Sematext().parse)
    monkeypatch.setattr(Sematext, "parse", lambda self, payload: parse(payload))
    return parse


def body(text: str) -> bytes:
    return b'{"description": "%b", "backToNormal": "false"}' % text.encode()


def test_the_same_body_is_read_once(source: AlertSource, parse: Mock) -> None:
    first = prepare(source, Payload(body("repeated once")))
    assert prepare(source, Payload(body("repeated once"))) is first
    assert prepare(source, Payload(body("repeated twice"))) is not first
    assert parse.call_count == 2


def test_what_differs_beside_the_body_counts(source: AlertSource, parse: Mock) -> None:
    one = prepare(source, Payload(body("beside")))
    assert prepare(source, Payload(body("beside"), "application/json")).content_type == "application/json"
    assert prepare(source, Payload(body("beside"), "", "ruleId=7")).events[0].key != one.events[0].key


def test_a_new_key_is_taken_out_at_once(source: AlertSource) -> None:
    told = Payload(body(f"see /{source.integration_key}x/ and old-secret-key"))
    assert b"old-secret-key" in prepare(source, told).body
    source.integration_key = "old-secret-key"
    assert b"old-secret-key" not in prepare(source, told).body


def test_a_large_body_is_not_remembered(source: AlertSource, parse: Mock) -> None:
    large = Payload(body("x" * MAX_REPEATED))
    assert prepare(source, large) == prepare(source, large)
    assert parse.call_count == 2


def test_a_body_that_is_refused_is_refused_again(source: AlertSource) -> None:
    for _ in range(2):
        with pytest.raises(PayloadError):
            prepare(source, Payload(b"{nonsense"))
