"""The product does what the model says, whatever happens in whichever order."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import Machine, Timing
from tests.model.reference import Level

COMMON = settings(
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    report_multiple_bugs=False,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
# Always the same examples, so that nobody's change is held up by luck.
SHORT = settings(COMMON, max_examples=30, stateful_step_count=30, derandomize=True)
# New ones each time; MODEL_EXAMPLES=100 for a quick look.
LONG = settings(COMMON, max_examples=int(os.environ.get("MODEL_EXAMPLES", "2000")), stateful_step_count=50)


def test_product_and_model_agree(cast: None) -> None:
    run_state_machine_as_test(Machine, settings=SHORT)


@pytest.mark.model
def test_product_and_model_agree_for_long(cast: None) -> None:
    run_state_machine_as_test(Machine, settings=LONG)


@pytest.fixture
def machine(cast: None) -> Iterator[Machine]:
    """What Hypothesis does with one example, by hand."""
    one = Machine()
    yield one
    one.teardown()


def test_who_is_away_when_a_notice_is_due_is_not_told_later(machine: Machine) -> None:
    """Found at random: the model went on waiting for the notice, and the product had given it up."""
    machine.an_admin_sets_it_up(one=[], two=[], rounds=1, timing=Timing(0, None), minutes=None)
    machine.a_tool_alerts(fuse=None, key="disk", priority=None, source="api")
    machine.time_passes(wait=1)
    machine.somebody_comes_or_goes(name="Alice", what="leaves")
    machine.a_tool_says_more(fuse=None, key="disk", source="api", what="resolve")
    machine.time_passes(wait=1)
    machine.somebody_comes_or_goes(name="Alice", what="returns")
    machine.time_passes(wait=1)


def test_what_waits_behind_a_provider_that_hangs_is_sent_once(machine: Machine) -> None:
    """Found at random: its claim had run out, and others had sent it when its first claimer came to it."""
    both = [Level(1, ["Bob", "Carol"])]
    machine.an_admin_sets_it_up(one=[], two=both, rounds=1, timing=Timing(0, None), minutes=None)
    machine.a_provider_fails(how="hangs", name="Bob", place=0)
    machine.a_tool_alerts(fuse=None, key="disk", priority=None, source="quiet")
    machine.time_passes(wait=1)


def test_a_provider_that_keeps_refusing_is_left_alone(machine: Machine) -> None:
    """Found at random: the model asked for new messages at once from a provider that had refused four in a row."""
    machine.an_admin_sets_it_up(one=[Level(1, ["Alice"])], two=[], rounds=1, timing=Timing(0, None), minutes=None)
    machine.a_provider_fails(how="refuses for now", name="Alice", place=0)
    for scope in ("app-1", "app-2"):
        machine.a_tool_without_ids_alerts(fuse=None, key="disk", scope=scope)
    for wait in (1, 5, 59):
        machine.time_passes(wait=wait)
    machine.the_providers_recover()
    machine.time_passes(wait=60)
    assert len(machine.bench.letters) == 5 + 4


def test_the_method_that_was_refused_for_good_is_not_the_next_one(machine: Machine) -> None:
    """Found at random: the model asked for a second message to the same address at once, which its rule has later."""
    machine.an_admin_sets_it_up(one=[], two=[], rounds=1, timing=Timing(0, None), minutes=None)
    machine.a_provider_fails(how="refuses for good", name="Alice", place=0)
    machine.a_tool_without_ids_alerts(fuse=None, key="disk", scope="app-1")
    machine.somebody_wants_to_be_reached_otherwise(channel="email", minutes=1, name="Alice", place=0, what="add rule")
    machine.time_passes(wait=1)


def test_a_bundle_stands_for_all_that_is_due(machine: Machine) -> None:
    """Found at random: three messages of each incident in one bundle, and the model counted one of each as told."""
    machine.an_admin_sets_it_up(one=[Level(1, ["Alice"])], two=[], rounds=1, timing=Timing(0, None), minutes=None)
    machine.a_tool_without_ids_alerts(fuse=None, key="disk", scope="app-1")
    machine.a_tool_alerts(fuse=None, key="disk", priority=None, source="api")
    machine.somebody_wants_to_be_reached_otherwise(channel="email", minutes=1, name="Alice", place=0, what="add rule")
    machine.time_passes(wait=60)
    assert [len(letter.named) for _, letter in machine.bench.letters] == [6]


def test_the_next_method_is_called_in_for_what_a_dead_sender_holds(machine: Machine) -> None:
    """Found at random: both methods were in the hands of the dead one, and the next was the first one, once more."""
    machine.an_admin_sets_it_up(one=[], two=[], rounds=1, timing=Timing(2, None), minutes=None)
    machine.a_tool_without_ids_alerts(fuse=None, key="disk", scope="app-1")
    for what, minutes in (("add method", 0), ("add rule", 1)):
        machine.somebody_wants_to_be_reached_otherwise(
            channel="email", minutes=minutes, name="Alice", place=0, what=what
        )
    for wait in (1, 59):
        machine.time_passes(wait=wait)
    machine.the_engine_dies(fuse=11, part="deliver", wait=60)
    machine.time_passes(wait=20)


def test_a_refusal_that_a_hanging_sender_has_not_written_down_comes_again(machine: Machine) -> None:
    """Found at random: the model took what was refused for good for known to everybody."""
    machine.an_admin_sets_it_up(one=[], two=[], rounds=1, timing=Timing(0, None), minutes=None)
    machine.a_tool_alerts(fuse=None, key="disk", priority=None, source="api")
    machine.somebody_comes_or_goes(name="Bob", what="becomes admin")
    machine.a_provider_fails(how="refuses for good", name="Alice", place=0)
    machine.a_provider_fails(how="hangs", name="Bob", place=0)
    machine.time_passes(wait=1)


def test_an_outage_is_not_an_attempt(machine: Machine) -> None:
    """Found at random: half an hour in which nobody worked, and one refusal after it, and a message was given up."""
    machine.an_admin_sets_it_up(one=[], two=[], rounds=1, timing=Timing(0, None), minutes=None)
    machine.a_tool_without_ids_alerts(fuse=None, key="disk", scope="app-1")
    machine.a_provider_fails(how="refuses for now", name="Alice", place=0)
    for wait in (1, 1800):
        machine.time_passes(wait=wait)


def test_of_two_messages_to_one_method_the_one_that_is_due_comes_first(machine: Machine) -> None:
    """Found at random: as another method failed either might come, and the model took one for the other."""
    machine.an_admin_sets_it_up(one=[], two=[], rounds=1, timing=Timing(0, None), minutes=None)
    machine.a_provider_fails(how="refuses for now", name="Alice", place=0)
    machine.a_tool_without_ids_alerts(fuse=None, key="disk", scope="app-1")
    for what, minutes, place in (("add method", 0, 0), ("change rule", 1, 0), ("add rule", 0, 3)):
        machine.somebody_wants_to_be_reached_otherwise(
            channel="email", minutes=minutes, name="Alice", place=place, what=what
        )
    machine.a_provider_fails(how="refuses for now", name="Alice", place=0)
    machine.time_passes(wait=0)


def test_what_a_dead_sender_has_not_written_down_may_be_forgotten(machine: Machine) -> None:
    """Found at random: handed over, accepted before others came to it, and the product knows of nobody who was told."""
    machine.an_admin_sets_it_up(one=[], two=[], rounds=1, timing=Timing(0, None), minutes=None)
    for key, scope in (("disk", "app-1"), ("disk", "app-2"), ("memory", "app-1")):
        machine.a_tool_without_ids_alerts(fuse=None, key=key, scope=scope)
        machine.time_passes_and_nobody_works(wait=1)
    machine.the_engine_dies(fuse=12, part="deliver", wait=0)
    machine.somebody_acts(deed="accept", fuse=None, name="Alice", place=1)
    machine.time_passes(wait=20)
    machine.a_tool_without_ids_resolves(fuse=None, key="disk", scope="app-2")


def test_a_refusal_that_a_dead_sender_has_not_written_down_is_not_known(machine: Machine) -> None:
    """Found at random: for the product the message may have arrived, so that its reader hears of the end."""
    both = [Level(1, ["Alice", "Carol"])]
    machine.an_admin_sets_it_up(one=both, two=[], rounds=1, timing=Timing(0, None), minutes=None)
    machine.a_provider_fails(how="refuses for now", name="Alice", place=0)
    machine.a_provider_fails(how="dies", name="Carol", place=0)
    machine.a_tool_alerts(fuse=None, key="disk", priority=None, source="api")
    machine.time_passes(wait=0)
    machine.a_tool_says_more(fuse=None, key="disk", source="api", what="resolve")
