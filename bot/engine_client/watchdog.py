"""A watchdog timer for the engine, which does not count time that this machine slept."""

import asyncio
from collections.abc import Callable

LONGEST_PAUSE = 1.0  # seconds between two checks of the clock
CHECKS = 4  # at least so many in one deadline


class Watchdog:
    """One deadline at a time. `on_expiry` is called when it passes, and `expired_after` is then its length.

    Only the time counts in which this program ran: while a laptop slept nothing could be received, and
    what was sent meanwhile is still to be read.
    """

    def __init__(self, on_expiry: Callable[[], None]) -> None:
        self._on_expiry = on_expiry
        self._timer: asyncio.TimerHandle | None = None
        self._seconds = 0.0
        self._counted = 0.0  # of those, up to the last check
        self._checked_at = 0.0
        self.expired_after: float | None = None

    @property
    def armed(self) -> bool:
        """Whether a deadline is set."""
        return self._timer is not None

    @property
    def share_passed(self) -> float:
        """The share of the deadline that has passed, 0 when none is set."""
        if self._timer is None or not self._seconds:
            return 0.0
        return (self._counted + self._seconds_since_check()) / self._seconds

    def arm(self, seconds: float) -> None:
        """Set a deadline of so many seconds from now, instead of the one before."""
        self.disarm()
        self._seconds, self._counted = seconds, 0.0
        self._checked_at = asyncio.get_running_loop().time()
        self._schedule_check()

    def restart(self) -> None:
        """Start the same deadline again, if one is set."""
        if self.armed:
            self.arm(self._seconds)

    def disarm(self) -> None:
        """Set no deadline."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    @property
    def _pause(self) -> float:
        return min(LONGEST_PAUSE, self._seconds / CHECKS)

    def _seconds_since_check(self) -> float:
        """Seconds since the last check, as far as they were not slept through."""
        return min(asyncio.get_running_loop().time() - self._checked_at, 2 * self._pause)

    def _schedule_check(self) -> None:
        pause = min(self._pause, self._seconds - self._counted)
        self._timer = asyncio.get_running_loop().call_later(pause, self._check)

    def _check(self) -> None:
        self._timer = None
        self._counted += self._seconds_since_check()
        self._checked_at = asyncio.get_running_loop().time()
        if self._counted < self._seconds:
            self._schedule_check()
            return
        self.expired_after = self._seconds
        self._on_expiry()
