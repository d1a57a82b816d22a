from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate, pre_migrate


class IlertConfig(AppConfig):
    name = "ilert"

    def ready(self) -> None:
        # Every process that rings the bell needs the application, not only the workers.
        from ilert import celery  # noqa: F401, PLC0415

        # Sent for every app that has models, which this one has not.
        pre_migrate.connect(_take_time)
        post_migrate.connect(_hurry_again)


def _take_time(using: str, **_: Any) -> None:
    """The limits are for requests; an index over a year of events takes longer.

    The limit for locks stays: a migration that waits for one holds up everybody who comes after it.
    """
    with connections[using].cursor() as cursor:
        cursor.execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")


def _hurry_again(using: str, **_: Any) -> None:
    with connections[using].cursor() as cursor:
        cursor.execute("RESET statement_timeout; RESET idle_in_transaction_session_timeout")
