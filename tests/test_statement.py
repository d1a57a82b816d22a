"""The statements of a batch: prepared where that lasts, and true to Django's errors and transactions."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import DEFAULT_DB_ALIAS, OperationalError, ProgrammingError, connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ilert.common import arrays
from ilert.common.statement import Statement
from incidents.intake import connection as own

pytestmark = pytest.mark.django_db(transaction=True)

DOUBLE = Statement("test_double", "SELECT unnest($1::bigint[]) * 2")


@pytest.fixture
def committers() -> Iterator[BaseDatabaseWrapper]:
    """The connection of a committer, connected."""
    wrapper = own.own_connection()
    wrapper.settings_dict["NAME"] = connections[DEFAULT_DB_ALIAS].settings_dict["NAME"]
    wrapper.ensure_connection()
    yield wrapper
    wrapper.close()


def prepared(wrapper: BaseDatabaseWrapper) -> list[str]:
    with wrapper.cursor() as cursor:
        cursor.execute("SELECT name FROM pg_prepared_statements")
        return [name for (name,) in cursor.fetchall()]


def doubled(wrapper: BaseDatabaseWrapper, *numbers: int) -> list[bytes | None]:
    with wrapper.wrap_database_errors:
        result = DOUBLE.run(wrapper.connection, [arrays.integers(numbers)])
    return [result.get_value(row, 0) for row in range(result.ntuples)]


def test_a_committer_prepares_a_statement_once(committers: BaseDatabaseWrapper) -> None:
    for _ in range(3):
        assert doubled(committers, 1, 21) == [(2).to_bytes(8, "big"), (42).to_bytes(8, "big")]
    assert prepared(committers) == ["test_double"]


def test_a_new_connection_prepares_it_anew(committers: BaseDatabaseWrapper) -> None:
    doubled(committers, 1)
    committers.close()
    committers.ensure_connection()
    assert doubled(committers, 2) == [(4).to_bytes(8, "big")]


def test_behind_a_pooler_nothing_is_prepared(committers: BaseDatabaseWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    committers.close()
    monkeypatch.setattr(own, "is_pooled", lambda connection: True)
    committers.ensure_connection()
    assert doubled(committers, 3) == [(6).to_bytes(8, "big")]
    assert prepared(committers) == []


def test_a_pooler_is_known_by_another_process_than_the_one_that_answers(committers: BaseDatabaseWrapper) -> None:
    class Pooled:
        """As PgBouncer: it greets with a number of its own."""

        info = type("Info", (), {"backend_pid": 1})

        def __getattr__(self, name: str) -> Any:
            return getattr(committers.connection, name)

    assert not own.is_pooled(committers.connection)
    assert own.is_pooled(Pooled())  # type: ignore[arg-type]


def test_other_connections_prepare_nothing() -> None:
    connection.ensure_connection()
    assert doubled(connection, 4) == [(8).to_bytes(8, "big")]
    assert prepared(connection) == []


def test_a_statement_belongs_to_the_transaction_around_it(committers: BaseDatabaseWrapper) -> None:
    connections[DEFAULT_DB_ALIAS], before = committers, connections[DEFAULT_DB_ALIAS]
    create = Statement("test_create", "CREATE TABLE not_kept AS SELECT unnest($1::bigint[])")
    try:
        with transaction.atomic():
            create.run(committers.connection, [arrays.integers([1])])
            transaction.set_rollback(True)
        with committers.cursor() as cursor:
            cursor.execute("SELECT to_regclass('not_kept')")
            assert cursor.fetchone() == (None,)
    finally:
        connections[DEFAULT_DB_ALIAS] = before


def test_errors_are_django_s_with_their_code(committers: BaseDatabaseWrapper) -> None:
    broken = Statement("test_broken", "SELECT nothing_like_that($1::bigint[])")
    with pytest.raises(ProgrammingError) as caught, committers.wrap_database_errors:
        broken.run(committers.connection, [arrays.integers([1])])
    assert isinstance(caught.value.__cause__, psycopg.errors.UndefinedFunction)


def test_a_lost_connection_is_an_operational_error(committers: BaseDatabaseWrapper) -> None:
    doubled(committers, 1)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [committers.connection.info.backend_pid])
    with pytest.raises(OperationalError):
        doubled(committers, 1)
