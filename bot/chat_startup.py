"""The chats are opened: one that cannot be served is told to the operator, and the others go on."""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog

from bot.chats.interface import Chat, ChatUnavailable
from bot.config import DISCORD_TOKEN, SLACK_APP_TOKEN, SLACK_BOT_TOKEN, SLACK_SECRET, Config
from bot.dispatch.dispatcher import Dispatcher
from bot.uploads.intake import Intake
from storage.database import Database
from storage.files import Files

log = structlog.get_logger(__name__)

NO_CHAT = (
    f"no chat is enabled: set [local] enabled = true, or {DISCORD_TOKEN}, or {SLACK_BOT_TOKEN} with "
    f"{SLACK_APP_TOKEN} or {SLACK_SECRET}."
)
NOBODY = "none of the chats can be served."
NO_WAY_IN = (
    f"Slack: {SLACK_BOT_TOKEN} is set alone, so that nothing could come in: set {SLACK_APP_TOKEN}, too."
)


class Served(Chat, Protocol):
    """A chat that is started and stopped with the bot."""

    async def start(self) -> str:
        """Be there for people; where they find it. Raises ChatUnavailable."""

    async def stop(self) -> None:
        """Let everybody go; one that was never there stays so."""


class House(Protocol):
    """What chats share."""

    @property
    def config(self) -> Config: ...
    @property
    def dispatch(self) -> Dispatcher: ...
    @property
    def database(self) -> Database: ...
    @property
    def files(self) -> Files: ...
    @property
    def intake(self) -> Intake: ...


class Opening:
    """Chats on other people's servers, opened side by side: one that is slow keeps nobody waiting.

    `alone`: there is no page beside them.
    """

    def __init__(self, chats: Sequence[Served], add: Callable[[Chat], None], *, alone: bool) -> None:
        self.chats = chats
        self._add = add
        self._alone = alone
        self._tasks: list[asyncio.Task[str]] = []

    async def begin(self) -> None:
        """Open them all, as far as that goes. Raises ChatUnavailable when there is none for anybody."""
        self._tasks = [asyncio.create_task(self._open(chat)) for chat in self.chats]
        refusals = [await task for task in self._tasks]
        if self._alone and all(refusals):
            raise ChatUnavailable(refusals[0] if len(refusals) == 1 else NOBODY)

    async def stop(self) -> None:
        """Close all of them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(chat.stop() for chat in self.chats))

    async def _open(self, chat: Served) -> str:
        """Why it cannot be served; nothing when it is."""
        try:
            address = await chat.start()
        except ChatUnavailable as refusal:
            if not self._alone or len(self.chats) > 1:
                unavailable(chat.name, str(refusal))
            return str(refusal)
        except Exception:  # a fault in one chat is none of the others'
            log.exception("chat failed to start", chat=chat.name)
            return f"{chat.name} could not be started: the log says why."
        self._add(chat)
        announce(address)
        return ""


def announce(address: str) -> None:
    """Say where people find a chat."""
    log.info("listening", address=address)
    where = f"at {address}" if "://" in address else f"on {address}"
    sys.stdout.write(f"Atelier is {where} (Ctrl-C stops it)\n")
    sys.stdout.flush()


def unavailable(chat: str, sentence: str) -> None:
    """Say why a chat is not served."""
    log.warning("chat unavailable", chat=chat)
    sys.stderr.write(f"{sentence}\n")


def others(house: House, secrets: Mapping[str, str] = os.environ) -> list[Served]:
    """The chats beside the bot's own page, as far as there are tokens for them."""
    found = (_discord(house, secrets), _slack(house, secrets))
    return [chat for chat in found if chat is not None]


def _discord(house: House, secrets: Mapping[str, str]) -> Served | None:
    token = secrets.get(DISCORD_TOKEN, "").strip()
    if not token or not house.config.discord.enabled:
        return None
    from bot.chats.discord.chat import DiscordChat  # a bot without Discord starts without its library

    return DiscordChat(
        token=token,
        settings=house.config.discord,
        dispatch=house.dispatch,
        database=house.database,
        files=house.files,
        intake=house.intake,
    )


def _slack(house: House, secrets: Mapping[str, str]) -> Served | None:
    token, app_token, secret = (
        secrets.get(name, "").strip() for name in (SLACK_BOT_TOKEN, SLACK_APP_TOKEN, SLACK_SECRET)
    )
    if not token or not house.config.slack.enabled:
        return None
    if not app_token and not secret:
        unavailable("slack", NO_WAY_IN)
        return None
    from bot.chats.slack import SlackChat

    return SlackChat(
        bot_token=token,
        app_token=app_token,
        signing_secret=secret,
        settings=house.config.slack,
        dispatch=house.dispatch,
        database=house.database,
        files=house.files,
        intake=house.intake,
    )
