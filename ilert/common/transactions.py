"""Transactions that two people at once may get into each other's way with."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import OperationalError, connection, transaction

P = ParamSpec("P")
T = TypeVar("T")
# Serialization failure, deadlock: the database undid one of two so that both can go on.
WORTH_TRYING_AGAIN = ("40001", "40P01")
TRIES = 3


def atomic_verb(function: Callable[P, T]) -> Callable[P, T]:
    """Run `function` in a transaction, and once more when the database has undone it for another's sake.

    Inside another transaction it takes part in that one, which is undone as a whole and is its caller's to repeat.
    """

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        for left in reversed(range(TRIES)):
            try:
                with transaction.atomic():
                    return function(*args, **kwargs)
            except OperationalError as error:
                sqlstate = getattr(error.__cause__, "sqlstate", None)
                if connection.in_atomic_block or sqlstate not in WORTH_TRYING_AGAIN or not left:
                    raise
        raise AssertionError("unreachable")

    return run
