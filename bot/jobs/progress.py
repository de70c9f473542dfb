"""Progress of jobs under way, kept in memory alone: steps, previews, places in the queue."""

from dataclasses import dataclass, replace

from engine.messages import JobId, TrainingProgress


@dataclass(frozen=True, kw_only=True)
class LiveJob:
    """A job that has not ended. `left` is the seconds until it is done, as far as anybody can tell."""

    step: int = 0
    steps: int = 0
    preview: bytes | None = None
    place: int | None = None  # in the line, from 1
    left: float | None = None
    waiting: str = ""  # why nothing moves, if nothing does
    phase: str = ""  # what a training is at: "learning", "sampling"
    loss: float | None = None  # a training's, smoothed


class Live:
    """The jobs under way and in the line, by id."""

    def __init__(self) -> None:
        self._jobs: dict[JobId, LiveJob] = {}

    def get(self, job: JobId) -> LiveJob | None:
        """What is known of the job now; None when nothing is."""
        return self._jobs.get(job)

    def queued(self, job: JobId, *, place: int | None, left: float | None, waiting: str) -> None:
        """It stands in the line."""
        self._jobs[job] = LiveJob(place=place, left=left, waiting=waiting)

    def running(self, job: JobId) -> None:
        """The engine has it."""
        self._jobs[job] = LiveJob()

    def progress(self, job: JobId, *, step: int, steps: int, preview: bytes) -> None:
        """So many steps are done."""
        known = self._jobs.get(job, LiveJob())
        self._jobs[job] = replace(known, step=step, steps=steps, preview=preview or known.preview)

    def learning(self, told: TrainingProgress) -> None:
        """A training is so far."""
        self._jobs[told.job] = LiveJob(
            step=told.step, steps=told.steps, phase=told.phase, loss=told.loss, left=told.left
        )

    def estimate(self, job: JobId, left: float) -> None:
        """So many seconds are left."""
        if (known := self._jobs.get(job)) is not None:
            self._jobs[job] = replace(known, left=left)

    def held(self, job: JobId, waiting: str) -> None:
        """The engine is done with it, and something else is not."""
        known = self._jobs.get(job, LiveJob())
        self._jobs[job] = replace(known, left=None, waiting=waiting)

    def forget(self, job: JobId) -> None:
        """It has ended, or nobody knows where it stands."""
        self._jobs.pop(job, None)
