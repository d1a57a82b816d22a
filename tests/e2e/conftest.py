"""A real installation, started as a newcomer starts it, and a real browser in front of it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.faults.running import Up, free_port
from tests.servers.ntfy import NtfyServer

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
# Chromium's own chatter with the world would fail here, and would say nothing about the product.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(frozen=True)
class Installation:
    """A running product with nothing in it, and the phone of its admin."""

    url: str
    email: str
    password: str
    ntfy: NtfyServer


@contextmanager
def installed(folder: Path) -> Iterator[Installation]:
    """Run an installation of its own, whose data is in `folder`."""
    port = free_port()
    url = f"http://localhost:{port}"
    with NtfyServer() as ntfy:
        up = Up(folder / "var", port=port, PUBLIC_URL=url, ILERT_ALLOW_PRIVATE_NETWORKS="127.0.0.0/8")
        try:
            email, password = up.says(r"Sign in as +(\S+)[\s|]+Password +(\S+)", 60).groups()
            up.runs().serves()
            yield Installation(url, email, password, ntfy)
        finally:
            up.end()


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("installation")) as installation:
        yield installation


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """What the browser complains about, errors of scripts and of the content security policy; a test ends without."""
    found: list[str] = []
    yield found
    assert found == []


def watch(page: Page, complaints: list[str]) -> Page:
    """Collect what `page` complains about."""

    def on_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(f"{page.url}: {message.text}")

    page.on("console", on_console)
    page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
    return page


def sign_in(page: Page, installation: Installation) -> None:
    page.goto(installation.url)
    page.get_by_label("E-mail").fill(installation.email)
    page.get_by_label("Password", exact=True).fill(installation.password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Incidents", level=1).wait_for()
