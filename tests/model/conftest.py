"""The stage of the model: a cast that every example begins with, and a clock that stands still."""

from collections.abc import Iterator

import pytest

from tests.model.bench import make_cast
from tests.model.stage import clock_of_our_own


@pytest.fixture
def cast(transactional_db: None) -> Iterator[None]:
    """What an example does is undone at its end; only this is stored."""
    make_cast()
    with clock_of_our_own():
        yield
