"""What one open page has yet to be sent: of each card the last state only, so a slow page stays bounded."""

import asyncio

from bot.chats.web.memory_budget import Budget

FULL = 2000  # messages; a page that reads nothing for so long is cut off and comes back
HEAVY = 4 * 2**20  # bytes of them: the same
ROOMY = 2**20  # bytes that may wait while the page is heard
FRAME = 256 * 2**10  # bytes of messages in one frame, if there is more than one


class Overflow(Exception):
    """The page does not read what it is sent."""


class Outbox:
    """A queue in which a message replaces the one that waits under the same key. `budget`: all pages'."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._waiting: dict[str, str] = {}
        self._weight = 0  # bytes: messages are ASCII
        self._held: dict[str, str] | None = None
        self._filled = asyncio.Event()
        self._roomy = asyncio.Event()
        self._roomy.set()
        self._closed = False
        self._nth = 0

    def put(self, message: str, key: str = "") -> None:
        """Send this after all that waits; without a key it replaces nothing. Raises Overflow."""
        if self._closed:
            return
        if len(self._waiting) >= FULL:
            raise Overflow
        self._nth += 1
        key = key or f"#{self._nth}"
        self._take(message)
        if key in self._waiting:
            self._give(self._waiting[key])
        self._waiting[key] = message
        self._filled.set()

    def put_news(self, message: str, key: str) -> None:
        """As put, but not before a history that is being read: it may be older than this news."""
        if self._held is None or self._closed:
            self.put(message, key)
            return
        self._take(message)
        if key in self._held:
            self._give(self._held[key])
        self._held[key] = message

    def drop(self, key: str) -> None:
        """Forget what waits under this key."""
        if key in self._waiting:
            self._give(self._waiting.pop(key))

    def hold(self) -> None:
        """A history is being read: keep news back."""
        if self._held is None:
            self._held = {}

    def release(self) -> None:
        """The history was put: what came in the meantime follows it."""
        held, self._held = self._held or {}, None
        for key, message in held.items():
            self._give(message)
            self.drop(key)
            self.put(message, key)

    async def some(self, limit: int) -> list[str]:
        """At least one message and at most so many, those that wait longest, and not too heavy together."""
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        taken: list[str] = []
        weight = 0
        for key in list(self._waiting):
            weight += len(self._waiting[key])
            if taken and (weight > FRAME or len(taken) == limit):
                break
            taken.append(self._waiting.pop(key))
            self._give(taken[-1])
        return taken

    async def room(self) -> None:
        """Wait until the page has read most of what it was sent, or nobody sends any more."""
        await self._roomy.wait()

    def close(self) -> None:
        """Nothing is sent any more."""
        self._closed = True
        self._waiting.clear()
        self._held = None
        self._budget.give(self._weight)
        self._weight = 0
        self._roomy.set()

    def _take(self, message: str) -> None:
        if (self._weight and self._weight + len(message) > HEAVY) or not self._budget.take(len(message)):
            raise Overflow
        self._weight += len(message)
        if self._weight > ROOMY:
            self._roomy.clear()

    def _give(self, message: str) -> None:
        self._weight -= len(message)
        self._budget.give(len(message))
        if self._weight <= ROOMY:
            self._roomy.set()
