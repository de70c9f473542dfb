"""Discord: the bot as a member of guilds and as people's own app. Nothing else knows discord.py."""

import asyncio

import aiohttp
import discord
import structlog

from bot.card import Card
from bot.config import DiscordSettings
from bot.dispatch import Dispatch
from bot.drawings import Drawings
from bot.front import ChatUnavailable, ChatUnreached
from bot.intake import Intake
from bot.on_discord.asking import CHAT, Asking
from bot.on_discord.attachments import Attachments
from bot.on_discord.client import Atelier
from bot.on_discord.messages import Messages
from bot.on_discord.pending import Pending
from bot.reaching import FIRST_PAUSE, LONGEST_PAUSE, reach
from storage.database import Database
from storage.files import Files

LOOK_AROUND = 3600.0  # seconds between two looks at the guilds in which the bot is
WRONG_TOKEN = "DISCORD_TOKEN is no token that Discord knows: copy it anew from the developer portal."
UNREACHED = (discord.GatewayNotFound, discord.HTTPException, aiohttp.ClientError, OSError, TimeoutError)

log = structlog.get_logger(__name__)


class DiscordChat:
    """A front end whose messages lie with Discord: they are posted, edited, and found again by their ids."""

    chat = CHAT
    every = 2.0

    def __init__(
        self,
        *,
        token: str,
        settings: DiscordSettings,
        dispatch: Dispatch,
        database: Database,
        files: Files,
        intake: Intake,
    ) -> None:
        self._token = token
        self._pending = Pending()
        asking = Asking(dispatch=dispatch, pending=self._pending, files=files, settings=settings)
        self._attachments = Attachments(intake)
        self.client = Atelier(asking, self._attachments)
        self._messages = Messages(self.client, Drawings(files, database), self._pending)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> str:
        """Log in and connect; as whom. Raises ChatUnavailable when the token is wrong."""
        try:
            return await self._begin()
        except ChatUnreached as absence:
            log.warning("discord is not reached", reason=str(absence))
            self._tasks = [asyncio.create_task(reach(CHAT, self._begin))]
            return "Discord, as soon as it is reached"

    async def stop(self) -> None:
        """Hang up."""
        for task in self._tasks:
            task.cancel()
        await self.client.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._attachments.close()

    async def show(self, channel: str, message: str | None, card: Card) -> str:
        """Make this message show the card, or post it; the message's key. Raises CardRefused."""
        return await self._messages.show(channel, message, card)

    async def remove(self, channel: str, message: str) -> None:
        """Take the message away."""
        await self._messages.remove(channel, message)

    async def tell(self, channel: str, card: Card, text: str) -> None:
        """Tell the job's owner alone."""
        await self._messages.tell(channel, card, text)

    def _serve(self) -> None:
        work = (self._connect(), self.client.sync(), self._look_around())
        self._tasks += [asyncio.create_task(one) for one in work]

    async def _begin(self) -> str:
        """Log in and serve; as whom. Raises ChatUnavailable, ChatUnreached."""
        await self.client.http.close()
        self.client.http.connector = discord.utils.MISSING  # that of an earlier try is closed
        try:
            await self.client.login(self._token)
        except discord.LoginFailure as error:
            await self.client.close()
            raise ChatUnavailable(WRONG_TOKEN) from error
        except UNREACHED as error:
            raise ChatUnreached(repr(error)) from error
        self._serve()
        return f"Discord, as {self.client.user}"

    async def _look_around(self) -> None:
        """Notice the guilds that removed the bot while it was off: nobody tells it then."""
        await self.client.wait_until_ready()
        while True:
            await self.client.forget_left()
            await asyncio.sleep(LOOK_AROUND)

    async def _connect(self) -> None:
        """Hear what happens, for as long as Discord lets us; discord.py resumes by itself."""
        pause = FIRST_PAUSE
        while not self.client.is_closed():
            try:
                await self.client.connect()
            except UNREACHED as error:
                log.warning("discord's gateway is not reached", reason=repr(error))
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            except (discord.ConnectionClosed, discord.PrivilegedIntentsRequired) as error:
                log.error("discord hung up for good: is the token still valid?", reason=str(error))
                return
