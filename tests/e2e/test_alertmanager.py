"""A real Alertmanager, set up as the alert source's page says, and a real alert through it."""

import json
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Installation, installed, sign_in, watch
from tests.e2e.sources import create_source
from tests.faults.running import eventually, free_port

ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(ALERTMANAGER is None, reason="Alertmanager is not installed (prometheus-alertmanager)"),
]

SUMMARY = "Disk /var of web-1 is full within 4 hours"
TRIED = "Try-out: Prometheus reaches ilert"
ALERT = {
    "labels": {"alertname": "DiskWillFillIn4Hours", "instance": "web-1:9100", "severity": "critical"},
    "annotations": {"summary": SUMMARY, "runbook_url": "https://runbooks.example.com/disk"},
    "generatorURL": "http://localhost:9090/graph?g0.expr=up",
}
DELIVERED = 15.0


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One of its own, as others count on what they find in theirs."""
    with installed(tmp_path_factory.mktemp("alertmanager")) as installation:
        yield installation


@pytest.fixture
def page(installation: Installation, browser: Browser, complaints: list[str]) -> Iterator[Page]:
    context = browser.new_context()
    page = watch(context.new_page(), complaints)
    sign_in(page, installation)
    yield page
    context.close()


def test_an_alert_opens_an_incident_and_its_end_resolves_it(page: Page, tmp_path: Path) -> None:
    url = create_source(page, "Prometheus", "Alertmanager production")
    try_out = page.locator("#am-try").inner_text()

    with running(as_the_page_says(page, url, tmp_path), tmp_path) as alertmanager:
        script = try_out.replace("http://localhost:9093", alertmanager).replace("+1 minute", "+2 seconds")
        subprocess.run(["sh", "-ec", script], check=True, capture_output=True, timeout=10)
        expect(page.get_by_role("link", name=TRIED).first).to_be_visible(timeout=DELIVERED * 1000)

        post(alertmanager, [ALERT])
        expect(page.get_by_role("link", name=SUMMARY).first).to_be_visible(timeout=DELIVERED * 1000)
        page.get_by_role("link", name=SUMMARY).first.click()
        expect(page.get_by_role("link", name="Runbook").first).to_be_visible()
        expect(page.get_by_text("Pending").first).to_be_visible()

        post(alertmanager, [ALERT | {"endsAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 1))}])
        expect(page.get_by_text("The tool itself resolved it.")).to_be_visible(timeout=DELIVERED * 1000)


def as_the_page_says(page: Page, url: str, folder: Path) -> Path:
    """Write the configuration that can be copied from the set-up page, only quicker, and have it checked."""
    receiver = page.locator("#am-receiver").inner_text()
    route = page.locator("#am-route").inner_text()
    assert url in receiver
    quick = re.sub(r"group_wait: \S+", "group_wait: 0s", re.sub(r"group_interval: \S+", "group_interval: 1s", route))
    for name, text in (("all.yml", quick), ("some.yml", f"{quick}\n{page.locator('#am-routes').inner_text()}")):
        (folder / name).write_text(f"{text}\n{receiver}\n")
        subprocess.run(["amtool", "check-config", folder / name], check=True, capture_output=True, timeout=10)
    return folder / "all.yml"


@contextmanager
def running(config: Path, folder: Path) -> Iterator[str]:
    """Run an Alertmanager of its own, alone and on the loopback only."""
    assert ALERTMANAGER
    url = f"http://127.0.0.1:{free_port()}"
    arguments = [
        f"--config.file={config}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--cluster.listen-address=",
    ]
    with (folder / "alertmanager.out").open("wb") as out:
        process = subprocess.Popen([ALERTMANAGER, *arguments], stdout=out, stderr=subprocess.STDOUT)
    try:
        eventually(lambda: is_ready(url), 10, "Alertmanager")
        yield url
    finally:
        process.terminate()
        process.wait(10)


def is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=1) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def post(alertmanager: str, alerts: list[dict[str, object]]) -> None:
    """Send alerts as Prometheus does."""
    request = urllib.request.Request(
        f"{alertmanager}/api/v2/alerts", json.dumps(alerts).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=5) as response:
        assert response.status == 200
