"""A job on its way through the engine: what the queue knows of it beside its row."""

from dataclasses import dataclass

from engine.messages import Paint


@dataclass(kw_only=True)
class Running:
    """A job that was taken from the table and has not ended there."""

    number: int
    request: Paint
    expected: float  # engine seconds
    solo: bool  # it was in a step in which an engine died: nobody shares the engine with it
    strikes: int
    filed_at: float  # seconds since 1970
    first: tuple[int, float] | None = None  # the first step that was told, and when
    step: int = 0
    steps: int = 0
    inside: bool = True  # the engine has not answered yet

    @property
    def done(self) -> float:
        """The share of its steps that are done."""
        return self.step / self.steps if self.steps else 0.0

    @property
    def seconds_left(self) -> float:
        """Engine seconds."""
        return self.expected * (1 - self.done) if self.inside else 0.0
