"""The websocket of one open page: its requests are answered in order, and it gets news of its channel."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from aiohttp import WSCloseCode, WSMsgType, web

from bot.cards.card import Card
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
from bot.chats.web.json_views import card_json, encode, lora_json
from bot.chats.web.memory_budget import Budget
from bot.chats.web.open_pages import OpenPages
from bot.chats.web.outbox import Outbox, Overflow
from bot.dispatch.dispatcher import Dispatcher
from commands.display_names import read_name
from commands.forms import check_needed
from commands.lora_cards import lora_cards
from commands.registry import COMMANDS
from engine.messages import InvalidRequest, JobId, Sha256
from storage.database import CannotStore

CHAT = "local"
PAGE = 30  # cards at a time
MOST = 200  # cards at once, for a page that comes back and had read far
AT_ONCE = 20  # messages in one frame: when all pages are sent many, the event loop sees to others between
LARGEST_MESSAGE = 16 * 2**20  # bytes: a form may have 1,000 pictures with long captions
SLICE = 10  # cards that are read at a time: others are answered between
LARGEST_HISTORY = 2**20  # bytes of the cards in one answer; the page asks for what is older
MOST_LATE = 8  # answers that a page may wait for beside what it asks next
SOON = 2.0  # seconds within which an answer comes in its turn; what takes longer is told to come later
LARGEST_NUMBER = 2**62  # that a card could have


class PageHost(Protocol):
    """What an open page needs of the chat that it belongs to."""

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels, in their order."""

    @property
    def pages(self) -> "OpenPages[PageConnection]":
        """All pages that are open."""

    @property
    def dispatch(self) -> Dispatcher:
        """Who carries out what people say."""

    async def name_of(self, person: str) -> str:
        """What this person is called."""

    async def rename(self, person: str, name: str) -> None:
        """Call this person so from now on, on everybody's pages."""

    def private_url(self, person: str, name: str, sha256: Sha256) -> str:
        """The address of a file that is for this person alone."""


class PageConnection:
    """A websocket, and who is at its other end."""

    def __init__(self, host: PageHost, person: str, name: str, budget: Budget) -> None:
        self.person, self.name = person, name
        self.channel: str | None = None
        self.outbox = Outbox(budget)
        self._host = host
        self._late: set[asyncio.Task[None]] = set()
        self._hanging_up: asyncio.Task[None] | None = None
        self._socket = web.WebSocketResponse(heartbeat=30, max_msg_size=LARGEST_MESSAGE, compress=False)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """From the greeting until one of both ends it."""
        await self._socket.prepare(request)
        sending = asyncio.create_task(self._send_messages())
        sending.add_done_callback(lambda _: self.outbox.close())
        try:
            await self.set_person_cookie()
            async for message in self._socket:
                if message.type is WSMsgType.TEXT:
                    await self._receive(message.data)
                elif message.type is WSMsgType.BINARY:
                    self.put({"error": "This is not text. Messages are JSON."})
                await self.outbox.wait_for_room()  # who does not read is not heard
        except Overflow:
            await self.close(WSCloseCode.TRY_AGAIN_LATER, "The page does not read what it is sent.")
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await sending
        return self._socket

    async def set_person_cookie(self) -> None:
        """Who they are here, and which channels there are, each with the number of its newest card."""
        newest = {}
        for channel in self._host.channels:
            cards = await self._host.dispatch.list_cards(self._caller(channel), None, 1)
            newest[channel] = cards[0].number if cards else 0
        channels = [{"name": name, "newest": number} for name, number in newest.items()]
        self.put({"hello": {"key": self.person, "name": self.name, "channels": channels}})

    async def close(self, code: int, reason: str) -> None:
        """Hang up, and say why."""
        await self._socket.close(code=code, message=reason.encode())

    def put(self, message: Mapping[str, Any]) -> None:
        """Send this."""
        self.outbox.put(encode(dict(message)))

    @property
    def is_idle(self) -> bool:
        """Whether all that the page was sent is on its way, and no history is being read for it."""
        return self.outbox.is_empty

    def send(self, message: str) -> None:
        """Send a message, or several with commas between them."""
        self._send_or_hang_up(message, "")

    def send_news(self, key: str, message: str) -> None:
        """Send news about a card; a page that is too slow is told to come back."""
        self._send_or_hang_up(message, key)

    def _send_or_hang_up(self, message: str, key: str) -> None:
        try:
            self.outbox.put_news(message, key)
        except Overflow:
            self._hanging_up = self._hanging_up or asyncio.create_task(
                self.close(WSCloseCode.TRY_AGAIN_LATER, "The page does not read what it is sent.")
            )

    def send_removal(self, key: str, message: str) -> None:
        """A card was taken away: nothing older about it may follow."""
        self.outbox.drop(key)
        self.send_news(key, message)

    async def _send_messages(self) -> None:
        """Lists of messages: a frame for every card to every page would be most of the bot's work."""
        while True:
            await self._socket.send_str(f"[{','.join(await self.outbox.take(AT_ONCE))}]")
            if not self.outbox.is_empty:  # taking from an empty one waits anyway
                await asyncio.sleep(0)  # sending to a page that reads fast never waits

    async def _receive(self, text: str) -> None:
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            self.put({"error": "This is not JSON."})
            return
        if not isinstance(message, dict) or not isinstance(message.get("n", 0), int):
            self.put({"error": "This is not a message. It must be an object with a number n."})
            return
        await self._answer(message, PageSink(self, self._host, message.get("n", 0)))
        self.outbox.release()

    async def _answer(self, message: dict[str, Any], sink: "PageSink") -> None:
        """Answer in its turn, or hear on after a while: the engine was asked, too.

        That goes on when the page is closed.
        """
        answering = asyncio.create_task(self._answer_in_time(message, sink))
        await asyncio.wait({answering, sink.deferred}, return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            answering.result()
            return
        sink.deferred.result()
        if len(self._late) >= MOST_LATE:
            await asyncio.wait(self._late, return_when=asyncio.FIRST_COMPLETED)
        self._late.add(answering)
        answering.add_done_callback(self._late.discard)

    async def _answer_in_time(self, message: dict[str, Any], sink: "PageSink") -> None:
        try:
            reply = self._dispatch(message)
            if reply is not None:
                await router.answer(reply, sink, SOON)
            else:
                sink.put(await self._read(message))
        except (InvalidRequest, CannotStore) as error:
            sink.put({"error": str(error)})

    def _dispatch(self, message: dict[str, Any]) -> Awaitable[Reply] | None:
        """What the dispatcher is asked; None for what a page only reads. Raises InvalidRequest."""
        dispatch = self._host.dispatch
        match message:
            case {"say": str(text)}:
                return dispatch.say(self._here(), text)
            case {"fill": {"command": str(command), "values": dict(values)}}:
                if not all(isinstance(value, str) for value in values.values()):
                    raise InvalidRequest("The values of a form must be texts.")
                return self._fill(command, values)
            case {"recipe": str(text)}:
                return dispatch.read_recipe(self._here(), text)
            case {"press": str(button)}:
                return dispatch.press(self._here(), button)
        return None

    async def _read(self, message: dict[str, Any]) -> dict[str, Any]:
        match message:
            case {"open": str(channel)}:
                return await self._open(channel, message.get("limit"))
            case {"older": int(number)}:
                return await self._history(min(max(number, 0), LARGEST_NUMBER), PAGE)
            case {"card": str(job)}:
                card = await self._host.dispatch.find_card(self._here(), JobId(job))
                return {"cards": [card_json(self._here().channel, card)] if card else []}
            case {"name": str(name)}:
                await self._host.rename(self.person, read_name(name))
                return {"name": self.name}
        raise InvalidRequest("There is no such message.")

    async def _fill(self, command: str, values: Mapping[str, str]) -> Reply:
        """The reply to a form, unless it lacks what it has to have."""
        try:
            if command in COMMANDS:
                check_needed(COMMANDS[command], values)
        except InvalidRequest as error:
            return RefusalReply(text=str(error))
        return await self._host.dispatch.fill(self._here(), command, values)

    async def _open(self, channel: str, limit: object) -> dict[str, Any]:
        if channel not in self._host.channels:
            raise InvalidRequest("There is no such channel.")
        self._host.pages.move(self, channel)
        self.outbox.hold()
        count = limit if isinstance(limit, int) and not isinstance(limit, bool) else PAGE
        return await self._history(None, min(max(count, PAGE), MOST))

    async def _history(self, before: int | None, limit: int) -> dict[str, Any]:
        """The newest cards, a few at a time and as many as are no burden for others."""
        here, size = self._here(), 0
        cards: list[dict[str, Any]] = []
        while True:
            older = await self._host.dispatch.list_cards(here, before, SLICE + 1)
            for card in older[:SLICE]:
                if len(cards) == limit or size > LARGEST_HISTORY:
                    return {"channel": here.channel, "cards": cards, "more": True}
                cards.append(card_json(here.channel, card))
                size += len(encode(cards[-1]))
                before = card.number
            if len(older) <= SLICE:
                return {"channel": here.channel, "cards": cards, "more": False}
            await asyncio.sleep(0)

    def _here(self) -> Caller:
        if self.channel is None:
            raise InvalidRequest("Open a channel first.")
        return self._caller(self.channel)

    def _caller(self, channel: str) -> Caller:
        return Caller(
            chat=CHAT,
            space=channel,
            space_name=channel,
            channel=channel,
            person=self.person,
            person_name=self.name,
        )


class PageSink:
    """Answers one message of a page, by its number."""

    def __init__(self, page: PageConnection, host: PageHost, number: int) -> None:
        self._page = page
        self._host = host
        self._number = number
        self._channel = page.channel or ""
        self.deferred: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def defer(self) -> None:
        """The page need not wait with what it asks next."""
        try:
            self.put({"later": True})
        except Overflow as overflow:
            self.deferred.set_exception(overflow)
        else:
            self.deferred.set_result(None)

    async def show_text(self, reply: TextReply) -> None:
        """Words."""
        self._reply(reply.text)

    async def show_refusal(self, reply: RefusalReply) -> None:
        """Words, and that it was not done."""
        self._reply(reply.text, ok=False)

    async def open_form(self, reply: FormReply) -> None:
        """The page makes it of the command's definition."""
        self._reply(reply.text, form={"command": reply.form.command, "values": dict(reply.form.values)})

    async def send_files(self, reply: FilesReply) -> None:
        """Addresses that are for this person alone."""
        self._reply(reply.text, files=self._addresses(reply.files))

    async def show_image(self, reply: ImageReply) -> None:
        """It comes inside the message."""
        kind = reply.name.rpartition(".")[2]
        url = f"data:image/{kind};base64,{base64.b64encode(reply.content).decode()}"
        self._reply(reply.text, drawn=[{"name": reply.name, "url": url}])

    async def show_loras(self, reply: LorasReply) -> None:
        """Cards with the addresses of their pictures."""
        loras = [
            lora_json(self._channel, lora, card, mine=lora.person_id == reply.person)
            for lora, card in zip(reply.loras, lora_cards(reply.loras), strict=True)
        ]
        self._reply(reply.text, loras=loras, files=self._addresses(reply.files))

    async def show_card(self, reply: CardReply) -> None:
        """The page looks for it among its cards."""
        self._reply(reply.text, job=reply.job)

    def put(self, answer: Mapping[str, Any]) -> None:
        """Send this, which the page knows by its number. Raises Overflow while the page waits for it."""
        try:
            self._page.put({"n": self._number, **answer})
        except Overflow:
            if not self.deferred.done():
                raise

    def _reply(self, text: str, **more: Any) -> None:
        empty = {"ok": True, "text": text, "job": None, "form": None, "files": [], "loras": [], "drawn": []}
        self.put({"reply": empty | more})

    def _addresses(self, files: Sequence[tuple[str, Sha256]]) -> list[dict[str, str]]:
        return [
            {"name": name, "url": self._host.private_url(self._page.person, name, sha256)}
            for name, sha256 in files
        ]


def card_message(channel: str, card: Card) -> str:
    """The news that a card looks so now."""
    return encode({"card": card_json(channel, card)})
