"""The Celery application: its workers answer the bell that the ticker and the web processes ring."""

import os
from typing import Any

from celery import Celery, signals
from django.db import close_old_connections

from ilert.common.connections import keep_connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ilert.settings")

app = Celery("ilert")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# By name: it knows models, and those are not ready when this is imported.
app.steps["consumer"].add("incidents.watch.worker:PulseStep")


@signals.worker_init.connect  # type: ignore[untyped-decorator]
def hold_on(**_: Any) -> None:
    keep_connections()


@signals.task_prerun.connect  # type: ignore[untyped-decorator]
def check_connection(**_: Any) -> None:
    """Let a connection that the server has cut be noticed before it is used."""
    close_old_connections()
