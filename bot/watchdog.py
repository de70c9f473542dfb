"""A watchdog: it bites when nothing was heard for as long as was allowed."""

import asyncio
from collections.abc import Callable


class Watchdog:
    """One deadline at a time; `bite` is called when it passes, and `bitten` then tells what it was."""

    def __init__(self, bite: Callable[[], None]) -> None:
        self._bite = bite
        self._timer: asyncio.TimerHandle | None = None
        self._seconds = 0.0
        self.bitten: float | None = None

    @property
    def armed(self) -> bool:
        """Whether a deadline runs."""
        return self._timer is not None

    @property
    def spent(self) -> float:
        """The share of the deadline that has passed, 0 when none runs."""
        if self._timer is None or not self._seconds:
            return 0.0
        return 1 - (self._timer.when() - asyncio.get_running_loop().time()) / self._seconds

    def arm(self, seconds: float) -> None:
        """Let a deadline of so many seconds begin now, instead of the one that ran."""
        self.disarm()
        self._seconds = seconds
        self._timer = asyncio.get_running_loop().call_later(seconds, self._passed)

    def heard(self) -> None:
        """Begin the same deadline again, if one runs."""
        if self.armed:
            self.arm(self._seconds)

    def disarm(self) -> None:
        """Let no deadline run."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _passed(self) -> None:
        self._timer = None
        self.bitten = self._seconds
        self._bite()
