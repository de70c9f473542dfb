"""Numbers as people say them."""

import pytest

from commands.syntax.numbers import duration, ordinal, pluralize


def test_places_have_their_endings() -> None:
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 112, 122)] == [
        *("1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th", "122nd")
    ]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "1 s"),
        (3.4, "3 s"),
        (12.6, "15 s"),
        (57.4, "55 s"),
        (58.0, "1 min"),
        (200.0, "3 min"),
        (3599.0, "1 h"),
        (7300.0, "2 h"),
    ],
)
def test_a_time_is_as_coarse_as_it_is_long(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_one_thing_is_one_thing() -> None:
    assert [pluralize(n, "job") for n in (0, 1, 2, 1200)] == ["0 jobs", "1 job", "2 jobs", "1,200 jobs"]
