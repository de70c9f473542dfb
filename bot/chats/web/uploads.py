"""Uploads over HTTP: pictures, a zip of them, and LoRA files."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from aiohttp import web

from bot.chats.interface import Caller
from bot.chats.web.auth import person_of
from bot.chats.web.file_responses import FileResponses
from bot.chats.web.memory_budget import Budget
from bot.chats.web.websocket import CHAT
from bot.http.bodies import read_chunks
from bot.uploads.archive import ZIP
from bot.uploads.caption_files import is_caption_file, read_captions
from bot.uploads.intake import FileTooLarge, Intake, IntakeResult, check_size
from engine.messages import InvalidRequest, Sha256
from storage import uploads
from storage.database import CannotStore
from storage.people import find_person

MOST_UNDER_WAY = 8 * 2**30  # bytes of all files together that are being sent; they lie on the disk
TOO_MANY = "Too many files are being sent here. Try again in a minute."


class Uploads:
    """Takes files, and shows people the pictures that they sent."""

    def __init__(
        self,
        responses: FileResponses,
        intake: Intake,
        name_of: Callable[[str], Awaitable[str]],
        *,
        patience: float,
    ) -> None:
        self._responses = responses
        self._intake = intake
        self._name_of = name_of
        self._patience = patience
        self._under_way = Budget(MOST_UNDER_WAY)

    def routes(self) -> list[web.RouteDef]:
        """Where pictures are sent, and where they are seen again."""
        return [
            web.post("/uploads", self._receive_pictures),
            web.post("/lora-files", self._receive_lora),
            web.get("/uploads/{sha256:[0-9a-f]{64}}.webp", self._send_thumbnail),
            web.get("/uploads/{sha256:[0-9a-f]{64}}.png", self._send_original),
        ]

    async def _receive_pictures(self, request: web.Request) -> web.StreamResponse:
        """POST /uploads?name=fox.png: a picture, or a zip of some, as the body; what became of each."""
        caller, name = await self._caller(request), request.query.get("name", "")
        try:
            check_size(request.content_length or 0, ZIP[0] if name.lower().endswith(".zip") else b"")
            async with self._body(request) as chunks:
                if is_caption_file(name):
                    captions, problems = await read_captions(name, chunks)
                    sent = IntakeResult(captions=captions, refused=tuple(problems))
                else:
                    sent = await self._intake.take(caller, name, chunks)
        except FileTooLarge as error:
            raise web.HTTPRequestEntityTooLarge(max_size=0, actual_size=0, text=str(error)) from error
        except InvalidRequest as error:
            raise web.HTTPUnprocessableEntity(text=str(error)) from error
        except (OSError, CannotStore) as error:
            raise web.HTTPInsufficientStorage(text="The picture could not be stored.") from error
        return web.json_response(_upload_json(sent))

    async def _receive_lora(self, request: web.Request) -> web.StreamResponse:
        """POST /lora-files: a .safetensors file as the body; its hash, for the form of /lora import."""
        caller = await self._caller(request)
        try:
            async with self._body(request) as chunks:
                sha256 = await self._intake.take_lora(caller, chunks)
        except InvalidRequest as error:
            raise web.HTTPUnprocessableEntity(text=str(error)) from error
        except (OSError, CannotStore) as error:
            raise web.HTTPInsufficientStorage(text="The file could not be stored.") from error
        return web.json_response({"sha256": sha256})

    @asynccontextmanager
    async def _body(self, request: web.Request) -> AsyncGenerator[AsyncIterator[bytes]]:
        """The body as it comes; it is under way until it is dealt with."""
        size = 0

        async def chunks() -> AsyncGenerator[bytes]:
            nonlocal size
            async for chunk in read_chunks(request, self._patience):
                if not self._under_way.reserve(len(chunk)):
                    raise web.HTTPServiceUnavailable(text=TOO_MANY, headers={"Retry-After": "60"})
                size += len(chunk)
                yield chunk

        try:
            yield chunks()
        finally:
            self._under_way.free(size)

    async def _caller(self, request: web.Request) -> Caller:
        """Who sends this, and from which channel: the one that `channel` names, or else the first."""
        key = person_of(request)
        if key is None:
            raise web.HTTPForbidden(text="Open the page first.")
        channel = self._responses.channel(request.query.get("channel", ""))
        return Caller(
            chat=CHAT,
            space=channel,
            space_name=channel,
            channel=channel,
            person=key,
            person_name=await self._name_of(key),
        )

    async def _send_thumbnail(self, request: web.Request) -> web.StreamResponse:
        """GET /uploads/HASH.webp: a picture that whoever asks sent, small."""
        return await self._responses.thumbnail(await self._own(request))

    async def _send_original(self, request: web.Request) -> web.StreamResponse:
        """GET /uploads/HASH.png: all of a picture that whoever asks sent, to draw over it."""
        sha256 = await self._own(request)
        return await self._responses.original(request, sha256, await self._responses.picture_kind(sha256))

    async def _own(self, request: web.Request) -> Sha256:
        """The picture that is asked for, if whoever asks sent it. Raises HTTPNotFound."""
        sha256 = Sha256(request.match_info["sha256"])
        async with self._responses.database.reading() as session:
            me = await find_person(session, CHAT, person_of(request) or "")
            if me is None or sha256 not in await uploads.own(session, me.id, [sha256]):
                raise web.HTTPNotFound(text="There is no such picture.")
        return sha256


def _upload_json(sent: IntakeResult) -> dict[str, Any]:
    return {
        "pictures": [asdict(picture) for picture in sent.pictures],
        "captions": dict(sent.captions),
        "refused": [{"name": name, "reason": reason} for name, reason in sent.refused],
    }
