"""A job that runs: what the queue knows of it besides its row."""

from dataclasses import dataclass, field

from bot.jobs.progress import JobProgress
from engine.messages import JobRequest, Paint


@dataclass(kw_only=True)
class RunningJob:
    """A job that was claimed from the table and has not ended there."""

    number: int
    request: JobRequest
    expected: float  # engine seconds
    solo: bool  # an engine died in its step: it gets the engine for itself
    strikes: int
    filed_at: float  # seconds since 1970
    first: tuple[int, float] | None = None  # the first step that was reported, and when
    progress: JobProgress = field(default_factory=JobProgress)  # as its card shows it
    inside: bool = True  # it is in the engine: no final update yet
    unwanted: bool = False  # it was cancelled: the engine need not start
    finishing: bool = False  # a training that is to end early, with what it has
    advanced: bool = False  # a training that has saved a state since it was claimed
    measured: float = 0.0  # engine seconds of the steps it was in
    show_again: float = 0.0  # when a training's card is shown again, on the monotonic clock

    @property
    def pictures(self) -> int:
        """How many pictures of it are in a step; none of a training, which has steps of its own."""
        return self.request.picture_count if isinstance(self.request, Paint) else 0

    @property
    def spent(self) -> float:
        """Engine seconds that it has cost so far: measured for a training, estimated for pictures."""
        return self.expected * self.progress.done if isinstance(self.request, Paint) else self.measured

    @property
    def seconds_left(self) -> float:
        """Engine seconds until it leaves the engine."""
        return self.expected * (1 - self.progress.done) if self.inside else 0.0
