"""Starts the chats; one that cannot be served is reported, and the others go on."""

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
    f"No chat is enabled. Set [local] enabled = true, or {DISCORD_TOKEN}, or {SLACK_BOT_TOKEN} with "
    f"{SLACK_APP_TOKEN} or {SLACK_SECRET}."
)
NONE_SERVED = "None of the chats can be served."
NO_WAY_IN = f"Slack: {SLACK_BOT_TOKEN} is set alone. Set {SLACK_APP_TOKEN}, too."


class ServedChat(Chat, Protocol):
    """A chat that is started and stopped with the bot."""

    async def start(self) -> str:
        """Start the chat; returns where people find it. Raises ChatUnavailable."""

    async def stop(self) -> None:
        """Stop the chat, if it was started."""


class SharedServices(Protocol):
    """What all chats share."""

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


class ChatStartup:
    """Starts the chats on other servers, side by side: a slow one does not hold up the others.

    `alone`: there is no web chat besides them.
    """

    def __init__(self, chats: Sequence[ServedChat], add: Callable[[Chat], None], *, alone: bool) -> None:
        self.chats = chats
        self._add = add
        self._alone = alone
        self._tasks: list[asyncio.Task[str]] = []

    async def start(self) -> None:
        """Start all that can be started. Raises ChatUnavailable when no chat can be served."""
        self._tasks = [asyncio.create_task(self._open(chat)) for chat in self.chats]
        refusals = [await task for task in self._tasks]
        if self._alone and all(refusals):
            raise ChatUnavailable(refusals[0] if len(refusals) == 1 else NONE_SERVED)

    async def stop(self) -> None:
        """Stop all of them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(chat.stop() for chat in self.chats))

    async def _open(self, chat: ServedChat) -> str:
        """Start one; returns why it cannot be served, or ""."""
        try:
            address = await chat.start()
        except ChatUnavailable as refusal:
            if not self._alone or len(self.chats) > 1:
                report_unavailable(chat.name, str(refusal))
            return str(refusal)
        except Exception:  # an error in one chat does not concern the others
            log.exception("Chat failed to start", chat=chat.name)
            return f"The chat {chat.name} could not be started. The log says why."
        self._add(chat)
        announce(address)
        return ""


def announce(address: str) -> None:
    """Log and print where people find a chat."""
    log.info("Listening", address=address)
    where = f"at {address}" if "://" in address else f"on {address}"
    sys.stdout.write(f"Atelier is {where} (Ctrl-C stops it)\n")
    sys.stdout.flush()


def report_unavailable(chat: str, sentence: str) -> None:
    """Log and print why a chat is not served."""
    log.warning("Chat unavailable", chat=chat)
    sys.stderr.write(f"{sentence}\n")


def configured_chats(services: SharedServices, secrets: Mapping[str, str] = os.environ) -> list[ServedChat]:
    """The chats besides the web chat that there are tokens for."""
    chats = (_make_discord(services, secrets), _make_slack(services, secrets))
    return [chat for chat in chats if chat is not None]


def _make_discord(services: SharedServices, secrets: Mapping[str, str]) -> ServedChat | None:
    token = secrets.get(DISCORD_TOKEN, "").strip()
    if not token or not services.config.discord.enabled:
        return None
    from bot.chats.discord.chat import DiscordChat  # without Discord its library is not loaded

    return DiscordChat(
        token=token,
        settings=services.config.discord,
        dispatch=services.dispatch,
        database=services.database,
        files=services.files,
        intake=services.intake,
    )


def _make_slack(services: SharedServices, secrets: Mapping[str, str]) -> ServedChat | None:
    token, app_token, secret = (
        secrets.get(name, "").strip() for name in (SLACK_BOT_TOKEN, SLACK_APP_TOKEN, SLACK_SECRET)
    )
    if not token or not services.config.slack.enabled:
        return None
    if not app_token and not secret:
        report_unavailable("slack", NO_WAY_IN)
        return None
    from bot.chats.slack import SlackChat

    return SlackChat(
        bot_token=token,
        app_token=app_token,
        signing_secret=secret,
        settings=services.config.slack,
        dispatch=services.dispatch,
        database=services.database,
        files=services.files,
        intake=services.intake,
    )
