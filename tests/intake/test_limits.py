"""Rates of sources, over several web processes, with and without Valkey."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import parse_qsl, urlencode

import pytest
import redis
from django.conf import settings as django_settings
from django.db import connection
from django.test import Client

from alertsources.models import AlertSource
from ilert.common.clock import database_now
from incidents import floods
from incidents.intake.bucket import Limit
from incidents.intake.limits import Rates
from incidents.intake.shared_counts import SharedCounts
from incidents.models import FLOOD_ENDS_AFTER, Flood

pytestmark = pytest.mark.django_db

# A database of Valkey's for each process of the tests, and for this file alone: sources have the same numbers in all.
_NUMBER = 8 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
_ADDRESS, _, _OPTIONS = django_settings.REDIS_URL.partition("?")
VALKEY = f"{_ADDRESS}?{urlencode(dict(parse_qsl(_OPTIONS)) | {'db': str(_NUMBER)})}"


class Clock:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def _by_hand(monkeypatch: pytest.MonkeyPatch, settings) -> Iterator[None]:
    """The thread's work is done by the tests, when they want it; and nothing is left of other tests in Valkey."""
    monkeypatch.setattr(Rates, "_wake", lambda self: None)
    settings.ILERT_SOURCE_RATE, settings.ILERT_SOURCE_BURST = 50, 500
    client = redis.Redis.from_url(VALKEY)
    for key in client.scan_iter("ilert:rate:*"):
        client.delete(key)
    yield
    client.close()


def process(clock: Clock, url: str = "") -> Rates:
    """One web process."""
    return Rates(SharedCounts(url or VALKEY), clock)


def within(rates: Rates, source_id: int, events: int) -> int:
    return sum(not rates.over(source_id) for _ in range(events))


def test_a_burst_and_then_the_rate(clock: Clock) -> None:
    rates = process(clock)
    assert within(rates, 1, 600) == 500
    clock.now += 1
    assert within(rates, 1, 100) == 50
    clock.now += 3600
    assert within(rates, 1, 1000) == 500


def test_a_request_counts_its_events(clock: Clock) -> None:
    rates = process(clock)
    assert not rates.over(1, events=400)
    assert rates.over(1, events=101)
    assert not rates.over(1, events=100)


def test_sources_do_not_count_for_each_other(clock: Clock) -> None:
    rates = process(clock)
    assert within(rates, 1, 600) == 500
    assert within(rates, 2, 500) == 500


def test_two_processes_share_one_rate(clock: Clock) -> None:
    """Over ten seconds of a flood to both the burst and ten times the rate get through: 1000, and not twice that."""
    one, two = process(clock), process(clock)
    through = 0
    for _ in range(40):
        through += within(one, 1, 100) + within(two, 1, 100)
        one.exchange()
        two.exchange()
        clock.now += 0.25
    print(through)
    # Until the first exchange each is on its own.
    assert 900 <= through <= 1200


def test_without_valkey_the_limit_is_local(clock: Clock) -> None:
    rates = process(clock, "unix:///nowhere.sock")
    assert within(rates, 1, 600) == 500
    for _ in range(4):
        rates.exchange()
        clock.now += 1
    assert within(rates, 1, 600) == 200


def test_a_frozen_valkey_holds_no_request(clock: Clock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        rates = process(clock, f"redis://127.0.0.1:{frozen.getsockname()[1]}/0")
        rates.over(1)
        thread = threading.Thread(target=lambda: (rates.exchange(), connection.close()))
        thread.start()
        slowest = 0.0
        while thread.is_alive():
            started = time.perf_counter()
            rates.over(1)
            slowest = max(slowest, time.perf_counter() - started)
        thread.join()
    assert slowest < 0.1
    assert not rates.over(2)


def test_a_valkey_that_comes_back_punishes_nobody(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the others did meanwhile is not known, so it is not counted."""
    one, two = process(clock), process(clock)
    within(one, 1, 10)
    one.exchange()
    with monkeypatch.context() as patch:
        patch.setattr(SharedCounts, "_sums", lambda *_: {})
        for _ in range(20):
            within(one, 1, 10)
            within(two, 1, 10)
            one.exchange()
            two.exchange()
            clock.now += 1
    for _ in range(3):
        assert within(one, 1, 10) == within(two, 1, 10) == 10
        one.exchange()
        two.exchange()
        clock.now += 1
    assert within(two, 1, 400) == 400


def test_a_limit_of_its_own(clock: Clock, source: AlertSource) -> None:
    AlertSource.objects.update(rate_limit=2, burst_limit=10)
    rates = process(clock)
    rates.exchange()
    assert within(rates, source.pk, 50) == 10
    clock.now += 3
    assert within(rates, source.pk, 50) == 6
    AlertSource.objects.update(rate_limit=5, burst_limit=None)
    clock.now += 10
    rates.exchange()
    clock.now += 3600
    assert within(rates, source.pk, 1000) == 500


def test_quiet_sources_are_forgotten(clock: Clock) -> None:
    rates = process(clock)
    for source_id in range(1000):
        rates.over(source_id)
    rates.exchange()
    clock.now += 1
    rates.exchange()
    assert rates._sources == {}
    clock.now += 120
    rates.exchange()
    assert rates._shared._totals == {}


def test_a_flood_is_noted_with_its_rate_and_what_was_refused(clock: Clock, source: AlertSource, now) -> None:
    rates = process(clock)
    for _ in range(30):
        for _ in range(100):
            if rates.over(source.pk):
                rates.refused(source.pk)
        rates.exchange()
        clock.now += 0.5
    flood = Flood.objects.get()
    assert flood.alert_source == source
    assert 180 <= flood.events_per_second <= 220
    assert 1500 <= flood.refused <= 2500


@pytest.mark.parametrize("missed", range(1, 30))
def test_a_valkey_that_misses_once_changes_no_rate(missed: int, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rate is measured anew when the sums are others than before; what is shown meanwhile is the last one."""
    shared = SharedCounts(VALKEY)
    really = shared._sums
    rates = Rates(shared, clock)
    measured = []
    for turn in range(40):
        within(rates, 1, 100)
        monkeypatch.setattr(shared, "_sums", (lambda *_: {}) if turn == missed else really)
        rates.exchange()
        clock.now += 0.5
        measured.append(round(shared.rate(1)))
    # It takes two seconds to measure, and those are two more if they were cut short.
    assert set(measured[9:]) == {200}


def test_a_source_that_keeps_its_rate_is_not_noted(clock: Clock, source: AlertSource) -> None:
    rates = process(clock)
    for _ in range(30):
        assert within(rates, source.pk, 20) == 20
        rates.exchange()
        clock.now += 0.5
    assert not Flood.objects.exists()


def test_a_deleted_source_is_not_noted(source: AlertSource, now) -> None:
    floods.note(source.pk + 1, 100, 0, now)
    assert not Flood.objects.exists()


def test_a_new_flood_begins_anew(source: AlertSource, now) -> None:
    minute = FLOOD_ENDS_AFTER
    floods.note(source.pk, 100, 5, now)
    floods.note(source.pk, 200, 7, now + minute / 2)
    flood = floods.current([source.pk], now + minute)[source.pk]
    assert (flood.since, flood.refused, flood.events_per_second) == (now, 12, 200)
    assert floods.current([source.pk], now + 2 * minute) == {}
    floods.note(source.pk, 80, 1, now + 10 * minute)
    flood = floods.current([source.pk], now + 10 * minute)[source.pk]
    assert (flood.since, flood.refused) == (now + 10 * minute, 1)
    assert floods.latest(source.pk, now + 60 * minute) == flood
    assert floods.latest(source.pk, now + 1500 * minute) is None


def test_asking_costs_little(clock: Clock) -> None:
    rates = process(clock)
    started = time.perf_counter()
    for number in range(20_000):
        rates.over(number % 50)
    each = (time.perf_counter() - started) / 20_000
    print(f"{each * 1e6:.1f} µs each")
    assert each < 50e-6


def test_the_thread_shares_by_itself(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    told = threading.Event()
    rates = process(clock)
    monkeypatch.setattr(rates, "exchange", told.set)
    rates.over(1)
    assert told.wait(5)


def test_a_source_s_page_and_the_list_say_that_it_floods(as_alice: Client, source: AlertSource) -> None:
    now = database_now()
    floods.note(source.pk, 412, 0, now)
    page = as_alice.get(f"/alert-sources/{source.pk}/activity").text
    assert "Over its rate since" in page
    assert "412 events per second" in page
    assert "Events are still taken." in page
    assert "Over its rate" in as_alice.get(f"/alert-sources/states?ids={source.pk}").text
    floods.note(source.pk, 412, 3, now)
    assert "3 events were refused with 429" in as_alice.get(f"/alert-sources/{source.pk}/activity").text
    Flood.objects.update(last_at=now - timedelta(minutes=2))
    assert "It was over its rate until" in as_alice.get(f"/alert-sources/{source.pk}/activity").text
    assert "Over its rate" not in as_alice.get(f"/alert-sources/states?ids={source.pk}").text


def test_a_source_s_own_limits_are_set_on_its_form(as_alice: Client, source: AlertSource) -> None:
    fields = {
        "name": source.name, "escalation_policy": source.escalation_policy_id, "active": "on", "priority": "high",
        "grouping": "key", "rate_limit": "7", "burst_limit": "70",
    }  # fmt: skip
    assert as_alice.post(f"/alert-sources/{source.pk}/edit", fields).status_code == 302
    source.refresh_from_db()
    assert (source.rate_limit, source.burst_limit) == (7, 70)
    answer = as_alice.post(f"/alert-sources/{source.pk}/edit", fields | {"rate_limit": "0"})
    assert answer.context["form"].errors["rate_limit"]
    assert as_alice.post(f"/alert-sources/{source.pk}/edit", fields | {"rate_limit": "", "burst_limit": ""})
    source.refresh_from_db()
    assert (source.rate_limit, source.burst_limit) == (None, None)


def test_who_is_refused_is_told_when_to_come_back(clock: Clock, source: AlertSource) -> None:
    rates = process(clock)
    AlertSource.objects.update(rate_limit=1, burst_limit=20)
    rates.exchange()
    assert within(rates, source.pk, 30) == 20
    assert rates.retry_after(source.pk) == 1
    # Another process has given out more meanwhile.
    rates._sources[source.pk].bucket.debit(10, Limit(1, 20))
    assert rates.retry_after(source.pk) == 11
    assert rates.retry_after(999) == 1
