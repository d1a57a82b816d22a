"""What a watch's webhook action sends, and how much of it is understood."""

import json
from datetime import UTC, datetime

import pytest

from integrations import Event, EventType, Payload, PayloadError, Priority, get
from tests.payloads import FOLDER, payload

eswatcher = get("eswatcher")
WRAPPED = ["wrapped_in_ctx", "wrapped_in_payload", "wrapped_as_text_in_payload", "ctx_as_json_text"]
CONTENT_TYPES = ["application/json", "text/plain; charset=UTF-8", "application/x-www-form-urlencoded", "nonsense", ""]


def parse(name: str, **changes: object) -> Event:
    return parse_bytes(payload("eswatcher", name, **changes))


def parse_bytes(body: bytes, content_type: str = "application/json") -> Event:
    (event,) = eswatcher.parse(Payload(body, content_type))
    return event


def test_the_watch_is_the_key_as_the_id_is_another_one_in_every_run() -> None:
    event = parse("fired")
    assert (event.type, event.key) == (EventType.ALERT, "disk-usage")
    assert parse("fired", id="another").key == event.key


def test_the_name_in_kibana_is_the_summary() -> None:
    assert parse("fired").summary == "Disk usage of the web servers"


@pytest.mark.parametrize("metadata", [None, {}, {"name": None}, {"name": " "}, [], "text", 5])
def test_without_a_name_the_watch_s_id_is_the_summary(metadata: object) -> None:
    assert parse("fired", metadata=metadata).summary == "disk-usage"


def test_details_say_when_how_many_and_what() -> None:
    details = parse("fired").details
    assert details.startswith("Watch `disk-usage` · fired at `2026-03-01T03:00:00.100Z` · hits: **17**\n\n```json\n{\n")
    assert '"host": "web-5"' in details
    assert '"host": "web-6"' not in details
    assert '"… and 2 more"' in details
    assert "_shards" not in details


def test_the_time_is_the_trigger_s() -> None:
    assert parse("fired").occurred_at == datetime(2026, 3, 1, 3, 0, 0, 100_000, UTC)
    assert parse("fired", trigger=None).occurred_at == datetime(2026, 3, 1, 3, 0, 0, 123_000, UTC)


@pytest.mark.parametrize(
    ("total", "said"),
    [
        (17, "17"),
        (0, "0"),
        ({"value": 10_000, "relation": "gte"}, "10000 or more"),
        ({"value": 3, "relation": "eq"}, "3"),
        ({"value": 3}, "3"),
        (None, ""),
        ({}, ""),
        ("17", ""),
        (True, ""),
        ([], ""),
    ],
)
def test_hits_may_be_counted_in_several_ways_or_not(total: object, said: str) -> None:
    event = parse("fired", payload={"hits": {"total": total, "hits": []}})
    assert event.fields.get("payload.hits.total", "") == said
    assert (f"hits: **{said}**" in event.details) == bool(said)


@pytest.mark.parametrize("found", [None, {}, {"hits": None}, {"hits": []}, {"hits": {"hits": {}}}, [], "text", 5])
def test_a_payload_may_be_anything(found: object) -> None:
    assert parse("fired", payload=found).key == "disk-usage"


def test_aggregations_and_answers_of_an_http_input_are_shown() -> None:
    assert '"doc_count": 3' in parse("fired_without_metadata").details
    assert '"_status_code": 503' in parse("fired_by_http_input").details


@pytest.mark.parametrize("name", WRAPPED)
@pytest.mark.parametrize("content_type", CONTENT_TYPES)
def test_the_context_is_found_wherever_it_is_wrapped(name: str, content_type: str) -> None:
    assert parse_bytes(payload("eswatcher", name), content_type) == parse("fired")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-be"])
def test_every_encoding_that_json_may_have_is_read(encoding: str) -> None:
    assert parse_bytes(payload("eswatcher", "fired").decode().encode(encoding)) == parse("fired")


def test_a_text_in_a_text_in_a_text_is_unwrapped() -> None:
    body = payload("eswatcher", "fired").decode()
    for _ in range(3):
        body = json.dumps(body)
    assert parse_bytes(body.encode()).key == "disk-usage"


def test_a_webhook_for_each_hit_is_one_incident() -> None:
    assert parse("for_each_hit").key == parse("fired").key


@pytest.mark.parametrize(
    ("metadata", "priority"),
    [
        ({"severity": "critical"}, Priority.HIGH),
        ({"severity": "INFO"}, Priority.LOW),
        ({"priority": "low"}, Priority.LOW),
        ({"priority": 1}, Priority.HIGH),
        ({"severity": "whatever", "priority": "P3"}, Priority.LOW),
        ({"severity": "whatever"}, None),
        ({"severity": ["critical"]}, None),
        ({}, None),
        (None, None),
    ],
)
def test_the_priority_is_what_the_watch_s_author_wrote(metadata: object, priority: Priority | None) -> None:
    assert parse("fired", metadata=metadata).priority == priority


UNIDENTIFIED = [
    (FOLDER / "eswatcher" / "plain_text.txt").read_bytes(),
    payload("eswatcher", "only_the_payload"),
    b"[ALERT] disk is full",
    b"[]",
    b"[1, 2]",
    b"{}",
    b'"watch:12"',
    b'"{not json"',
    b"17",
    b"null",
    b"true",
    b'{"watch_id": null}',
    b'{"watch_id": "  "}',
    b'{"ctx": {"payload": {"watch_id": ""}}}',
    b'{"payload": "text"}',
    b'{"payload": {"payload": {"payload": {"payload": {"payload": {"payload": {"payload": {"payload": {}}}}}}}}}',
]


@pytest.mark.parametrize("body", UNIDENTIFIED)
@pytest.mark.parametrize("content_type", ["text/plain", ""])
def test_what_names_no_watch_is_one_incident_that_says_what_to_mend(body: bytes, content_type: str) -> None:
    event = parse_bytes(body, content_type)
    assert (event.type, event.key) == (EventType.ALERT, "unidentified")
    assert "does not say which" in event.summary
    assert "`{{#toJson}}ctx{{/toJson}}`" in event.details


def test_what_was_sent_instead_is_shown() -> None:
    assert "```\nwatch:12\n```" in parse_bytes(b"watch:12", "text/plain").details
    assert "````\n```x\n````" in parse_bytes(b"```x", "text/plain").details


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (b"", "", "The body is empty"),
        (b" \n", "application/json", "The body is empty"),
        (b'{"watch_id": "a", }', "", "not valid JSON: .* at line 1, column 19"),
        (b'{"payload": "{"watch_id": "a"}", "status": "Alert"}', "text/plain", "at line 1, column 16"),
        (b"{{#toJson}}ctx{{/toJson}}", "text/plain", "at line 1, column 2"),
        (b'"watch', "text/plain", "not valid JSON"),
        (b'[{"a": 1}, oops]', "text/plain", "not valid JSON"),
        (b"watch:12", "application/json", "not valid JSON: .* at line 1, column 1"),
        (b"watch:12", "application/vnd.api+JSON", "not valid JSON"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "", "nested too deeply"),
        (b'{"a":' * 150 + b"1" + b"}" * 150, "", "nested too deeply; at most 100 levels"),
        (b'{"watch_id": ' + b"9" * 5000 + b"}", "", "too long"),
        (b'{"watch_id": ["a"]}', "", "“watch_id” must be a text, but it is a list"),
        (b"\xff\xfe\xff", "text/plain", "not valid text"),
    ],
)
def test_what_is_meant_as_json_and_is_none_is_refused_with_its_position(
    body: bytes, content_type: str, message: str
) -> None:
    with pytest.raises(PayloadError, match=message):
        parse_bytes(body, content_type)


def test_a_megabyte_of_hits_stays_readable() -> None:
    hit = {"_source": {"message": "x" * 1000, "`" * 50: "```"}}
    event = parse("fired", payload={"hits": {"total": 900, "hits": [hit] * 900}}, vars={"x": "y" * 500_000})
    assert len(event.details) < 5000
    assert sum(map(len, event.fields.values())) < 20_000
    # A fence inside cannot end the block.
    assert event.details.split("\n\n", 1)[1].startswith("`" * 51 + "json\n")


def test_it_never_resolves() -> None:
    assert not eswatcher.resolves
    assert parse("fired", eventType="RESOLVE", metadata={"eventType": "RESOLVE"}).type == EventType.ALERT
