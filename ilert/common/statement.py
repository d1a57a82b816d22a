"""Statements whose parameters are arrays, handed to libpq as they are.

A cursor of psycopg's finds out with every execution how its parameters are written and what may be prepared. For the
batches of a quiet hour, which hold a few events, that took longer than everything else that is done with them.
"""

from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

import psycopg
from psycopg import errors, pq

from ilert.common.arrays import Array

_BINARY = 1


class Statement:
    """`text` has $1, $2, … in the place of its parameters. Its result is read in binary."""

    def __init__(self, name: str, text: str) -> None:
        self._name = name.encode()
        self._text = text.encode()
        self._prepared_on: WeakSet[psycopg.Connection[Any]] = WeakSet()

    def run(self, connection: "psycopg.Connection[Any]", parameters: Sequence[Array]) -> pq.abc.PGresult:
        """Execute it, in the connection's transaction if there is one. Raises psycopg's errors."""
        if not connection.autocommit and connection.pgconn.transaction_status == pq.TransactionStatus.IDLE:
            # psycopg begins a transaction with the first statement that it sends itself.
            connection.execute("SELECT")
        formats = [_BINARY] * len(parameters)
        if connection.prepare_threshold is None:
            oids = [parameter.oid for parameter in parameters]
            result = connection.pgconn.exec_params(self._text, parameters, oids, formats, _BINARY)
        else:
            self._prepare(connection, parameters)
            result = connection.pgconn.exec_prepared(self._name, parameters, formats, _BINARY)
        return _checked(connection, result)

    def _prepare(self, connection: "psycopg.Connection[Any]", parameters: Sequence[Array]) -> None:
        if connection not in self._prepared_on:
            oids = [parameter.oid for parameter in parameters]
            _checked(connection, connection.pgconn.prepare(self._name, self._text, oids))
            self._prepared_on.add(connection)


def _checked(connection: "psycopg.Connection[Any]", result: pq.abc.PGresult) -> pq.abc.PGresult:
    if result.status in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
        return result
    if connection.pgconn.status == pq.ConnStatus.BAD:
        # What libpq says by itself has no code.
        raise psycopg.OperationalError(result.get_error_message())
    raise errors.error_from_result(result)
