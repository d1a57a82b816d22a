"""Times as ids: whatever gaps there are, a filter by time leaves what the times say."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alertsources.models import AlertSource
from incidents.intake.batch import key_hash
from incidents.models import Incident
from incidents.moments import SLACK, reported_before, reported_from

pytestmark = pytest.mark.django_db
START = datetime(2026, 3, 1, tzinfo=UTC)


def fill(source: AlertSource, steps: list[tuple[int, int]]) -> list[Incident]:
    """Make incidents; each step says how far its id, and by how many minutes its time, is behind the one before."""
    Incident.objects.all().delete()
    made, pk, minutes = [], 1000, 0
    for gap, minute in steps:
        pk, minutes = pk + gap, minutes + minute
        key = str(pk)
        made.append(
            Incident(
                pk=pk, alert_source=source, summary="disk full", incident_key=key, key_hash=key_hash(key),
                reported_at=START + timedelta(minutes=minutes),
            )
        )  # fmt: skip
    return Incident.objects.bulk_create(made)


# It empties the table itself.
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.tuples(st.integers(1, 50), st.integers(-20, 600)), max_size=30),
    minutes=st.integers(-100, 5000),
)
def test_a_moment_leaves_what_was_reported_then(
    source: AlertSource, steps: list[tuple[int, int]], minutes: int
) -> None:
    """A step back is another transaction's; twenty minutes are more than any takes."""
    backwards = -sum(minute for _, minute in steps if minute < 0)
    if timedelta(minutes=backwards) > SLACK:
        steps = [(gap, abs(minute)) for gap, minute in steps]
    made, moment = fill(source, steps), START + timedelta(minutes=minutes)
    later = {incident.pk for incident in made if incident.reported_at >= moment}
    assert {one.pk for one in reported_from(Incident.objects.all(), moment)} == later
    assert {one.pk for one in reported_before(Incident.objects.all(), moment)} == {one.pk for one in made} - later
