"""An incident with its timeline as Markdown, to be pasted into a ticket or the report of the morning after."""

from collections.abc import Iterator
from datetime import datetime

from django.utils import timezone

from accounts.models import User
from ilert.common.markdown import escape
from incidents.models import Incident
from incidents.timeline import Item, section

MOST = 2000


def as_markdown(incident: Incident, viewer: User) -> str:
    """Return it with the oldest line first, as `viewer` may see it; times are those of the current time zone."""
    return "\n".join(_lines(incident, viewer)) + "\n"


def _lines(incident: Incident, viewer: User) -> Iterator[str]:
    newest = section(incident, size=MOST, viewer=viewer)
    yield f"# {escape(f'#{incident.pk} {incident.summary}')}\n"
    for name, value in _facts(incident):
        yield f"- **{name}:** {escape(value)}"
    if incident.details:
        yield "\n## Details\n"
        yield from (f"> {escape(line)}".rstrip() for line in incident.details.splitlines())
    yield f"\n## Timeline ({timezone.get_current_timezone_name()})\n"
    if newest.next:
        yield f"The newest {MOST} lines.\n"
    yield from map(_line, reversed(newest.items))


def _facts(incident: Incident) -> Iterator[tuple[str, str]]:
    yield "Status", incident.get_status_display()
    yield "Priority", incident.get_priority_display()
    yield "Alert source", str(incident.alert_source)
    yield "Escalation policy", str(incident.escalation_policy or "deleted")
    yield "Reported", _clock(incident.reported_at)
    if incident.accepted_at:
        yield "Accepted", _clock(incident.accepted_at)
    if incident.resolved_at:
        yield "Resolved", _clock(incident.resolved_at)
    if incident.responder:
        yield "Responder", str(incident.responder)
    yield "Events", str(incident.event_count)
    yield "Incident key", incident.incident_key


def _line(item: Item) -> str:
    said = f"{item.sentence} ({item.actor})" if item.actor else item.sentence
    return f"- `{_clock(item.at)}` {escape(said)}" + (f": {escape(item.detail)}" if item.detail else "")


def _clock(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S}"
