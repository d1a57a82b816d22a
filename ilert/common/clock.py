"""The one clock that due times are compared with."""

from datetime import datetime

from django.db import connection


def database_now() -> datetime:
    """Return the database's time: several machines agree on it, whatever their own clocks say."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment
