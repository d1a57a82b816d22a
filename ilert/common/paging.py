"""Keyset paging: the next page is found by the last row's id, so that a list never slows down with age."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db.models import Model, QuerySet

T = TypeVar("T", bound=Model)


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page, newest first. `next` is the cursor of the page after it, empty on the last one."""

    items: list[T]
    next: str
    is_first: bool


def keyset_page(rows: "QuerySet[T]", before: str, size: int) -> "Page[T]":
    """Return the `size` newest of `rows` that are older than the row with the id `before`; rubbish means the start."""
    is_cursor = before.isdecimal() and len(before) < 19
    if is_cursor:
        rows = rows.filter(pk__lt=int(before))
    found = list(rows.order_by("-pk")[: size + 1])
    following = str(found[size - 1].pk) if len(found) > size else ""
    return Page(found[:size], following, is_first=not is_cursor)
