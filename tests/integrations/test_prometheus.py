"""What Alertmanager's webhook receiver is sent."""

import json
from datetime import UTC, datetime

import pytest

from integrations import Event, EventType, Link, Payload, PayloadError, Priority, get
from integrations.prometheus import MAX_ALERTS
from tests.payloads import payload

prometheus = get("prometheus")
ALERTS = json.loads(payload("prometheus", "firing"))["alerts"]


def parse(name: str = "firing", **changes: object) -> list[Event]:
    return prometheus.parse(Payload(payload("prometheus", name, **changes), "application/json"))


def one(**changes: object) -> Event:
    (event,) = parse(alerts=[ALERTS[0] | changes])
    return event


def test_each_alert_of_a_group_is_an_event() -> None:
    assert [(event.type, event.key) for event in parse()] == [
        (EventType.ALERT, "5ef77f1f8a3ecf8d"),
        (EventType.ALERT, "b31b2b6a3f9a5c52"),
    ]


def test_each_alert_is_resolved_by_its_own_status_and_not_by_the_group_s() -> None:
    resolved, firing = parse("one_of_two_resolved")
    assert (resolved.type, firing.type) == (EventType.RESOLVE, EventType.ALERT)
    assert resolved.key == parse()[0].key
    assert resolved.occurred_at == datetime(2026, 3, 1, 3, 20, 0, 100_000, UTC)


def test_an_alert_has_all_that_was_sent() -> None:
    event = parse()[0]
    assert event.summary == "Disk /var of web-1 is full within 4 hours"
    assert event.details.startswith(
        "Only **3 GB** are left and it loses 800 MB an hour.\n\n"
        "- `alertname`: `DiskWillFillIn4Hours`\n- `instance`: `web-1:9100`\n"
    )
    assert event.priority == Priority.HIGH
    assert event.links == (
        Link("Runbook", "https://runbooks.example.com/disk"),
        Link(
            "Prometheus",
            "http://prometheus.example.com:9090/graph?g0.expr=node_filesystem_avail_bytes&g0.tab=1",
        ),
        Link("Alertmanager", "http://alertmanager.example.com:9093"),
    )
    assert event.labels == ALERTS[0]["labels"]
    assert event.occurred_at == datetime(2026, 3, 1, 3, 0, 0, 739_266, UTC)
    assert event.fields["annotations.runbook_url"] == "https://runbooks.example.com/disk"
    assert event.fields["labels.mountpoint"] == "/var"
    assert event.fields["receiver"] == "ilert"


@pytest.mark.parametrize(
    ("annotations", "summary"),
    [
        ({"summary": "S", "description": "D"}, "S"),
        ({"summary": " ", "description": "D\nE"}, "D E"),
        ({"message": "M"}, "M"),
        ({}, "DiskWillFillIn4Hours on web-1:9100"),
        (None, "DiskWillFillIn4Hours on web-1:9100"),
    ],
)
def test_the_summary_is_the_best_that_there_is(annotations: object, summary: str) -> None:
    assert one(annotations=annotations).summary == summary


def test_without_any_name_there_is_still_a_summary() -> None:
    assert one(labels={"job": "x"}, annotations={}).summary == "Prometheus alert"


@pytest.mark.parametrize(
    ("severity", "priority"),
    [
        ("critical", Priority.HIGH),
        ("Page", Priority.HIGH),
        ("error", Priority.HIGH),
        ("high", Priority.HIGH),
        ("info", Priority.LOW),
        ("low", Priority.LOW),
        ("none", Priority.LOW),
        ("debug", Priority.LOW),
        ("warning", None),
        ("", None),
        ("<script>", None),
    ],
)
def test_the_severity_label_is_the_priority(severity: str, priority: Priority | None) -> None:
    assert one(labels={"alertname": "x", "severity": severity}).priority == priority


def test_without_a_fingerprint_the_labels_are_the_key_in_any_order() -> None:
    assert one(fingerprint=None, labels={"b": "2", "a": "1"}).key == "a=1, b=2"
    assert one(fingerprint="", labels={"a": "1", "b": "2"}).key == "a=1, b=2"


def test_the_group_s_status_stands_in() -> None:
    assert one(status=None).type == EventType.ALERT


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "later", None, 5, []])
def test_what_is_no_time_is_none(moment: object) -> None:
    assert one(startsAt=moment).occurred_at is None


def test_a_runbook_that_is_no_page_is_no_link() -> None:
    event = one(annotations={"runbook_url": "javascript:alert(1)"}, generatorURL="file:///etc/passwd")
    assert [link.label for link in event.links] == ["Alertmanager"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alerts": None}, "“alerts” is empty"),
        ({"alerts": []}, "“alerts” is empty"),
        ({"alerts": {}}, "“alerts” must be a list, but it is an object"),
        ({"alerts": [5]}, r"“alerts\[0\]” must be an object, but it is a number"),
        ({"alerts": [*ALERTS, ALERTS[0] | {"status": "odd"}]}, r"“alerts\[2\].status” is “odd”, but must be one of"),
        ({"alerts": [ALERTS[0] | {"status": None}], "status": None}, r"“alerts\[0\].status” is missing"),
        ({"alerts": [ALERTS[0] | {"labels": []}]}, r"“alerts\[0\].labels” must be an object"),
        ({"alerts": [ALERTS[0] | {"labels": {"a": {}}}]}, r"“alerts\[0\].labels.a” must be a text"),
        ({"alerts": [ALERTS[0] | {"annotations": "x"}]}, r"“alerts\[0\].annotations” must be an object"),
        ({"alerts": [{"status": "firing"}]}, r"“alerts\[0\].fingerprint” is missing"),
        ({"alerts": [ALERTS[0]] * (MAX_ALERTS + 1)}, "holds 1001 alerts; at most 1000 .* “max_alerts: 1000”"),
    ],
)
def test_a_wrong_value_is_refused_by_name(changes: dict[str, object], message: str) -> None:
    with pytest.raises(PayloadError, match=message):
        parse(**changes)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"version": "4"}'])
def test_something_else_is_refused(body: bytes) -> None:
    with pytest.raises(PayloadError, match="“alerts” is missing"):
        prometheus.parse(Payload(body))


def test_what_a_group_shares_is_not_multiplied_by_its_alerts() -> None:
    big = "x" * 500_000
    events = parse(alerts=[ALERTS[0]] * MAX_ALERTS, groupKey=big, externalURL=big, commonLabels={"a": big})
    assert len(events) == MAX_ALERTS
    assert sum(len(text) for event in events for text in event.fields.values()) < 3_000_000
