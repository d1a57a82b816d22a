"""The set-up page of every tool, as an admin sees it: for assistive technology, in both themes, on a phone."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

import integrations
from integrations import Integration
from tests.e2e.conftest import Installation, installed, sign_in, watch
from tests.e2e.sources import create_source
from tests.e2e.test_every_page import serious

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One of its own, as others count on what they find in theirs."""
    with installed(tmp_path_factory.mktemp("setup")) as installation:
        yield installation


@pytest.mark.parametrize("integration", integrations.ALL, ids=lambda one: one.slug)
def test_a_source_is_created_and_its_instructions_can_be_read_and_copied(
    installation: Installation, browser: Browser, complaints: list[str], integration: Integration
) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = watch(context.new_page(), complaints)
    sign_in(page, installation)
    url = create_source(page, integration.name, f"{integration.name} production")
    assert f"/api/v1/events/{integration.slug}/il1{integration.key_infix}" in url

    for theme, width in (("light", 1280), ("dark", 320)):
        page.emulate_media(color_scheme=theme)
        page.set_viewport_size({"width": width, "height": 800})
        assert serious(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width

    copy = page.locator("figure.code").get_by_role("button", name="Copy").first
    copy.click()
    expect(copy.get_by_text("Copied")).to_be_visible()
    context.close()
