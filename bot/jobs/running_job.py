"""A job on its way through the engine: what the queue knows of it beside its row."""

from dataclasses import dataclass, field

from bot.jobs.progress import JobProgress
from engine.messages import JobRequest, Paint


@dataclass(kw_only=True)
class RunningJob:
    """A job that was taken from the table and has not ended there."""

    number: int
    request: JobRequest
    expected: float  # engine seconds
    solo: bool  # pictures in whose step an engine died: no others share the engine with them
    strikes: int
    filed_at: float  # seconds since 1970
    first: tuple[int, float] | None = None  # the first step that was told, and when
    progress: JobProgress = field(default_factory=JobProgress)  # as its card shows it
    inside: bool = True  # the engine has not answered yet
    unwanted: bool = False  # it was cancelled: the engine need not begin
    finishing: bool = False  # a training that is to end with what it has
    advanced: bool = False  # a training that has saved a state since it was taken
    measured: float = 0.0  # engine seconds of the steps it was in
    show_again: float = 0.0  # when the card of a training is drawn again, on the monotonic clock

    @property
    def pictures(self) -> int:
        """How many pictures of it are in a step; a training has steps of its own."""
        return self.request.picture_count if isinstance(self.request, Paint) else 0

    @property
    def spent(self) -> float:
        """Engine seconds that it has cost so far: a training's are measured, pictures' worked out."""
        return self.expected * self.progress.done if isinstance(self.request, Paint) else self.measured

    @property
    def seconds_left(self) -> float:
        """Engine seconds."""
        return self.expected * (1 - self.progress.done) if self.inside else 0.0
