"""Growing pauses between tries of what failed."""

from math import inf


class Backoff:
    """Each pause is twice as long as the one before, up to the longest."""

    def __init__(self, first: float, longest: float = inf) -> None:
        self._first = first
        self._longest = longest
        self.seconds = first  # of the next pause

    def next(self) -> float:
        """The seconds to wait before the next try."""
        seconds = self.seconds
        self.seconds = min(2 * seconds, self._longest)
        return seconds

    def reset(self) -> None:
        """It went: the next pause is the first again."""
        self.seconds = self._first
