"""How many pictures share a forward: as many as get more done together, and no more."""

from collections.abc import Callable

import pytest

from engine.forward_cost import EVERY, ForwardCost, candidate_counts
from engine.step_clock import WallClock

GUIDED = 2  # rows of a picture


class Device:
    """It takes as long as a test says, by a clock of its own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.forwards = ForwardCost(WallClock(lambda: self.now))

    def goes_on(self, waiting: int, seconds: Callable[[int], float], kind: str = "a") -> int:
        """How many share a forward in the end, of so many that wait, when so many rows take so long."""
        for _ in range(20):
            count = self.forwards.best_count(kind, [GUIDED] * waiting)
            with self.forwards.measure(kind, GUIDED * count):
                self.now += seconds(GUIDED * count)
        return self.forwards.best_count(kind, [GUIDED] * waiting)


@pytest.fixture
def device() -> Device:
    return Device()


def test_all_share_a_forward_that_takes_as_long_for_one_as_for_all(device: Device) -> None:
    assert device.goes_on(8, lambda rows: 0.01) == 8


def test_where_a_row_takes_as_long_beside_others_everybody_has_it_alone(device: Device) -> None:
    assert device.goes_on(8, lambda rows: 0.008 * rows) == 1


def test_where_a_device_is_full_with_two_two_share(device: Device) -> None:
    assert device.goes_on(8, lambda rows: 0.012 * max(rows, 4)) == 2


def test_what_is_not_known_yet_is_tried_with_all(device: Device) -> None:
    device.goes_on(4, lambda rows: 0.008 * rows)

    assert device.forwards.best_count("another size", [GUIDED] * 4) == 4
    assert device.forwards.best_count("a", [GUIDED] * 4) == 1


def test_what_goes_wrong_counts_for_nothing(device: Device) -> None:
    for _ in range(5):
        with pytest.raises(RuntimeError), device.forwards.measure("a", 2):
            raise RuntimeError("out of luck")

    assert device.forwards.best_count("a", [GUIDED, GUIDED]) == 2


def test_fewer_are_tried_by_halves() -> None:
    assert [list(candidate_counts(count)) for count in (1, 2, 3, 7, 8)] == [
        [1],
        [2, 1],
        [3, 2, 1],
        [7, 4, 2, 1],
        [8, 4, 2, 1],
    ]


def test_what_it_takes_now_counts_and_not_what_it_took_once(device: Device) -> None:
    """As when a training begins beside it, or ends."""
    assert device.goes_on(4, lambda rows: 0.01) == 4

    for _ in range(4 * EVERY):
        device.goes_on(4, lambda rows: 0.01 * rows)

    assert device.forwards.best_count("a", [GUIDED] * 4) < 4
