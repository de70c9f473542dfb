"""What a forward of the UNet takes by its rows, as measured: whether it pays to share one.

Small pictures leave most of a device idle, and those who share a forward get it nearly for nothing; one large
picture fills a GPU, and those who shared would only wait for each other (docs/measurements.md).
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager

import torch

GAIN = 1.1  # times the rows a second that sharing has to bring
KEPT, KNOWN = 3, 2  # measurements of each number of rows: those that are kept, and those that are enough
EVERY = 50  # forwards until one whose like is known is measured again


class Forwards:
    """Times forwards by their kind, and by their rows up to the next power of two."""

    def __init__(self, device: torch.device, clock: Callable[[], float] = time.perf_counter) -> None:
        """clock: seconds."""
        self._device = device
        self._clock = clock
        self._seen: Counter[tuple[Hashable, int]] = Counter()
        self._seconds: dict[tuple[Hashable, int], deque[float]] = {}  # for a row

    def worth(self, kind: Hashable, rows: Sequence[int]) -> int:
        """How many paintings should share the next forward, of those that could, given the rows of each.

        Half as many, and so on down to one, are tried when nothing is known of them; after that it is the
        fewest that get nearly as much done as any number.
        """
        pace: dict[int, float] = {}
        for count in halves(len(rows)):
            known = self._seconds.get((kind, room(sum(rows[:count]))), ())
            if len(known) < KNOWN:
                return count
            pace[count] = min(known)
        best = min(pace.values())
        return min(count for count, seconds in pace.items() if seconds <= GAIN * best)

    @contextmanager
    def timed(self, kind: Hashable, rows: int) -> Iterator[None]:
        """Within is a forward of so many rows.

        A GPU works behind the program's back: one that is measured begins and ends with the device idle. The
        first of its kind warms up and does not count.
        """
        like = (kind, room(rows))
        nth = self._seen[like]
        self._seen[like] += 1
        if nth > KEPT and nth % EVERY:
            yield
            return
        self._settle()
        started = self._clock()
        yield
        self._settle()
        if nth:
            kept = self._seconds.setdefault(like, deque(maxlen=KEPT))
            kept.append((self._clock() - started) / rows)

    def _settle(self) -> None:
        if self._device.type != "cpu":
            torch.accelerator.synchronize(self._device)


def halves(count: int) -> Iterator[int]:
    """All of them, and the powers of two below, down to one."""
    yield count
    for exponent in reversed(range(max(0, count - 1).bit_length())):
        yield 2**exponent


def room(rows: int) -> int:
    """The next power of two, at least."""
    return int(2 ** (rows - 1).bit_length())
