"""How long a step may take before it is taken for hung."""

from engine.deadline import PATIENCE, Deadlines


def test_a_step_never_seen_has_the_floor() -> None:
    assert Deadlines(60).of("base") == 60


def test_a_slow_kind_of_step_is_given_a_multiple_of_its_longest_time_and_no_other_is() -> None:
    deadlines = Deadlines(60)

    deadlines.record("base", 10.0)
    deadlines.record("base", 1.0)

    assert deadlines.of("base") == 10 * PATIENCE
    assert deadlines.of("decode") == 60
