"""A workspace with people in it, and the bot, which can be stopped and started again."""

import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol

from bot.chats.slack import SlackChat
from bot.chats.slack.transport import HttpRequests
from bot.config import Config, SlackSettings
from bot.service import Bot
from bot.uploads.intake import Intake
from engine.messages import JobId
from tests.fakes.slack import Channel, FakeSlack, Heard, Message, User


class Atelier:
    """ana and bo are in the channel paintings, where the bot is, too; cem is their admin."""

    def __init__(
        self,
        slack: FakeSlack,
        config: Config,
        program: Sequence[str],
        settings: SlackSettings,
        over: str = "sockets",
        enterprise: str | None = None,
    ) -> None:
        self.slack = slack
        self.team = next(iter(slack.world.teams.values()), None) or slack.team(
            "atelier", enterprise=enterprise
        )
        self.channel = self.team.channel("paintings")
        self.ana, self.bo = self.team.user("ana"), self.team.user("bo")
        self.cem = self.team.user("cem", admin=True)
        self.every = 0.05
        self.bot_token, self.app_token, self.base_url = slack.bot_token, slack.app_token, slack.api_url
        self._config, self._program, self._settings = config, program, settings
        self._over = over
        self.bot: Bot | None = None
        self.chat: SlackChat | None = None

    async def start(self) -> str:
        """Where people find it. Raises ChatUnavailable."""
        bot = self.bot = await Bot.open(self._config, self._program)
        chat = self.chat = SlackChat(
            bot_token=self.bot_token,
            app_token=self.app_token if self._over == "sockets" else None,
            signing_secret=self.slack.signing_secret,
            settings=self._settings,
            dispatch=bot.dispatch,
            database=bot.database,
            files=bot.files,
            intake=Intake(bot.database, bot.files, bot.garbage),
            base_url=self.base_url,
        )
        chat.every = self.every
        address = await chat.start()
        self.slack.http(self.url if self._over == "requests" else None)
        bot.add(chat)
        await bot.start()
        return address

    @property
    def folder(self) -> Path:
        """Where the bot's database lies."""
        return Path(self._program[-2]).parent

    @property
    def url(self) -> str:
        """Where Slack's requests come in."""
        assert self.chat is not None and isinstance(self.chat.transport, HttpRequests)
        return f"http://127.0.0.1:{self.chat.transport.port}/slack/events"

    async def stop(self) -> None:
        if self.bot is not None:
            await self.bot.stop(0.0)
            if self.chat is not None:
                await self.chat.stop()
            await self.bot.close()
        self.bot = self.chat = None

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def says(self, who: User, name: str, text: str = "", channel: Channel | None = None) -> Heard:
        return await self.slack.command(who, channel or self.channel, name, text)

    async def shows(
        self, wanted: Callable[[Message], bool], channel: Channel | None = None, seconds: float = 10.0
    ) -> Message:
        """Wait for a message of the bot's, in the channel or in a thread, that is as wanted."""
        place = channel or self.channel

        def find() -> Message | None:
            own = [
                message
                for message in place.everything
                if not message.deleted and message.user == place.team.bot
            ]
            return next((message for message in reversed(own) if wanted(message)), None)

        message: Message = await self.slack.until(find, seconds)
        return message

    async def paints(self, who: User, text: str, channel: Channel | None = None) -> Message:
        """Say /imagine, and wait for the finished card with its picture."""
        heard = await self.says(who, "/imagine", text, channel)
        assert heard.acked is not None, heard.failed
        assert not heard.words, heard.words
        prompt = re.split(r" --| —", text)[0]
        return await self.shows(
            lambda message: (
                prompt in message.words and "Painted in" in message.words and bool(message.pictures)
            ),
            channel,
        )

    async def wait_for_file(self, who: User, name: str) -> Message:
        """Wait for a file of this name in somebody's conversation with the bot; the message that has it."""
        direct = self.slack.direct(who)
        return await self.shows(lambda message: any(file.name == name for file in message.files), direct)

    def cards(self, channel: Channel | None = None) -> list[Message]:
        """All cards that stand in the channel and in its threads."""
        everything = (channel or self.channel).everything
        return [message for message in everything if not message.deleted and part_of(message) == "card"]

    def count_paintings(self) -> int:
        """How many jobs the engine has been given."""
        lines = Path(self._program[-2]).read_text().splitlines()
        return sum(line.partition(" ")[2].startswith("take ") for line in lines)


def part_of(message: Message) -> str:
    payload = (message.metadata or {}).get("event_payload", {})
    return str(payload.get("part", ""))


def job_of(message: Message) -> JobId:
    assert message.metadata is not None
    return JobId(message.metadata["event_payload"]["job"])


def button(message: Message, action: str) -> str:
    """The action_id of the button of this name."""
    names = [str(button["action_id"]) for button in message.buttons]
    return next(name for name in names if name.startswith(f"{action}:"))


class OpenAtelier(Protocol):
    """Opens a bot in the test's folder."""

    def __call__(
        self,
        *,
        seconds: float = 0.01,
        settings: SlackSettings | None = None,
        program: Sequence[str] | None = None,
        config: Config | None = None,
        starts: bool = True,
        over: str = "sockets",
        enterprise: str | None = None,
    ) -> Awaitable[Atelier]: ...
