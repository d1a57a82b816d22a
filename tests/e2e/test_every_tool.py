"""Create, copy, paste, first event: for every kind of tool, with the very lines that its page shows."""

import re
import subprocess

import pytest
from playwright.sync_api import Browser, Page, expect

import integrations
from integrations import Integration
from tests.e2e.conftest import Installation, sign_in, watch

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("integration", integrations.ALL, ids=lambda integration: integration.slug)
@pytest.mark.parametrize("width", [1280, 360])
def test_from_the_gallery_to_the_first_event(
    installation: Installation, browser: Browser, complaints: list[str], integration: Integration, width: int
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = watch(context.new_page(), complaints)
    sign_in(page, installation)
    name = f"{integration.name} at {width} px"
    create(page, integration, name)
    expect(page.get_by_text(re.compile("resolve", re.IGNORECASE)).first).to_be_visible()

    answer = run(first_command(page))
    assert '"outcome": "opened"' in answer or '"outcome":"opened"' in answer, answer
    expect(page.get_by_text("Events arrive")).to_be_visible()
    page.get_by_role("link", name=re.compile("Try-out|try-out|Disk|disk", re.IGNORECASE)).first.click()
    expect(page.get_by_text("Alert received, incident opened")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    context.close()


def create(page: Page, integration: Integration, name: str) -> None:
    page.get_by_role("link", name=re.compile("Alert sources|Sources")).first.click()
    page.get_by_role("link", name="Create new alert source").first.click()
    page.get_by_role("searchbox").fill(integration.name)
    page.get_by_role("link", name=integration.name).first.click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Waiting for the first event…")).to_be_visible()


def first_command(page: Page) -> str:
    """Return the first line of a terminal that the page gives away, as its copy button does."""
    blocks = page.locator("pre.code-text").all_inner_texts()
    return next(block for block in blocks if block.startswith("curl"))


def run(command: str) -> str:
    result = subprocess.run(
        ["bash", "-c", f"{command} --silent"], capture_output=True, text=True, timeout=10, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout
