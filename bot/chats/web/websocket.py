"""One open page: its asks are answered in their order, and it sees the cards of its channel change."""

import asyncio
import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

from aiohttp import WSCloseCode, WSMsgType, web

from bot.cards.card import Card
from bot.chats.interface import Caller
from bot.chats.web.json_views import card_json, lora_json, text
from bot.chats.web.memory_budget import Budget
from bot.chats.web.outbox import Outbox, Overflow
from bot.dispatch.apply import Reply
from bot.dispatch.dispatcher import Dispatch
from commands.display_names import proper
from commands.lora_cards import lora_cards
from engine.messages import InvalidRequest, JobId, Sha256
from storage.database import CannotStore

CHAT = "local"
PAGE = 30  # cards at a time
MOST = 200  # cards at once, for a page that comes back and had read far
AT_ONCE = 20  # messages in one frame: when all pages are sent many, the event loop sees to others between
LARGEST_MESSAGE = 512 * 2**10  # bytes: a form may have 50 pictures with long captions
SLICE = 10  # cards that are read at a time: others are answered between
LARGEST_HISTORY = 2**20  # bytes of the cards in one answer; the page asks for what is older
MOST_LATE = 8  # answers that a page may wait for beside what it asks next
SOON = 2.0  # seconds within which an answer comes in its turn; what takes longer is told to come later
LARGEST_NUMBER = 2**62  # that a card could have


class House(Protocol):
    """What an open page needs of the chat that it belongs to."""

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels, in their order."""

    @property
    def dispatch(self) -> Dispatch:
        """Who carries out what people say."""

    async def name_of(self, person: str) -> str:
        """What this person is called."""

    async def rename(self, person: str, name: str) -> None:
        """Call this person so from now on, on everybody's pages."""

    def gift(self, person: str, name: str, sha256: Sha256) -> str:
        """The address of a file that is for this person alone."""


class Wire:
    """A websocket, and who is at its other end."""

    def __init__(self, house: House, person: str, name: str, budget: Budget) -> None:
        self.person, self.name = person, name
        self.channel: str | None = None
        self.outbox = Outbox(budget)
        self._house = house
        self._late: set[asyncio.Task[None]] = set()
        self._hanging_up: asyncio.Task[None] | None = None
        self._socket = web.WebSocketResponse(heartbeat=30, max_msg_size=LARGEST_MESSAGE, compress=False)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """From the greeting until one of both ends it."""
        await self._socket.prepare(request)
        sending = asyncio.create_task(self._send())
        sending.add_done_callback(lambda _: self.outbox.close())
        try:
            await self.greet()
            async for message in self._socket:
                if message.type is WSMsgType.TEXT:
                    await self._hear(message.data)
                elif message.type is WSMsgType.BINARY:
                    self.put({"error": "this is no text: messages are JSON."})
                await self.outbox.room()  # who does not read is not heard
        except Overflow:
            await self.close(WSCloseCode.TRY_AGAIN_LATER, "the page does not read what it is sent.")
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await sending
        return self._socket

    async def greet(self) -> None:
        """Who they are here, and which channels there are, each with the number of its newest card."""
        newest = {}
        for channel in self._house.channels:
            cards = await self._house.dispatch.jobs(self._caller(channel), None, 1)
            newest[channel] = cards[0].number if cards else 0
        channels = [{"name": name, "newest": number} for name, number in newest.items()]
        self.put({"hello": {"key": self.person, "name": self.name, "channels": channels}})

    async def close(self, code: int, reason: str) -> None:
        """Hang up, and say why."""
        await self._socket.close(code=code, message=reason.encode())

    def put(self, message: Mapping[str, Any]) -> None:
        """Send this."""
        self.outbox.put(text(dict(message)))

    def see(self, key: str, message: str) -> None:
        """Send news about a card; a page that is too slow is told to come back."""
        try:
            self.outbox.put_news(message, key)
        except Overflow:
            self._hanging_up = self._hanging_up or asyncio.create_task(
                self.close(WSCloseCode.TRY_AGAIN_LATER, "the page does not read what it is sent.")
            )

    def gone(self, key: str, message: str) -> None:
        """A card was taken away: nothing older about it may follow."""
        self.outbox.drop(key)
        self.see(key, message)

    async def _send(self) -> None:
        """Lists of messages: a frame for every card to every page would be most of the bot's work."""
        while True:
            await self._socket.send_str(f"[{','.join(await self.outbox.some(AT_ONCE))}]")
            await asyncio.sleep(0)  # sending to a page that reads fast never waits

    async def _hear(self, words: str) -> None:
        try:
            asked = json.loads(words)
        except (ValueError, RecursionError):
            self.put({"error": "this is not JSON."})
            return
        if not isinstance(asked, dict) or not isinstance(asked.get("n", 0), int):
            self.put({"error": "this is no message: it must be an object with a number n."})
            return
        answering = asyncio.create_task(self._answered(asked))
        done, _ = await asyncio.wait({answering}, timeout=SOON)
        if done:
            self.put(answering.result())
        else:
            self.put({"n": asked.get("n", 0), "later": True})
            if len(self._late) >= MOST_LATE:
                await asyncio.wait(self._late, return_when=asyncio.FIRST_COMPLETED)
            late = asyncio.create_task(self._tell_late(answering))
            self._late.add(late)
            late.add_done_callback(self._late.discard)
        self.outbox.release()

    async def _answered(self, asked: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = await self._answer(asked)
        except (InvalidRequest, CannotStore) as error:
            answer = {"error": str(error)}
        return {"n": asked.get("n", 0), **answer}

    async def _tell_late(self, answering: "asyncio.Task[dict[str, Any]]") -> None:
        """The engine was asked, too: others are answered meanwhile. It goes on when the page is closed."""
        answer = await answering
        with suppress(Overflow):
            self.put(answer)

    async def _answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        dispatch = self._house.dispatch
        match asked:
            case {"open": str(channel)}:
                return await self._open(channel, asked.get("limit"))
            case {"older": int(number)}:
                return await self._history(min(max(number, 0), LARGEST_NUMBER), PAGE)
            case {"card": str(job)}:
                card = await dispatch.card(self._here(), JobId(job))
                return {"cards": [card_json(self._here().channel, card)] if card else []}
            case {"say": str(words)}:
                return self._replied(await dispatch.say(self._here(), words))
            case {"fill": {"command": str(command), "values": dict(values)}}:
                if not all(isinstance(value, str) for value in values.values()):
                    raise InvalidRequest("the values of a form are texts.")
                return self._replied(await dispatch.fill(self._here(), command, values))
            case {"recipe": str(words)}:
                return self._replied(await dispatch.read_recipe(self._here(), words))
            case {"press": str(button)}:
                return self._replied(await dispatch.press(self._here(), button))
            case {"name": str(name)}:
                await self._house.rename(self.person, proper(name))
                return {"name": self.name}
        raise InvalidRequest("this message is not known here.")

    async def _open(self, channel: str, limit: object) -> dict[str, Any]:
        if channel not in self._house.channels:
            raise InvalidRequest("there is no such channel.")
        self.channel = channel
        self.outbox.hold()
        many = limit if isinstance(limit, int) and not isinstance(limit, bool) else PAGE
        return await self._history(None, min(max(many, PAGE), MOST))

    async def _history(self, before: int | None, limit: int) -> dict[str, Any]:
        """The newest cards, a few at a time and as many as are no burden for others."""
        here, size = self._here(), 0
        cards: list[dict[str, Any]] = []
        while True:
            found = await self._house.dispatch.jobs(here, before, SLICE + 1)
            for card in found[:SLICE]:
                if len(cards) == limit or size > LARGEST_HISTORY:
                    return {"channel": here.channel, "cards": cards, "more": True}
                cards.append(card_json(here.channel, card))
                size += len(text(cards[-1]))
                before = card.number
            if len(found) <= SLICE:
                return {"channel": here.channel, "cards": cards, "more": False}
            await asyncio.sleep(0)

    def _replied(self, reply: Reply) -> dict[str, Any]:
        form = {"command": reply.form.command, "values": dict(reply.form.values)} if reply.form else None
        files = [
            {"name": name, "url": self._house.gift(self.person, name, sha256)} for name, sha256 in reply.files
        ]
        loras = [
            lora_json(self._here().channel, one, card, mine=one.person_id == reply.person)
            for one, card in zip(reply.loras, lora_cards(reply.loras), strict=True)
        ]
        told = {"ok": reply.ok, "text": reply.text, "job": reply.job, "form": form, "files": files}
        drawn = [_shown(*reply.drawn)] if reply.drawn else []
        return {"reply": told | {"loras": loras, "drawn": drawn}}

    def _here(self) -> Caller:
        if self.channel is None:
            raise InvalidRequest("open a channel first.")
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


def _shown(name: str, content: bytes) -> dict[str, str]:
    kind = name.rpartition(".")[2]
    return {"name": name, "url": f"data:image/{kind};base64,{base64.b64encode(content).decode()}"}


def shown(channel: str, card: Card) -> str:
    """The news that a card looks so now."""
    return text({"card": card_json(channel, card)})
