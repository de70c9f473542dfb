"""How many pictures share a forward: as many as get more done together, and no more."""

import time
from collections.abc import Callable

import pytest
import torch

from engine.forwards import Forwards, halves

GUIDED = 2  # rows of a picture


@pytest.fixture
def forwards() -> Forwards:
    return Forwards(torch.device("cpu"))


def goes_on(forwards: Forwards, waiting: int, seconds: Callable[[int], float], kind: str = "a") -> int:
    """How many share a forward in the end, of so many that wait, when so many rows take so long."""
    for _ in range(20):
        count = forwards.worth(kind, [GUIDED] * waiting)
        with forwards.timed(kind, GUIDED * count):
            time.sleep(seconds(GUIDED * count))
    return forwards.worth(kind, [GUIDED] * waiting)


def test_all_share_a_forward_that_takes_as_long_for_one_as_for_all(forwards: Forwards) -> None:
    assert goes_on(forwards, 8, lambda rows: 0.01) == 8


def test_where_a_row_takes_as_long_beside_others_everybody_has_it_alone(forwards: Forwards) -> None:
    assert goes_on(forwards, 8, lambda rows: 0.008 * rows) == 1


def test_where_a_device_is_full_with_two_two_share(forwards: Forwards) -> None:
    assert goes_on(forwards, 8, lambda rows: 0.012 * max(rows, 4)) == 2


def test_what_is_not_known_yet_is_tried_with_all(forwards: Forwards) -> None:
    goes_on(forwards, 4, lambda rows: 0.008 * rows)

    assert forwards.worth("another size", [GUIDED] * 4) == 4
    assert forwards.worth("a", [GUIDED] * 4) == 1


def test_what_goes_wrong_counts_for_nothing(forwards: Forwards) -> None:
    for _ in range(5):
        with pytest.raises(RuntimeError), forwards.timed("a", 2):
            raise RuntimeError("out of luck")

    assert forwards.worth("a", [GUIDED, GUIDED]) == 2


def test_fewer_are_tried_by_halves() -> None:
    assert [list(halves(count)) for count in (1, 2, 3, 7, 8)] == [
        [1],
        [2, 1],
        [3, 2, 1],
        [7, 4, 2, 1],
        [8, 4, 2, 1],
    ]
