"""The walk of docs/rest.md, run as it stands there."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from accounts.api_keys.services import create_api_key
from accounts.models import Role, User
from incidents.models import Incident, Status
from tests.conftest import NOW

DOCS = Path(django_settings.BASE_DIR) / "docs" / "rest.md"


@pytest.mark.skipif(not shutil.which("curl"), reason="the walk is made with curl")
@pytest.mark.django_db(transaction=True)
def test_the_walk_works_as_it_is_written(live_server: LiveServer, settings: Settings) -> None:
    settings.PUBLIC_URL = live_server.url
    walker = User.objects.create_user("walker@example.org", "walker-password", name="Walker", role=Role.ADMIN)
    _, key = create_api_key(walker, "walk", NOW)
    (script,) = re.findall(r"```sh\n(.*?)```", DOCS.read_text(), re.DOTALL)

    done = subprocess.run(
        ["sh", "-c", script],
        env={"PATH": os.environ["PATH"], "ILERT": live_server.url, "KEY": key},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert '"outcome":"opened"' in done.stdout.replace(" ", "")
    assert "ACCEPTED" in done.stdout.splitlines()
    assert "RESOLVED" in done.stdout.splitlines()
    assert Incident.objects.get().status == Status.RESOLVED
    entries = json.loads(done.stdout[done.stdout.rindex("[{") :])
    assert [entry["type"] for entry in entries if entry["actor"] == "Walker"] == ["resolved", "commented", "accepted"]
    assert entries[-1]["type"] == "event.opened"
