"""Engine time of running jobs: the seconds of the steps that they were in."""

import time
from collections.abc import Mapping

from bot.jobs.running_job import RunningJob
from engine.messages import Event, Idle, JobId, Ready, StepStarted


class EngineTime:
    """Divides the time of each step of the engine among the jobs that are in it."""

    def __init__(self, running: Mapping[JobId, RunningJob]) -> None:
        self._running = running
        self._step_jobs: tuple[JobId, ...] = ()
        self._since = 0.0

    def observe(self, event: Event) -> None:
        """Take in an event: a step ends where the next one starts, or where nothing is left to do."""
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
