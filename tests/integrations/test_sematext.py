"""What Sematext's hooks say, and what makes two of them the same incident."""

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest

from integrations import EventType, Payload, PayloadError, get
from integrations.sematext_text import without_values
from tests.payloads import payload

sematext = get("sematext")


def parse(name: str, **changes: object):
    (event,) = sematext.parse(Payload(payload("sematext", name, **changes), "application/json"))
    return event


def test_the_summary_is_the_description_as_the_title_is_always_the_same() -> None:
    assert parse("alert").summary == "Disk usage of web-1 is above 95 % on /var"


@pytest.mark.parametrize("word", ["true", "True", "TRUE", " true ", True])
def test_back_to_normal_resolves(word: object) -> None:
    assert parse("alert", backToNormal=word).type == EventType.RESOLVE


@pytest.mark.parametrize("word", ["false", "False", False, "", None])
def test_anything_else_alerts(word: object) -> None:
    assert parse("alert", backToNormal=word).type == EventType.ALERT


def test_a_word_that_is_neither_is_refused_by_name() -> None:
    with pytest.raises(PayloadError, match="backToNormal"):
        parse("alert", backToNormal="maybe")


def test_alert_and_recovery_have_one_key() -> None:
    alert = parse("alert")
    recovery = parse("alert", backToNormal="true", description="Disk usage of web-1 is above 91.5% on /var")
    assert (recovery.key, recovery.scope) == (alert.key, alert.scope)


def test_the_rule_id_is_the_key_when_it_is_sent() -> None:
    event = parse("with_rule_id")
    assert event.key == "rule / 38707 / {os.host=UbuntuVector}"
    assert event.scope == ""
    assert event.links[0].url == "https://apps.sematext.com/ui/alerts/38707"
    assert event.occurred_at == datetime(2023, 5, 30, 10, 14, 52, 742000, UTC)


def test_the_hook_s_own_test_is_a_test() -> None:
    assert parse("test_notification").type == EventType.TEST


@pytest.mark.parametrize("form", ["json", "form", "query"])
def test_every_way_to_send_is_read_alike(form: str) -> None:
    fields = json.loads(payload("sematext", "alert"))
    sent = {
        "json": Payload(json.dumps(fields).encode()),
        "form": Payload(urlencode(fields).encode(), "application/x-www-form-urlencoded"),
        "query": Payload(query=urlencode(fields)),
    }[form]
    (event,) = sematext.parse(sent)
    assert (event.summary, event.key) == (parse("alert").summary, parse("alert").key)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b'"text"', "must be a JSON object"),
        (b"{}", "No field that Sematext sends"),
        (b"", "No field that Sematext sends"),
        (b'{"ctx": 1}', "No field that Sematext sends"),
        (b'{"description": ["a"]}', "“description” must be a text"),
        (b"\xff\xff", "not valid text"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"description": ' + b"9" * 5000 + b"}", "too long"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_a_reason(body: bytes, message: str) -> None:
    with pytest.raises(PayloadError, match=message):
        sematext.parse(Payload(body))


# What an alert says and what its recovery, or the alert a minute later, says: one incident.
SAME = [
    # a number with a unit
    ("Disk usage of web-1 is above 95 % on /var", "Disk usage of web-1 is above 80% on /var"),
    ("Response time exceeds 250ms for /checkout", "Response time exceeds 12.5 ms for /checkout"),
    ("Latency of 10.0.0.7:8080 above 3s", "Latency of 10.0.0.7:8080 above 1 s"),
    ("1,204 errors/min in checkout", "3 errors/min in checkout"),
    ("Free memory on db-1: 512 MB", "Free memory on db-1: 1.5 GB"),
    ("No heartbeat from web-1 for 5 minutes", "No heartbeat from web-1 for 12 minutes"),
    ("GC pause of 1m30s in node-3", "GC pause of 2m05s in node-3"),
    ("Certificate of shop.example.com expires in 7 days", "Certificate of shop.example.com expires in 6 days"),
    ("Throughput 30 requests per second on api", "Throughput 1250 requests per second on api"),
    ("Inlet temperature 41 °C in room 3", "Inlet temperature 38.5 °C in room 3"),
    ("Load 80-90% on web-1", "Load 10-20% on web-1"),
    ("CPU usage (97.3%) of web-1", "CPU usage (12%) of web-1"),
    ("Uptime 2 h 30 min of web-1", "Uptime 45 min of web-1"),
    ("1.204,5 ms in checkout", "80 ms in checkout"),
    # a number after a comparison
    ("CPU > 90 on db-2", "cpu > 20 on db-2"),
    ("CPU>90 on db-2", "CPU > 20 on db-2"),
    ("Load ≥ 8.5 on web-1", "Load ≥ 2 on web-1"),
    ("Queue depth greater than 1000 for mail", "Queue depth greater than 50 for mail"),
    ("Error count is 17 in checkout", "Error count was 2 in checkout"),
    ("Orders fell to 3 in shop", "Orders fell to 41 in shop"),
    ("Connections exceeded 200 on db-1", "Connections exceeded 180 on db-1"),
    ("Value of 93.5 for heap on es-1", "Value of 41 for heap on es-1"),
    ("Lag between 500 and 1000 on topic orders", "Lag between 5 and 10 on topic orders"),
    ("cpu=97.5 on web-1", "cpu=3 on web-1"),
    ("Free inodes at most 1e3 on /var", "Free inodes at most 2e5 on /var"),
    ("Documents dropped from 900 to 20 in logs", "Documents dropped from 910 to 35 in logs"),
    ("Balance below -5 of account 7", "Balance below -120 of account 7"),
    # recovery words
    ("[ALERT] Heap at 93 % on host 2", "Back to normal: Heap at 41 % on host 2"),
    ("Disk of web-1 is above 90 %", "Disk of web-1 is no longer above 90 %"),
    ("Disk of web-1 above 90 %", "Resolved: Disk of web-1 above 90 %"),
    ("CRITICAL - Swap above 50 % on db-1", "[OK] Swap above 50 % on db-1"),
    ("🔴 Alert: Heartbeat of web-1", "✅ Recovered! Heartbeat of web-1"),
    ("Heap of es-1 above 90 %.", "Heap of es-1 above 90 % has recovered!"),
    ("Anomaly in requests of shop", "Anomaly in requests of shop is back to normal"),
    ("Swap of db-1 above 50 %", "Swap of db-1 above 50 % (resolved)"),
]


@pytest.mark.parametrize(("alert", "recovery"), SAME)
def test_values_and_recovery_words_go(alert: str, recovery: str) -> None:
    assert without_values(alert) == without_values(recovery)
    assert without_values(alert)


# Two problems, and a page for each.
DIFFERENT = [
    # names and addresses
    ("Disk of web-1 above 95 %", "Disk of web-2 above 95 %"),
    ("Ping of 10.0.0.7 above 5 ms", "Ping of 10.0.0.8 above 5 ms"),
    ("Ping of 2001:db8::7 above 5 ms", "Ping of 2001:db8::8 above 5 ms"),
    ("10.0.0.7:8080 not reachable", "10.0.0.7:8081 not reachable"),
    ("Index logs-2026.03.01 is red", "Index logs-2026.03.02 is red"),
    ("m5.2xlarge above 90 %", "m5.4xlarge above 90 %"),
    ("/dev/sda1 above 90 %", "/dev/sda2 above 90 %"),
    ("host:8080 above 3 s", "host:8081 above 3 s"),
    # ports, ordinals, ids
    ("port 8080 not reachable", "port 8081 not reachable"),
    ("port 8080 errors above 5", "port 8081 errors above 5"),
    ("port=8080 above 5 errors", "port=8081 above 5 errors"),
    ("host 2 is down", "host 3 is down"),
    ("Kafka partition 7 lag above 100", "Kafka partition 8 lag above 100"),
    ("queue 5 messages above 100", "queue 6 messages above 100"),
    ("CPU 3 above 90 %", "CPU 4 above 90 %"),
    ("Sensor #4 above 40 °C", "Sensor #5 above 40 °C"),
    ("id=5 above 10", "id=6 above 10"),
    ("tenant.id = 5 above 10 errors", "tenant.id = 6 above 10 errors"),
    ("Order 4711 stuck for 5 min", "Order 4712 stuck for 5 min"),
    ("HTTP status 500 above 10/s", "HTTP status 502 above 10/s"),
    ("replication web-1 -> 2 above 5 s", "replication web-1 -> 3 above 5 s"),
    # versions
    ("version 1.2.3 crashed", "version 1.2.4 crashed"),
    ("Java 17 heap above 90 %", "Java 21 heap above 90 %"),
    ("v1.2 above 5 errors", "v1.3 above 5 errors"),
    # directions
    ("CPU above 5 %", "CPU below 5 %"),
    ("web-1 is down", "web-1 is up"),
    # words that look like a recovery
    ("systemd-resolved above 5 %", "systemd above 5 %"),
    ("OK button broken", "button broken"),
    ("Recovery job above 5 min", "job above 5 min"),
    # numbers of which nobody can say what they are
    ("Batch job 12 late", "Batch job 13 late"),
    ("Store 12 offline", "Store 13 offline"),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_names_addresses_ports_ordinals_and_versions_stay(one: str, other: str) -> None:
    assert without_values(one) != without_values(other)


HOSTILE = [
    "is ",
    "1,",
    "1.",
    "1 ",
    "1%",
    "1s",
    "-1",
    "above ",
    "no longer ",
    "back to ",
    "[ok] ",
    "ok: ",
    ">",
    "=",
    "a=",
    "1/s",
    "1e",
    "✅",
    "- ",
    "{a=b, ",
    "((",
    "µ",
]


def work(function: Callable[[str], object], text: str) -> int:
    """Count the lines of Python that run. What runs in C below one of them is bounded by what it is given."""
    count = 0

    def tracer(frame: object, event: str, argument: object) -> object:
        nonlocal count
        count += 1
        return tracer

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        function(text)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("piece", HOSTILE)
def test_reading_a_text_takes_no_more_steps_than_it_grows(piece: str) -> None:
    small, large = (piece * (length // len(piece)) for length in (1000, 4000))

    assert work(without_values, large) <= 4.5 * work(without_values, small) + 200


@pytest.mark.parametrize("piece", HOSTILE)
def test_of_a_megabyte_only_the_beginning_is_read(piece: str) -> None:
    text = piece * (2**20 // len(piece))
    started = time.process_time()

    read = without_values(text)

    assert read.endswith(text[10_000:])
    # Some 10 ms; a search that grows with the square of the text would take hours.
    assert time.process_time() - started < 1


def test_a_megabyte_in_every_field_is_taken() -> None:
    fields = dict.fromkeys(json.loads(payload("sematext", "alert")), "is 1,1 " * 20_000) | {"backToNormal": "false"}
    (event,) = sematext.parse(Payload(json.dumps(fields).encode()))
    assert len(event.summary) <= 500
    assert len(event.details) <= 32_768


def test_a_long_text_is_whole_in_the_details() -> None:
    text = "Heap of es-1 above 90 %\n" * 50
    event = parse("alert", description=text)
    assert event.summary.startswith("Heap of es-1 above 90 % Heap of es-1")
    assert event.details == text.strip()


@pytest.mark.parametrize(
    "filters",
    [
        "{os.host=web-1, disk=/var}",
        "{disk=/var, os.host=web-1}",
        {"os.host": "web-1", "disk": "/var"},
        ["disk=/var", "os.host=web-1"],
    ],
)
def test_filters_are_one_key_in_any_order_and_type(filters: object) -> None:
    assert parse("with_rule_id", filters=filters).key == "rule / 38707 / {disk=/var, os.host=web-1}"


@pytest.mark.parametrize("filters", [None, "", "{}", {}, []])
def test_no_filters_are_no_part_of_the_key(filters: object) -> None:
    assert parse("with_rule_id", filters=filters).key == "rule / 38707"


@pytest.mark.parametrize(
    "url",
    [
        "https://ilert.example.com/api/v1/events/sematext/il1smt2222222222222222222222222222",
        "https://ilert.example.com/API/events/sematext/il1smt2222222222222222222222222222",
        "https://ilert.example.com/%61pi%2Fv1%2Fevents%2Fsematext/il1smt2222222222222222222222222222",
        "https://ilert.example.com/api/v1/events",
        "javascript:alert(1)",
        "JavaScript://example.com/%0aalert(1)",
        "data:text/html,<script>alert(1)</script>",
        "https://",
        "https://[",
        "//example.com",
        "https://example.com/ x",
        "https://example.com/\u202egnp.exe",
        "$url",
        "",
        None,
        17,
        ["https://example.com"],
    ],
)
def test_what_is_no_page_of_the_tool_s_is_no_link(url: object) -> None:
    assert parse("alert", url=url, troubleshootUrl=url).links == ()


def test_a_page_of_the_tool_s_is_a_link() -> None:
    event = parse("alert", troubleshootUrl="https://apps.sematext.com/ui/alerts/1")
    assert [link.url for link in event.links] == ["https://apps.sematext.com/ui/alerts/1", "https://apps.sematext.com"]


def test_fields_may_be_spelt_as_people_type_them() -> None:
    body = {
        "back_to_normal": "true",
        "rule_type": "AF_VALUE",
        "Application-Id": 22846,
        "DESCRIPTION": "Disk usage of web-1 is above 95 % on /var",
    }
    (event,) = sematext.parse(Payload(json.dumps(body).encode()))
    assert (event.type, event.key) == (EventType.RESOLVE, parse("alert").key)


def test_what_is_good_to_have_costs_no_alert() -> None:
    event = parse("alert", createTimestamp=["now"], troubleshootUrl={"a": 1}, title=[1], url=None, alertName={})
    assert event.type == EventType.ALERT
    assert event.occurred_at is None


@pytest.mark.parametrize("name", ["description", "ruleType", "applicationId", "ruleId", "backToNormal"])
def test_what_the_key_is_made_of_must_be_a_text(name: str) -> None:
    with pytest.raises(PayloadError, match=f"“{name}” must be"):
        parse("alert", **{name: ["x"]})


def test_an_alert_that_only_quotes_the_test_is_no_test() -> None:
    quoted = "Log line: Your notification hook was successfully tested"
    assert parse("alert", description=quoted).type == EventType.ALERT


def test_the_app_s_token_is_a_secret_however_it_is_spelt() -> None:
    body = rb'{"application_token": "5e1f\u002d77", "applicationToken":"other-1", "backToNormal": "maybe"}'
    assert {"5e1f\\u002d77", "other-1"} <= sematext.secrets(Payload(body))
    assert sematext.secrets(Payload(query="applicationToken=a%2Fb-77&x=1")) >= {"a/b-77", "a%2Fb-77"}


def test_looking_for_secrets_takes_no_longer_than_the_body_grows() -> None:
    started = time.process_time()
    assert sematext.secrets(Payload(rb"applicationToken=\"" * 50_000))
    assert time.process_time() - started < 2
