"""Triggers and resolves of a few keys from many connections over two web processes."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable

import pytest

from benchmarks.client import Answer
from benchmarks.traffic import Pairs
from tests.faults.house import LONG, House

pytestmark = pytest.mark.faults

PAIRS = 10_000 if LONG else 1_000


def test_pairs_of_shared_keys_never_open_two_incidents(house: House) -> None:
    traffic = Pairs(house.path, keys=10, pairs=PAIRS)
    result = house.load(traffic, 600)
    statuses = Counter(answer.status for answer in result.answers)
    print(f"\n{PAIRS} pairs on 10 keys: {2 * PAIRS / result.seconds:.0f} events/s, {dict(statuses)}")
    assert statuses == {200: 2 * PAIRS}
    assert not house.lost(result.answers)
    assert_order_of_senders(result.answers)
    assert_one_open_at_a_time(house, traffic.prefix)
    assert not deadlocks(house)


def test_a_sender_that_waits_sees_its_own_order(house: House) -> None:
    """Ten senders, each with a key of its own: every trigger opens, every resolve resolves."""
    pairs = PAIRS // 4
    result = house.load(Pairs(house.path, keys=10, pairs=pairs, owned=True), 600)
    assert {answer.status for answer in result.answers} == {200}
    for told in by_sender(result.answers):
        outcomes = [json.loads(answer.content)["outcome"] for answer in told]
        assert outcomes == ["opened", "resolved"] * (len(outcomes) // 2)
    assert len(result.answers) == 2 * pairs


def by_sender(answers: Iterable[Answer]) -> list[list[Answer]]:
    """The answers of each connection, in the order in which it asked."""
    ordered = sorted(answers, key=lambda answer: (answer.label[0], answer.sent))
    return [list(group) for _, group in itertools.groupby(ordered, key=lambda answer: answer.label[0])]


def assert_order_of_senders(answers: Iterable[Answer]) -> None:
    """The timeline has a sender's events in its order."""
    for told in by_sender(answers):
        for _, same_key in itertools.groupby(sorted(told, key=lambda a: a.label[1]), key=lambda a: a.label[1]):
            ids = [json.loads(answer.content)["eventId"] for answer in sorted(same_key, key=lambda a: a.sent)]
            assert ids == sorted(ids)


def assert_one_open_at_a_time(house: House, prefix: str) -> None:
    """Of every key: opened, appended …, resolved, and only then opened again."""
    rows = house.query(
        "SELECT incident_key, incident_id, outcome FROM incidents_event WHERE summary LIKE %s "
        "ORDER BY incident_key, id",
        f"%web-{prefix}-%",
    )
    assert len(rows) == 2 * PAIRS
    for key, events in itertools.groupby(rows, key=lambda row: row[0]):
        open_incident = None
        for _, incident, outcome in events:
            if outcome == "opened":
                assert open_incident is None, f"{key}: {incident} opened while {open_incident} was open"
                open_incident = incident
            elif outcome == "appended":
                assert incident == open_incident
            elif outcome == "resolved":
                assert incident == open_incident
                open_incident = None
            else:
                assert outcome == "ignored"
                assert open_incident is None, f"{key}: a recovery was ignored while {open_incident} was open"


def deadlocks(house: House) -> int:
    return int(house.query("SELECT sum(deadlocks) FROM pg_stat_database")[0][0])
