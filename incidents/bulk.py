"""One deed for many incidents at once, each with a result of its own: what cannot be done holds up nothing else."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from accounts.models import User
from incidents import services
from incidents.models import Incident

# As many as a page shows, and some more for those who select on several.
MAX = 200
VERBS: dict[str, services.Verb] = {"accept": services.accept, "resolve": services.resolve}


@dataclass(frozen=True)
class Result:
    """What came of it for one incident. `text` says why nothing changed."""

    incident_id: int
    summary: str
    changed: bool
    text: str = ""


def do_all(verb: services.Verb, ids: Iterable[int], actor: User, now: datetime) -> list[Result]:
    """Do `verb` to the first `MAX` of the incidents, in the order of their numbers."""
    wanted = sorted(set(ids))[:MAX]
    visible = set(Incident.objects.visible_to(actor).filter(pk__in=wanted).values_list("pk", flat=True))
    return [_do(verb, pk, actor, now) if pk in visible else _missing(pk) for pk in wanted]


def _do(verb: services.Verb, incident_id: int, actor: User, now: datetime) -> Result:
    try:
        result = verb(incident_id, actor, now)
    except Incident.DoesNotExist:
        return _missing(incident_id)
    text = "" if result.changed else services.who_was_first(result.incident)
    return Result(incident_id, result.incident.summary, result.changed, text)


def _missing(incident_id: int) -> Result:
    """It was deleted, or belongs to another team: which of both is not told."""
    return Result(incident_id, "", False, "There is no such incident any more.")
