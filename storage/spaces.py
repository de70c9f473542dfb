"""Spaces that the bot has left without being told."""

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from storage.privacy import FORGOTTEN
from storage.tables import Space

GRACE = 7 * 86_400.0  # seconds: a chat that forgets to name a space for a while costs nobody a picture


async def find_left(session: AsyncSession, chat: str, named: Collection[str], now: float) -> list[str]:
    """The keys of joined spaces that the chat has not named for the time of grace.

    named: the keys of all spaces in which the bot is now. Spaces that it never was a member of, such as
    people's own channels and those where they brought it along as their own app, are never left.
    """
    query = select(Space).where(Space.chat == chat, ~Space.key.startswith(FORGOTTEN))
    gone = []
    for space in await session.scalars(query):
        if space.key in named:
            space.joined, space.away_at = True, None
        elif space.joined and space.away_at is None:
            space.away_at = now
        elif space.joined and space.away_at is not None and space.away_at <= now - GRACE:
            gone.append(space.key)
    await session.flush()
    return gone
