"""The product does what the model says, whatever happens in whichever order."""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import Machine

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
