"""The path of an escalation through its policy: pure, so tested without a database."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from incidents.engine import run as runs

POLICY = {
    "policy": "Default",
    "rounds": 1,
    "rules": [{"minutes": 5, "users": [1]}, {"minutes": 10, "users": [2, 3]}],
}


def walk(policy: dict[str, Any], single_level: bool = False) -> list[tuple[Any, ...]]:
    """Return (level, round, users, minutes, skipped) of each step until the end."""
    run = runs.begin(policy, 1, single_level)
    steps = []
    for _ in range(50):
        step = runs.step(run)
        steps.append((step.level, step.round, step.users, step.minutes, step.skipped))
        run = step.run
        if step.finished or step.minutes is None:
            return steps
    raise AssertionError("the escalation never ends")


def test_level_by_level_then_the_end() -> None:
    assert walk(POLICY) == [(1, 1, (1,), 5, ()), (2, 1, (2, 3), 10, ()), (0, 1, (), 30, ())]


def test_rounds_repeat_all_levels() -> None:
    assert [(level, round_) for level, round_, *_ in walk(POLICY | {"rounds": 2})] == [
        (1, 1),
        (2, 1),
        (1, 2),
        (2, 2),
        (0, 2),
    ]


def test_an_empty_level_is_skipped_at_once_and_named() -> None:
    policy = POLICY | {"rules": [{"minutes": 5, "users": []}, {"minutes": 7, "users": [2]}]}
    assert walk(policy) == [(2, 1, (2,), 7, (1,)), (0, 1, (), 30, ())]


def test_a_policy_that_reaches_nobody_ends_at_once() -> None:
    assert walk(POLICY | {"rules": [{"minutes": 5, "users": []}], "rounds": 9}) == [(0, 1, (), 30, (1,))]
    assert walk(POLICY | {"rules": []}) == [(0, 1, (), 30, ())]


def test_low_priority_asks_the_first_level_only() -> None:
    policy = POLICY | {"rounds": 3, "rules": [{"minutes": 5, "users": []}, {"minutes": 7, "users": [2]}]}
    assert walk(policy, single_level=True) == [(2, 1, (2,), None, (1,))]


def test_a_run_that_begins_anew_has_the_same_rules_and_its_own_number() -> None:
    begun = runs.begin(POLICY | {"delay": 5}, 1, True)
    run = runs.step(runs.step(begun).run).run | {"again": 2}
    assert runs.anew(run, 4) == begun | {"number": 4, "delay": 0}


def test_a_person_is_put_into_the_first_level_that_somebody_is_in() -> None:
    rules = [{"minutes": 5, "users": []}, {"minutes": 7, "users": [2]}]
    run = runs.begin(POLICY | {"rules": rules}, 1, False)
    assert runs.asking_first(run, 1, 15)["rules"] == [rules[0], {"minutes": 7, "users": [1, 2]}]
    assert runs.asking_first(run, 2, 15) == run
    assert runs.asking_first(run | {"rules": []}, 1, 15)["rules"] == [{"minutes": 15, "users": [1]}]


def test_who_comes_next_is_known_without_taking_the_step() -> None:
    run = runs.step(runs.begin(POLICY, 1, False)).run
    assert runs.upcoming(run) == (2, (2, 3))
    assert runs.upcoming(runs.step(run).run) is None


def test_the_admins_are_reminded_for_as_long_as_it_takes() -> None:
    run = runs.begin(POLICY | {"rules": []}, 1, False)
    reminders = []
    for _ in range(3):
        step = runs.step(run)
        run = step.run
        reminders.append((step.finished, step.minutes, run["reminder"]))
    assert reminders == [(True, 30, 1), (True, 30, 2), (True, 30, 3)]


rules = st.builds(
    lambda minutes, users: {"minutes": minutes, "users": users},
    st.integers(1, 1440),
    st.lists(st.integers(1, 5), max_size=3, unique=True),
)


@given(st.lists(rules, max_size=20), st.integers(1, 9), st.sampled_from([0, 60]))
def test_every_rule_that_has_somebody_runs_in_every_round(
    of_policy: list[dict[str, Any]], rounds: int, delay: int
) -> None:
    """There is no policy with a rule that can never run."""
    run = runs.begin({"policy": "Any", "rounds": rounds, "delay": delay, "rules": of_policy}, 1, single_level=False)
    asked = []
    while not (step := runs.step(run)).finished:
        asked += [(step.round, step.level)] if step.level else []
        run = step.run
    levels = [number for number, rule in enumerate(of_policy, start=1) if rule["users"]]
    assert asked == [(round_, level) for round_ in range(1, rounds + 1) for level in levels]
