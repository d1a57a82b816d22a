"""Which deed leads from which status to which. Pure: one table, nothing else decides."""

from enum import StrEnum

from incidents.models import Status


class Deed(StrEnum):
    ACCEPT = "accept"
    RESOLVE = "resolve"


TRANSITIONS: dict[tuple[Status, Deed], Status] = {
    (Status.PENDING, Deed.ACCEPT): Status.ACCEPTED,
    (Status.PENDING, Deed.RESOLVE): Status.RESOLVED,
    (Status.ACCEPTED, Deed.RESOLVE): Status.RESOLVED,
}


def after(status: int, deed: Deed) -> Status | None:
    """Return the status that `deed` leads to, or None when it changes nothing (a late or repeated deed)."""
    return TRANSITIONS.get((Status(status), deed))
