"""Pauses between tries grow, up to a longest one."""

from bot.pacing.backoff import Backoff


def test_each_pause_is_twice_the_one_before_up_to_the_longest() -> None:
    backoff = Backoff(0.5, 3.0)

    assert [backoff.next() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_what_went_once_begins_with_the_first_pause_again() -> None:
    backoff = Backoff(0.5)
    backoff.next()
    backoff.next()

    backoff.reset()

    assert (backoff.seconds, backoff.next(), backoff.next()) == (0.5, 0.5, 1.0)
