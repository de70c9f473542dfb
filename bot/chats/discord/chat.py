"""The Discord chat: logs in, stays connected, and shows cards."""

import asyncio
from contextlib import suppress

import aiohttp
import discord
import structlog

from bot.cards.card import Card
from bot.chats.discord.attachments import Attachments
from bot.chats.discord.client import Atelier
from bot.chats.discord.interactions import CHAT, Interactions
from bot.chats.discord.messages import Messages
from bot.chats.discord.pending import Pending
from bot.chats.interface import ChatUnavailable, ChatUnreached
from bot.chats.reconnect import FIRST_PAUSE, LONGEST_PAUSE, reach
from bot.config import DiscordSettings
from bot.dispatch.dispatcher import Dispatcher
from bot.images.card_images import CardImages
from bot.pacing.backoff import Backoff
from bot.uploads.intake import Intake
from storage.database import Database
from storage.files import Files

RETRY_PAUSE = 600.0  # seconds until Discord is tried again after it closed for good: the log has each try
GUILD_CHECK = 3600.0  # seconds between two checks of which guilds the bot is in
WRONG_TOKEN = "Discord does not know DISCORD_TOKEN. Copy it again from the developer portal."
WRONG_INTENTS = 4014
REASONS = {  # why Discord closes the connection for good, and what the operator can do
    4004: "Discord no longer accepts DISCORD_TOKEN. Copy it again from the developer portal, then restart.",
    4010: "Discord does not know the bot's shards.",
    4011: "Discord wants the bot split into more shards.",
    4012: "Discord's API is newer than this version of the bot. Update the bot.",
    4013: "Discord does not know the intents of this version of the bot. Update the bot.",
    WRONG_INTENTS: "Discord does not allow the bot its intents. Check them in the developer portal.",
}
UNREACHED = (discord.GatewayNotFound, discord.HTTPException, aiohttp.ClientError, OSError, TimeoutError)

log = structlog.get_logger(__name__)


class DiscordChat:
    """A chat whose cards are messages on Discord: posted, edited, and found again by their ids."""

    name = CHAT
    every = 2.0

    def __init__(
        self,
        *,
        token: str,
        settings: DiscordSettings,
        dispatch: Dispatcher,
        database: Database,
        files: Files,
        intake: Intake,
    ) -> None:
        self._token = token
        self._database = database
        self._pending = Pending()
        self._interactions = Interactions(
            dispatch=dispatch, pending=self._pending, files=files, settings=settings
        )
        self._attachments = Attachments(intake)
        self._card_images = CardImages(files, database)
        self.client = Atelier(self._interactions, self._attachments)
        self._messages = Messages(self.client, self._card_images, self._pending, self._database)
        self._has_begun = self._logged_in = False
        self._absent = ""
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Log in and connect; as whom. Raises ChatUnavailable when the token is wrong."""
        try:
            address = await self._log_in()
        except ChatUnreached as absence:
            log.warning("Discord cannot be reached", reason=str(absence))
            address = "Discord, as soon as it can be reached"
        self._running = asyncio.create_task(self._run())
        return address

    async def stop(self) -> None:
        """Disconnect."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        await self.client.close()
        await self._attachments.close()

    async def show(self, channel: str, message: str | None, card: Card) -> str:
        """Make this message show the card, or post it; the message's key. Raises CardRefused."""
        self._check_connected()
        return await self._messages.show(channel, message, card)

    async def remove(self, channel: str, message: str) -> None:
        """Take the message away. Raises CardRefused."""
        self._check_connected()
        await self._messages.remove(channel, message)

    async def tell(self, channel: str, card: Card, text: str) -> None:
        """Tell the job's owner alone."""
        await self._messages.tell(channel, card, text)

    @property
    def absent(self) -> str:
        """Why nobody is heard, once Discord has closed the connection for good; empty while people are."""
        heard = self.client.is_ready() and not self.client.is_closed()
        return "" if heard else self._absent

    def _check_connected(self) -> None:
        """Discord takes nothing from a bot that it has turned away."""
        if self.absent:
            raise ConnectionError(self.absent)

    async def _log_in(self) -> str:
        """Log in; as whom. Raises ChatUnavailable, ChatUnreached."""
        if self._has_begun:
            await self._replace_client()
        self._has_begun = True
        try:
            await self.client.login(self._token)
        except discord.LoginFailure as error:
            await self.client.close()
            self._absent = WRONG_TOKEN
            raise ChatUnavailable(WRONG_TOKEN) from error
        except UNREACHED as error:
            raise ChatUnreached(repr(error)) from error
        self._logged_in = True
        return f"Discord, as {self.client.user}"

    async def _replace_client(self) -> None:
        """Make a new client, since a closed one cannot connect again."""
        await self.client.close()
        self._pending.lose()
        self.client = Atelier(self._interactions, self._attachments)
        self._messages = Messages(self.client, self._card_images, self._pending, self._database)

    async def _run(self) -> None:
        """Serve as long as the bot runs; when Discord closed the connection for good, log in again later."""
        if not self._logged_in:
            await reach(CHAT, self._log_in)
        while True:
            if self._logged_in:
                self._absent = await self._serve()
                self._logged_in = False
            log.error("Discord is not served", reason=self._absent)
            await asyncio.sleep(RETRY_PAUSE)
            with suppress(ChatUnavailable):
                await self._log_in()

    async def _serve(self) -> str:
        """Hear what happens until Discord closes the connection for good; why it did."""
        tasks = [asyncio.create_task(self.client.sync()), asyncio.create_task(self._forget_left_guilds())]
        try:
            return await self._stay_connected()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _forget_left_guilds(self) -> None:
        """Forget the guilds that removed the bot while it was off: it gets no event then."""
        await self.client.wait_until_ready()
        while True:
            await self.client.forget_left()
            await asyncio.sleep(GUILD_CHECK)

    async def _stay_connected(self) -> str:
        """Stay connected for as long as Discord lets us; discord.py resumes by itself. Why it ended."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while not self.client.is_closed():
            try:
                await self.client.connect()
            except UNREACHED as error:
                log.warning("Discord's gateway cannot be reached", reason=repr(error))
                await asyncio.sleep(backoff.next())
            except discord.PrivilegedIntentsRequired:
                return REASONS[WRONG_INTENTS]
            except discord.ConnectionClosed as error:
                return REASONS.get(error.code, f"Discord closed the connection with code {error.code}.")
        return "Discord closed the connection."
