"""What people are told that is for them alone: words beside the channel, modals, files by direct message."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.chats.interface import Caller
from bot.chats.slack.ephemerals import Ephemerals, Recipient
from bot.chats.slack.errors import TROUBLES, error_of
from bot.chats.slack.forms import Origin, modal
from bot.chats.slack.lora_blocks import SHOWN, lora_messages
from bot.chats.slack.mrkdwn import JSON, QUIET, messages
from bot.chats.slack.upload import NotShared, Sharing
from bot.chats.slack.workspace import CHAT, account
from bot.images.gallery_sheet import hung
from commands.answers import Form, SmallPicture
from commands.lora_cards import lora_cards
from commands.registry import find
from commands.settings import with_defaults
from engine.messages import Sha256
from storage.adapters import LoraView
from storage.database import Database
from storage.files import Files
from storage.people import known

TOO_LATE = "that took too long for a form: please do it again."
SENT = "it comes to you by direct message."
PICTURE = "The picture comes to you by direct message."
UNSENT = "it could not be sent to you: write to the bot once, then try again."
LAST_WORDS = 5.0  # seconds that answers under way have when the chat is closed

log = structlog.get_logger(__name__)


class Answering:
    """Answers one person. What takes a while is done after Slack knows that it was heard."""

    def __init__(
        self,
        *,
        client: AsyncWebClient,
        ephemerals: Ephemerals,
        sharing: Sharing,
        files: Files,
        database: Database,
    ) -> None:
        self._client = client
        self._ephemerals = ephemerals
        self._sharing = sharing
        self._files = files
        self._database = database
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

    async def direct(self, caller: Caller) -> Caller | None:
        """The same person in their conversation with the bot; None when Slack opens none."""
        try:
            opened = await self._client.conversations_open(users=account(caller.person))
        except TROUBLES as error:
            log.warning("nobody can be written to", reason=error_of(error))
            return None
        return replace(caller, channel=str(opened["channel"]["id"]), direct=True)

    async def tell(self, to: Recipient, text: str) -> None:
        """Tell this person what nobody else sees."""
        await self._ephemerals.say(to, text)

    async def show(self, to: Recipient, loras: Sequence[LoraView], text: str) -> None:
        """Tell this person of LoRAs, and nobody else; what they paint comes by direct message."""
        cards = lora_cards(loras)[:SHOWN]
        pictures = [SmallPicture(sha256=one.thumbnail, caption=one.name) for one in cards if one.thumbnail]
        await self._ephemerals.say(to, told_of_picture(to, text) if pictures else text)
        await self._ephemerals.send(to, lora_messages(cards))
        if pictures:
            sheet = await hung(self._files, pictures)
            await self.draw(to, sheet.name, sheet.content)

    async def draw(self, to: Recipient, name: str, content: bytes) -> None:
        """Send this person a picture, and nobody else: Slack shows nobody a file in an ephemeral message."""
        if not await self._sent(to.caller, [(name, name, content)]):
            await self.tell(to, UNSENT)

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

    async def form(self, to: Recipient, form: Form, trigger: str, **origin: Any) -> str:
        """Open the modal of a form; what to tell the person when Slack does not."""
        async with self._database.reading() as session:
            person = await known(session, CHAT, to.caller.person)
        usual = with_defaults(person.settings if person else {}, find(form.command), {})
        opened = Origin(command=form.command, channel=to.caller.channel, answer=to.url, **origin)
        return await self.open(trigger, modal(opened, form.values, usual))

    async def give(self, to: Recipient, files: tuple[tuple[str, Sha256], ...], text: str) -> None:
        """Send files with their recipes to the person alone."""
        try:
            contents = [(name, name, await self._files.get(sha256)) for name, sha256 in files]
        except OSError as error:
            log.warning("a file could not be read", reason=error_of(error))
            await self.tell(to, UNSENT)
            return
        sent = await self._sent(to.caller, contents, text)
        if not sent or not to.caller.direct:
            await self.tell(to, SENT if sent else UNSENT)

    async def _sent(self, caller: Caller, contents: Sequence[tuple[str, str, bytes]], text: str = "") -> bool:
        """Whether these files (name, title, content) are in the person's conversation with the bot."""
        try:
            opened = await self._client.conversations_open(users=account(caller.person))
            channel = opened["channel"]["id"]
            await self._sharing.share(channel, None, contents)
            for content in messages(text) if text else ():
                await self._client.chat_postMessage(channel=channel, **content, **QUIET)
        except (*TROUBLES, NotShared) as error:
            log.warning("a file could not be sent", reason=error_of(error))
            return False
        return True


def told_of_picture(to: Recipient, text: str) -> str:
    """The words, and where to look for the picture that belongs to them."""
    return text if to.caller.direct else f"{text}\n{PICTURE}"


async def _tried(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except TROUBLES as error:
        log.warning("slack took no answer", reason=error_of(error))
    except Exception:
        log.exception("unexpected error")
