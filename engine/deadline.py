"""How long a step may take before the process is taken for hung: measured, with a floor."""

from collections.abc import Hashable

PATIENCE = 20.0  # times the longest step of its kind: a busy machine is slow, a hung one never comes back


class Deadlines:
    """The longest time seen for each kind of step."""

    def __init__(self, floor: float) -> None:
        self._floor = floor
        self._longest: dict[Hashable, float] = {}

    def of(self, kind: Hashable) -> float:
        """Seconds that a step of this kind may take."""
        return max(self._floor, PATIENCE * self._longest.get(kind, 0.0))

    def took(self, kind: Hashable, seconds: float) -> None:
        """Learn from a step that came back."""
        self._longest[kind] = max(seconds, self._longest.get(kind, 0.0))
