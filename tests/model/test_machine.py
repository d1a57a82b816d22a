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
