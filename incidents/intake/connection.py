"""The connection that a committer has for itself."""

import copy
import sys

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.postgresql.base import DatabaseWrapper
from psycopg import Connection

# Statements are prepared where they ask for it, and never for having been used often.
_ON_DEMAND = sys.maxsize


class OwnConnection(DatabaseWrapper):
    """Reads and plans the statements of a batch once: that took PostgreSQL longer than a small batch itself."""

    def init_connection_state(self) -> None:
        super().init_connection_state()
        if not is_pooled(self.connection):
            self.connection.prepare_threshold = _ON_DEMAND


def own_connection() -> BaseDatabaseWrapper:
    """Return a connection outside the pool: a pool waits longer and longer before it tries a database again."""
    settings = copy.deepcopy(connections.settings[DEFAULT_DB_ALIAS])
    options = settings["OPTIONS"]
    options.pop("pool", None)
    # Batches have all sizes, and one plan is good for each of them: hash joins, and indexes for the rest.
    options["options"] = f"{options.get('options', '')} -c plan_cache_mode=force_generic_plan"
    wrapper = OwnConnection(settings, DEFAULT_DB_ALIAS)
    wrapper.inc_thread_sharing()
    return wrapper


def is_pooled(connection: "Connection[tuple[object, ...]]") -> bool:
    """Whether something like PgBouncer is in between: the next transaction may then meet another backend.

    That one would not know the statements which this one has prepared.
    """
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    connection.rollback()
    return row is None or row[0] != connection.info.backend_pid
