"""The queue of messages to one open page: of each card the last state only, so a slow page stays bounded."""

import asyncio

from bot.chats.web.memory_budget import Budget

MOST_MESSAGES = 2000  # a page that reads nothing for so long is cut off and comes back
MOST_BYTES = 4 * 2**20  # of them: the same
ROOMY_BYTES = 2**20  # that may wait while the page is heard
FRAME = 256 * 2**10  # bytes of messages in one frame, if there is more than one


class Overflow(Exception):
    """The page does not read what it is sent."""


class Outbox:
    """A queue in which a message replaces the one that waits under the same key. `budget`: all pages'."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._waiting: dict[str, str] = {}
        self._bytes = 0  # bytes: messages are ASCII
        self._held: dict[str, str] | None = None
        self._has_messages = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._closed = False
        self._count = 0

    def put(self, message: str, key: str = "") -> None:
        """Send this after all that waits; without a key it replaces nothing. Raises Overflow."""
        if self._closed:
            return
        if len(self._waiting) >= MOST_MESSAGES:
            raise Overflow
        self._count += 1
        key = key or f"#{self._count}"
        self._reserve(message)
        if key in self._waiting:
            self._free(self._waiting[key])
        self._waiting[key] = message
        self._has_messages.set()

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits, and no history is being read before which it would come."""
        return not self._waiting and self._held is None

    def put_news(self, message: str, key: str) -> None:
        """As put, but not before a history that is being read: it may be older than this news."""
        if self._held is None or self._closed:
            self.put(message, key)
            return
        self._reserve(message)
        if key in self._held:
            self._free(self._held[key])
        self._held[key] = message

    def drop(self, key: str) -> None:
        """Forget what waits under this key."""
        if key in self._waiting:
            self._free(self._waiting.pop(key))

    def hold(self) -> None:
        """A history is being read: keep news back."""
        if self._held is None:
            self._held = {}

    def release(self) -> None:
        """The history was put: what came in the meantime follows it."""
        held, self._held = self._held or {}, None
        for key, message in held.items():
            self._free(message)
            self.drop(key)
            self.put(message, key)

    async def take(self, limit: int) -> list[str]:
        """At least one message and at most so many, those that wait longest, and not too large together."""
        while not self._waiting:
            self._has_messages.clear()
            await self._has_messages.wait()
        messages: list[str] = []
        size = 0
        for key in list(self._waiting):
            size += len(self._waiting[key])
            if messages and (size > FRAME or len(messages) == limit):
                break
            messages.append(self._waiting.pop(key))
            self._free(messages[-1])
        return messages

    async def wait_for_room(self) -> None:
        """Wait until the page has read most of what it was sent, or nobody sends any more."""
        await self._has_room.wait()

    def close(self) -> None:
        """Nothing is sent any more."""
        self._closed = True
        self._waiting.clear()
        self._held = None
        self._budget.free(self._bytes)
        self._bytes = 0
        self._has_room.set()

    def _reserve(self, message: str) -> None:
        if (self._bytes and self._bytes + len(message) > MOST_BYTES) or not self._budget.reserve(
            len(message)
        ):
            raise Overflow
        self._bytes += len(message)
        if self._bytes > ROOMY_BYTES:
            self._has_room.clear()

    def _free(self, message: str) -> None:
        self._bytes -= len(message)
        self._budget.free(len(message))
        if self._bytes <= ROOMY_BYTES:
            self._has_room.set()
