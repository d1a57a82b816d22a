"""Every page as people see it: both themes, wide and narrow, for assistive technology, and how much it weighs."""

import json
import os
from itertools import pairwise
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page

from tests.e2e.conftest import Installation, sign_in, watch
from tests.e2e.test_straight_line import create_source, post, took
from tests.payloads import payload

pytestmark = pytest.mark.e2e

FIRST_LOAD = 100_000
VIEWS = [(1280, "light"), (1280, "dark"), (360, "light"), (360, "dark")]
PATHS = [
    "/incidents/",
    "/incidents/?tab=resolved",
    "/incidents/?tab=all&mine=1&q=disk&since=2026-01-01",
    "/incidents/1/",
    "/incidents/new",
    "/escalation-policies/",
    "/escalation-policies/1/",
    "/escalation-policies/1/edit",
    "/escalation-policies/new",
    "/alert-sources/",
    "/alert-sources/new",
    "/alert-sources/new/sematext",
    "/alert-sources/1/",
    "/alert-sources/1/edit",
    "/alert-sources/1/events",
    "/alert-sources/1/events/1",
    "/alert-sources/1/delete",
    "/profile",
    "/profile/quiet-times",
    "/people/unreachable",
    "/profile/api-keys",
    "/people/",
    "/people/1/",
    "/people/1/edit",
    "/people/invite",
    "/teams/new",
    "/audit-log",
    "/sessions/",
    "/accounts/2fa/",
    "/profile/contact-methods/2/verify",
    "/profile/contact-methods/add/email",
    "/profile/contact-methods/add/ntfy",
    "/profile/contact-methods/add/webhook",
    "/outbox",
    "/system",
    "/failed-events/",
    "/styleguide",
    "/accounts/password/change/",
    "/nowhere",
]
SIGNED_OUT = [
    "/accounts/login/",
    "/accounts/password/reset/",
    "/i/not-a-token",
    "/invitation/not-a-token",
    "/contact-methods/confirm/not-a-token",
]
# For a person to look at: SHOTS=some/folder keeps a picture of every page.
SHOTS = os.environ.get("SHOTS")


@pytest.fixture(scope="module")
def session(installation: Installation, browser: Browser) -> str:
    """The cookies of a signed-in admin who has a source, an incident, and a contact method to confirm."""
    context = browser.new_context()
    page = context.new_page()
    sign_in(page, installation)
    url = create_source(page)
    post(url, payload("sematext", "with_rule_id"))
    took_mail = lambda: "No heartbeat from" in page.request.get(f"{installation.url}/outbox").text()  # noqa: E731
    took(0.0, float("inf"), took_mail, "the mail")
    page.goto(f"{installation.url}/profile/contact-methods/add/email")
    page.get_by_label("E-mail address").fill("second@example.org")
    page.get_by_role("button", name="Save").click()
    state = json.dumps(context.storage_state())
    context.close()
    return state


@pytest.mark.parametrize(("width", "scheme"), VIEWS)
def test_no_page_has_a_serious_finding(
    installation: Installation, browser: Browser, session: str, complaints: list[str], width: int, scheme: str
) -> None:
    findings: list[str] = []
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    signed_in = browser.new_context(storage_state=json.loads(session), **options)
    for context, paths in ((signed_in, PATHS), (browser.new_context(**options), SIGNED_OUT)):
        findings += look_at(context, installation.url, paths, complaints, f"{width}-{scheme}")
        context.close()
    complaints[:] = [text for text in complaints if "404 (Not Found)" not in text]
    assert findings == []


def look_at(context: BrowserContext, url: str, paths: list[str], complaints: list[str], name: str) -> list[str]:
    page = watch(context.new_page(), complaints)
    findings = []
    for path in paths:
        page.goto(f"{url}{path}")
        page.wait_for_timeout(150)
        if SHOTS:
            page.screenshot(
                path=Path(SHOTS) / f"{path.strip('/').replace('/', '_') or 'home'}-{name}.png", full_page=True
            )
        findings += [f"{path} {name}: {finding}" for finding in serious(page)]
    return findings


# A button on its way from one theme to the other has colours of neither, and a message that appears has none yet. What
# goes away meanwhile ends its animations with an error.
_SETTLED = """() => Promise.allSettled(
    document.getAnimations().filter(one => one.effect.getComputedTiming().endTime < Infinity).map(one => one.finished)
)"""


def serious(page: Page) -> list[str]:
    page.evaluate(_SETTLED)
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['help']} at {[node['target'] for node in one['nodes']][:3]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("path", PATHS)
def test_no_page_scrolls_sideways_at_320_px(
    installation: Installation, browser: Browser, session: str, path: str
) -> None:
    context = browser.new_context(storage_state=json.loads(session), viewport={"width": 320, "height": 640})
    page = context.new_page()
    page.goto(f"{installation.url}{path}")
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    context.close()


@pytest.mark.parametrize("width", [320, 360])
def test_the_bar_of_a_phone_has_room_for_its_words(
    installation: Installation, browser: Browser, session: str, width: int
) -> None:
    """What an admin has beside the four that everybody has is in the menu."""
    context = browser.new_context(storage_state=json.loads(session), viewport={"width": width, "height": 640})
    page = context.new_page()
    page.goto(f"{installation.url}/incidents/")
    words = page.locator(".nav-link .nav-short >> visible=true")
    assert words.all_inner_texts() == ["Incidents", "Policies", "Sources", "People", "You"]
    boxes = [box for word in words.all() if (box := word.bounding_box())]
    assert all(left["x"] + left["width"] + 3 < right["x"] for left, right in pairwise(boxes))
    page.get_by_role("button", name="You").click()
    page.wait_for_timeout(300)
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"menu-{width}.png")
    page.locator(".user-menu").get_by_role("link", name="Audit log").click()
    page.wait_for_url("**/audit-log")
    context.close()


@pytest.mark.parametrize("path", ["/incidents/", "/incidents/1/", "/alert-sources/1/events", "/audit-log"])
def test_paper_is_used_over_its_whole_width(
    installation: Installation, browser: Browser, session: str, path: str
) -> None:
    """A4 at 96 dpi is 794 px wide. What can only be pressed is not there, and nothing is dark."""
    context = browser.new_context(
        storage_state=json.loads(session), viewport={"width": 794, "height": 1123}, color_scheme="dark"
    )
    page = context.new_page()
    page.goto(f"{installation.url}{path}")
    page.emulate_media(media="print")
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{path.strip('/').replace('/', '_')}-paper.png", full_page=True)
    assert page.locator("main").bounding_box()["width"] > 750  # type: ignore[index]
    assert not page.locator(".nav").is_visible()
    assert not page.get_by_role("button").filter(visible=True).count()
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
    context.close()


@pytest.mark.parametrize("path", ["/accounts/login/", "/incidents/", "/incidents/1/", "/alert-sources/1/"])
def test_a_first_load_is_light(installation: Installation, browser: Browser, session: str, path: str) -> None:
    context = browser.new_context(storage_state=None if "login" in path else json.loads(session))
    page = context.new_page()
    network = context.new_cdp_session(page)
    network.send("Network.enable")
    sizes: list[float] = []
    network.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.goto(f"{installation.url}{path}")
    page.wait_for_timeout(500)
    print(f"{path}: {sum(sizes) / 1000:.1f} kB in {len(sizes)} requests")
    assert 0 < sum(sizes) <= FIRST_LOAD
    context.close()
