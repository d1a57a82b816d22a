"""What people do without a mouse, on plain http, and when the connection goes."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Installation, installed, sign_in, watch

pytestmark = pytest.mark.e2e

PLAIN_HTTP = "Object.defineProperty(window, 'isSecureContext', {get: () => false})"
FOCUSED = "(document.activeElement.getAttribute('aria-label') || document.activeElement.innerText || '').trim()"


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One of its own, as others count on what they find in theirs."""
    with installed(tmp_path_factory.mktemp("keyboard")) as installation:
        yield installation


@pytest.fixture
def page(installation: Installation, browser: Browser, complaints: list[str]) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = watch(context.new_page(), complaints)
    page.add_init_script(PLAIN_HTTP)
    sign_in(page, installation)
    yield page
    context.close()


def tab_to(page: Page, name: str) -> None:
    """Press Tab until something called `name` has the focus."""
    reached: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(FOCUSED))
        if name in reached[-1]:
            return
    raise AssertionError(f"Tab never reaches {name}, only {reached}")


def follow(page: Page) -> None:
    """Press Return, which leads to another page."""
    with page.expect_navigation():
        page.keyboard.press("Enter")


def test_a_source_is_created_with_a_policy_of_its_own(installation: Installation, page: Page) -> None:
    page.goto(f"{installation.url}/alert-sources/")
    tab_to(page, "Create new alert source")
    follow(page)
    tab_to(page, "Search tools")
    page.keyboard.type("nothing like it")
    expect(page.get_by_text("No tool is called that")).to_be_visible()
    page.keyboard.press("Control+a")
    page.keyboard.type("sema")
    tab_to(page, "Sematext")
    follow(page)
    page.get_by_label("Name", exact=True).focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("By keyboard")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Name of the new policy")).to_be_hidden()
    page.keyboard.type("New")
    page.keyboard.press("Tab")
    page.keyboard.type("Keyboard team")
    follow(page)

    expect(page.get_by_role("heading", name="By keyboard", level=1)).to_be_visible()
    expect(page.get_by_text("Waiting for the first event")).to_be_visible()

    tab_to(page, "Copy Webhook URL")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").get_by_text("Copied")).to_be_visible()
    expect(page.get_by_role("button", name="Copy Webhook URL")).to_be_focused()
    page.goto(f"{installation.url}/alert-sources/new")
    page.get_by_label("Search tools").press("Control+v")
    assert "/api/v1/events/sematext/il1smt" in page.get_by_label("Search tools").input_value()


def test_rules_are_moved_added_and_removed(installation: Installation, page: Page) -> None:
    page.goto(f"{installation.url}/escalation-policies/new")
    page.get_by_label("Name").fill("Kept while rules change")
    for minutes in ("5", "7"):
        tab_to(page, "Add a rule")
        page.keyboard.press("Enter")
        expect(page.locator(".rule:focus")).to_be_visible()
        page.locator(".rule:focus").get_by_label("Minutes").fill(minutes)
    assert minutes_of(page) == ["15", "5", "7"]

    page.get_by_role("button", name="Move rule 3 up").press("Enter")
    expect(page.get_by_role("button", name="Move rule 2 up")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Move rule 1 down")).to_be_focused()
    assert minutes_of(page) == ["7", "15", "5"]

    page.get_by_role("button", name="Remove rule 3").press("Enter")
    expect(page.locator(".rule")).to_have_count(2)
    assert minutes_of(page) == ["7", "15"]

    page.get_by_label("Name").press("Enter")
    expect(page.get_by_text("Choose at least one person")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("Kept while rules change")


def test_a_policy_with_three_levels_is_built(installation: Installation, page: Page) -> None:
    page.goto(f"{installation.url}/escalation-policies/new")
    tab_to(page, "Skip to content")
    page.get_by_label("Name").focus()
    page.keyboard.type("Three levels")
    for minutes in ("10", "15"):
        tab_to(page, "Add a rule")
        page.keyboard.press("Enter")
        expect(page.locator(".rule:focus")).to_be_visible()
        # The focus is on the new rule: its buttons come first, then its people, then its minutes.
        for _ in range(10):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.type") == "checkbox":
                break
        page.keyboard.press("Space")
        for _ in range(10):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.type") == "number":
                break
        page.keyboard.press("Control+a")
        page.keyboard.type(minutes)
    tab_to(page, "Save")
    follow(page)

    expect(page.get_by_role("heading", name="Three levels", level=1)).to_be_visible()
    expect(page.get_by_text("At once")).to_be_visible()
    for text in ("After 15 min", "After 25 min", "After 40 min"):
        expect(page.get_by_text(text)).to_be_visible()


def minutes_of(page: Page) -> list[str]:
    return [box.input_value() for box in page.get_by_label("Minutes to answer").all()]


def test_menu_keeps_the_theme(installation: Installation, page: Page) -> None:
    page.locator(".nav-user").press("Enter")
    with page.expect_response("**/theme"):
        page.get_by_role("button", name="Dark").press("Enter")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.locator(".nav-user").press("Enter")
    with page.expect_response("**/theme"):
        page.get_by_role("button", name="System").press("Enter")


def test_lost_connection_and_ended_session_are_told(
    installation: Installation, page: Page, complaints: list[str]
) -> None:
    page.goto(f"{installation.url}/incidents/")
    page.context.set_offline(True)
    expect(page.get_by_text("Connection lost")).to_be_visible()
    page.context.set_offline(False)
    expect(page.get_by_text("Connection lost")).to_be_hidden()
    complaints.clear()

    # The page looks every 20 s whether its session is still there.
    page.context.clear_cookies()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible(timeout=25_000)
