"""Real processes, their own data directories, and the certainty that none of it is left."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.client import ClientProcess, client_process
from tests.faults.house import House, open_house
from tests.faults.running import Up


@pytest.fixture(autouse=True)
def _quick_and_local() -> None:
    """Takes the place of the suite's fixture: nothing here runs inside Django."""


@pytest.fixture
def place() -> Iterator[Path]:
    """A short path that other users may pass through, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="ilert-t-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def up(place: Path) -> Iterator[Callable[..., Up]]:
    """Starts `up` in one data directory; called again it is the next start with the same data."""
    started: list[Up] = []

    def start(data_dir: Path | None = None, **more: object) -> Up:
        started.append(Up(data_dir or place / "var", **more))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for one in started:
        one.end()


@pytest.fixture(scope="module")
def client() -> Iterator[ClientProcess]:
    """A process for the load, beside the one of the tests."""
    with client_process() as process:
        yield process


@pytest.fixture
def house(up: Callable[..., Up], client: ClientProcess) -> House:
    """A whole installation with two web processes and one source."""
    return open_house(up(ILERT_WEB_PROCESSES="2").runs(90), client)
