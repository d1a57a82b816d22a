"""What Sematext's hooks say, and what makes two of them the same incident."""

import json
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest

from integrations import EventType, Payload, PayloadError, get
from integrations.sematext import without_values
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


SAME = [
    ("Disk usage of web-1 is above 95 % on /var", "Disk usage of web-1 is above 80% on /var"),
    ("CPU > 90 on db-2", "cpu > 20 on db-2"),
    ("Response time exceeds 250ms for /checkout", "Response time exceeds 12.5 ms for /checkout"),
    ("[ALERT] Heap at 93 % on host 2", "Back to normal: Heap at 41 % on host 2"),
    ("Latency of 10.0.0.7:8080 above 3s", "Latency of 10.0.0.7:8080 above 1 s"),
    ("1,204 errors/min in checkout", "3 errors/min in checkout"),
]


@pytest.mark.parametrize(("alert", "recovery"), SAME)
def test_values_go(alert: str, recovery: str) -> None:
    assert without_values(alert) == without_values(recovery)


DIFFERENT = [
    ("Disk of web-1 above 95 %", "Disk of web-2 above 95 %"),
    ("Ping of 10.0.0.7 above 5 ms", "Ping of 10.0.0.8 above 5 ms"),
    ("port 8080 not reachable", "port 8081 not reachable"),
    ("host 2 is down", "host 3 is down"),
    ("Kafka partition 7 lag above 100", "Kafka partition 8 lag above 100"),
    ("version 1.2.3 crashed", "version 1.2.4 crashed"),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_names_addresses_ports_and_ordinals_stay(one: str, other: str) -> None:
    assert without_values(one) != without_values(other)
