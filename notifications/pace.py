"""How fast messages may follow each other to one contact method. Pure: numbers in, a moment out.

A few incidents are told one by one and at once. More than a handful within a minute are told in bundles, whose
distance grows with their number: a few times a minute while there are dozens, once a minute in a storm.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

HANDFUL = 5
# This many within a minute are a storm: then there are no more messages than `MOST` within `WINDOW`, whatever came
# before it.
STORM = 1000
MOST = 10
WINDOW = timedelta(minutes=5)
MAX_GAP = timedelta(seconds=60)
# The first bundle does not wait longer than this for more to come.
FIRST_GAP = timedelta(seconds=10)
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Lately:
    """What waits for a contact method, and what has gone out to it.

    `recent` counts what the messages of the last minute told of, `tenth_at` is when the tenth last message went out.
    """

    waiting: int
    recent: int = 0
    last_at: datetime | None = None
    last_bundle_at: datetime | None = None
    tenth_at: datetime | None = None


def one_by_one(lately: Lately) -> bool:
    """Whether each that waits is a message of its own."""
    return lately.waiting + lately.recent <= HANDFUL


def bundle_at(lately: Lately, now: datetime) -> datetime:
    """Return when the bundle of what waits may go out."""
    number = lately.waiting + lately.recent
    gap = min(MAX_GAP, timedelta(seconds=(number / 10) ** 2))
    moments = [now]
    if lately.last_at:
        moments.append(lately.last_at + min(gap, FIRST_GAP))
    if lately.last_bundle_at:
        moments.append(lately.last_bundle_at + gap)
    if lately.tenth_at and number > STORM:
        moments.append(lately.tenth_at + WINDOW)
    return max(moments)
