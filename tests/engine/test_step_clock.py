"""Steps are measured by the device's own events, and charged when it has done them."""

from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest

import engine.studio
from engine.forward_cost import ForwardCost
from engine.messages import EngineSettings, JobId, Painted, StepStarted, Trained
from engine.sdxl.model import Model
from engine.step_clock import IN_FLIGHT, EventClock, WallClock
from engine.studio import Studio
from tests.engine.studio_work import furthest, pictures, request, work
from tests.engine.training_cases import training

STEP = 0.5  # seconds of the device for each step


class LateDevice:
    """A device that does a step when somebody waits for it, or when `behind` later ones are in its queue."""

    def __init__(self, behind: int) -> None:
        self.behind = behind
        self.queue: deque[LateEvent] = deque()
        self.longest_queue = 0
        self.now = 0.0

    def clock(self) -> EventClock:
        return EventClock(lambda: LateEvent(self))

    def times_studios(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The next studio's steps are measured by it, and the cost of forwards by the wall clock."""
        clocks = iter([WallClock(), self.clock()])
        monkeypatch.setattr(engine.studio, "make_clock", lambda _: next(clocks))

    def do_until(self, event: "LateEvent") -> None:
        while event.reached is None:
            self.do_next()

    def do_next(self) -> None:
        event = self.queue.popleft()
        if event.ends_a_step:
            self.now += STEP
        event.reached = self.now


class LateEvent:
    def __init__(self, device: LateDevice) -> None:
        self.device = device
        self.reached: float | None = None
        self.ends_a_step = False

    def record(self) -> None:
        queue = self.device.queue
        self.ends_a_step = bool(queue) and not queue[-1].ends_a_step
        queue.append(self)
        while len(queue) > 2 * self.device.behind:
            self.device.do_next()
        self.device.longest_queue = max(self.device.longest_queue, len(queue))

    def query(self) -> bool:
        return self.reached is not None

    def synchronize(self) -> None:
        self.device.do_until(self)

    def elapsed_time(self, end: "LateEvent") -> float:
        assert self.reached is not None and end.reached is not None
        return (end.reached - self.reached) * 1000


def measure(clock: EventClock, record: Callable[[float], None]) -> None:
    with clock.measure(record):
        pass


def test_seconds_come_in_order_when_the_device_is_there() -> None:
    device, seconds = LateDevice(behind=10), list[tuple[str, float]]()
    clock = device.clock()

    measure(clock, lambda took: seconds.append(("first", took)))
    measure(clock, lambda took: seconds.append(("second", took)))
    clock.collect()
    assert not seconds

    device.do_until(device.queue[-1])
    clock.collect()
    assert seconds == [("first", STEP), ("second", STEP)]


def test_a_step_waits_while_two_are_in_the_queue() -> None:
    device = LateDevice(behind=10)
    clock = device.clock()

    for _ in range(8):
        measure(clock, lambda _: None)

    assert device.longest_queue == 2 * IN_FLIGHT


def test_a_step_that_fails_is_not_measured() -> None:
    seconds: list[float] = []
    for clock in (WallClock(), LateDevice(behind=0).clock()):
        with pytest.raises(RuntimeError), clock.measure(seconds.append):
            raise RuntimeError("out of luck")
        clock.collect()

    assert not seconds


def test_on_a_device_that_is_behind_pictures_and_charges_are_the_same(
    model: Model, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ForwardCost, "best_count", lambda _, __, rows: len(rows))
    settings = EngineSettings(model="demo", files=str(files))
    requests = [request("a", steps=4), request("b", steps=6, seed=3)]
    alone = pictures(work(Studio(model, settings), {0: requests}))
    device = LateDevice(behind=1)
    device.times_studios(monkeypatch)

    events = work(Studio(model, settings), {0: requests})

    assert all(furthest(picture, alone[job]) <= 1 for job, picture in pictures(events).items())
    seconds = {event.job: event.seconds for event in events if isinstance(event, Painted)}
    # Its words are its own, four forwards are shared, and its decode may still be in the queue.
    assert seconds[JobId("a")] in ((1 + 4 / 2) * STEP, (2 + 4 / 2) * STEP)
    assert seconds[JobId("b")] - seconds[JobId("a")] in (1 * STEP, 2 * STEP, 3 * STEP)
    # While a step is in the queue its jobs are named among those that may have broken the device.
    assert ("b", "a") in [event.jobs for event in events if isinstance(event, StepStarted)]


def test_a_training_beside_pictures_has_its_share_of_the_devices_time(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = LateDevice(behind=1)
    device.times_studios(monkeypatch)
    studio = Studio(model, EngineSettings(model="demo", files=str(tmp_path), training_share=0.5))
    train = training(tmp_path, steps=4)

    events = work(studio, {0: [train, request("picture", steps=20)]})  # type: ignore[list-item]

    assert any(isinstance(event, Painted) for event in events)
    assert any(isinstance(event, Trained) for event in events)
    painted = next(place for place, event in enumerate(events) if isinstance(event, Painted))
    before = [event.jobs for event in events[:painted] if isinstance(event, StepStarted)]
    assert any("t" in jobs for jobs in before)
    assert any(len(jobs) == 2 for jobs in before)  # of both, while a step of each may break the device
