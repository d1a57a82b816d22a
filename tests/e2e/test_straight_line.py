"""The whole walk in a real browser: from the first page to a phone that rings, an accept, and the recovery."""

import json
import re
import time
import urllib.request
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Installation, sign_in, watch
from tests.payloads import payload

pytestmark = pytest.mark.e2e

SUMMARY = "Disk usage of web-1 is above 95 % on /var"
MAILED, RUNG, LISTED = 1.0, 1.0, 3.0


def test_from_the_first_page_to_the_recovery(
    installation: Installation, browser: Browser, complaints: list[str]
) -> None:
    page = watch(browser.new_context().new_page(), complaints)
    sign_in(page, installation)
    topic = add_phone(page, installation)
    webhook_url = create_source(page)
    incidents = watch(page.context.new_page(), complaints)
    incidents.goto(f"{installation.url}/incidents/")

    started = time.monotonic()
    assert post(webhook_url, payload("sematext", "alert"))["outcome"] == "opened"
    took(started, RUNG, lambda: installation.ntfy.messages(topic), "the phone rings")
    took(started, MAILED, lambda: SUMMARY in outbox(page, installation), "the mail is in the outbox")
    incidents.get_by_role("link", name=SUMMARY).wait_for(timeout=LISTED * 1000 - (time.monotonic() - started) * 1000)
    expect(page.get_by_text("Events arrive")).to_be_visible()

    incidents.get_by_role("link", name=SUMMARY).click()
    expect(incidents.get_by_text("Asked now: Admin")).to_be_visible()
    link = re.search(rf"{installation.url}/i/[^\s\"<]+", outbox(page, installation)).group()
    accept_signed_out(browser, link, complaints)
    expect(incidents.get_by_text("Admin accepted it.")).to_be_visible()

    assert post(webhook_url, payload("sematext", "back_to_normal"))["outcome"] == "resolved"
    expect(incidents.get_by_text("Back to normal: resolved by the tool itself")).to_be_visible()
    expect(incidents.get_by_text("The tool itself resolved it.")).to_be_visible()
    took(time.monotonic(), 5, lambda: len(installation.ntfy.messages(topic)) == 2, "the notice that it is over")
    assert installation.ntfy.messages(topic)[-1]["title"].startswith("Resolved: ")


def add_phone(page: Page, installation: Installation) -> str:
    """Set ntfy up from the profile, with a server of one's own. Returns the topic."""
    page.goto(f"{installation.url}/profile")
    page.get_by_role("link", name="ntfy").click()
    page.get_by_text("Server, topic and access token").click()
    page.locator("[name=server]").fill(installation.ntfy.url)
    topic = page.locator("[name=topic]").input_value()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("ntfy took it")).to_be_visible()
    (sent,) = installation.ntfy.messages(topic)
    page.get_by_label("Code").fill(sent["title"][:6])
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_text("It reaches you.")).to_be_visible()
    installation.ntfy.published.clear()
    return topic


def create_source(page: Page) -> str:
    """Create a Sematext source as the documentation walks it. Returns the webhook URL that the page shows."""
    page.get_by_role("link", name="Alert sources").first.click()
    page.get_by_role("link", name="Create new alert source").first.click()
    page.get_by_role("searchbox").fill("sema")
    page.get_by_role("link", name="Sematext").click()
    page.get_by_label("Name", exact=True).fill("Sematext production")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Waiting for the first event…")).to_be_visible()
    expect(page.get_by_text("$backToNormal").first).to_be_visible()
    return page.get_by_label("Webhook URL").first.input_value()


def post(url: str, body: bytes) -> dict[str, str]:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as response:
        answer: dict[str, str] = json.load(response)
    return answer


def took(started: float, limit: float, condition: Callable[[], object], what: str) -> None:
    """Wait for `condition`, at most until `limit` seconds after `started`."""
    while not condition():
        assert time.monotonic() - started < limit, f"{what}: not within {limit:g} s"
        time.sleep(0.02)
    print(f"{what}: {time.monotonic() - started:.2f} s")


def outbox(page: Page, installation: Installation) -> str:
    """Return the outbox page as the signed-in admin gets it."""
    return page.request.get(f"{installation.url}/outbox").text()


def accept_signed_out(browser: Browser, link: str, complaints: list[str]) -> None:
    """Open the link of a mail with no session: looking changes nothing, one button accepts."""
    context = browser.new_context()
    page = watch(context.new_page(), complaints)
    for _ in range(2):
        page.goto(link)
        expect(page.get_by_text("Pending")).to_be_visible()
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_text("You have accepted this incident.")).to_be_visible()
    context.close()
