"""Reads every answer of a run and compares it with the database: what was acknowledged has to be there."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import psycopg

from benchmarks.client import Answer

TAKEN = (200, 202)


@dataclass(frozen=True)
class Check:
    """`lost` are ids of acknowledged events that the database does not have."""

    acknowledged: int
    lost: set[int]
    keys: int
    incidents: int
    statuses: dict[int, int]

    @property
    def clean(self) -> bool:
        """Everything was taken, nothing lost, and each key is one incident."""
        return not self.lost and self.incidents == self.keys and set(self.statuses) <= {200}


def event_ids(answers: Iterable[Answer]) -> list[int]:
    """The ids of all events that were acknowledged, once for each time they were."""
    found = []
    for answer in answers:
        if answer.status in TAKEN:
            content = json.loads(answer.content)
            events = content.get("events") or [content]
            found += [int(event["eventId"]) for event in events]
    return found


def stored_ids(url: str, acknowledged: Iterable[int]) -> set[int]:
    """Which of these ids are in the database."""
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT id FROM incidents_event WHERE id = ANY(%s)", [list(acknowledged)])
        return {row[0] for row in rows}


def check(url: str, answers: list[Answer], prefix: str) -> Check:
    ids = event_ids(answers)
    assert len(ids) == len(set(ids)), "one id was given to two events"
    lost = set(ids) - stored_ids(url, ids)
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM incidents_incident WHERE summary LIKE %s", [f"%web-{prefix}-%"]
        ).fetchone()
    assert row is not None
    keys = {answer.label[1] for answer in answers if answer.status in TAKEN}
    return Check(len(ids), lost, len(keys), row[0], dict(Counter(answer.status for answer in answers)))
