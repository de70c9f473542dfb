"""Somebody who has the web chat's page open, without the page: real HTTP and a real websocket."""

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse, CookieJar, WSMsgType

from bot.chats.web.server import WebChat
from bot.config import AdminSettings, Config, LocalSettings
from bot.http.connections import BOUNDS, Bounds
from bot.service import Bot, local_chat
from tests.bot.fake_chat import a_config, quick

CHANNELS = ("general", "ideas")
TOKEN = "open sesame, please"
Card = dict[str, Any]


@dataclass(kw_only=True)
class Request:
    """A message of a page and its answer; `answered` when that, or the word that it comes later, is there."""

    answer: "asyncio.Future[dict[str, Any]]"
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    began: float = field(default_factory=time.monotonic)
    seconds: float | None = None

    def hear(self) -> None:
        if self.seconds is None:
            self.seconds = time.monotonic() - self.began
            self.answered.set()


class PageClient:
    """What a page knows: its cards, as the wire told them; `news` are channels with something new."""

    def __init__(self, address: str, session: ClientSession, wire: ClientWebSocketResponse) -> None:
        self.address, self.session, self.wire = address, session, wire
        self.hello: dict[str, Any] = {}
        self.cards: dict[str, Card] = {}
        self.news: list[str] = []
        self.errors: list[str] = []
        self.gone: list[str] = []
        self._requests: dict[int, Request] = {}
        self._greeted = asyncio.Event()
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def come(
        cls, address: str, session: ClientSession | None = None, channel: str | None = "general"
    ) -> "PageClient":
        """Open the page, as the same person when it is the same session."""
        session = session or ClientSession(cookie_jar=CookieJar(unsafe=True))
        async with session.get(f"{address}/commands.json") as answer:
            assert answer.status == 200, await answer.text()
        wire = await session.ws_connect(f"{address}/live", origin=address, max_msg_size=0)
        client = cls(address, session, wire)
        await asyncio.wait_for(client._greeted.wait(), 10)
        if channel is not None:
            await client.open(channel)
        return client

    async def open(self, channel: str, limit: int = 0) -> dict[str, Any]:
        answer = await self.ask(open=channel, limit=limit)
        self.cards |= {card["job"]: card for card in answer["cards"]}
        return answer

    async def says(self, text: str) -> dict[str, Any]:
        return await self._reply(say=text)

    async def presses(self, button: str) -> dict[str, Any]:
        return await self._reply(press=button)

    async def paints(self, text: str = "/imagine a fox --steps 2") -> Card:
        """Say it, and wait for the pictures."""
        reply = await self.says(text)
        assert reply["ok"], reply
        return await self.sees(reply["job"], lambda card: card["state"] == "succeeded")

    async def sees(self, job: str, wanted: Callable[[Card], bool], seconds: float = 20.0) -> Card:
        """Wait until the job's card is as wanted."""
        await self.until(lambda: job in self.cards and wanted(self.cards[job]), seconds)
        return self.cards[job]

    async def until(self, wanted: Callable[[], bool], seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not wanted():
            assert time.monotonic() < deadline, f"it never came to that: {self.cards}, {self.errors}"
            await asyncio.sleep(0.01)

    async def ask(self, **message: object) -> dict[str, Any]:
        """Ask, and wait for the answer to just that."""
        request = await self._send(message)
        return await asyncio.wait_for(request.answer, 20)

    async def asks(self, **message: object) -> Request:
        """Ask, and wait for the answer or the word that it comes later."""
        request = await self._send(message)
        await asyncio.wait_for(request.answered.wait(), 20)
        return request

    async def get(self, path: str) -> tuple[int, bytes]:
        async with self.session.get(f"{self.address}{path}") as answer:
            return answer.status, await answer.read()

    async def post(self, path: str, body: bytes, length: int | None = None) -> tuple[int, str]:
        headers = {"Origin": self.address} | ({} if length is None else {"Content-Length": str(length)})
        async with self.session.post(
            f"{self.address}{path}", data=io.BytesIO(body), headers=headers
        ) as answer:
            return answer.status, await answer.text()

    async def leave(self, *, session: bool = True) -> None:
        self._listening.cancel()
        with suppress(asyncio.CancelledError):
            await self._listening
        await self.wire.close()
        if session:
            await self.session.close()

    async def _send(self, message: dict[str, object]) -> Request:
        number = len(self._requests) + 1
        request = self._requests[number] = Request(answer=asyncio.get_running_loop().create_future())
        await self.wire.send_str(json.dumps({"n": number, **message}))
        return request

    async def _reply(self, **message: object) -> dict[str, Any]:
        reply: dict[str, Any] = (await self.ask(**message))["reply"]
        return reply

    async def _listen(self) -> None:
        async for frame in self.wire:
            assert frame.type is WSMsgType.TEXT
            for message in json.loads(frame.data):
                self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("n") in self._requests:
            request = self._requests[message["n"]]
            request.hear()
            if not message.get("later"):
                request.answer.set_result(message)
        elif "hello" in message:
            self.hello = message["hello"]
            self._greeted.set()
        elif "card" in message:
            self.cards[message["card"]["job"]] = message["card"]
        elif "gone" in message:
            self.gone.append(message["gone"])
            self.cards.pop(message["gone"], None)
        elif "news" in message:
            self.news.append(message["news"])
        elif "error" in message:
            self.errors.append(message["error"])


class Place:
    """A running bot with its web chat, and everybody who came."""

    def __init__(self, bot: Bot, chat: WebChat, address: str) -> None:
        self.bot, self.chat, self.address = bot, chat, address
        self.clients: list[PageClient] = []

    async def comes(self, **how: Any) -> PageClient:
        self.clients.append(await PageClient.come(self.address, **how))
        return self.clients[-1]


@asynccontextmanager
async def a_place(
    folder: Path,
    *,
    token: str | None = None,
    seconds: float = 0.01,
    local: LocalSettings | None = None,
    admins: AdminSettings | None = None,
    bounds: Bounds = BOUNDS,
    program: Sequence[str] | None = None,
) -> AsyncIterator[Place]:
    """A web chat on a free port, whose engine is the quick one; in the same folder, the same chat again."""
    local = local or LocalSettings(port=0, channels=CHANNELS)
    config: Config = replace(a_config(folder), local=local, admins=admins or AdminSettings())
    bot = await Bot.open(config, program or quick(folder, seconds))
    try:
        chat = local_chat(bot, local, token, bounds)
        bot.add(chat)
        await bot.start()
        place = Place(bot, chat, await chat.start())
        try:
            yield place
        finally:
            for client in place.clients:
                await client.leave()
            await bot.stop(0)
            await chat.stop()
    finally:
        await bot.close()
