"""Both doors of the intake, for tests that say what a request is answered."""

from collections.abc import Iterator

import pytest

from tests.incidents.doors import lane_client


@pytest.fixture(params=["view", "lane"])
def both_doors(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the test's `Client` post its events through the DRF view, then through the lane."""
    if request.param == "view":
        yield
        return
    with lane_client(monkeypatch) as client:
        monkeypatch.setattr(request.module, "Client", client)
        yield
