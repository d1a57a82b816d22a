"""Apprise's own client for iLert, as it is released, with nothing changed but the address that it sends to."""

from collections.abc import Iterator

import pytest
from apprise import Apprise, NotifyType
from apprise.plugins.ilert import NotifyILert
from playwright.sync_api import Browser, Page, expect

from alertsources.setup import address_of
from tests.e2e.conftest import Installation, installed, sign_in, watch
from tests.e2e.sources import create_source

pytestmark = pytest.mark.e2e

TITLE = "Backup of db-1 has failed"


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One of its own, as others count on what they find in theirs."""
    with installed(tmp_path_factory.mktemp("apprise")) as installation:
        yield installation


@pytest.fixture
def page(installation: Installation, browser: Browser, complaints: list[str]) -> Iterator[Page]:
    context = browser.new_context()
    page = watch(context.new_page(), complaints)
    sign_in(page, installation)
    yield page
    context.close()


def notify(key: str, parameters: str, notify_type: NotifyType = NotifyType.FAILURE) -> bool:
    """Send a message as `apprise -t TITLE -b BODY ilert://KEY/?action=…` does."""
    apprise = Apprise()
    assert apprise.add(f"ilert://{key}/{parameters}")
    return bool(apprise.notify(title=TITLE, body="It ended with *status 2*.", notify_type=notify_type))


def test_it_triggers_accepts_and_resolves(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    at = address_of(create_source(page, "API", "Apprise by hand"))
    monkeypatch.setattr(NotifyILert, "notify_url", at.events)

    assert notify(
        at.key, "?action=trigger&dedup=Backup-1&priority=high&click=https://example.com/log&%2Benv=production"
    )
    page.get_by_role("link", name=TITLE).first.click()
    expect(page.get_by_text("Pending").first).to_be_visible()
    expect(page.locator("a[href='https://example.com/log']").first).to_be_visible()

    assert notify(at.key, "?action=acknowledge&dedup=backup-1")
    expect(page.get_by_text("The tool itself accepted it.")).to_be_visible()

    assert notify(at.key, "?action=resolve&dedup=BACKUP-1")
    expect(page.get_by_text("The tool itself resolved it.")).to_be_visible()


def test_success_resolves_what_failure_has_opened(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    at = address_of(create_source(page, "API", "Apprise by the kind of message"))
    monkeypatch.setattr(NotifyILert, "notify_url", at.events)

    assert notify(at.key, "")
    page.get_by_role("link", name=TITLE).first.click()
    assert notify(at.key, "", NotifyType.SUCCESS)
    expect(page.get_by_text("The tool itself resolved it.")).to_be_visible()


def test_a_wrong_key_is_told(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    at = address_of(create_source(page, "API", "Apprise with a wrong key"))
    monkeypatch.setattr(NotifyILert, "notify_url", at.events)
    assert not notify("il1api" + "2" * 28, "?action=trigger")
