"""Whoever has a message in hand is killed, or asked to leave: the message arrives, soon and if possible once."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from aiosmtpd.smtp import SMTP

from ilert.embedded import paths
from tests.faults.running import Process, Up, eventually, family
from tests.faults.test_watch import make_source, post
from tests.servers.smtp import SmtpServer, hang

pytestmark = pytest.mark.faults

FATES = "SELECT state, attempt_count FROM notifications_notification ORDER BY created_at"


@contextmanager
def posted(mail: SmtpServer, up: Callable[..., Up]) -> Iterator[tuple[Up, psycopg.Connection[tuple[object, ...]]]]:
    """An installation that has just been told of a problem."""
    running = up(EMAIL_URL=f"smtp://127.0.0.1:{mail.port}").runs(60)
    post(running, make_source(running), "web-1")
    with psycopg.connect(paths.database_url(running.data_dir), autocommit=True) as database:
        yield running, database


def pool(running: Up) -> list[Process]:
    return family(running.member("ilert-worker").pid)[1:]


def test_killed_sender_s_message_is_taken_over_within_seconds(up: Callable[..., Up]) -> None:
    with SmtpServer(answers={"DATA": hang}) as mail, posted(mail, up) as (running, database):
        eventually(lambda: database.execute(FATES).fetchall() == [("sending", 1)], 20, "a message on its way")
        mail.answers.clear()
        for process in pool(running):
            os.kill(process.pid, signal.SIGKILL)
        # Not the 15 s of its lease.
        waited = eventually(lambda: mail.mails, 6, "the message, from somebody else")
        print(f"\nsent again {waited:.1f} s after its sender was killed")
        eventually(lambda: database.execute(FATES).fetchall() == [("accepted", 2)], 5, "what came of it")
        assert len(mail.mails) == 1


def test_worker_that_is_asked_to_leave_ends_what_it_sends(up: Callable[..., Up]) -> None:
    reached = threading.Event()

    async def dawdle(server: SMTP) -> str:
        reached.set()
        await asyncio.sleep(3)
        return ""

    with SmtpServer(answers={"DATA": dawdle}) as mail, posted(mail, up) as (running, database):
        assert reached.wait(20)
        os.kill(running.member("ilert-worker").pid, signal.SIGTERM)
        eventually(lambda: database.execute(FATES).fetchall() != [("sending", 1)], 20, "an end")
        assert database.execute(FATES).fetchall() == [("accepted", 1)]
        assert len(mail.mails) == 1
