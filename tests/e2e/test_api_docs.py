"""The page of the REST API under the strict content security policy: it draws the document, and tries it out."""

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.conftest import Installation, sign_in, watch

pytestmark = pytest.mark.e2e


def test_the_page_draws_the_document_and_tries_it_out(
    installation: Installation, browser: Browser, complaints: list[str]
) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = watch(context.new_page(), complaints)
    sign_in(page, installation)
    page.goto(f"{installation.url}/api/docs")
    operation = page.locator("#operations-users-users_current_retrieve")
    operation.locator("button").first.click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table").get_by_text("ADMIN").first).to_be_visible()
    context.close()
