"""What Prometheus reads. Every value comes from the database, so that all web processes give the same answer."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.conf import settings
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from incidents.models import Incident, Status
from incidents.watch import facts as looking
from incidents.watch import tally
from incidents.watch.facts import Facts
from incidents.watch.models import Audit, Finding


def page(now: datetime) -> bytes:
    """Return all metrics in the text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Now(now))
    return generate_latest(registry)


class _Now:
    """Collects for one answer only."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def collect(self) -> Iterator[Metric]:
        facts = looking.collect(self._now)
        yield InfoMetricFamily("ilert_build", "The version that runs", value={"version": settings.VERSION})
        yield from _incidents(facts)
        yield from _totals()
        yield from _messages(facts)
        yield from _engines(facts)
        yield from _processes(facts)
        yield from _audit(facts)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"ilert_{name}", text, value=value)


def _lag(moment: datetime | None, now: datetime) -> float:
    return max((now - moment).total_seconds(), 0.0) if moment else 0.0


def _incidents(facts: Facts) -> Iterator[Metric]:
    family = GaugeMetricFamily("ilert_incidents_open", "Open incidents by status", labels=["status"])
    for status in (Status.PENDING, Status.ACCEPTED):
        # By an index that only holds what is asked for, as the resolved ones are never counted.
        family.add_metric([status.label.lower()], Incident.objects.filter(status=status).count())
    yield family
    yield _gauge("events_failed_waiting", "Events that could not be applied yet", facts.failed_events)
    yield _gauge("step_lag_seconds", "How late the oldest due step is", _lag(facts.oldest_step, facts.now))


def _totals() -> Iterator[Metric]:
    totals = tally.read()
    events = CounterMetricFamily("ilert_events", "Events by what became of them", labels=["outcome"])
    for outcome, total in totals[tally.EVENTS].items():
        events.add_metric([outcome], total)
    yield events
    attempts = CounterMetricFamily("ilert_delivery_attempts", "Attempts to send", labels=["channel", "result"])
    for label, total in totals[tally.ATTEMPTS].items():
        attempts.add_metric(label.split(), total)
    yield attempts
    seconds = HistogramMetricFamily("ilert_delivery_attempt_seconds", "How long attempts took", labels=["channel"])
    for channel, milliseconds in totals[tally.ATTEMPT_MILLISECONDS].items():
        seconds.add_metric([channel], _buckets(totals[tally.ATTEMPT_BUCKETS], channel), milliseconds / 1000)
    yield seconds


def _buckets(totals: dict[str, int], channel: str) -> list[Any]:
    sums, below = [], 0
    for bound in tally.BUCKETS:
        below += totals.get(f"{channel} {bound}", 0)
        sums.append(("+Inf" if bound == float("inf") else str(bound), below))
    return sums


def _messages(facts: Facts) -> Iterator[Metric]:
    waiting = GaugeMetricFamily("ilert_messages_waiting", "Messages that are due and not sent", labels=["channel"])
    lag = GaugeMetricFamily("ilert_message_lag_seconds", "How late the oldest due message is", labels=["channel"])
    for row in facts.waiting:
        waiting.add_metric([row.channel], row.count)
        lag.add_metric([row.channel], _lag(row.oldest, facts.now))
    yield waiting
    yield lag


def _engines(facts: Facts) -> Iterator[Metric]:
    database, broker = facts.database, facts.broker
    yield _gauge("database_seconds", "How long the simplest question takes", database.milliseconds / 1000)
    yield _gauge("database_connections", "Connections in use", database.connections)
    yield _gauge("database_connections_limit", "Connections that the server allows", database.max_connections)
    yield _gauge("database_size_bytes", "Size of the database", database.size)
    yield _gauge("broker_up", "1 if the broker answers", 0 if broker.error else 1)
    yield _gauge("broker_queue_length", "Rings that wait for a worker", broker.queued)
    if facts.disk_free is not None:
        yield _gauge("disk_free_bytes", "Space left for the data directory", facts.disk_free)


def _processes(facts: Facts) -> Iterator[Metric]:
    age = GaugeMetricFamily(
        "ilert_pulse_age_seconds", "Since a process's last sign of life", labels=["role", "process"]
    )
    for pulse in facts.pulses:
        age.add_metric([pulse.role, pulse.name], _lag(pulse.last_seen_at, facts.now))
    yield age


def _audit(facts: Facts) -> Iterator[Metric]:
    findings = GaugeMetricFamily("ilert_finding", "1 for each open finding", labels=["kind", "subject", "grave"])
    for row in Finding.objects.filter(closed_at=None).order_by("kind", "subject"):
        findings.add_metric([row.kind, row.subject, str(row.grave).lower()], 1)
    yield findings
    audit = Audit.objects.filter(pk=1).first()
    if audit and audit.finished_at:
        yield _gauge("audit_age_seconds", "Since the auditor's last run", _lag(audit.finished_at, facts.now))
        yield _gauge("audit_seconds", "How long the auditor's last run took", audit.milliseconds / 1000)
