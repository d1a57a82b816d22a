"""Faults are planted in a running product; the system page must tell each within 90 s, and say what to do."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import httpx
import psycopg
import pytest

from ilert.embedded import paths
from tests.faults.running import ROOT, Up, environment, eventually
from tests.servers.smtp import SmtpServer

pytestmark = pytest.mark.faults

PASSWORD = "planted-password-1"
WITHIN = 90
MAKE_SOURCE = (
    "from alertsources.services import create_source; from oncall.models import EscalationPolicy;"
    "print(create_source('Planted', 'SEMATEXT', EscalationPolicy.objects.get()).integration_key)"
)
# What each fault must say: who is broken, and the first words of what to do.
WORDS = {
    "worker": ("No worker runs", "mend the broker first"),
    "broker": ("The broker cannot be reached", "Start Valkey or Redis again"),
    "step": ("Escalations stand still", "Restart the tickers and workers"),
    "mail": ("Messages by email fail", "Check the mail server and EMAIL_URL"),
}


def signed_in(up: Up) -> httpx.Client:
    client = httpx.Client(base_url=f"http://127.0.0.1:{up.port}", timeout=10)
    page = client.get("/accounts/login/").text
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert found
    form = {"csrfmiddlewaretoken": found[1], "login": "admin@localhost", "password": PASSWORD}
    answer = client.post("/accounts/login/", data=form)
    assert answer.status_code == 302, answer.text
    return client


def make_source(up: Up) -> str:
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", MAKE_SOURCE]
    env = environment(ILERT_DATA_DIR=str(up.data_dir))
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.split()[-1]


def post(up: Up, key: str, name: str) -> None:
    alert = {"applicationId": name, "ruleType": "THRESHOLD", "description": f"Disk of {name} is full"}
    answer = httpx.post(f"http://127.0.0.1:{up.port}/api/v1/events/sematext/{key}", content=json.dumps(alert))
    assert answer.status_code == 200, answer.text


def test_each_planted_fault_is_told_with_what_to_do(up: Callable[..., Up]) -> None:
    with SmtpServer() as mail:
        settings = {"EMAIL_URL": f"smtp://127.0.0.1:{mail.port}", "ILERT_ADMIN_PASSWORD": PASSWORD}
        running = up(**settings).runs(60)
        client = signed_in(running)
        key = make_source(running)
        eventually(lambda: "All is well" in client.get("/system").text, 60, "a calm start")
        with psycopg.connect(paths.database_url(running.data_dir), autocommit=True) as database:
            post(running, key, "web-1")
            eventually(lambda: mail.mails, 20, "the first mail")
            seconds = plant(running, client, key, mail, database)
        print("\n".join(f"{name}: told after {took:.1f} s" for name, took in seconds.items()))
        assert set(seconds) == set(WORDS)
        assert max(seconds.values()) <= WITHIN


def plant(
    running: Up, client: httpx.Client, key: str, mail: SmtpServer, database: psycopg.Connection[tuple[object, ...]]
) -> dict[str, float]:
    """Plant all faults at once and return after how many seconds each is told; then take them out again."""
    frozen = [running.member("ilert-worker").pid, running.member("valkey-server").pid]
    planted = time.monotonic()
    mail.answers["RCPT"] = "550 5.7.1 relaying denied"
    post(running, key, "web-2")
    database.execute("UPDATE incidents_incident SET next_escalation_at = now() + interval '2 s' WHERE status = 1")
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    seconds: dict[str, float] = {}
    # Somebody holds the rows, so that no ticker can take the step that is due.
    with database.transaction():
        database.execute("SELECT 1 FROM incidents_incident WHERE summary LIKE '%web-1%' FOR UPDATE")

        def told() -> bool:
            page = client.get("/system").text
            for name, words in WORDS.items():
                if all(word in page for word in words):
                    seconds.setdefault(name, time.monotonic() - planted)
            return len(seconds) == len(WORDS)

        eventually(told, WITHIN + 5, f"each fault on the page, found {seconds}")
    for pid in frozen:
        os.kill(pid, signal.SIGCONT)
    calm = lambda: not any(WORDS[name][0] in client.get("/system").text for name in ("worker", "broker", "step"))  # noqa: E731
    eventually(calm, WITHIN, "calm after the mending")
    return seconds
