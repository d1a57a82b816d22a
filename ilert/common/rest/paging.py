"""Pages of lists: `max-results` and `start-index` as iLert has them, and a cursor that is good at any depth.

The cursor is the last row's id. It is in the `Link` header, so that a list is a plain JSON array.
"""

from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ilert.common.links import absolute
from ilert.common.text import number

MAX_RESULTS = 100
MAX_START = 10_000
CURSOR = "cursor"


class KeysetPagination(BasePagination):
    """The newest first, unless a view says with `ascending` that ids grow along its list."""

    default_size = 50

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        ascending = getattr(view, "ascending", False)
        self.size = whole(request, "max-results", self.default_size, least=1, most=MAX_RESULTS)
        start = whole(request, "start-index", 0, least=0, most=MAX_START)
        cursor = whole(request, CURSOR, 0, least=0, most=2**63 - 1)
        if cursor:
            queryset = queryset.filter(**{"pk__gt" if ascending else "pk__lt": cursor})
        found = list(queryset.order_by("pk" if ascending else "-pk")[start : start + self.size + 1])
        self.next = next_link(request, found[self.size - 1].pk) if len(found) > self.size else ""
        return found[: self.size]

    def get_paginated_response(self, data: Any) -> Response:
        return listed(data, self.next)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return schema

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        return PARAMETERS


def listed(data: Any, link: str) -> Response:
    """Return a page of a list with the link to the next one, if there is one."""
    return Response(data, headers={"Link": link} if link else None)


def next_link(request: Request, last_id: int) -> str:
    """Return the `Link` to what comes after the row with `last_id`; it keeps the filters."""
    query = request.query_params.copy()
    query.pop("start-index", None)
    query[CURSOR] = str(last_id)
    return f'<{absolute(request.path)}?{query.urlencode()}>; rel="next"'


def whole(request: Request, name: str, default: int, *, least: int, most: int) -> int:
    """Return a whole number from the query string."""
    text = request.query_params.get(name)
    if text is None:
        return default
    value = number(text)
    if value is None or not least <= value <= most:
        raise ValidationError({name: [f"Give a whole number from {least} to {most}."]})
    return value


def _parameter(name: str, text: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": text, "schema": {"type": "integer", **schema}}


PARAMETERS = [
    _parameter("max-results", "How many at most.", minimum=1, maximum=MAX_RESULTS, default=50),
    _parameter("start-index", "How many to leave out first.", minimum=0, maximum=MAX_START, default=0),
    _parameter(CURSOR, "Where the next page begins, as the Link header of the page before says.", minimum=0),
]
