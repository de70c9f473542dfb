"""The steps that the device may still be at: which jobs are in them, and how long they may take."""

import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from engine.deadline import Deadlines
from engine.messages import JobId, StepStarted
from engine.step_clock import StepClock

ANNOUNCE_SECONDS = 0.25  # between announcements while the same jobs step on, often enough for the watchdog


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of these jobs. Steps of equal kinds take about as long."""

    jobs: tuple[JobId, ...]
    kind: Hashable


class StepQueue:
    """Steps from their announcement until they are measured."""

    def __init__(self, clock: StepClock, deadlines: Deadlines) -> None:
        self._clock = clock
        self._deadlines = deadlines
        self._steps: deque[Step] = deque()
        self._last: Step | None = None
        self._announced = 0.0

    def announce(self, step: Step) -> Iterator[StepStarted]:
        """Announce which jobs are in the next step, whenever they or its kind change, and now and then.

        Steps that the device may still be at count, too: a device that hangs or breaks is heard of later.
        """
        jobs = tuple(dict.fromkeys([*step.jobs, *(job for queued in self._steps for job in queued.jobs)]))
        step, now = Step(jobs=jobs, kind=step.kind), time.monotonic()
        if step != self._last or now - self._announced > ANNOUNCE_SECONDS:
            self._last, self._announced = step, now
            kinds = [step.kind, *(queued.kind for queued in self._steps)]
            yield StepStarted(jobs=jobs, deadline=max(map(self._deadlines.of, kinds)))

    @contextmanager
    def measure(self, step: Step, charge: Callable[[float], None]) -> Iterator[None]:
        """A context for this step, whose seconds are charged when they are known."""

        def record(seconds: float) -> None:
            self._steps.popleft()
            self._deadlines.record(step.kind, seconds)
            charge(seconds)

        self._steps.append(step)
        with self._clock.measure(record):
            yield

    def collect(self) -> None:
        """Charge the steps that the device has done by now."""
        self._clock.collect()

    def rest(self) -> None:
        """Nothing is left to do, so that the next step is announced whatever it is."""
        self._last = None
