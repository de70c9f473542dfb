"""How long a step may take before the process is taken for hung: measured, with a floor."""

from collections.abc import Hashable

PATIENCE = 20.0  # times the longest step of its kind: a busy machine is slow, a hung one never comes back
COMPILING = 1800.0  # seconds: compiling every block for a new shape can take minutes


class Deadlines:
    """The longest time seen for each kind of step."""

    def __init__(self, floor: float, *, compiled: bool) -> None:
        """floor: seconds that any step may take; `compiled` allows each kind's first step to compile."""
        self._floor = floor
        self._first = COMPILING if compiled else floor
        self._longest: dict[Hashable, float] = {}

    def of(self, kind: Hashable) -> float:
        """Seconds that a step of this kind may take."""
        if kind not in self._longest:
            return max(self._floor, self._first)
        return max(self._floor, PATIENCE * self._longest[kind])

    def took(self, kind: Hashable, seconds: float) -> None:
        """Learn from a step that came back."""
        self._longest[kind] = max(seconds, self._longest.get(kind, 0.0))
