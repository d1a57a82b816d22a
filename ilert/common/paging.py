"""Keyset paging: the next page is found by the last row's id, so that a list never slows down with age."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db.models import Model, QuerySet

from ilert.common.text import number

T = TypeVar("T", bound=Model)


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page, newest first. `next` is the cursor of the page after it, empty on the last one."""

    items: list[T]
    next: str
    is_first: bool


def keyset_page(rows: "QuerySet[T]", before: str, size: int) -> "Page[T]":
    """Return the `size` newest of `rows` that are older than the row with the id `before`; rubbish means the start."""
    cursor = number(before)
    if cursor is not None:
        rows = rows.filter(pk__lt=cursor)
    found = list(rows.order_by("-pk")[: size + 1])
    following = str(found[size - 1].pk) if len(found) > size else ""
    return Page(found[:size], following, is_first=cursor is None)
