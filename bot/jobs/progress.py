"""Progress of jobs under way, kept in memory alone: steps, previews, places in the queue."""

from dataclasses import dataclass, replace

from engine.messages import JobId, TrainingProgress


@dataclass(frozen=True, kw_only=True)
class JobProgress:
    """A job that has not ended. `left` is the seconds until it is done, as far as anybody can tell."""

    step: int = 0
    steps: int = 0
    preview: bytes | None = None
    place: int | None = None  # in the line, from 1
    left: float | None = None
    waiting: str = ""  # why nothing moves, if nothing does
    phase: str = ""  # what a training is at: "learning", "sampling"
    loss: float | None = None  # a training's, smoothed


class LiveProgress:
    """The jobs under way and in the line, by id."""

    def __init__(self) -> None:
        self._jobs: dict[JobId, JobProgress] = {}

    def get(self, job: JobId) -> JobProgress | None:
        """What is known of the job now; None when nothing is."""
        return self._jobs.get(job)

    def set_position(self, job: JobId, *, place: int | None, left: float | None, waiting: str) -> None:
        """It stands in the line."""
        self._jobs[job] = JobProgress(place=place, left=left, waiting=waiting)

    def start(self, job: JobId) -> None:
        """The engine has it."""
        self._jobs[job] = JobProgress()

    def set_steps(self, job: JobId, *, step: int, steps: int, preview: bytes) -> None:
        """So many steps are done."""
        known = self._jobs.get(job, JobProgress())
        self._jobs[job] = replace(known, step=step, steps=steps, preview=preview or known.preview)

    def set_training(self, told: TrainingProgress) -> None:
        """A training is so far."""
        self._jobs[told.job] = JobProgress(
            step=told.step, steps=told.steps, phase=told.phase, loss=told.loss, left=told.left
        )

    def set_left(self, job: JobId, left: float) -> None:
        """So many seconds are left."""
        if (known := self._jobs.get(job)) is not None:
            self._jobs[job] = replace(known, left=left)

    def wait_for(self, job: JobId, waiting: str) -> None:
        """The engine is done with it, and something else is not."""
        known = self._jobs.get(job, JobProgress())
        self._jobs[job] = replace(known, left=None, waiting=waiting)

    def forget(self, job: JobId) -> None:
        """It has ended, or nobody knows where it stands."""
        self._jobs.pop(job, None)
