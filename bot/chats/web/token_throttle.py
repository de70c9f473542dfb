"""The throttle of token attempts: those of one address wait for each other, and so do all together."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import structlog
from aiohttp import web
from cachetools import FIFOCache

from bot.http.connections import network
from bot.pacing.log_limit import LogLimit

PAUSE = 1.0  # seconds between two attempts from one address
PAUSE_OF_ALL = 0.1  # seconds between any two
LONGEST_WAIT = 10.0  # seconds that an attempt waits
MOST = 10_000  # addresses that are remembered
MOST_TRUSTED = 1000  # addresses from which the right token came

log = structlog.get_logger(__name__)


class Attempt:
    """One try: wrong, until it shows to be right."""

    def __init__(self) -> None:
        self.right = False


class TokenThrottle:
    """Lets tries through in their turn, right ones too: who tries many at once sees no answer sooner.

    An address from which the right token came once waits for its own wrong ones alone: strangers elsewhere
    cannot keep it out.
    """

    def __init__(
        self,
        *,
        pause: float = PAUSE,
        pause_of_all: float = PAUSE_OF_ALL,
        longest_wait: float = LONGEST_WAIT,
    ) -> None:
        self._pause, self._pause_of_all, self._longest_wait = pause, pause_of_all, longest_wait
        self._free: dict[str, float] = {}  # when an address may make its next attempt
        self._all_free = 0.0
        self._trusted: FIFOCache[str, None] = FIFOCache(MOST_TRUSTED)
        self._log_limit = LogLimit()

    @asynccontextmanager
    async def attempt(self, address: str) -> AsyncGenerator[Attempt]:
        """A try, once those before it are over; a wrong one is answered after a pause.

        Raises HTTPTooManyRequests, without any look at the token, where too many wait.
        """
        home = network(address)
        await self._wait(home)
        attempt = Attempt()
        yield attempt
        if attempt.right:
            self._trusted[home] = None
            return
        self._delay_next(home, time.monotonic())
        self._log_limit.warn(log, "Wrong token", address=address)
        await asyncio.sleep(self._pause)

    async def _wait(self, home: str) -> None:
        now = time.monotonic()
        free = self._free.get(home, 0.0)
        due = free if home in self._trusted else max(free, self._all_free)
        if due <= now:
            return
        if due - now > self._longest_wait:
            self._log_limit.warn(log, "Too many wrong tokens", address=home)
            raise web.HTTPTooManyRequests(
                text=f"There were too many wrong tokens. Try again in {self._longest_wait:.0f} s.",
                headers={"Retry-After": f"{self._longest_wait:.0f}"},
            )
        self._delay_next(home, due)
        await asyncio.sleep(due - now)

    def _delay_next(self, home: str, at: float) -> None:
        """An attempt is made at this moment: the next one comes later."""
        if len(self._free) >= MOST:
            now = time.monotonic()
            self._free = {home: free for home, free in self._free.items() if free > now}
        self._free[home] = max(self._free.get(home, 0.0), at + self._pause)
        self._all_free = max(self._all_free, at + self._pause_of_all)
