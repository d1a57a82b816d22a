"""What the pages of a filled installation take, asked through Django: python -m benchmarks.look TIMES prints JSON."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import django

if TYPE_CHECKING:
    from django.test import Client

    from accounts.models import User

TABS = ("open", "pending", "accepted", "resolved", "all")
BULK = 100
# Not counted: the figures are those of somebody at work, not of the first look of a day.
WARM_UP = 2
_RARE = "xylophone"


class Case(NamedTuple):
    group: str
    name: str
    path: str


class Look(NamedTuple):
    """Milliseconds of one page. `queries` is how many statements it takes."""

    group: str
    name: str
    p50: float
    p95: float
    slowest: float
    queries: int


def retire() -> None:
    """Give the oldest incidents, one in 25, to a source and a policy that have had none since."""
    from django.db import connection  # noqa: PLC0415 - wants the settings

    from accounts.models import User  # noqa: PLC0415
    from alertsources.services import create_source  # noqa: PLC0415
    from incidents.models import Incident  # noqa: PLC0415
    from oncall.services import create_policy_asking  # noqa: PLC0415

    policy = create_policy_asking("Retired", User.objects.earliest("pk"))
    source = create_source("Retired", "SEMATEXT", policy)
    first, last = Incident.objects.earliest("pk").pk, Incident.objects.latest("pk").pk
    oldest = Incident.objects.filter(pk__lt=first + (last - first) // 25)
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        oldest.update(alert_source=source, escalation_policy=policy)
        cursor.execute(
            "UPDATE incidents_searchentry SET document = to_tsvector('simple', %s) WHERE incident_id = ANY(%s)",
            [f"{_RARE} out of tune", [first, (first + last) // 2]],
        )
        cursor.execute("VACUUM (ANALYZE) incidents_incident, incidents_searchentry")
        cursor.execute("RESET statement_timeout")


def lists() -> Iterator[Case]:
    """Every tab with every filter."""
    from incidents.models import Incident  # noqa: PLC0415

    newest, oldest = Incident.objects.latest("pk"), Incident.objects.earliest("pk")
    middle = (oldest.reported_at + (newest.reported_at - oldest.reported_at) / 2).date()
    source, policy = f"source={newest.alert_source_id}", f"policy={newest.escalation_policy_id}"
    filters = {
        "no filter": "",
        "mine": "mine=1",
        "source": source,
        "policy": policy,
        "low priority": "priority=low",
        "today": f"since={newest.reported_at.date()}",
        "until half a year ago": f"until={middle}",
        "one day": f"since={middle}&until={middle}",
        "all filters": f"mine=1&{source}&{policy}&priority=low&until={middle}",
        "retired source": f"source={oldest.alert_source_id}",
        "retired policy": f"policy={oldest.escalation_policy_id}",
        "source of another policy": f"{source}&policy={oldest.escalation_policy_id}",
        "deep page": f"before={(newest.pk + oldest.pk) // 2}",
    }
    for name, query in filters.items():
        for tab in TABS:
            yield Case("list", f"{name}, {tab}", f"/incidents/?tab={tab}&{query}")


def searches() -> Iterator[Case]:
    from incidents.models import Incident  # noqa: PLC0415

    newest = Incident.objects.latest("pk")
    words = {
        "common word": "disk",
        "rare word": _RARE,
        "prefix": "repl",
        "host": "web-17",
        "two words": "billing certificate",
        "words that never meet": "replication certificate",
        "number": str(newest.pk - 1),
        "key": newest.incident_key,
        "no hit": "zebra",
    }
    for name, text in words.items():
        for tab in ("open", "resolved", "all"):
            yield Case("search", f"{name}, {tab}", f"/incidents/?tab={tab}&q={text.replace(' ', '+')}")
    source = f"source={newest.alert_source_id}"
    yield Case("search", "common word of a source", f"/incidents/?tab=all&q=disk&{source}")
    yield Case("search", "rare word of a source", f"/incidents/?tab=all&q={_RARE}&{source}")


def details() -> Iterator[Case]:
    from incidents.models import Incident  # noqa: PLC0415

    giant = Incident.objects.order_by("-event_count")[0]
    page = f"/incidents/{giant.pk}/"
    yield Case("detail", f"{giant.event_count} events", page)
    yield Case("detail", f"{giant.event_count} events, only deeds", f"{page}?show=deeds")
    yield Case("detail", "newest incident", f"/incidents/{Incident.objects.latest('pk').pk}/")


def look(client: Client, case: Case, times: int) -> Look:
    from django.db import connection  # noqa: PLC0415
    from django.test.utils import CaptureQueriesContext  # noqa: PLC0415

    took = []
    for _ in range(times + WARM_UP):
        started = time.perf_counter()
        response = client.get(case.path)
        took.append(1000 * (time.perf_counter() - started))
        if response.status_code != 200:
            raise RuntimeError(f"{case.path} answers {response.status_code}")
    with CaptureQueriesContext(connection) as queries:
        client.get(case.path)
    return _look(case.group, case.name, took[WARM_UP:], len(queries))


def many_at_once(client: Client, times: int) -> Iterator[Look]:
    """Accept and then resolve as many open incidents as a page can have selected, each time others."""
    from incidents.models import Incident, Status  # noqa: PLC0415

    for verb, status in (("accept", Status.PENDING), ("resolve", Status.ACCEPTED)):
        took = []
        for _ in range(times):
            ids = list(Incident.objects.filter(status=status).order_by("-pk").values_list("pk", flat=True)[:BULK])
            if len(ids) < BULK:
                break
            started = time.perf_counter()
            client.post("/incidents/bulk", {"verb": verb, "ids": ids})
            took.append(1000 * (time.perf_counter() - started))
        if took:
            yield _look("many at once", f"{verb} {BULK}, {len(took)} times", took, 0)


def _look(group: str, name: str, took: list[float], queries: int) -> Look:
    took.sort()
    # By the nearest rank: of 20 looks the 19th, as the slowest is what one in 20 waits for.
    p50, p95 = (took[math.ceil(len(took) * share) - 1] for share in (0.5, 0.95))
    return Look(group, name, p50, p95, took[-1], queries)


def _who() -> User:
    """Return somebody who has incidents of their own."""
    from incidents.models import Incident  # noqa: PLC0415

    responder = Incident.objects.exclude(responder=None).select_related("responder").latest("pk").responder
    if responder is None:
        raise RuntimeError("Nobody has accepted anything.")
    return responder


def main(times: int) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ilert.settings")
    django.setup()
    from django.conf import settings  # noqa: PLC0415
    from django.test import Client  # noqa: PLC0415

    from ilert.up import roles  # noqa: PLC0415

    settings.ALLOWED_HOSTS = ["*"]
    # Without the names that `make up` gives the files it serves.
    settings.STORAGES |= {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
    retire()
    # As a web process begins: else one look in some hundreds waits for Python to go through all that was imported.
    roles.preload()
    roles.freeze()
    client = Client()
    client.force_login(_who())
    found = [look(client, case, times) for cases in (lists, searches, details) for case in cases()]
    print(json.dumps([*found, *many_at_once(client, 3)]))


if __name__ == "__main__":
    main(int(sys.argv[1]))
