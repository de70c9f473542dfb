"""Connecting to a chat whose service was not there when the bot was started."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from bot.chats.interface import ChatUnavailable, ChatUnreached
from bot.pacing.backoff import Backoff

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0  # seconds before it is tried again, doubled each time

log = structlog.get_logger(__name__)


async def reach(chat: str, begin: Callable[[], Awaitable[str]]) -> None:
    """Try to begin until that works, or until the service says that it never will."""
    backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
    while True:
        await asyncio.sleep(backoff.next())
        try:
            address = await begin()
        except ChatUnreached as absence:
            log.warning("Chat cannot be reached", chat=chat, reason=str(absence))
        except ChatUnavailable as refusal:
            log.error("Chat not served", chat=chat, reason=str(refusal))
            return
        else:
            log.info("Listening", address=address)
            return
