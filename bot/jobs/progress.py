"""Progress of jobs, kept in memory alone: steps, previews, places in the queue."""

from dataclasses import dataclass

from engine.messages import JobId, Progress, TrainingProgress


@dataclass(kw_only=True)
class JobProgress:
    """Where a job is that has not ended. `left`: about how many seconds until it is done."""

    step: int = 0
    steps: int = 0
    preview: bytes | None = None
    place: int | None = None  # in the queue, from 1
    left: float | None = None
    waiting: str = ""  # why it does not go on, if it does not
    phase: str = ""  # of a training: "learning", "sampling"
    loss: float | None = None  # of a training, smoothed

    @property
    def done(self) -> float:
        """The share of its steps that are done."""
        return self.step / self.steps if self.steps else 0.0

    def set_steps(self, update: Progress) -> None:
        """So many steps of a picture are done."""
        self.step, self.steps = update.step, update.steps
        self.preview = update.preview or self.preview

    def set_training(self, update: TrainingProgress) -> None:
        """So many steps of a training are done."""
        self.step, self.steps, self.left = update.step, update.steps, update.left
        self.phase, self.loss = update.phase, update.loss

    def wait_for(self, reason: str) -> None:
        """The engine is done with it, and it waits for something else."""
        self.left, self.waiting = None, reason


class LiveProgress:
    """The progress of jobs that run or are queued, by id."""

    def __init__(self) -> None:
        self._running: dict[JobId, JobProgress] = {}
        self._waiting: dict[JobId, JobProgress] = {}

    def get(self, job: JobId) -> JobProgress | None:
        """The progress of a job; None when none is known."""
        return self._running.get(job) or self._waiting.get(job)

    def set_position(self, job: JobId, *, place: int | None, left: float | None, waiting: str) -> None:
        """It is queued, unless the engine has it by now."""
        self._waiting[job] = JobProgress(place=place, left=left, waiting=waiting)

    def forget_position(self, job: JobId) -> None:
        """It is not queued any more."""
        self._waiting.pop(job, None)

    def start(self, job: JobId, progress: JobProgress) -> None:
        """The engine has it; this record is its progress from now on."""
        self._running[job] = progress
        self.forget_position(job)

    def forget(self, job: JobId) -> None:
        """It has ended, or its place is not known."""
        self._running.pop(job, None)
        self.forget_position(job)
