"""The button "Send test event": a real incident that tells only whoever pressed."""

import uuid
from datetime import datetime

from django.db import transaction

from accounts.models import User
from alertsources.models import AlertSource
from incidents.engine import run as runs
from incidents.intake.batch import key_hash
from incidents.models import Event, Incident, Outcome, Priority
from integrations import EventType

MINUTES_TO_LIVE = 60


@transaction.atomic
def send_test_event(source: AlertSource, person: User, now: datetime) -> Incident:
    """Open a LOW incident of `source` whose only level is `person`, whatever the source's policy says."""
    source = AlertSource.objects.select_for_update(no_key=True).get(pk=source.pk)
    key = f"test {uuid.uuid4()}"
    level = {"minutes": MINUTES_TO_LIVE, "users": [person.pk]}
    snapshot = {"policy": "Test", "rounds": 1, "rules": [level]}
    incident = Incident.objects.create(
        alert_source=source,
        escalation_policy_id=source.escalation_policy_id,
        summary=f"Test event of {source.name}",
        details="Somebody pressed “Send test event”. Nothing is wrong. Accept or resolve it to try that too.",
        priority=Priority.LOW,
        incident_key=key,
        key_hash=key_hash(key),
        reported_at=now,
        last_event_at=now,
        next_escalation_at=now,
        run=runs.begin(snapshot, number=1, single_level=True),
    )
    Event.objects.create(
        alert_source=source,
        incident=incident,
        received_at=now,
        type=EventType.ALERT,
        outcome=Outcome.OPENED,
        reason=f"Test event sent by {person}. It tells nobody else.",
        incident_key=key,
        summary=incident.summary,
    )
    return incident
