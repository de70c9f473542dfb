"""What people send: pictures to learn from, one or a zip of them, and LoRAs; what is kept is told."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from aiohttp import web

from bot.chats.interface import Caller
from bot.chats.web.auth import person_of
from bot.chats.web.file_responses import Shelf
from bot.chats.web.memory_budget import Budget
from bot.chats.web.websocket import CHAT
from bot.http.bodies import chunks_of
from bot.uploads.intake import Intake, Sent, TooLarge
from engine.messages import InvalidRequest, Sha256
from storage import uploads
from storage.database import CannotStore
from storage.people import find_person

MOST_UNDER_WAY = 2 * 2**30  # bytes of all files together that are being sent; they lie on the disk
TOO_MANY = "too many files are being sent here: try again in a minute."


class Sending:
    """Takes pictures in, and shows them to who sent them."""

    def __init__(
        self, shelf: Shelf, intake: Intake, name_of: Callable[[str], Awaitable[str]], *, patience: float
    ) -> None:
        self._shelf = shelf
        self._intake = intake
        self._name_of = name_of
        self._patience = patience
        self._under_way = Budget(MOST_UNDER_WAY)

    def routes(self) -> list[web.RouteDef]:
        """Where pictures are sent, and where they are seen again."""
        return [
            web.post("/uploads", self._take),
            web.post("/lora-files", self._take_lora),
            web.get("/uploads/{sha256:[0-9a-f]{64}}.webp", self._show),
        ]

    async def _take(self, request: web.Request) -> web.StreamResponse:
        """POST /uploads?name=fox.png: a picture, or a zip of some, as the body; what became of each."""
        caller, name = await self._caller(request), request.query.get("name", "")
        try:
            async with self._body(request) as chunks:
                sent = await self._intake.take(caller, name, chunks)
        except TooLarge as error:
            raise web.HTTPRequestEntityTooLarge(max_size=0, actual_size=0, text=str(error)) from error
        except InvalidRequest as error:
            raise web.HTTPUnprocessableEntity(text=str(error)) from error
        except (OSError, CannotStore) as error:
            raise web.HTTPInsufficientStorage(text="the picture could not be kept.") from error
        return web.json_response(_told(sent))

    async def _take_lora(self, request: web.Request) -> web.StreamResponse:
        """POST /lora-files: a .safetensors file as the body; its hash, for the form of /lora import."""
        caller = await self._caller(request)
        try:
            async with self._body(request) as chunks:
                sha256 = await self._intake.take_lora(caller, chunks)
        except InvalidRequest as error:
            raise web.HTTPUnprocessableEntity(text=str(error)) from error
        except (OSError, CannotStore) as error:
            raise web.HTTPInsufficientStorage(text="the file could not be kept.") from error
        return web.json_response({"sha256": sha256})

    @asynccontextmanager
    async def _body(self, request: web.Request) -> AsyncGenerator[AsyncIterator[bytes]]:
        """The body as it comes; it is under way until it is dealt with."""
        took = 0

        async def chunks() -> AsyncGenerator[bytes]:
            nonlocal took
            async for chunk in chunks_of(request, self._patience):
                if not self._under_way.take(len(chunk)):
                    raise web.HTTPServiceUnavailable(text=TOO_MANY, headers={"Retry-After": "60"})
                took += len(chunk)
                yield chunk

        try:
            yield chunks()
        finally:
            self._under_way.give(took)

    async def _caller(self, request: web.Request) -> Caller:
        """Who sends this, and from which channel: the one that `channel` names, or else the first."""
        key = person_of(request)
        if key is None:
            raise web.HTTPForbidden(text="open the page first.")
        channel = self._shelf.channel(request.query.get("channel", ""))
        return Caller(
            chat=CHAT,
            space=channel,
            space_name=channel,
            channel=channel,
            person=key,
            person_name=await self._name_of(key),
        )

    async def _show(self, request: web.Request) -> web.StreamResponse:
        """GET /uploads/HASH.webp: a picture that whoever asks sent, small."""
        sha256 = Sha256(request.match_info["sha256"])
        async with self._shelf.database.reading() as session:
            me = await find_person(session, CHAT, person_of(request) or "")
            if me is None or sha256 not in await uploads.own(session, me.id, [sha256]):
                raise web.HTTPNotFound(text="there is no such picture.")
        return await self._shelf.small(sha256)


def _told(sent: Sent) -> dict[str, list[dict[str, Any]]]:
    return {
        "pictures": [asdict(one) for one in sent.pictures],
        "refused": [{"name": name, "reason": reason} for name, reason in sent.refused],
    }
