"""Unknown keys: a misconfigured fleet is told what is wrong, somebody who tries keys is held up."""

import pytest

from incidents.intake import unknown_keys as module
from incidents.intake.unknown_keys import UnknownKeys


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def answers(keys: UnknownKeys, address: str, tries: int) -> int:
    """Return how many of so many tries are looked up."""
    looked_up = 0
    for _ in range(tries):
        if not keys.blocked(address):
            keys.miss(address)
            looked_up += 1
    return looked_up


def test_a_fleet_with_a_wrong_url_is_told_so_for_hours(clock: Clock) -> None:
    keys = UnknownKeys(clock=clock)
    for _ in range(360):
        assert answers(keys, "192.0.2.1", 200) == 200
        clock.now += 10


def test_somebody_who_tries_keys_is_held_up(clock: Clock) -> None:
    keys = UnknownKeys(clock=clock)
    assert answers(keys, "192.0.2.1", 100_000) == 1000
    assert 0 < keys.blocked("192.0.2.1") <= 1
    clock.now += 10
    assert answers(keys, "192.0.2.1", 100_000) == 200


def test_nobody_else_is(clock: Clock) -> None:
    keys = UnknownKeys(clock=clock)
    answers(keys, "192.0.2.1", 2000)
    assert keys.blocked("192.0.2.2") == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8:0:0:1::1", "2001:db8:0:0:2::", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("not:an:address", "192.0.2.1", False),
        ("", "192.0.2.1", False),
    ],
)
def test_ipv6_counts_by_network(clock: Clock, one: str, other: str, same: bool) -> None:
    keys = UnknownKeys(clock=clock)
    answers(keys, one, 1001)
    assert bool(keys.blocked(other)) is same


def test_memory_is_bounded_and_the_active_stay(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ADDRESSES", 100)
    keys = UnknownKeys(clock=clock)
    answers(keys, "192.0.2.1", 1001)
    for number in range(5000):
        keys.miss(f"2001:db8:{number:x}::1")
        keys.miss("192.0.2.1")
    assert len(keys._buckets) == 100
    assert keys.blocked("192.0.2.1")
