"""The page's chat as a chat under test: real HTTP and a real websocket, without a browser."""

import json
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from tests.bot.web.page_client import Card, PageClient, Place, Request, a_place
from tests.chats.harness import Seen, SeenCard, line


class WebSeen:
    """The reply to one message of a page."""

    def __init__(self, asked: Request) -> None:
        self._asked = asked

    @property
    def text(self) -> str:
        return str(self._reply.get("text", ""))

    @property
    def files(self) -> Sequence[str]:
        named = [*self._reply.get("files", ()), *self._reply.get("drawn", ())]
        thumbnails = [lora["thumb"] for lora in self._reply.get("loras", ())]
        return [file["name"] for file in named] + [path for path in thumbnails if path]

    @property
    def form(self) -> Mapping[str, Any] | None:
        form = self._reply.get("form")
        return None if form is None else form["values"]

    @property
    def seconds(self) -> float | None:
        return self._asked.seconds

    @property
    def command(self) -> str:
        return str(self._reply["form"]["command"])

    @property
    def _reply(self) -> dict[str, Any]:
        done = self._asked.answer.done()
        return self._asked.answer.result()["reply"] if done else {}


class WebHarness:
    """A page that is open in two browsers, in one channel."""

    def __init__(self, folder: Path, seconds: float, program: Sequence[str] | None) -> None:
        self._folder = folder
        self._seconds = seconds
        self._program = program
        self._stack = AsyncExitStack()
        self._sessions: dict[str, ClientSession] = {}
        self._people: dict[str, PageClient] = {}

    async def start(self) -> None:
        place: Place = await self._stack.enter_async_context(
            a_place(self._folder, seconds=self._seconds, program=self._program)
        )
        for who in ("ana", "bo"):
            client = await place.comes(session=self._sessions.get(who))
            place.clients.clear()  # whoever is here comes back as the same person
            self._people[who], self._sessions[who] = client, client.session
            await client.ask(name=who)

    async def stop(self) -> None:
        for client in self._people.values():
            await client.leave(session=False)
        await self._stack.aclose()

    async def close(self) -> None:
        """Close the browsers, too."""
        for session in self._sessions.values():
            await session.close()

    async def say(self, who: str, command: str, words: str = "", **options: object) -> Seen:
        return WebSeen(await self._people[who].asks(say=line(command, words, options)))

    async def press(self, who: str, card: SeenCard, action: str) -> Seen:
        return WebSeen(await self._people[who].asks(press=card.buttons[action]))

    async def fill(self, who: str, seen: Seen, **values: str) -> Seen:
        assert isinstance(seen, WebSeen) and seen.form is not None
        form = {"command": seen.command, "values": {**seen.form, **values}}
        return WebSeen(await self._people[who].asks(fill=form))

    async def send_lora(self, who: str, name: str, content: bytes) -> Seen:
        status, text = await self._people[who].post("/lora-files?channel=general", content)
        assert status == 200, text
        values = {"name": name, "file": str(json.loads(text)["sha256"])}
        return WebSeen(await self._people[who].asks(fill={"command": "lora import", "values": values}))

    async def verify_picture(self, who: str, content: bytes) -> Seen:
        status, text = await self._people[who].post("/uploads?channel=general&name=fox.png", content)
        assert status == 200, text
        [picture] = json.loads(text)["pictures"]
        return await self.say(who, "verify", picture["sha256"])

    async def send_picture(self, who: str, content: bytes, words: str) -> Seen:
        status, text = await self._people[who].post("/uploads?channel=general&name=fox.png", content)
        assert status == 200, text
        [picture] = json.loads(text)["pictures"]
        return await self.say(who, "imagine", words, steps=2, image=picture["sha256"])

    def cards(self) -> list[SeenCard]:
        cards = sorted(self._people["bo"].cards.values(), key=lambda card: int(card["number"]))
        return [_card(card) for card in cards]

    def others(self) -> list[str]:
        return self._people["bo"].errors


def _card(card: Card) -> SeenCard:
    words = [card["title"], card["line"], *(f"{name} {value}" for name, value in card["recipe"])]
    words += [f"From {origin['text']}" for origin in card["origins"]]
    ids = [str(button["id"]) for button in card["buttons"]]
    return SeenCard(
        key=card["job"],
        text="\n".join(words),
        pictures=len(card["pictures"]),
        buttons={name.partition(":")[0]: name for name in reversed(ids)},
    )
