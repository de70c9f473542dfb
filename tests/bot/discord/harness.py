"""A guild with people in it, and a bot on a fake Discord: the real client over the loopback."""

from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Protocol

from bot.chats.discord.chat import DiscordChat
from bot.chats.interface import ChatUnavailable
from bot.config import Config, DiscordSettings
from bot.service import Bot
from tests.fakes.discord import FakeDiscord, Heard, Message


class DiscordBot:
    """A guild with one channel, Ana and Bo in it, and the bot; started again it is the same bot."""

    def __init__(self, discord: FakeDiscord, folder: Path, config: Config, program: Sequence[str]) -> None:
        self.discord = discord
        self.folder = folder
        self.every = 0.05  # seconds between two edits: at Discord's own pace every test would be slow
        self._config = config
        self._program = program
        self.guild = discord.guild("studio")
        self.channel = self.guild.channel("paintings")
        self.ana, self.bo = discord.user("ana"), discord.user("bo")
        for person in (self.ana, self.bo):
            self.guild.join(person)
        self.bot: Bot | None = None
        self.chat: DiscordChat | None = None

    async def start(self, settings: DiscordSettings | None = None, token: str | None = None) -> None:
        """Start the bot. Raises ChatUnavailable."""
        bot = self.bot = await Bot.open(self._config, self._program)
        chat = DiscordChat(
            token=token or self.discord.token,
            settings=settings or DiscordSettings(),
            dispatch=bot.dispatch,
            database=bot.database,
            files=bot.files,
            intake=bot.intake,
        )
        chat.every = self.every
        try:
            await chat.start()
        except ChatUnavailable:
            await bot.close()
            self.bot = None
            raise
        self.chat = chat
        bot.add(chat)
        await bot.start()
        await self.discord.until(lambda: self.discord.gateway.connected and bool(self.discord.commands))

    async def stop(self) -> None:
        """Stop the bot in good order, if it runs."""
        if self.bot is not None:
            await self.bot.stop(0.0)
        if self.chat is not None:
            await self.chat.stop()
        if self.bot is not None:
            await self.bot.close()
        self.bot = self.chat = None

    def count_calls(self, method: str, end: str) -> int:
        """How often the bot asked Discord this."""
        calls = self.discord.record
        return sum(call.method == method and call.path.endswith(end) for call in calls)

    async def restart(self) -> None:
        """As the next day."""
        await self.stop()
        await self.start()


class OpenDiscordBot(Protocol):
    """Opens Discord with a running bot."""

    def __call__(
        self,
        *,
        seconds: float = 0.01,
        settings: DiscordSettings | None = None,
        program: Sequence[str] | None = None,
        config: Config | None = None,
        every: float = 0.05,
        starts: bool = True,
    ) -> Awaitable[DiscordBot]: ...


def text_of(message: Message | None) -> str:
    """All that can be read in a message, if there is one."""
    return "" if message is None else message.text


async def finish(harness: DiscordBot, heard: Heard, seconds: float = 20.0) -> Message:
    """Wait for the picture of a command; its card."""
    await harness.discord.until(lambda: "Painted in" in text_of(heard.message), seconds)
    assert heard.message is not None
    return heard.message
