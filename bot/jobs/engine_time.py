"""What running jobs cost: the engine seconds of the steps that they were in."""

import time
from collections.abc import Mapping

from bot.jobs.running_job import RunningJob
from engine.messages import Event, Idle, JobId, Ready, StepStarted


class EngineTime:
    """Hears which jobs are in each step of the engine, and tells them its time, shared among them."""

    def __init__(self, running: Mapping[JobId, RunningJob]) -> None:
        self._running = running
        self._step_jobs: tuple[JobId, ...] = ()
        self._since = 0.0

    def hear(self, event: Event) -> None:
        """A step ends where the next one begins, or where nothing is left to do."""
        match event:
            case StepStarted():
                self._end_step()
                self._step_jobs = event.jobs
            case Idle():
                self._end_step()
            case Ready():  # the last engine died in its step
                self._step_jobs = ()

    def _end_step(self) -> None:
        now = time.monotonic()
        for job in self._step_jobs:
            if (running := self._running.get(job)) is not None:
                running.measured += (now - self._since) / len(self._step_jobs)
        self._step_jobs, self._since = (), now
