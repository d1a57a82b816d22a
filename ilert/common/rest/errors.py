"""Errors as the contract spells them: JSON `{status, message, code}`, and never a traceback."""

import logging
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.db import IntegrityError, InterfaceError, InternalError, OperationalError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from ilert.common.text import clean_deep

logger = logging.getLogger(__name__)

RETRY_AFTER = {"Retry-After": "5"}
CODES = {
    400: "BAD_REQUEST",
    401: "NOT_AUTHENTICATED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    406: "NOT_ACCEPTABLE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    429: "TOO_MANY_REQUESTS",
}


class Conflict(exceptions.APIException):
    """Somebody was first, or something uses what should go: nothing was changed."""

    status_code = 409

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.word = code


def handle(error: Exception, context: dict[str, Any]) -> Response:
    """Answer for an exception of a view. A fault of ours is never a 4xx."""
    set_rollback()
    if isinstance(error, Http404 | ObjectDoesNotExist):
        error = exceptions.NotFound(str(error) or None)
    elif isinstance(error, DjangoPermissionDenied):
        error = exceptions.PermissionDenied(str(error) or None)
    if isinstance(error, exceptions.ValidationError):
        return _invalid(error)
    if isinstance(error, exceptions.APIException):
        return _refused(error)
    if isinstance(error, OperationalError | InterfaceError | InternalError):
        logger.error("the REST API has no database: %s", error)
        return answer(503, "UNAVAILABLE", "The database cannot be used now. Try again.", RETRY_AFTER)
    if isinstance(error, IntegrityError):
        # Everything was checked before; what the database refuses now has changed in between.
        return answer(409, "CONFLICT", "Somebody changed what this depends on at the same moment. Look at it again.")
    logger.error("a fault of the REST API", exc_info=error)
    return answer(500, "INTERNAL", "A fault of ilert's own. The log has the details.")


def answer(status: int, code: str, message: str, headers: dict[str, str] | None = None, **more: Any) -> Response:
    # Sentences repeat what was sent, which may hold what UTF-8 cannot write.
    content = clean_deep({"status": status, "message": message, "code": code, **more})
    return Response(content, status=status, headers=headers)


def _invalid(error: exceptions.ValidationError) -> Response:
    fields: dict[str, list[str]] = {}
    for name, sentence in _sentences(error.detail, ""):
        fields.setdefault(name, []).append(sentence)
    message = " ".join(
        f"{name}: {sentence}" if name else sentence for name, all_ in fields.items() for sentence in all_
    )
    return answer(400, "INVALID", message, errors=fields)


def _sentences(detail: Any, place: str) -> Iterator[tuple[str, str]]:
    """Yield each sentence with the place it is about, such as `escalationRules[0].users`."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _sentences(inner, _within(place, name))
    elif isinstance(detail, list):
        for index, inner in enumerate(detail):
            nested = isinstance(inner, dict | list)
            yield from _sentences(inner, f"{place}[{index}]" if nested else place)
    else:
        yield place, str(detail)


def _within(place: str, name: str | int) -> str:
    if name == "non_field_errors":
        return place
    if isinstance(name, int):  # a place in a list
        return f"{place}[{name}]"
    return f"{place}.{name}" if place else name


def _refused(error: exceptions.APIException) -> Response:
    headers = {}
    if value := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = value
    if (wait := getattr(error, "wait", None)) is not None:
        headers["Retry-After"] = str(int(wait) + 1)
    code = getattr(error, "word", "") or CODES.get(error.status_code, "ERROR")
    return answer(error.status_code, code, str(error.detail), headers)
