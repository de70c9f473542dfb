"""What one open page has yet to be sent: of each card the last state only, so a slow page stays bounded."""

import asyncio
from itertools import islice

FULL = 2000  # messages; a page that reads nothing for so long is cut off and comes back


class Overflow(Exception):
    """The page does not read what it is sent."""


class Outbox:
    """A queue in which a message replaces the one that waits under the same key."""

    def __init__(self) -> None:
        self._waiting: dict[str, str] = {}
        self._held: dict[str, str] | None = None
        self._filled = asyncio.Event()
        self._nth = 0

    def put(self, message: str, key: str = "") -> None:
        """Send this after all that waits; without a key it replaces nothing. Raises Overflow."""
        if len(self._waiting) >= FULL:
            raise Overflow
        self._nth += 1
        self._waiting[key or f"#{self._nth}"] = message
        self._filled.set()

    def put_news(self, message: str, key: str) -> None:
        """As put, but not before a history that is being read: it may be older than this news."""
        if self._held is None:
            self.put(message, key)
        else:
            self._held[key] = message

    def drop(self, key: str) -> None:
        """Forget what waits under this key."""
        self._waiting.pop(key, None)

    def hold(self) -> None:
        """A history is being read: keep news back."""
        self._held = {}

    def release(self) -> None:
        """The history was put: what came in the meantime follows it."""
        held, self._held = self._held or {}, None
        for key, message in held.items():
            self.drop(key)
            self.put(message, key)

    async def some(self, limit: int) -> list[str]:
        """At least one message and at most so many, those that wait longest."""
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        return [self._waiting.pop(key) for key in list(islice(self._waiting, limit))]
