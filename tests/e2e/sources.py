"""Alert sources, created as a person creates them."""

import re

from playwright.sync_api import Page, expect


def create_source(page: Page, integration: str, name: str) -> str:
    """Create a source from the gallery. Returns the webhook URL; the set-up page is open then."""
    page.get_by_role("link", name="Alert sources").first.click()
    page.get_by_role("link", name="Create new alert source").first.click()
    page.get_by_role("link", name=re.compile(rf"^\s*{re.escape(integration)}\b")).click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Waiting for the first event…")).to_be_visible()
    return page.get_by_label("Webhook URL").first.input_value()
