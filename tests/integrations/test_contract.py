"""What holds for every adapter, whatever is sent to it. A new one is in it by being in the list."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pytest
from django.template.loader import get_template
from hypothesis import given, settings
from hypothesis import strategies as st
from lucide import IconDoesNotExist
from lucide.templatetags.lucide import lucide

import integrations
from alertsources import keys
from incidents.intake.prepare import prepare
from integrations import Event, EventType, Integration, Link, Payload, PayloadError, Priority
from integrations.payload import MAX_DETAILS, MAX_NAME, MAX_SUMMARY, MAX_VALUE
from tests.payloads import FOLDER

each = pytest.mark.parametrize("integration", integrations.ALL, ids=lambda one: one.slug)
tries = settings(deadline=None, max_examples=40)

CONTENT_TYPES = [
    "application/json",
    "application/x-www-form-urlencoded",
    "text/plain",
    "multipart/form-data",
    "",
    "\x00",
]
TEXTS = st.text(st.characters(exclude_categories=()), max_size=50)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.sampled_from(["ALERT", "firing", "true"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def samples(integration: Integration) -> list[Any]:
    """Return the payloads of an integration, as JSON values."""
    return [json.loads(path.read_bytes()) for path in sorted((FOLDER / integration.slug).glob("*.json"))]


@each
def test_it_says_what_it_is(integration: Integration) -> None:
    for text in (integration.name, integration.description, integration.category, integration.icon):
        assert text == text.strip() != ""
    assert re.fullmatch("[A-Z0-9]{1,32}", integration.type)
    assert re.fullmatch("[a-z0-9-]+", integration.slug)
    assert re.fullmatch("[a-z]{3}", integration.key_infix)
    assert set(integration.methods) <= {"GET", "POST", "PUT"}
    assert isinstance(integration.resolves, bool)
    assert lucide(integration.icon)


def test_an_icon_that_does_not_exist_would_be_found() -> None:
    with pytest.raises(IconDoesNotExist):
        lucide("no-such-icon")


@pytest.mark.parametrize("attribute", ["type", "slug", "name", "key_infix"])
def test_no_two_are_called_alike(attribute: str) -> None:
    values = [getattr(integration, attribute).lower() for integration in integrations.ALL]
    assert len(set(values)) == len(values)


@each
def test_it_is_found_by_its_names(integration: Integration) -> None:
    assert integrations.get(integration.slug) is integration
    assert integrations.by_type(integration.type) is integration
    assert (integration.type, integration.name) in integrations.choices()


@each
def test_it_has_instructions_payloads_and_a_test(integration: Integration) -> None:
    assert get_template(f"integrations/{integration.slug}.html")
    assert samples(integration)
    assert (FOLDER.parent / f"test_{integration.slug}.py").exists()


@each
def test_its_payloads_are_understood(integration: Integration) -> None:
    for value in samples(integration):
        events = integration.parse(Payload(json.dumps(value).encode(), "application/json"))
        assert events
        check(events)


def check(events: list[Event]) -> None:
    """Every event is made of texts, and none that people read is without end."""
    assert isinstance(events, list)
    for event in events:
        assert isinstance(event.type, EventType)
        assert event.priority is None or isinstance(event.priority, Priority)
        assert event.occurred_at is None or (isinstance(event.occurred_at, datetime) and event.occurred_at.tzinfo)
        assert isinstance(event.summary, str)
        assert 0 < len(event.summary) <= MAX_SUMMARY
        assert event.summary == " ".join(event.summary.split())
        assert isinstance(event.details, str)
        assert len(event.details) <= MAX_DETAILS
        assert isinstance(event.key, str)
        assert isinstance(event.scope, str)
        assert all(isinstance(link, Link) and re.match("https?://", link.url) and link.label for link in event.links)
        for texts in (event.fields, event.labels):
            assert all(isinstance(name, str) and isinstance(text, str) for name, text in texts.items())
            assert all(len(name) <= MAX_NAME + 20 and len(text) <= MAX_VALUE for name, text in texts.items())


def takes(integration: Integration, payload: Payload) -> list[Event]:
    """Parse a payload, which must give events or a PayloadError that is short enough to be read."""
    try:
        events = integration.parse(payload)
    except PayloadError as problem:
        refused = str(problem)
    else:
        refused = ""
    assert len(refused) < 1000
    assert not re.search("[\x00-\x1f\u202a-\u202e]", refused)
    assert refused.encode() is not None
    if refused:
        return []
    check(events)
    # What is stored can be stored: PostgreSQL takes neither NUL nor half a surrogate pair.
    prepared = prepare(source(integration), payload)
    for event in prepared.events:
        stored = [event.summary, event.details, event.key, event.scope, *event.fields, *event.fields.values()]
        assert "\x00" not in "".join(stored)
        assert "".join(stored).encode()
    return events


def source(integration: Integration) -> Any:
    return SimpleNamespace(integration=integration, integration_key=keys.generate(integration.key_infix))


@each
@tries
@given(body=st.binary() | TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")), query=TEXTS)
def test_any_bytes_are_events_or_an_error_that_says_why(integration: Integration, body: bytes, query: str) -> None:
    for content_type in CONTENT_TYPES:
        takes(integration, Payload(body, content_type, query))


@each
@tries
@given(value=JSON)
def test_any_json_is_events_or_an_error_that_says_why(integration: Integration, value: Any) -> None:
    takes(integration, Payload(json.dumps(value).encode()))


@each
@settings(deadline=None, max_examples=80)
@given(data=st.data())
def test_any_value_in_any_field_is_events_or_an_error_that_says_why(integration: Integration, data: Any) -> None:
    sample = data.draw(st.sampled_from(samples(integration)))
    path = data.draw(st.sampled_from(list(paths(sample))))
    takes(integration, Payload(json.dumps(replaced(sample, path, data.draw(JSON))).encode()))


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Name every place in a JSON value; of a list the first two items stand for all."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for name, item in items:
        yield from paths(item, (*path, name))


def places(integration: Integration) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Return every place in the payloads of an integration, once each, with a payload that has it."""
    seen = set()
    for sample in samples(integration):
        for path in paths(sample):
            if path not in seen:
                seen.add(path)
                yield sample, path


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(copy[path[0]], path[1:], by)
    return copy


HOSTILE: dict[str, Any] = {
    "a script": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "a link to a script": "javascript:alert(document.cookie)",
    "a link that hides one": "https://example.com/\u202e\n[x](javascript:alert(1))",
    "our own URL": "https://ilert.example.com/api/v1/events/sematext/il1smt2222222222222222222222222222",
    "a long word": "W" * 10_000,
    "Markdown": "`````\n# h\n```\n> q\n|a|b|\n<!-- " * 20,
    "a text to the left": "\u202egnp.exe\u2066\u200f",
    "NUL": "a\x00b",
    "half a pair": "\ud800x\udc00",
    "not a number": float("nan"),
    "endless": float("inf"),
    "a word that is no word": True,
    "nothing": None,
    "a list": ["a", {"b": ["c"]}],
    "an object": {"a" * 10_000: {"b": [1, None, "\ud800"]}},
    "a template that was not filled in": "{{ctx.watch_id}} $description {% now %}",
    "a format": "%s %(x)s {0} {x!r}",
    "white space": " \t\n\u2028 ",
    "a big number": 10**4000,
}


@each
@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_hostile_values_in_every_place_are_taken_or_refused(integration: Integration, hostile: Any) -> None:
    for sample, path in places(integration):
        body = json.dumps(replaced(sample, path, hostile)).encode()
        for event in takes(integration, Payload(body)):
            assert not any("script:" in link.url or "/api/v1/events" in link.url for link in event.links)


@each
@pytest.mark.parametrize(
    "literal",
    [b"1e400", b"-1e400", b"9" * 5000, b"[" * 10_000 + b"]" * 10_000, b'{"a":' * 10_000 + b"1" + b"}" * 10_000],
    ids=["1e400", "-1e400", "5000 digits", "10000 lists", "10000 objects"],
)
def test_json_that_python_cannot_hold_is_taken_or_refused(integration: Integration, literal: bytes) -> None:
    for sample, path in places(integration):
        body = json.dumps(replaced(sample, path, "LITERAL")).encode().replace(b'"LITERAL"', literal)
        takes(integration, Payload(body))


@each
def test_names_may_come_twice(integration: Integration) -> None:
    for sample in samples(integration):
        if isinstance(sample, dict):
            body = json.dumps(sample)
            twice = f"{body[:-1]}, {body[1:]}"
            assert integration.parse(Payload(twice.encode())) == integration.parse(Payload(body.encode()))


SPELLINGS: dict[str, Callable[[dict[str, Any]], Payload]] = {
    "JSON": lambda values: Payload(json.dumps(values).encode()),
    "JSON with escapes": lambda values: Payload(json.dumps(values, ensure_ascii=True, indent=3).encode()),
    "form": lambda values: Payload(urlencode(values).encode(), "application/x-www-form-urlencoded"),
    "query": lambda values: Payload(query=urlencode(values)),
}


@pytest.mark.parametrize(
    "integration", [one for one in integrations.ALL if one.secret_fields], ids=lambda one: one.slug
)
@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_secrets_of_the_tool_never_survive(
    integration: Integration, spelling: Callable[[dict[str, Any]], Payload]
) -> None:
    secret = 'sécret/"token" +1'
    sample = samples(integration)[0]
    simple = {name: value for name, value in sample.items() if isinstance(value, str | int)}
    payload = spelling(simple | dict.fromkeys(integration.secret_fields, secret))
    prepared = prepare(source(integration), payload)
    assert integration.secrets(payload)
    for text in [*map(str, prepared.events), prepared.body.decode()]:
        assert "cret/" not in text
        assert "cret%2F" not in text


@each
def test_it_gives_one_answer(integration: Integration) -> None:
    for sample in samples(integration):
        payload = Payload(json.dumps(sample).encode(), "application/json")
        assert integration.parse(payload) == integration.parse(payload)
