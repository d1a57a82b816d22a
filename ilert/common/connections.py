"""How the processes of the engine hold on to the database."""

from django.conf import settings


def keep_connections() -> None:
    """Give each thread of this process a connection that stays. Call it before the first is opened.

    A restart of the server costs that one question, and not the seconds that a pool takes to notice; a connection for
    each piece of work would cost more than the work.
    """
    database = settings.DATABASES["default"]
    database["OPTIONS"].pop("pool", None)
    database["CONN_MAX_AGE"] = None
