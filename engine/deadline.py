"""Deadlines of steps, after which the bot takes the engine for hung: measured, with a floor."""

from collections.abc import Hashable

PATIENCE = 20.0  # times the longest step of its kind, since a busy machine is slow


class Deadlines:
    """The longest time of each kind of step so far."""

    def __init__(self, floor: float) -> None:
        """floor: seconds that any step may take."""
        self._floor = floor
        self._longest: dict[Hashable, float] = {}

    def of(self, kind: Hashable) -> float:
        """Seconds that a step of this kind may take."""
        return max(self._floor, PATIENCE * self._longest.get(kind, 0.0))

    def record(self, kind: Hashable, seconds: float) -> None:
        """Note the seconds of a step of this kind."""
        self._longest[kind] = max(seconds, self._longest.get(kind, 0.0))
