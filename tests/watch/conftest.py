"""An installation in which all is well, as facts to be spoilt one by one."""

from datetime import datetime, timedelta

import pytest

from incidents.watch.facts import Broker, Database, Facts
from incidents.watch.models import Pulse, Role
from tests.conftest import NOW


def pulse(role: Role, pid: int = 1, *, seen: datetime = NOW, host: str = "a", **more: object) -> Pulse:
    started = more.pop("started_at", NOW - timedelta(hours=1))
    return Pulse(role=role, host=host, pid=pid, last_seen_at=seen, started_at=started, version="1", **more)


@pytest.fixture
def well(now: datetime) -> Facts:
    return Facts(
        now=now,
        database=Database("18.1", 0.4, 12, 100, 10_000_000),
        broker=Broker("", 0.3, 0),
        pulses=[pulse(role, number) for number, role in enumerate(Role)],
        oldest_step=None,
        oldest_stale=None,
        waiting=[],
        over_leases=0,
        deliveries=[],
        failed_events=0,
        oldest_failed_event=None,
        disk_free=10**11,
    )
