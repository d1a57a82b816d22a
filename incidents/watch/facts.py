"""What can be seen of the installation right now. Only looks: `judge.py` says what is wrong with it.

Every query is answered from a small part of an index, however many incidents there are.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import connection
from django.db.models import Count, Min, QuerySet

from incidents import services
from incidents.engine import escalation
from incidents.engine.bell import PUBLISH_TIMEOUT
from incidents.models import Event, Outcome, Retention
from incidents.watch.models import Pulse
from notifications.models import Attempt, Notification, Provider

DELIVERIES_SINCE = timedelta(minutes=10)
# More attempts than these are not looked at, so that a storm does not slow the look.
MOST_ATTEMPTS = 4_000
MOST_PROVIDERS = 50


@dataclass(frozen=True)
class Database:
    version: str
    milliseconds: float
    connections: int
    max_connections: int
    size: int


@dataclass(frozen=True)
class Broker:
    """`error` is empty when it answers. `queued` is how many rings wait for a worker."""

    error: str
    milliseconds: float
    queued: int


@dataclass(frozen=True)
class Waiting:
    """Messages of a channel that are due and not yet sent."""

    channel: str
    count: int
    oldest: datetime


@dataclass(frozen=True)
class Deliveries:
    """Attempts through a channel in the last ten minutes."""

    channel: str
    succeeded: int
    failed: int
    # The answer to the newest attempt if that failed.
    answer: str


@dataclass(frozen=True)
class Facts:
    now: datetime
    database: Database
    broker: Broker
    pulses: list[Pulse]
    oldest_step: datetime | None
    oldest_stale: datetime | None
    waiting: list[Waiting]
    over_leases: int
    deliveries: list[Deliveries]
    failed_events: int
    oldest_failed_event: datetime | None
    # Bytes; None when the database is on a disk that cannot be seen from here.
    disk_free: int | None
    # Where the removal of old raw bodies stands; None before its first pass.
    retention: Retention | None = None
    # Who takes messages, those that fail first.
    providers: list[Provider] = field(default_factory=list)
    # Pending incidents that nobody is being told about.
    untold: list[int] = field(default_factory=list)


def collect(now: datetime) -> Facts:
    """Look at everything that is quick to see."""
    failed = Event.objects.filter(outcome=Outcome.FAILED).aggregate(count=Count("pk"), oldest=Min("received_at"))
    return Facts(
        now=now,
        database=database(),
        broker=broker(),
        pulses=list(Pulse.objects.all()),
        oldest_step=escalation.oldest_due_at(now),
        oldest_stale=services.oldest_stale_at(now),
        waiting=waiting(now),
        over_leases=over_leases(now),
        deliveries=deliveries(now),
        failed_events=failed["count"],
        oldest_failed_event=failed["oldest"],
        disk_free=disk_free(),
        retention=Retention.objects.filter(pk=Retention.ONLY).first(),
        providers=list(Provider.objects.order_by("-failures", "name")[:MOST_PROVIDERS]),
    )


def database() -> Database:
    with connection.cursor() as cursor:
        started = perf_counter()
        cursor.execute("SELECT 1")
        milliseconds = (perf_counter() - started) * 1000
        cursor.execute(
            "SELECT current_setting('server_version'), current_setting('max_connections')::int,"
            " (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),"
            " pg_database_size(current_database())"
        )
        version, most, used, size = cursor.fetchone()
    return Database(version.split()[0], milliseconds, used, most, size)


def broker() -> Broker:
    """Ask the broker how long the queue is, within about a second whatever its state."""
    options = current_app.conf.broker_transport_options | {
        "socket_timeout": PUBLISH_TIMEOUT,
        "socket_connect_timeout": PUBLISH_TIMEOUT,
    }
    started = perf_counter()
    try:
        with current_app.connection_for_read(connect_timeout=PUBLISH_TIMEOUT, transport_options=options) as link:
            queued = _queued(link)
    except Exception as error:
        # Every transport has errors of its own; whatever it is, the bell is not heard.
        return Broker(_without_address(str(error)) or type(error).__name__, (perf_counter() - started) * 1000, 0)
    return Broker("", (perf_counter() - started) * 1000, queued)


def _queued(link: Any) -> int:
    try:
        queue = current_app.conf.task_default_queue
        return int(link.default_channel.queue_declare(queue=queue, passive=True).message_count)
    except link.channel_errors:
        # It answers, and no worker has made the queue yet.
        return 0


def _without_address(error: str) -> str:
    """Return the last part of an error: the parts before it name sockets and hosts."""
    return error.strip().rstrip(".").rsplit(". ", 1)[-1][:200]


def waiting(now: datetime) -> list[Waiting]:
    found: dict[str, Waiting] = {}
    for due in _each_index(Notification.objects.filter(state__in=["planned", "sending"], due_at__lte=now)):
        rows = due.values("channel").order_by().annotate(count=Count("pk"), oldest=Min("due_at"))
        for channel, count, oldest in rows.values_list("channel", "count", "oldest"):
            before = found.get(channel) or Waiting(channel, 0, oldest)
            found[channel] = Waiting(channel, before.count + count, min(before.oldest, oldest))
    return [found[channel] for channel in sorted(found)]


def over_leases(now: datetime) -> int:
    rows = Notification.objects.filter(state="sending", lease_until__lt=now - timedelta(seconds=15))
    return sum(part.count() for part in _each_index(rows))


def _each_index(rows: "QuerySet[Notification]") -> "tuple[QuerySet[Notification], QuerySet[Notification]]":
    """Return messages of their own, and members of bundles: both have an index of what is not done, together none."""
    return rows.filter(carrier=None), rows.filter(carrier__isnull=False)


def deliveries(now: datetime) -> list[Deliveries]:
    newest = _newest_attempts(now)
    found: dict[str, Deliveries] = {}
    for channel, succeeded, answer in newest:
        before = found.get(channel) or Deliveries(channel, 0, 0, "" if succeeded else answer)
        found[channel] = Deliveries(
            channel, before.succeeded + succeeded, before.failed + (not succeeded), before.answer
        )
    return [found[channel] for channel in sorted(found)]


def _newest_attempts(now: datetime) -> "QuerySet[Attempt, tuple[str, bool, str]]":
    """Return (channel, succeeded, answer), the newest first. By id, as the times have no index."""
    newest = Attempt.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    return (
        Attempt.objects.filter(pk__gt=newest - MOST_ATTEMPTS, finished_at__gt=now - DELIVERIES_SINCE)
        .order_by("-pk")
        .values_list("notification__channel", "succeeded", "answer")
    )


def disk_free(usage: Callable[[str], "shutil._ntuple_diskusage"] = shutil.disk_usage) -> int | None:
    return usage(str(settings.ILERT_DATA_DIR)).free if settings.EMBEDDED_DATABASE else None
