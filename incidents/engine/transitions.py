"""Which deed leads from which status to which. Pure: one table, nothing else decides."""

from enum import StrEnum

from incidents.models import Status


class Deed(StrEnum):
    """What can be done to an incident, by people, by tools, or by time."""

    ACCEPT = "accept"
    RENEW = "renew"
    """Say that one is still on it: the accept time-out counts anew. Accepting again is that."""
    RESOLVE = "resolve"
    ESCALATE = "escalate"
    """Ask the next level now."""
    ASSIGN = "assign"
    """Ask somebody else, or along another policy."""
    SNOOZE = "snooze"
    """Ask nobody until a time, then from the first level on."""
    RAISE = "raise"
    """LOW becomes HIGH."""
    MERGE = "merge"
    """Go on as a part of another incident."""
    COMMENT = "comment"
    REOPEN = "reopen"
    """Take a resolve back."""


_PENDING, _ACCEPTED, _RESOLVED = Status.PENDING, Status.ACCEPTED, Status.RESOLVED
TRANSITIONS: dict[tuple[Status, Deed], Status] = {
    (_PENDING, Deed.ACCEPT): _ACCEPTED,
    (_ACCEPTED, Deed.RENEW): _ACCEPTED,
    (_PENDING, Deed.RESOLVE): _RESOLVED,
    (_ACCEPTED, Deed.RESOLVE): _RESOLVED,
    # Whoever asks others, or asks to be asked later, has not got it any more.
    (_PENDING, Deed.ESCALATE): _PENDING,
    (_ACCEPTED, Deed.ESCALATE): _PENDING,
    (_PENDING, Deed.ASSIGN): _PENDING,
    (_ACCEPTED, Deed.ASSIGN): _PENDING,
    (_PENDING, Deed.SNOOZE): _PENDING,
    (_ACCEPTED, Deed.SNOOZE): _PENDING,
    (_PENDING, Deed.RAISE): _PENDING,
    (_ACCEPTED, Deed.RAISE): _ACCEPTED,
    # Somebody works on the other incident, so nobody need be asked about this one.
    (_PENDING, Deed.MERGE): _ACCEPTED,
    (_ACCEPTED, Deed.MERGE): _ACCEPTED,
    (_PENDING, Deed.COMMENT): _PENDING,
    (_ACCEPTED, Deed.COMMENT): _ACCEPTED,
    (_RESOLVED, Deed.COMMENT): _RESOLVED,
    (_RESOLVED, Deed.REOPEN): _PENDING,
}


def after(status: int, deed: Deed) -> Status | None:
    """Return the status that `deed` leads to, or None when it cannot be done any more (a late or repeated deed)."""
    return TRANSITIONS.get((Status(status), deed))
