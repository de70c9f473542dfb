"""Progress of jobs under way, kept in memory alone: steps, previews, places in the queue."""

from dataclasses import dataclass

from engine.messages import JobId, Progress, TrainingProgress


@dataclass(kw_only=True)
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

    @property
    def done(self) -> float:
        """The share of its steps that are done."""
        return self.step / self.steps if self.steps else 0.0

    def set_steps(self, update: Progress) -> None:
        """So many steps are done."""
        self.step, self.steps = update.step, update.steps
        self.preview = update.preview or self.preview

    def set_training(self, update: TrainingProgress) -> None:
        """A training is so far."""
        self.step, self.steps, self.left = update.step, update.steps, update.left
        self.phase, self.loss = update.phase, update.loss

    def wait_for(self, reason: str) -> None:
        """The engine is done with it, and something else is not."""
        self.left, self.waiting = None, reason


class LiveProgress:
    """The jobs under way and in the line, by id."""

    def __init__(self) -> None:
        self._running: dict[JobId, JobProgress] = {}
        self._waiting: dict[JobId, JobProgress] = {}

    def get(self, job: JobId) -> JobProgress | None:
        """What is known of the job now; None when nothing is."""
        return self._running.get(job) or self._waiting.get(job)

    def set_position(self, job: JobId, *, place: int | None, left: float | None, waiting: str) -> None:
        """It stands in the line, unless the engine has it by now."""
        self._waiting[job] = JobProgress(place=place, left=left, waiting=waiting)

    def forget_position(self, job: JobId) -> None:
        """It does not stand in the line any more."""
        self._waiting.pop(job, None)

    def start(self, job: JobId, progress: JobProgress) -> None:
        """The engine has it, and this is how far it is from now on."""
        self._running[job] = progress
        self.forget_position(job)

    def forget(self, job: JobId) -> None:
        """It has ended, or nobody knows where it stands."""
        self._running.pop(job, None)
        self.forget_position(job)
