"""The seconds that steps take: by the wall clock on a CPU, by the device's own events on a GPU.

A GPU works through its queue while the host goes on, so the time around a step is the time to launch it.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch

IN_FLIGHT = 2  # steps that a device has in its queue at most, so that who comes waits for no more
MILLISECONDS = 1000

Record = Callable[[float], None]  # takes the seconds of a step


class StepClock(Protocol):
    """Measures steps. Their seconds come at once or later, in the order of the steps."""

    def measure(self, record: Record) -> AbstractContextManager[None]:
        """A context for one step. `record` gets its seconds, unless it raises an error."""

    def collect(self) -> None:
        """Give the seconds of the steps that have ended by now."""


class WallClock:
    """The time around a step, which has ended when its context ends."""

    def __init__(
        self, now: Callable[[], float] = time.perf_counter, synchronize: Callable[[], None] | None = None
    ) -> None:
        """now: returns seconds. synchronize: waits for a device that is not done when a call returns."""
        self._now = now
        self._synchronize = synchronize

    @contextmanager
    def measure(self, record: Record) -> Iterator[None]:
        """A context for one step, with its seconds at its end."""
        started = self._now()
        yield
        if self._synchronize is not None:
            self._synchronize()
        record(self._now() - started)

    def collect(self) -> None:
        """Nothing is left to give."""


class DeviceEvent(Protocol):
    """What is used of a torch.Event with timing."""

    def record(self) -> None: ...
    def query(self) -> bool: ...
    def synchronize(self) -> None: ...
    def elapsed_time(self, end: Any) -> float: ...


@dataclass(frozen=True, kw_only=True)
class QueuedStep:
    """A step in the device's queue, between two events."""

    start: DeviceEvent
    end: DeviceEvent
    record: Record


class EventClock:
    """The time between two events in the device's queue, which is known when it has reached the second.

    A step waits at its begin while `most` are in the queue.
    """

    def __init__(self, make_event: Callable[[], DeviceEvent], most: int = IN_FLIGHT) -> None:
        self._make_event = make_event
        self._most = most
        self._queue: deque[QueuedStep] = deque()

    @contextmanager
    def measure(self, record: Record) -> Iterator[None]:
        """A context for one step, with its seconds at a later `collect` or `measure`."""
        while len(self._queue) >= self._most:
            self._queue[0].end.synchronize()
            self._give_first()
        start, end = self._make_event(), self._make_event()
        start.record()
        yield
        end.record()
        self._queue.append(QueuedStep(start=start, end=end, record=record))

    def collect(self) -> None:
        """Give the seconds of the steps that have ended by now."""
        while self._queue and self._queue[0].end.query():
            self._give_first()

    def _give_first(self) -> None:
        step = self._queue.popleft()
        step.record(step.start.elapsed_time(step.end) / MILLISECONDS)


def make_clock(device: torch.device, most: int = IN_FLIGHT) -> StepClock:
    """The clock for steps on this device, with at most so many in its queue."""
    match device.type:
        case "cpu":
            return WallClock()
        case "cuda":
            return EventClock(lambda: torch.Event(device, enable_timing=True), most)
        case _:
            return WallClock(synchronize=lambda: torch.accelerator.synchronize(device))
