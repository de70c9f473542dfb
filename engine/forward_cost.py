"""Measured times of UNet forwards by their number of rows, which say how many pictures should share one.

Small pictures leave most of a device idle, so sharing a forward costs nearly nothing. A large picture fills a
GPU, so pictures that share would only wait for each other (docs/measurements.md).
"""

from collections import Counter, deque
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager

from engine.step_clock import StepClock

GAIN = 1.1  # the least speedup in rows a second for which more pictures share
KEPT, ENOUGH = 3, 2  # measurements of each number of rows: how many are kept, and how many are enough
EVERY = 50  # forwards until one that has been measured often enough is measured again


class ForwardCost:
    """Times of forwards by kind, and by number of rows rounded up to a power of two."""

    def __init__(self, clock: StepClock) -> None:
        self._clock = clock
        self._count: Counter[tuple[Hashable, int]] = Counter()
        self._seconds: dict[tuple[Hashable, int], deque[float]] = {}  # per row

    def best_count(self, kind: Hashable, rows: Sequence[int]) -> int:
        """How many paintings should share the next forward, given the rows of each that could.

        Each count that has not been measured enough is tried: all, then powers of two down to 1. After that
        it is the smallest count that is nearly as fast per row as the fastest.
        """
        self._clock.collect()
        seconds_per_row: dict[int, float] = {}
        for count in candidate_counts(len(rows)):
            measured = self._seconds.get((kind, next_power_of_two(sum(rows[:count]))), ())
            if len(measured) < ENOUGH:
                return count
            seconds_per_row[count] = min(measured)
        best = min(seconds_per_row.values())
        return min(count for count, seconds in seconds_per_row.items() if seconds <= GAIN * best)

    @contextmanager
    def measure(self, kind: Hashable, rows: int) -> Iterator[None]:
        """A context that measures the forward of so many rows in it, often enough.

        The first of its kind is a warm-up and does not count.
        """
        key = (kind, next_power_of_two(rows))
        nth = self._count[key]
        self._count[key] += 1
        if not nth or (nth > KEPT and nth % EVERY):
            yield
            return
        seconds = self._seconds.setdefault(key, deque(maxlen=KEPT))
        with self._clock.measure(lambda measured: seconds.append(measured / rows)):
            yield


def candidate_counts(count: int) -> Iterator[int]:
    """The count itself, and the powers of two below it down to 1."""
    yield count
    for exponent in reversed(range(max(0, count - 1).bit_length())):
        yield 2**exponent


def next_power_of_two(rows: int) -> int:
    """The smallest power of two that is at least so many."""
    return int(2 ** (rows - 1).bit_length())
