"""The list of incidents as people work it: live, with many selected, by keyboard alone."""

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.conftest import Installation, sign_in, watch
from tests.e2e.test_straight_line import create_source, post
from tests.payloads import payload

pytestmark = pytest.mark.e2e
APPEARS_MS = 3000
PAGE = 50


@pytest.fixture(scope="module")
def context(installation: Installation, browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context()
    sign_in(context.new_page(), installation)
    yield context
    context.close()


@pytest.fixture(scope="module")
def webhook(context: BrowserContext) -> str:
    return create_source(context.pages[0])


@pytest.fixture
def at_the_list(
    installation: Installation, context: BrowserContext, webhook: str, complaints: list[str]
) -> Iterator[Page]:
    page = watch(context.new_page(), complaints)
    for number in range(3):
        alert(webhook, f"{time.monotonic_ns()}-{number}")
    page.goto(f"{installation.url}/incidents/")
    expect(page.locator("#incident-rows > li").nth(2)).to_be_visible()
    yield page
    page.close()


def alert(webhook: str, name: str) -> None:
    post(webhook, payload("sematext", "alert", description=f"Disk of web-{name} above 90 %"))


def rows(page: Page):
    return page.locator("#incident-rows > li")


def test_a_new_incident_appears_and_leaves_selection_focus_and_place(at_the_list: Page, webhook: str) -> None:
    page = at_the_list
    page.set_viewport_size({"width": 1280, "height": 260})
    row = rows(page).nth(1)
    number = row.get_attribute("data-id")
    row.locator("input").check()
    row.locator("a").focus()
    page.evaluate("document.querySelector(`#incident-rows > li:nth-child(2)`).scrollIntoView({block: 'start'})")
    page.wait_for_timeout(100)
    top = f"document.getElementById('incident-{number}').getBoundingClientRect().top"
    before = page.evaluate(top)
    name = f"new{time.monotonic_ns()}"
    alert(webhook, name)
    expect(page.get_by_text(name)).to_be_attached(timeout=APPEARS_MS)
    assert abs(page.evaluate(top) - before) <= 1
    assert page.locator(f"#select-{number}").is_checked()
    assert page.evaluate("document.activeElement.id") == f"incident-link-{number}"
    expect(page.locator("#selected-count")).to_have_text("1")


def test_without_a_stream_it_appears_as_well(at_the_list: Page, webhook: str, complaints: list[str]) -> None:
    page = at_the_list
    page.route("**/incidents/stream*", lambda route: route.fulfill(status=503))
    page.reload()
    name = f"polled{time.monotonic_ns()}"
    alert(webhook, name)
    expect(page.get_by_text(name)).to_be_attached(timeout=APPEARS_MS)
    complaints[:] = [text for text in complaints if "503 (Service Unavailable)" not in text]


def test_many_are_accepted_at_once_and_each_result_is_said(at_the_list: Page) -> None:
    page = at_the_list
    numbers = [rows(page).nth(index).get_attribute("data-id") for index in range(3)]
    rows(page).nth(0).locator("input").check()
    rows(page).nth(2).locator("input").click(modifiers=["Shift"])
    expect(page.locator("#selected-count")).to_have_text("3")
    page.get_by_role("button", name="Accept").click()
    expect(page.locator("#bulk-results")).to_contain_text("3 incidents accepted")
    for number in numbers:
        expect(page.locator(f"#bulk-results a[href='/incidents/{number}/']")).to_be_visible()
        expect(page.locator(f"#incident-{number}")).to_contain_text("Accepted", timeout=APPEARS_MS)
    expect(page.locator(".bulk-bar")).to_be_hidden()


def test_the_whole_list_by_keyboard(at_the_list: Page, installation: Installation) -> None:
    page, press = at_the_list, at_the_list.keyboard.press
    first, second = (rows(page).nth(index).get_attribute("data-id") for index in range(2))
    press("?")
    expect(page.get_by_role("dialog")).to_contain_text("select it")
    press("Escape")
    press("j")
    press("j")
    press("k")
    press("j")
    press("a")
    expect(page.locator(f"#incident-{second}")).to_contain_text("Accepted", timeout=APPEARS_MS)
    press("k")
    press("x")
    press("j")
    press("x")
    press("r")
    expect(page.locator("#bulk-results")).to_contain_text("2 incidents resolved")
    expect(page.locator(f"#incident-{first}")).to_have_count(0, timeout=APPEARS_MS)
    press("Escape")
    expect(page.locator("#bulk-results > *")).to_have_count(0)
    press("/")
    page.keyboard.type("no such thing")
    press("Enter")
    expect(page.get_by_text("Nothing found")).to_be_visible()
    page.go_back()
    press("j")
    press("Enter")
    page.wait_for_url(f"{installation.url}/incidents/*/")


def test_filters_are_in_the_address_and_back_keeps_them(at_the_list: Page, installation: Installation) -> None:
    page = at_the_list
    page.get_by_text("Filters").click()
    page.get_by_label("Priority").select_option("high")
    page.wait_for_url("**/incidents/?priority=high")
    rows(page).nth(0).locator("a").click()
    page.wait_for_url(f"{installation.url}/incidents/*/?in=*")
    page.go_back()
    assert page.url.endswith("/incidents/?priority=high")
    expect(page.get_by_label("Priority")).to_have_value("high")
    page.get_by_role("link", name="Clear").click()
    page.wait_for_url("**/incidents/")


def test_on_a_phone_nothing_has_to_be_pushed_sideways(at_the_list: Page) -> None:
    page = at_the_list
    page.set_viewport_size({"width": 360, "height": 740})
    page.get_by_text("Filters").click()
    rows(page).nth(0).locator("input").check()
    expect(page.get_by_role("button", name="Resolve")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def ids(page: Page) -> list[int]:
    found: list[int] = page.eval_on_selector_all(
        "#incident-rows > li", "rows => rows.map(row => Number(row.dataset.id))"
    )
    return found


def test_a_list_that_grows_over_a_page_leads_on_where_it_ends(at_the_list: Page, webhook: str) -> None:
    page = at_the_list
    older = page.get_by_role("link", name="Older", exact=True)
    names = [f"many-{time.monotonic_ns()}" for _ in range(PAGE + 5)]
    for name in names[:PAGE]:
        alert(webhook, name)
    expect(page.get_by_text(names[PAGE - 1])).to_be_attached(timeout=APPEARS_MS)
    expect(older).to_be_visible()
    last = rows(page).nth(PAGE - 1)
    pushed_out = last.get_attribute("data-id")
    last.locator("input").check()
    for name in names[PAGE:]:
        alert(webhook, name)
    expect(page.get_by_text(names[-1])).to_be_attached(timeout=APPEARS_MS)
    # What is ticked is still there, below the others.
    expect(rows(page)).to_have_count(PAGE + 1)
    expect(page.locator(f"#select-{pushed_out}")).to_be_checked()
    expect(page.locator("#selected-count")).to_have_text("1")
    shown = ids(page)[:PAGE]
    older.click()
    page.wait_for_url("**/incidents/?before=*")
    assert ids(page)[0] == shown[-1] - 1


def test_a_page_of_older_ones_shows_what_was_done(at_the_list: Page, webhook: str) -> None:
    page = at_the_list
    for _ in range(PAGE):
        alert(webhook, f"older-{time.monotonic_ns()}")
    page.reload()
    page.get_by_role("link", name="Older", exact=True).click()
    page.wait_for_url("**/incidents/?before=*")
    first = rows(page).first
    first.locator("input").check()
    page.get_by_role("button", name="Accept").click()
    expect(first).to_contain_text("Accepted", timeout=APPEARS_MS)
    expect(page.get_by_role("link", name="Newest")).to_be_visible()


def test_enter_on_a_tick_opens_the_incident_and_does_nothing_to_it(
    at_the_list: Page, installation: Installation
) -> None:
    page = at_the_list
    number = rows(page).first.get_attribute("data-id")
    box = rows(page).first.locator("input")
    box.check()
    page.get_by_label("Select all on this page").press("Enter")
    box.press("Enter")
    page.wait_for_url(f"{installation.url}/incidents/{number}/")
    expect(page.locator(".incident-now")).to_contain_text("Pending")


def test_both_buttons_wait_for_the_answer(at_the_list: Page) -> None:
    page = at_the_list
    page.route("**/incidents/bulk", lambda route: None)
    rows(page).first.locator("input").check()
    page.get_by_role("button", name="Accept").click()
    for name in ("Accept", "Resolve"):
        expect(page.get_by_role("button", name=name)).to_be_disabled()
