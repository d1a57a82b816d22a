"""How soon what ended is started again."""

from ilert.up.program import RestartDelay


def test_what_has_worked_for_a_while_is_missed_at_once_however_often_it_is_killed() -> None:
    delay = RestartDelay()
    assert [delay.after(was_ready=True, lived=20) for _ in range(5)] == [0.1] * 5


def test_what_ends_soon_after_it_was_ready_waits_a_second_at_most() -> None:
    delay = RestartDelay()
    waits = [delay.after(was_ready=True, lived=1) for _ in range(8)]
    assert waits == sorted(waits)
    assert waits[0] == 0.1
    assert waits[-1] == 1.0


def test_what_never_works_waits_longer_and_longer() -> None:
    delay = RestartDelay()
    assert [delay.after(was_ready=False, lived=1) for _ in range(9)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10]


def test_one_good_run_ends_the_waiting() -> None:
    delay = RestartDelay()
    for _ in range(9):
        delay.after(was_ready=False, lived=1)
    assert delay.after(was_ready=True, lived=60) == 0.1
