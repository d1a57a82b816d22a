"""The events API: what scripts, plugins and iLert's own clients send."""

import json

import pytest

from integrations import Event, EventType, Grouping, Link, Payload, PayloadError, Priority, get
from tests.payloads import payload

api = get("api")


def parse(name: str = "alert", **changes: object) -> Event:
    (event,) = api.parse(Payload(payload("api", name, **changes), "application/json"))
    return event


def test_an_alert_has_all_that_was_sent() -> None:
    event = parse()
    assert event == Event(
        type=EventType.ALERT,
        summary="Backup of db-1 has failed",
        key="Backup-DB-1",
        details="The **nightly** backup ended with status 2.\n\n> backup.sh:\n> Second try failed as well.",
        priority=Priority.HIGH,
        links=(
            Link("Log of the job", "https://ci.example.com/jobs/17"),
            Link("Duration of the last backups", "https://ci.example.com/graph"),
        ),
        labels={"env": "production", "attempt": "2"},
        fields=event.fields,
    )
    assert list(event.fields)[:4] == ["integrationKey", "eventType", "summary", "details"]
    assert event.fields["customDetails.exit"] == '{"status": 2}'
    assert event.fields["customDetails.host"] == "db-1"


def test_the_names_of_2020_are_understood() -> None:
    event = parse("alert_with_the_names_of_2020")
    assert (event.type, event.key) == (EventType.ALERT, "backup-db-1")
    assert parse("alert_with_the_names_of_2020", alertKey="new").key == "new"
    assert parse("alert_with_the_names_of_2020", alertKey=" ").key == "backup-db-1"


@pytest.mark.parametrize(
    ("name", "event_type", "details"),
    [
        ("accept", EventType.ACCEPT, ""),
        ("resolve", EventType.RESOLVE, ""),
        ("comment", EventType.COMMENT, "> backup.sh:\n> Third try is running.\n> It takes an hour."),
    ],
)
def test_only_an_alert_needs_a_summary(name: str, event_type: EventType, details: str) -> None:
    event = parse(name)
    assert (event.type, event.key, event.details) == (event_type, "backup-db-1", details)
    assert event.summary


@pytest.mark.parametrize("word", ["alert", "Alert", " ALERT "])
def test_the_event_type_may_be_in_any_case(word: str) -> None:
    assert parse(eventType=word).type == EventType.ALERT


def test_the_key_is_trimmed_and_kept_as_it_is_spelt() -> None:
    assert parse(alertKey=" Backup-DB-1\n").key == "Backup-DB-1"
    assert parse(alertKey=4711).key == "4711"


@pytest.mark.parametrize("key", [None, "", " "])
def test_an_alert_without_a_key_is_an_incident_of_its_own(key: object) -> None:
    assert parse(alertKey=key).key == ""


@pytest.mark.parametrize(
    ("priority", "severity", "expected"),
    [
        ("HIGH", None, Priority.HIGH),
        ("low", None, Priority.LOW),
        ("LOW", 1, Priority.LOW),
        (None, 1, Priority.HIGH),
        (None, 2, Priority.HIGH),
        (None, "2", Priority.HIGH),
        (None, 3, Priority.LOW),
        ("", 5, Priority.LOW),
        (None, None, None),
    ],
)
def test_the_priority_counts_and_without_it_the_severity(
    priority: object, severity: object, expected: Priority | None
) -> None:
    assert parse(priority=priority, severity=severity).priority == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"eventType": "CLOSE"}, "“eventType” is “CLOSE”, but must be one of ALERT, ACCEPT, RESOLVE, COMMENT"),
        ({"eventType": None}, "“eventType” is missing: it must be one of ALERT, ACCEPT, RESOLVE, COMMENT"),
        ({"eventType": ["ALERT"]}, "“eventType” must be a text, but it is a list"),
        ({"summary": ""}, "“summary” is missing"),
        ({"summary": None}, "“summary” is missing"),
        ({"summary": "\u202e\n"}, "“summary” is missing"),
        ({"summary": {"text": "x"}}, "“summary” must be a text, but it is an object"),
        ({"details": []}, "“details” must be a text"),
        ({"alertKey": {}}, "“alertKey” must be a text"),
        ({"eventType": "ACCEPT", "alertKey": ""}, "“alertKey” is missing: ACCEPT must name the alert"),
        ({"eventType": "RESOLVE", "alertKey": None}, "“alertKey” is missing"),
        ({"eventType": "COMMENT", "summary": "", "details": "", "comments": []}, "a COMMENT must have a text"),
        ({"priority": "URGENT"}, "“priority” is “URGENT”, but must be one of HIGH, LOW"),
        ({"severity": 6}, "“severity” is “6”, but must be one of 1, 2, 3, 4, 5"),
        ({"severity": 0, "priority": "HIGH"}, "“severity” is “0”"),
        ({"severity": True}, "“severity” is “true”"),
        ({"links": {"href": "x"}}, "“links” must be a list, but it is an object"),
        ({"links": ["https://example.com"]}, r"“links\[0\]” must be an object, but it is a text"),
        ({"links": [{"href": "https://example.com"}, {"text": "x"}]}, r"“links\[1\].href” is missing"),
        ({"images": [{"alt": "x"}]}, r"“images\[0\].src” is missing"),
        ({"labels": ["a"]}, "“labels” must be an object, but it is a list"),
        ({"labels": {"a": ["b"]}}, "“labels.a” must be a text, but it is a list"),
        ({"customDetails": "text"}, "“customDetails” must be an object"),
        ({"comments": "text"}, "“comments” must be a list"),
        ({"comments": [{"content": 5, "creator": []}]}, r"“comments\[0\].creator” must be a text"),
    ],
)
def test_a_wrong_value_is_refused_by_name(changes: dict[str, object], message: str) -> None:
    with pytest.raises(PayloadError, match=message):
        parse(**changes)


@pytest.mark.parametrize("href", ["javascript:alert(1)", "ftp://example.com", "/api", "data:text/html,x", "C:\\x"])
def test_links_that_are_no_web_pages_are_left_out(href: str) -> None:
    assert parse(links=[{"href": href, "text": "<b>x</b>"}], images=[{"src": href}]).links == ()


def test_a_link_without_text_is_called_by_its_host() -> None:
    assert parse(links=[{"href": "https://example.com/x"}], images=[]).links[0].label == "example.com"


def test_a_long_summary_is_whole_in_the_details() -> None:
    event = parse(summary="Backup failed. " * 100, details="")
    assert len(event.summary) == 500
    assert event.details.startswith(("Backup failed. " * 100).strip())


def test_a_form_is_read_like_json() -> None:
    (event,) = api.parse(Payload(b"eventType=ALERT&summary=Backup+failed&alertKey=b1"))
    assert (event.summary, event.key) == ("Backup failed", "b1")


def test_the_key_in_the_body_is_a_secret_also_where_the_body_is_rejected() -> None:
    for name in ("alert", "alert_with_the_names_of_2020"):
        body = payload("api", name, eventType="CLOSE")
        assert api.secrets(Payload(body)) == {"il1api2222222222222222222222222222"}


def test_it_says_what_the_door_without_a_key_needs_to_know() -> None:
    assert api.key_fields == ("integrationKey", "apiKey")
    assert api.refuses_unmatched
    assert api.grouping == Grouping.KEY


def test_the_last_of_two_fields_of_one_name_counts() -> None:
    (event,) = api.parse(Payload(b'{"eventType": "RESOLVE", "eventType": "ALERT", "summary": "x"}'))
    assert event.type == EventType.ALERT
    assert json.loads(json.dumps(event.fields)) == {"eventType": "ALERT", "summary": "x"}
