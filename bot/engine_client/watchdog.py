"""A watchdog: it bites when nothing was heard for as long as was allowed."""

import asyncio
from collections.abc import Callable

LONGEST_LOOK = 1.0  # seconds between two looks at the clock
LOOKS = 4  # at least so many in one deadline


class Watchdog:
    """One deadline at a time; `bite` is called when it passes, and `bitten` then tells what it was.

    Only the time counts in which this program ran: one that was stopped, as a laptop that slept, has not
    listened meanwhile, and what was said to it is still to be heard.
    """

    def __init__(self, bite: Callable[[], None]) -> None:
        self._bite = bite
        self._timer: asyncio.TimerHandle | None = None
        self._seconds = 0.0
        self._awake = 0.0  # of those, up to the last look at the clock
        self._looked = 0.0
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
        return (self._awake + self._since_then()) / self._seconds

    def arm(self, seconds: float) -> None:
        """Let a deadline of so many seconds begin now, instead of the one that ran."""
        self.disarm()
        self._seconds, self._awake = seconds, 0.0
        self._looked = asyncio.get_running_loop().time()
        self._look_again()

    def heard(self) -> None:
        """Begin the same deadline again, if one runs."""
        if self.armed:
            self.arm(self._seconds)

    def disarm(self) -> None:
        """Let no deadline run."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    @property
    def _between(self) -> float:
        return min(LONGEST_LOOK, self._seconds / LOOKS)

    def _since_then(self) -> float:
        """Seconds since the last look, as far as they were not slept through."""
        return min(asyncio.get_running_loop().time() - self._looked, 2 * self._between)

    def _look_again(self) -> None:
        pause = min(self._between, self._seconds - self._awake)
        self._timer = asyncio.get_running_loop().call_later(pause, self._look)

    def _look(self) -> None:
        self._timer = None
        self._awake += self._since_then()
        self._looked = asyncio.get_running_loop().time()
        if self._awake < self._seconds:
            self._look_again()
            return
        self.bitten = self._seconds
        self._bite()
