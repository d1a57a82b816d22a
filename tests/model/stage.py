"""What surrounds the product while it is compared with the model: its clock, its providers, and sudden death."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import connection

from notifications.channels import Channel, Message, PermanentError, TemporaryError

# Found before the real ones by whoever asks the database for the time, in Python or in SQL.
CLOCK = """
CREATE SCHEMA model_clock;
CREATE FUNCTION model_clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS $$ SELECT current_setting('model.now')::timestamptz $$;
CREATE FUNCTION model_clock.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE
    AS $$ SELECT current_setting('model.now')::timestamptz $$;
CREATE FUNCTION model_clock.now() RETURNS timestamptz LANGUAGE sql STABLE
    AS $$ SELECT current_setting('model.now')::timestamptz $$;
"""


@contextmanager
def clock_of_our_own() -> Iterator[None]:
    """The database's clock stands still and is moved by `set_clock`."""
    with connection.cursor() as cursor:
        cursor.execute(CLOCK)
        cursor.execute("SET search_path TO model_clock, public, pg_catalog")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET search_path")
            cursor.execute("DROP SCHEMA model_clock CASCADE")


def set_clock(moment: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('model.now', %s, false)", [moment.isoformat()])


class Crash(BaseException):
    """The process is dead: nobody may catch this and go on."""


class Fuse:
    """Kills the product at a chosen statement: what was not committed by then is undone, what it knew is gone.

    Wraps every statement of the connection. All of an example happens in one transaction that is never committed, so
    a transaction of the product is a savepoint here; dying unwinds it just the same.
    """

    def __init__(self) -> None:
        self._left: int | None = None
        self.blown = False

    @contextmanager
    def armed(self, statements: int | None) -> Iterator[None]:
        """Die before the next statement after `statements` of them; never if None."""
        self._left, self.blown = statements, False
        try:
            yield
        except Crash:
            self.blown = True
        finally:
            self._left = None

    def die(self) -> None:
        self._left = -1
        raise Crash

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if self._left is not None and not str(sql).startswith(("SAVEPOINT", "RELEASE", "ROLLBACK")):
            if self._left <= 0:
                self.die()
            self._left -= 1
        return execute(sql, params, many, context)


CHANNELS = ("email", "pager")


def channel_of(address: str) -> str:
    """Return the channel of a contact method: every person begins with an e-mail address."""
    return "pager" if "-pager-" in address else "email"


class Provider(Channel):
    """The network's edge: it tells the machine of each message and does with it what the machine says."""

    name, icon = "Provider", "circle"

    def __init__(self, slug: str, receive: Callable[[str, Message], None]) -> None:
        self.slug = slug  # type: ignore[misc]
        self._receive = receive

    def send(self, address: str, secret: str, message: Message) -> str:
        self._receive(address, message)
        return "taken"


__all__ = [
    "CHANNELS",
    "Crash",
    "Fuse",
    "PermanentError",
    "Provider",
    "TemporaryError",
    "channel_of",
    "clock_of_our_own",
    "set_clock",
]
