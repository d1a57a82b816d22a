"""Three in the morning, a phone in one hand: message, link, accept, detail, escalate, resolve, and back again."""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.conftest import Installation, installed, sign_in, watch
from tests.e2e.test_every_page import serious
from tests.e2e.test_straight_line import create_source, outbox, post, took
from tests.payloads import payload

pytestmark = pytest.mark.e2e
PHONE = {"width": 360, "height": 740}
# What a thumb hits; links within text may be smaller.
SMALL = """() => [...document.querySelectorAll('main :is(button, input, select, summary, .button, .tab)')]
    .filter((one) => one.checkVisibility() && !one.closest('dialog, p, .visually-hidden'))
    .map((one) => [one.innerText || one.ariaLabel, (one.closest('label') ?? one).getBoundingClientRect()])
    .filter(([, box]) => box.height > 0 && (box.height < 43.9 || box.width < 43.9))
    .map(([name, box]) => `${name}: ${box.width} x ${box.height}`)"""


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One of its own, as it counts on what is there."""
    with installed(tmp_path_factory.mktemp("night")) as installation:
        yield installation


@pytest.fixture(scope="module")
def desk(installation: Installation, browser: Browser) -> Iterator[Page]:
    """Somebody at a desk, who sees the mail."""
    context = browser.new_context()
    page = context.new_page()
    sign_in(page, installation)
    yield page
    context.close()


@pytest.fixture(scope="module")
def webhook_url(desk: Page) -> str:
    return create_source(desk)


@pytest.fixture(params=["light", "dark"])
def phone(request: pytest.FixtureRequest, browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(
        viewport=PHONE, color_scheme=request.param, has_touch=True, is_mobile=True, device_scale_factor=2
    )
    yield context
    context.close()


def mailed_link(desk: Page, installation: Installation, number: int) -> str:
    """Wait for the mail about an incident; returns the link in it."""
    found: list[str] = []

    def arrived() -> bool:
        for link in re.findall(rf"{installation.url}/i/[^\s\"<]+", outbox(desk, installation)):
            if f"#{number} " in desk.request.get(link).text():
                found.append(link)
        return bool(found)

    took(time.monotonic(), 10, arrived, "the mail")
    return found[0]


def look(page: Page, name: str) -> None:
    """The page is fit for a thumb and for assistive technology; SHOTS=folder keeps a picture."""
    if folder := os.environ.get("SHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
        page.screenshot(path=f"{folder}/{name}-{'dark' if dark else 'light'}.png", full_page=True)
    small = page.evaluate(SMALL)
    assert not small, f"{name}: {small}"
    for width in (320, PHONE["width"]):
        page.set_viewport_size({"width": width, "height": PHONE["height"]})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} at {width}"
    assert serious(page) == []


def test_the_walk(
    installation: Installation, desk: Page, webhook_url: str, phone: BrowserContext, complaints: list[str]
) -> None:
    answer = post(webhook_url, payload("sematext", "alert", description=f"Disk of web-{id(phone)} is full"))
    number = int(answer["incidentUrl"].rstrip("/").rsplit("/", 1)[1])
    page = watch(phone.new_page(), complaints)

    page.goto(mailed_link(desk, installation, number))
    expect(page.get_by_role("button", name="Accept")).to_be_in_viewport()
    look(page, "link")
    page.get_by_role("button", name="Accept").tap()
    expect(page.get_by_text("It is yours")).to_be_visible()
    look(page, "accepted")

    # Everything beyond the accept asks who it is.
    page.get_by_role("link", name="Open the incident").tap()
    page.get_by_label("E-mail").fill(installation.email)
    page.get_by_label("Password", exact=True).fill(installation.password)
    page.get_by_role("button", name="Sign in").tap()
    page.wait_for_url(f"**/incidents/{number}/")
    expect(page.get_by_text("Admin accepted it.")).to_be_visible()
    expect(page.get_by_role("button", name="Resolve")).to_be_in_viewport()
    look(page, "detail")

    page.get_by_role("button", name="Escalate").tap()
    expect(page.get_by_text("Escalated: the next level is asked now")).to_be_visible()
    look(page, "escalated")
    page.get_by_role("button", name="Resolve", exact=True).tap()
    expect(page.get_by_text("Admin resolved it.")).to_be_visible()
    look(page, "resolved")
    page.get_by_role("button", name="Undo resolve").tap()
    expect(page.get_by_text("Reopened: the resolve was taken back")).to_be_visible()
    page.get_by_role("button", name="Resolve", exact=True).tap()
    expect(page.get_by_text("Admin resolved it.")).to_be_visible()


def test_the_page_follows_by_itself_and_keeps_what_is_folded_out(
    installation: Installation, desk: Page, webhook_url: str, phone: BrowserContext, complaints: list[str]
) -> None:
    body = payload("sematext", "alert", description=f"Queue of mail-{id(phone)} is long")
    number = int(post(webhook_url, body)["incidentUrl"].rstrip("/").rsplit("/", 1)[1])
    page = watch(phone.new_page(), complaints)
    sign_in(page, installation)
    with page.expect_request(lambda request: f"/{number}/stream" in request.url):
        page.goto(f"{installation.url}/incidents/{number}/")
    page.get_by_text("Raw payload").tap()
    post(webhook_url, body)
    expect(page.get_by_text("The same alert again")).to_be_visible(timeout=3000)
    expect(page.locator("#raw pre")).to_be_visible()

    page.get_by_role("link", name="Incidents").first.tap()
    expect(page.locator(f"#incident-{number}")).to_be_visible()
    page.get_by_text("Filters").tap()
    page.locator(f"#incident-{number} .row-select").tap()
    look(page, "list")
    page.locator(f"#incident-link-{number}").tap()
    page.get_by_role("link", name="Comments").tap()
    expect(page.get_by_text("Nothing of this kind has happened.")).to_be_visible()
    look(page, "no-comments")
    page.go_back()
    expect(page.get_by_text("The same alert again")).to_be_visible()


def test_what_is_not_there_says_so(
    installation: Installation, desk: Page, phone: BrowserContext, complaints: list[str]
) -> None:
    page = phone.new_page()
    sign_in(page, installation)
    page.goto(f"{installation.url}/incidents/999999/")
    expect(page.get_by_text("may have been deleted, or it belongs to a team that you are not in")).to_be_visible()
    expect(page.get_by_role("link", name="To the incidents")).to_be_visible()
    look(page, "not-there")
