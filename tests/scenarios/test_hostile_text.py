"""Hostile text in every field of every adapter is stored, and shown without doing any harm."""

import json
from typing import Any

import pytest
from django.test import Client

import integrations
from alertsources.services import create_source
from incidents.intake.receive import receive
from incidents.models import Event, Incident
from integrations import Integration, Payload
from oncall.models import EscalationPolicy
from tests.html import assert_clean
from tests.payloads import FOLDER

pytestmark = pytest.mark.django_db

HOSTILE = {
    "script": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "link": "javascript:alert(document.cookie)",
    "long word": "x" * 10_000,
    "right to left": "\u202egnirts\u2066 \u200f",
    "nul": "a\x00b",
    "lone surrogate": "a\ud800b",
    "template": "{{ 7 * 7 }}{% debug %}",
}
# Words that an adapter reads as a choice: another word there is rightly refused.
CHOICES = {"status", "eventType", "priority", "version", "severity", "backToNormal", "apiKey", "integrationKey"}


def poisoned(value: Any, text: str, name: str = "") -> Any:
    """Return a payload with `text` in the place of every text in it."""
    if isinstance(value, dict):
        return {name: poisoned(item, text, name) for name, item in value.items()}
    if isinstance(value, list):
        return [poisoned(item, text, name) for item in value]
    return text if isinstance(value, str) and name not in CHOICES else value


def payloads(integration: Integration) -> list[Any]:
    values = []
    for file in sorted((FOLDER / integration.slug).glob("*.json")):
        try:
            value = json.loads(file.read_bytes())
        except ValueError:
            continue
        if isinstance(value, dict):
            values.append(value)
    return values


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("integration", integrations.ALL, ids=lambda integration: integration.slug)
def test_it_is_stored_and_shown_harmlessly(
    as_alice: Client, policy: EscalationPolicy, integration: Integration, text: str
) -> None:
    source = create_source("Hostile", integration.type, policy)

    def send(value: Any) -> int:
        body = json.dumps(poisoned(value, text)).encode()
        return receive(integration.slug, source.integration_key, "POST", Payload(body)).status

    statuses = [send(value) for value in payloads(integration)]
    assert set(statuses) <= {200, 400}
    assert 200 in statuses
    pages = ["/incidents/", f"/alert-sources/{source.pk}/events", f"/alert-sources/{source.pk}/activity"]
    pages += [incident.get_absolute_url() for incident in Incident.objects.all()]
    pages += [f"/alert-sources/{source.pk}/events/{event.pk}" for event in Event.objects.all()]
    for path in pages:
        page = as_alice.get(path)
        assert page.status_code == 200, path
        assert_clean(page)
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text
        assert 'href="javascript:' not in page.text.lower()
