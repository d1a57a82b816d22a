"""Incidents that are open in browsers: a page learns that something has changed, and asks for what it shows.

One statement a second tells of all the incidents that anybody looks at in this process, however many pages they are.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Collection
from typing import LiteralString

from django.db import DatabaseError, connection

from incidents import live
from incidents.lifecycle import UNDO

# The messages of the newest entries; what happens to older ones does not change any more.
_MESSAGES = 200
# Everything that a page shows of an incident and that time alone does not change; and whether there is an undo.
_FINGERPRINTS: LiteralString = """
SELECT incident.id, md5(concat_ws(
    '|', incident.status, incident.priority, incident.event_count, incident.next_escalation_at, incident.snoozed_until,
    incident.responder_id, incident.merged_into_id, incident.escalation_policy_id, incident.resolved_at,
    clock_timestamp() - incident.resolved_at < make_interval(secs => %s),
    (SELECT max(event.id) FROM incidents_event AS event WHERE event.incident_id = incident.id),
    (SELECT max(entry.id) FROM incidents_logentry AS entry WHERE entry.incident_id = incident.id),
    (SELECT md5(string_agg(concat_ws(
        '|', message.state, message.attempt_count, message.answered_at, message.passed_on_at, message.carrier_id
    ), ' ' ORDER BY entry.id))
     FROM (SELECT id, notification_id FROM incidents_logentry
           WHERE incident_id = incident.id ORDER BY id DESC LIMIT %s) AS entry
     JOIN notifications_notification AS message ON message.id = entry.notification_id)
))
FROM incidents_incident AS incident WHERE incident.id = ANY(%s)
"""


_FINGERPRINT = re.compile(r"[0-9a-f]{32}")


def fingerprints(incident_ids: Collection[int]) -> dict[int, str]:
    """Return for each incident a word that changes whenever its page would show something else."""
    with connection.cursor() as cursor:
        cursor.execute(_FINGERPRINTS, [UNDO.total_seconds(), _MESSAGES, list(incident_ids)])
        return dict(cursor.fetchall())


class Watch:
    """The incidents that are looked at in this process."""

    def __init__(self) -> None:
        self._pages: dict[int, set[asyncio.Event]] = {}
        self._known: dict[int, str] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def is_full(self) -> bool:
        return sum(map(len, self._pages.values())) >= live.MAX_FOLLOWERS

    async def follow(self, incident_id: int, version: str, may_stay: live.MayStay) -> AsyncGenerator[str, None]:
        """Yield server-sent events for a page that shows `version` of an incident."""
        # Until the first look it is told to whoever else has the page open: what is no fingerprint could be an event.
        version = version if _FINGERPRINT.fullmatch(version) else ""
        wake = asyncio.Event()
        self._pages.setdefault(incident_id, set()).add(wake)
        if self._known.setdefault(incident_id, version) != version:
            wake.set()
        if self._task is None or self._task.done() or self._task.get_loop() is not asyncio.get_running_loop():
            self._task = asyncio.create_task(self._run())

        def changed() -> str:
            return f"event: changed\ndata: {self._known[incident_id]}\n\n"

        try:
            async for message in live.stream(wake, changed, may_stay):
                yield message
        finally:
            pages = self._pages[incident_id]
            pages.discard(wake)
            if not pages:
                del self._pages[incident_id], self._known[incident_id]

    async def _run(self) -> None:
        """Look once a second as long as anybody does."""
        while self._pages:
            # A database that is away is away for the pages too; they keep what they show.
            with contextlib.suppress(DatabaseError):
                self._tell(await live.in_thread(lambda: fingerprints(list(self._pages))))
            await asyncio.sleep(live.INTERVAL)

    def _tell(self, found: dict[int, str]) -> None:
        for incident_id, pages in self._pages.items():
            # An incident that is gone is news too: its page is not there any more.
            version = found.get(incident_id, "gone")
            if version != self._known.get(incident_id):
                self._known[incident_id] = version
                for wake in pages:
                    wake.set()


watch = Watch()
