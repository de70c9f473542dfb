"""The open pages by their channel, and news that is written once for all pages of a channel."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Generic, Protocol, TypeVar

from bot.chats.web.outbox import FRAME


class Page(Protocol):
    """What an open page takes."""

    channel: str | None

    @property
    def is_idle(self) -> bool:
        """Whether all that the page was sent is on its way, and no history is being read for it."""

    def send(self, message: str) -> None:
        """Send a message, or several with commas between them."""

    def send_news(self, key: str, message: str) -> None:
        """Send a message that replaces the one that waits under this key."""


PAUSE = 0.02  # seconds from news of a channel to the next: a send to a page costs more than what is in it
PAUSE_OF_PAGE = 0.0005  # seconds of pause for each page that is open: hundreds leave time for what they ask
P = TypeVar("P", bound=Page)


class OpenPages(Generic[P]):
    """The pages that are open. News of one moment go to those that read fast as one message.

    To each page by itself a hundred cards would be a hundred messages, and to a hundred pages ten thousand.
    """

    def __init__(self) -> None:
        self._all: set[P] = set()
        self._by_channel: defaultdict[str, set[P]] = defaultdict(set)
        self._waiting: dict[str, dict[str, str]] = {}  # news by channel and key
        self._newest: dict[str, tuple[int, str]] = {}  # by channel: its newest card, for pages elsewhere
        self._sent_at: dict[str, float] = {}  # on the event loop's clock, by channel

    @property
    def all(self) -> Collection[P]:
        """All of them."""
        return tuple(self._all)

    def of_channel(self, channel: str) -> Collection[P]:
        """Those that have this channel open."""
        return tuple(self._by_channel.get(channel, ()))

    def elsewhere(self, channel: str) -> Collection[P]:
        """Those that have another channel open, or none."""
        return tuple(self._all - self._by_channel.get(channel, set()))

    def add(self, page: P) -> None:
        """A page was opened; it has no channel yet."""
        self._all.add(page)

    def discard(self, page: P) -> None:
        """A page was closed."""
        self._all.discard(page)
        self._leave(page)

    def move(self, page: P, channel: str) -> None:
        """The page opens this channel in the place of the one before."""
        self._leave(page)
        page.channel = channel
        self._by_channel[channel].add(page)

    def broadcast(self, channel: str, key: str, message: str) -> None:
        """Send this to all pages of the channel, with what else comes soon after the last news there."""
        self._plan_flush(channel)
        self._waiting[channel][key] = message

    def announce(self, channel: str, number: int, message: str) -> None:
        """Tell all pages that have another channel open of the card with this number, unless one is newer."""
        self._plan_flush(channel)
        self._newest[channel] = max(self._newest.get(channel, (0, "")), (number, message))

    def _plan_flush(self, channel: str) -> None:
        if channel not in self._waiting:
            self._waiting[channel] = {}
            pause = max(PAUSE, PAUSE_OF_PAGE * len(self._all))
            loop = asyncio.get_running_loop()
            loop.call_at(self._sent_at.get(channel, -pause) + pause, self.flush, channel)

    def flush(self, channel: str) -> None:
        """Send what waits for the pages of this channel."""
        news = self._waiting.pop(channel, {})
        self._sent_at[channel] = asyncio.get_running_loop().time()
        joined = ",".join(news.values())
        for page in self.of_channel(channel) if news else ():
            if page.is_idle and len(joined) <= FRAME:
                page.send(joined)
            else:
                _send_each(page, news)
        if channel in self._newest:
            _, newest = self._newest.pop(channel)
            for page in self.elsewhere(channel):
                page.send_news(f"news:{channel}", newest)

    def _leave(self, page: P) -> None:
        if page.channel is not None:
            self._by_channel[page.channel].discard(page)


def _send_each(page: Page, news: Mapping[str, str]) -> None:
    for key, message in news.items():
        page.send_news(key, message)
