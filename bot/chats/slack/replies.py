"""Replies to one person: with the acknowledgement, in the channel, in modals, by direct message."""

import asyncio
import time
from collections.abc import Awaitable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.chats import router
from bot.chats.interface import (
    Caller,
    CardReply,
    FilesReply,
    FormReply,
    ImageReply,
    LorasReply,
    RefusalReply,
    Reply,
    TextReply,
)
from bot.chats.slack.ephemerals import Ephemerals, Recipient
from bot.chats.slack.errors import TROUBLES, error_of
from bot.chats.slack.forms import Origin, field_of, modal, notice
from bot.chats.slack.lora_blocks import SHOWN, lora_messages
from bot.chats.slack.mrkdwn import JSON, QUIET, messages
from bot.chats.slack.slash_names import SlashNames
from bot.chats.slack.upload import NotShared, Uploads
from bot.chats.slack.workspace import CHAT, account
from bot.images.gallery_sheet import draw_gallery
from commands.answers import Form, SmallPicture
from commands.lora_cards import lora_cards
from commands.registry import find
from commands.settings import with_defaults
from engine.messages import Sha256
from storage.adapters import LoraView
from storage.database import Database
from storage.files import Files
from storage.people import find_person

TOO_LATE = "That took too long to open a form. Try again."
SENT = "It is in your direct messages."
PICTURE = "The picture is in your direct messages."
UNSENT = "It could not be sent to you. Send the bot a message once, then try again."
PATIENCE = 1.8  # seconds that an answer may take until Slack is told that it takes longer
ACK = 2.5  # seconds after which Slack may not show any more what comes with the acknowledgement
LOOKING = "The engine is working on it. The answer comes in this channel, for you alone."
READING = "Your files are being read. The answer comes in the channel."
LAST_WORDS = 5.0  # seconds that answers under way have when the chat is closed

log = structlog.get_logger(__name__)


class Replies:
    """Replies to one person. What takes a while is done after Slack has its acknowledgement."""

    def __init__(
        self,
        *,
        client: AsyncWebClient,
        ephemerals: Ephemerals,
        uploads: Uploads,
        files: Files,
        database: Database,
        slash_names: SlashNames,
    ) -> None:
        self._client = client
        self._ephemerals = ephemerals
        self._uploads = uploads
        self._files = files
        self._database = database
        self._slash_names = slash_names
        self._tasks: set[asyncio.Task[None]] = set()

    def run_later(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this after the answer; what Slack does not take is nobody's fault here."""
        task = asyncio.create_task(_log_failure(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Let what is under way end, within LAST_WORDS."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=LAST_WORDS)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def acknowledge(
        self, asking: Awaitable[Reply], sink: "SlackSink", patience: float | None = None
    ) -> JSON:
        """Answer Slack once the reply is there or deferred; the rest follows later."""
        self.run_later(_answer(self._name_commands(asking), sink, patience))
        return await sink.acknowledgement

    async def _name_commands(self, asking: Awaitable[Reply]) -> Reply:
        """Await the reply, and name our commands as Slack knows them."""
        reply = await asking
        return replace(reply, text=self._slash_names.rename(reply.text))

    async def open_direct(self, caller: Caller) -> Caller | None:
        """Open the person's conversation with the bot; None if Slack opens none."""
        try:
            opened = await self._client.conversations_open(users=account(caller.person))
        except TROUBLES as error:
            log.warning("Direct message not possible", reason=error_of(error))
            return None
        return replace(caller, channel=str(opened["channel"]["id"]), direct=True)

    async def tell(self, to: Recipient, text: str) -> None:
        """Tell this person what nobody else sees."""
        await self._ephemerals.say(to, text)

    async def show_cards(self, to: Recipient, loras: Sequence[LoraView], text: str) -> None:
        """Tell this person of LoRAs, and nobody else; what they paint comes by direct message."""
        cards = lora_cards(loras)[:SHOWN]
        pictures = [
            SmallPicture(sha256=card.thumbnail, caption=card.name) for card in cards if card.thumbnail
        ]
        await self._ephemerals.say(to, with_picture_note(to, text) if pictures else text)
        await self._ephemerals.send(to, lora_messages(cards))
        if pictures:
            sheet = await draw_gallery(self._files, pictures)
            await self.send_image(to, sheet.name, sheet.content)

    async def send_image(self, to: Recipient, name: str, content: bytes) -> None:
        """Send this person a picture, and nobody else: Slack shows nobody a file in an ephemeral message."""
        if not await self._upload_files(to.caller, [(name, name, content)]):
            await self.tell(to, UNSENT)

    async def open_modal(self, trigger: str, view: JSON) -> str:
        """Open a modal; what to tell the person if Slack does not."""
        try:
            await self._client.views_open(trigger_id=trigger, view=view)
        except SlackApiError as error:
            log.warning(
                "Modal not opened",
                reason=error_of(error),
                details=str(error.response.get("response_metadata")),
            )
            return TOO_LATE
        return ""

    async def update_modal(self, view_id: str, view: JSON) -> None:
        """Replace an open modal."""
        await self._client.views_update(view_id=view_id, view=view)

    async def open_form_for(self, to: Recipient, form: Form, trigger: str, **origin: Any) -> str:
        """Open the modal of a form; what to tell the person if Slack does not."""
        async with self._database.reading() as session:
            person = await find_person(session, CHAT, to.caller.person)
        usual = with_defaults(person.settings if person else {}, find(form.command), {})
        opened = Origin(**{"command": form.command, "channel": to.caller.channel, "answer": to.url, **origin})
        return await self.open_modal(
            trigger, modal(opened, self._slash_names.rename(f"/{form.command}"), form.values, usual)
        )

    async def send_files_to(self, to: Recipient, files: tuple[tuple[str, Sha256], ...], text: str) -> None:
        """Send files with their recipes to the person alone."""
        try:
            contents = [(name, name, await self._files.get(sha256)) for name, sha256 in files]
        except OSError as error:
            log.warning("File not read", reason=error_of(error))
            await self.tell(to, UNSENT)
            return
        sent = await self._upload_files(to.caller, contents, text)
        if not sent or not to.caller.direct:
            await self.tell(to, SENT if sent else UNSENT)

    async def _upload_files(
        self, caller: Caller, contents: Sequence[tuple[str, str, bytes]], text: str = ""
    ) -> bool:
        """Upload these files (name, title, content) for the person alone; whether that worked."""
        try:
            opened = await self._client.conversations_open(users=account(caller.person))
            channel = opened["channel"]["id"]
            await self._uploads.share(channel, None, contents)
            for content in messages(text) if text else ():
                await self._client.chat_postMessage(channel=channel, **content, **QUIET)
        except (*TROUBLES, NotShared) as error:
            log.warning("File not sent", reason=error_of(error))
            return False
        return True


class SlackSink:
    """Answers what one person did: with the acknowledgement that Slack waits three seconds for, or after it.

    `trigger` opens a modal, `origin` comes back with it; `until`: when words do not go with the
    acknowledgement any more, by the monotonic clock; `card_note` is told about a job's card.
    """

    def __init__(
        self,
        replies: Replies,
        to: Recipient,
        *,
        trigger: str = "",
        until: float = 0.0,
        card_note: str = "",
        **origin: Any,
    ) -> None:
        self._replies = replies
        self._to = to
        self._trigger = trigger
        self._until = until
        self._card_note = card_note
        self._origin = origin
        self.acknowledgement: asyncio.Future[JSON] = asyncio.get_running_loop().create_future()

    async def defer(self) -> None:
        """Say that the engine was asked, too."""
        self.acknowledge(messages(LOOKING)[0])

    async def show_text(self, reply: TextReply) -> None:
        """Tell them, if there are words."""
        await self._tell(reply.text)

    async def show_refusal(self, reply: RefusalReply) -> None:
        """Tell them why."""
        await self._tell(reply.text)

    async def open_form(self, reply: FormReply) -> None:
        """Open a modal."""
        trouble = await self._replies.open_form_for(self._to, reply.form, self._trigger, **self._origin)
        await self._tell(trouble or reply.text)

    async def send_files(self, reply: FilesReply) -> None:
        """Send them by direct message."""
        self.acknowledge()
        await self._replies.send_files_to(self._to, reply.files, reply.text)

    async def show_image(self, reply: ImageReply) -> None:
        """Tell the words here, and send the picture by direct message."""
        await self._tell(with_picture_note(self._to, reply.text))
        await self._replies.send_image(self._to, reply.name, reply.content)

    async def show_loras(self, reply: LorasReply) -> None:
        """Show cards here and send what they paint directly; where there are files about them, send these."""
        if not reply.loras:
            await self._tell(reply.text)
            return
        self.acknowledge()
        if reply.files:
            await self._replies.send_files_to(self._to, reply.files, reply.text)
        else:
            await self._replies.show_cards(self._to, reply.loras, reply.text)

    async def show_card(self, reply: CardReply) -> None:
        """Tell what the card does not."""
        await self._tell(f"{self._card_note}\n{reply.text}".strip())

    def acknowledge(self, answer: JSON | None = None) -> None:
        """Slack need not wait any longer."""
        if not self.acknowledgement.done():
            self.acknowledgement.set_result(answer or {})

    async def _tell(self, text: str) -> None:
        contents = messages(text) if text else []
        if len(contents) == 1 and time.monotonic() < self._until and not self.acknowledgement.done():
            self.acknowledge(contents[0])
            return
        self.acknowledge()
        if contents:
            await self._replies.tell(self._to, text)


class SubmitSink(SlackSink):
    """Answers a modal that was sent: it stays open for a refusal, and says `waiting` until one is known."""

    def __init__(self, replies: Replies, to: Recipient, view: JSON, waiting: str = LOOKING) -> None:
        super().__init__(replies, to)
        self._view = view
        self._waiting = waiting

    async def defer(self) -> None:
        """Say so in the modal."""
        self.acknowledge({"response_action": "update", "view": self._notice(self._waiting)})

    async def show_refusal(self, reply: RefusalReply) -> None:
        """Show it at its field; once the modal has changed, in it and in the channel."""
        if self.acknowledgement.done():
            await self._tell(reply.text)
            await self._replies.update_modal(self._view["id"], self._notice(reply.text))
        else:
            field = reply.field or field_of(self._view, reply.text)
            self.acknowledge({"response_action": "errors", "errors": {field: reply.text}})

    async def show_loras(self, reply: LorasReply) -> None:
        """Tell the words alone: whoever has just sent a LoRA knows what it paints."""
        await self._tell(reply.text)

    def _notice(self, text: str) -> JSON:
        return notice(str(self._view["title"]["text"]), text)


class ShortcutSink(SlackSink):
    """Answers a shortcut in a message's menu: with a modal, also where that only says why it does not."""

    def __init__(self, replies: Replies, to: Recipient, title: str, trigger: str, **origin: Any) -> None:
        super().__init__(replies, to, trigger=trigger, **origin)
        self._title = title

    async def show_refusal(self, reply: RefusalReply) -> None:
        """Open a modal that only says so."""
        await self._replies.open_modal(self._trigger, notice(self._title, reply.text))


async def _answer(asking: Awaitable[Reply], sink: SlackSink, patience: float | None) -> None:
    """Answer in this sink; what goes wrong before Slack is answered is the listener's to raise."""
    try:
        await router.answer(asking, sink, patience)
    except Exception as error:
        if sink.acknowledgement.done():
            raise
        sink.acknowledgement.set_exception(error)
    finally:
        sink.acknowledge()


def with_picture_note(to: Recipient, text: str) -> str:
    """The words, and where to look for the picture that belongs to them."""
    return text if to.caller.direct else f"{text}\n{PICTURE}"


async def _log_failure(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except TROUBLES as error:
        log.warning("Answer rejected by Slack", reason=error_of(error))
    except Exception:
        log.exception("Unexpected error")
