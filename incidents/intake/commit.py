"""Committing a batch of requests, whatever happens: every request gets an answer that is true."""

import logging
from collections.abc import Sequence

from django.db import InterfaceError, InternalError, OperationalError

from ilert.common.transactions import TRIES, WORTH_TRYING_AGAIN
from incidents.engine.bell import bell
from incidents.intake import failed
from incidents.intake.answers import Answer, answer, stored_for_later, unavailable, unknown_key
from incidents.intake.apply import apply
from incidents.intake.batch import Applied, Request
from incidents.models import Outcome

logger = logging.getLogger(__name__)

# "Program limit exceeded" is about what was sent, although it is called operational.
ABOUT_THE_DATA = "54"


def commit(requests: Sequence[Request]) -> list[Answer]:
    """Apply requests in one transaction, and answer each.

    If what one of them holds cannot be stored, the others are, so that a poison event fails alone. Where the database
    itself fails nobody can know what it still did, and a repeat is folded: so the sender is asked for one.
    """
    if any(request.fault for request in requests):
        return _without_faulty(requests)
    try:
        applied = _applied(requests)
    except (OperationalError, InterfaceError, InternalError) as problem:
        if not _sqlstate(problem).startswith(ABOUT_THE_DATA):
            logger.error("%d requests could not be committed: %s", len(requests), problem)
            return [unavailable()] * len(requests)
        return _apart(requests, problem)
    except Exception as problem:
        return _apart(requests, problem)
    if any(one.outcome != Outcome.APPENDED for results in applied for one in results or ()):
        bell.ring()
    return [answer(request, results) for request, results in zip(requests, applied, strict=True)]


def _without_faulty(requests: Sequence[Request]) -> list[Answer]:
    """Commit what could be read, and keep the rest."""
    readable = iter(commit([request for request in requests if not request.fault]))
    return [_kept(request, request.fault) if request.fault else next(readable) for request in requests]


def _kept(request: Request, fault: Exception) -> Answer:
    """Keep a request that a fault of ours keeps from being applied, to try it again."""
    logger.error("an event could not be applied", exc_info=fault)
    try:
        return stored_for_later(failed.store(request.source.pk, request.prepared, fault))
    except failed.SourceDeleted:
        return unknown_key()
    except Exception:
        logger.exception("nor could it be stored as failed")
        return unavailable()


def _apart(requests: Sequence[Request], problem: Exception) -> list[Answer]:
    """Commit the halves of a batch that cannot be applied as one, down to the request that is at fault."""
    if len(requests) == 1:
        return [_kept(requests[0], problem)]
    middle = len(requests) // 2
    return commit(requests[:middle]) + commit(requests[middle:])


def _applied(requests: Sequence[Request]) -> list[list[Applied] | None]:
    for _ in range(TRIES - 1):
        try:
            return apply(requests)
        except OperationalError as problem:
            if _sqlstate(problem) not in WORTH_TRYING_AGAIN:
                raise
    return apply(requests)


def _sqlstate(problem: Exception) -> str:
    return getattr(problem.__cause__, "sqlstate", None) or ""
