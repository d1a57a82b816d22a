"""All doors of the intake, for tests that say what a request is answered, and a channel that records."""

from collections.abc import Iterator

import pytest

from accounts.models import User
from notifications import channels
from tests.delivering import Recorder
from tests.incidents.doors import LaneRunner, ServerRunner, lane_client


@pytest.fixture(params=["view", "lane", "server"])
def both_doors(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the test's `Client` post its events through the DRF view, through the lane, and over the lane's short cut."""
    if request.param == "view":
        yield
        return
    with lane_client(monkeypatch, {"lane": LaneRunner, "server": ServerRunner}[request.param]) as client:
        monkeypatch.setattr(request.module, "Client", client)
        yield


@pytest.fixture
def recorder(alice: User) -> Iterator[Recorder]:
    """The channel of all that Alice is told by."""
    alice.contact_methods.all().delete()
    channels.ALL["recorder"] = Recorder()
    yield channels.ALL["recorder"]
    del channels.ALL["recorder"]
