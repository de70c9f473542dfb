"""What people are told that is for them alone: words beside the channel, modals, files by direct message."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.front import Asker
from bot.on_slack.forms import Origin, modal
from bot.on_slack.gallery import Gallery
from bot.on_slack.refusals import TROUBLES, error_of
from bot.on_slack.sharing import NotShared, Sharing
from bot.on_slack.words import JSON, message
from bot.on_slack.workspace import CHAT, account
from bot.worded import short
from commands.answers import Form
from commands.book import find
from commands.gallery import lora_cards
from commands.settings import with_defaults
from engine.messages import Sha256
from storage.adapters import LoraView
from storage.database import Database
from storage.files import Files
from storage.people import known

TOO_LATE = "that took too long for a form: please do it again."
SENT = "it comes to you by direct message."
UNSENT = "it could not be sent to you: write to the bot once, then try again."
LAST_WORDS = 5.0  # seconds that answers under way have when the chat is closed

log = structlog.get_logger(__name__)


class Answering:
    """Answers one person. What takes a while is done after Slack knows that it was heard."""

    def __init__(self, *, client: AsyncWebClient, sharing: Sharing, files: Files, database: Database) -> None:
        self._client = client
        self._sharing = sharing
        self._files = files
        self._database = database
        self._gallery = Gallery(sharing, files)
        self._tasks: set[asyncio.Task[None]] = set()

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this after the answer; what Slack does not take is nobody's fault here."""
        task = asyncio.create_task(_tried(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Let what is under way end, within LAST_WORDS."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=LAST_WORDS)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def direct(self, asker: Asker) -> Asker | None:
        """The same person in their conversation with the bot; None when Slack opens none."""
        try:
            opened = await self._client.conversations_open(users=account(asker.person))
        except TROUBLES as error:
            log.warning("nobody can be written to", reason=error_of(error))
            return None
        return replace(asker, channel=str(opened["channel"]["id"]), direct=True)

    async def whisper(self, asker: Asker, text: str, thread: str | None = None) -> None:
        """Tell this person in the channel what nobody else sees."""
        await self._client.chat_postEphemeral(
            channel=asker.channel,
            user=account(asker.person),
            thread_ts=thread,
            **message(text),
        )

    async def show(self, asker: Asker, loras: Sequence[LoraView], text: str) -> None:
        """Tell this person of LoRAs, each with what it paints, and nobody else."""
        await self.whisper(asker, text)
        for blocks in await self._gallery.messages(lora_cards(loras)):
            await self._client.chat_postEphemeral(
                channel=asker.channel, user=account(asker.person), text="LoRAs", blocks=blocks
            )

    async def draw(self, asker: Asker, name: str, content: bytes, text: str) -> None:
        """Tell this person, with a picture, and nobody else."""
        await self.whisper(asker, text)
        file = await self._sharing.keep(name, content)
        image: JSON = {"type": "image", "slack_file": {"id": file}, "alt_text": short(text, 1900)}
        await self._client.chat_postEphemeral(
            channel=asker.channel, user=account(asker.person), text=name, blocks=[image]
        )

    async def open(self, trigger: str, view: JSON) -> str:
        """Open a modal; what to tell the person when Slack does not."""
        try:
            await self._client.views_open(trigger_id=trigger, view=view)
        except SlackApiError as error:
            log.warning(
                "a modal did not open",
                reason=error_of(error),
                told=str(error.response.get("response_metadata")),
            )
            return TOO_LATE
        return ""

    async def change(self, view_id: str, view: JSON) -> None:
        """Let an open modal look like this."""
        await self._client.views_update(view_id=view_id, view=view)

    async def form(self, asker: Asker, form: Form, trigger: str, **origin: Any) -> str:
        """Open the modal of a form; what to tell the person when Slack does not."""
        async with self._database.reading() as session:
            person = await known(session, CHAT, asker.person)
        usual = with_defaults(person.settings if person else {}, find(form.command), {})
        made = modal(Origin(command=form.command, channel=asker.channel, **origin), form.values, usual)
        return await self.open(trigger, made)

    async def give(
        self, asker: Asker, files: tuple[tuple[str, Sha256], ...], text: str, thread: str | None = None
    ) -> None:
        """Send files with their recipes to the person alone."""
        told = SENT
        try:
            opened = await self._client.conversations_open(users=account(asker.person))
            channel = opened["channel"]["id"]
            contents = [(name, name, await self._files.get(sha256)) for name, sha256 in files]
            await self._sharing.share(channel, None, contents)
            if text:
                await self._client.chat_postMessage(channel=channel, **message(text), **QUIET)
        except (*TROUBLES, NotShared) as error:
            log.warning("a file could not be sent", reason=error_of(error))
            told = UNSENT
        if told == UNSENT or not asker.direct:
            await self.whisper(asker, told, thread)


QUIET: JSON = {"unfurl_links": False, "unfurl_media": False, "link_names": False}


async def _tried(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except TROUBLES as error:
        log.warning("slack took no answer", reason=error_of(error))
    except Exception:
        log.exception("unexpected error")
