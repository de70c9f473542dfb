"""How long a step may take before it is taken for hung."""

from engine.deadline import COMPILING, PATIENCE, Deadlines


def test_a_step_never_seen_has_the_floor() -> None:
    assert Deadlines(60, compiled=False).of("base") == 60


def test_a_slow_kind_of_step_is_given_a_multiple_of_its_longest_time_and_no_other_is() -> None:
    deadlines = Deadlines(60, compiled=False)

    deadlines.record("base", 10.0)
    deadlines.record("base", 1.0)

    assert deadlines.of("base") == 10 * PATIENCE
    assert deadlines.of("decode") == 60


def test_the_first_compiled_step_of_a_kind_may_take_minutes_and_the_next_may_not() -> None:
    deadlines = Deadlines(60, compiled=True)
    assert deadlines.of("base") == COMPILING

    deadlines.record("base", 2.0)

    assert deadlines.of("base") == 60
