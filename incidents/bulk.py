"""One deed for many incidents at once, each with a result of its own, at the price of one."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from accounts.models import User
from incidents import services
from incidents.models import Incident

# As many as a page shows, and some more for those who select on several.
MAX = 200


class Deed(Protocol):
    def __call__(self, incident_ids: Collection[int], actor: User | None, now: datetime) -> list[services.Result]: ...


DEEDS: dict[str, Deed] = {"accept": services.accept_all, "resolve": services.resolve_all}


@dataclass(frozen=True)
class Result:
    """What came of it for one incident. `text` says why nothing changed."""

    incident_id: int
    summary: str
    changed: bool
    text: str = ""


def do_all(deed: Deed, ids: Iterable[int], actor: User, now: datetime) -> list[Result]:
    """Do `deed` to the first `MAX` of the incidents; the results are in the order of their numbers."""
    wanted = sorted(set(ids))[:MAX]
    visible = list(Incident.objects.visible_to(actor).filter(pk__in=wanted).values_list("pk", flat=True))
    done = {result.incident.pk: result for result in deed(visible, actor, now)}
    first = services.who_were_first([result.incident for result in done.values() if not result.changed])
    return [_told(incident_id, done.get(incident_id), first) for incident_id in wanted]


def _told(incident_id: int, done: services.Result | None, first: dict[int, str]) -> Result:
    if done is None:
        # It was deleted, or belongs to another team: which of both is not told.
        return Result(incident_id, "", False, "There is no such incident any more.")
    return Result(incident_id, done.incident.summary, done.changed, first.get(incident_id, ""))
