"""Posts with the bot's own token: each sent once, edited, and deleted."""

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import discord
from cachetools import FIFOCache

from bot.cards.card import Card
from bot.chats.discord.cards import is_about
from bot.chats.discord.errors import ARCHIVED, is_final
from bot.chats.discord.payload import Payload
from bot.chats.discord.threads import is_empty
from bot.chats.discord.undocumented import FILE_LIMIT
from engine.messages import JobId

T = TypeVar("T")

LOOK_BACK = 50  # messages of a channel, among which one may be the card that a stopped program posted
COUNTED = 10_000  # jobs of which is known how often they were posted

Place = discord.TextChannel | discord.Thread | discord.DMChannel | discord.PartialMessageable


class Posts:
    """Posts of the bot. One that may be there already is looked for before another is made."""

    def __init__(self, client: discord.Client) -> None:
        self._client = client
        self._since = time.time()
        self._times_posted: FIFOCache[JobId, int] = FIFOCache(
            COUNTED
        )  # how often cards were posted: /show does it anew
        self._tried: set[tuple[JobId, str, int]] = set()  # posts that Discord may have

    async def post(self, place: Place, card: Card, payload: Payload, what: str = "card") -> discord.Message:
        """Post it, unless Discord has it from a try that was cut off or from before a crash."""
        times = self._times_posted.get(card.job, 0)
        tried = (card.job, what, place.id)
        again = tried in self._tried
        if again or (not times and card.at < self._since):
            message = await self._find(place, card)
            if message is not None:
                return await self._unarchive_for(place.id, lambda: message.edit(**payload.edit_arguments))
        self._tried.add(tried)
        try:
            sent = await place.send(nonce=f"{card.job}-{what}-{times}", **payload.send_arguments)
        except discord.HTTPException as error:
            if is_final(error):  # so much is known
                self._tried.discard(tried)
            raise
        return await sent.edit(**payload.edit_arguments) if again else sent

    def mark_posted(self, card: Card) -> None:
        """Mark the card as posted: the next post is another message."""
        self._tried = {tried for tried in self._tried if tried[0] != card.job}
        self._times_posted[card.job] = self._times_posted.get(card.job, 0) + 1

    async def edit(self, where: int, number: int, payload: Payload) -> discord.Message:
        """Edit it."""
        message = self._partial(where).get_partial_message(number)
        return await self._unarchive_for(where, lambda: message.edit(**payload.edit_arguments))

    async def delete(self, where: int, number: int) -> None:
        """Delete it, unless it is gone or the bot may not."""
        message = self._partial(where).get_partial_message(number)
        with suppress(discord.NotFound, discord.Forbidden):
            await self._unarchive_for(where, message.delete)

    async def close_thread(self, number: int) -> None:
        """Delete an empty thread, or archive it where the bot may not; others stay."""
        with suppress(discord.NotFound, discord.Forbidden):
            thread = self._client.get_channel(number) or await self._client.fetch_channel(number)
            if not isinstance(thread, discord.Thread) or not await is_empty(thread):
                return
            try:
                await thread.delete()
            except discord.Forbidden:
                await thread.edit(archived=True)  # which is its maker's to do

    def place_for(self, where: int) -> Place:
        """The channel, thread or direct messages with this number, whether or not it is known."""
        place = self._client.get_channel(where)
        return place if isinstance(place, discord.TextChannel | discord.Thread) else self._partial(where)

    def file_limit(self, where: int) -> int:
        """How many bytes a file may have there."""
        guild = getattr(self._client.get_channel(where), "guild", None)
        return guild.filesize_limit if guild is not None else FILE_LIMIT

    async def _unarchive_for(self, where: int, act: Callable[[], Awaitable[T]]) -> T:
        """Do this there; an archived thread is opened first, else Discord refuses."""
        try:
            return await act()
        except discord.HTTPException as error:
            if error.code != ARCHIVED:
                raise
        thread = await self._client.fetch_channel(where)
        if isinstance(thread, discord.Thread):
            await thread.edit(archived=False)
        return await act()

    async def _find(self, place: Place, card: Card) -> discord.Message | None:
        """Find the bot's newest message there about this job."""
        me = self._client.user
        with suppress(discord.Forbidden):  # then the nonce must do
            async for message in place.history(limit=LOOK_BACK):
                footers = [embed.footer.text for embed in message.embeds]
                if me is not None and message.author.id == me.id and is_about(footers, card):
                    return message
        return None

    def _partial(self, where: int) -> discord.PartialMessageable:
        return self._client.get_partial_messageable(where)
