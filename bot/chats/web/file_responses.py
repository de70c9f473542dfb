"""Stored files as answers over HTTP, whole or small: what all routes that hand some out share."""

import asyncio
import io
from contextlib import suppress
from typing import IO

from aiohttp import web
from PIL import Image
from sqlalchemy.ext.asyncio import AsyncSession

from bot.chats.web.websocket import CHAT
from engine.messages import Sha256
from storage.database import Database
from storage.files import Content, Files
from storage.people import find_space_id

SMALL_SIDE = 512  # pixels
SMALL_KEPT = 256  # of them, in memory
KEPT_FOR = {"Cache-Control": "private, max-age=3600"}
FORMATS = ("PNG", "JPEG")
NO_PICTURE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
AT_ONCE = 4  # pictures that are made small


class Shelf:
    """The store and the tables, as the page's routes read them."""

    def __init__(self, database: Database, files: Files, channels: tuple[str, ...]) -> None:
        self.database = database
        self.files = files
        self._channels = channels
        self._small: dict[str, bytes] = {}
        self._shrinking = asyncio.Semaphore(AT_ONCE)

    async def space(self, session: AsyncSession, channel: str) -> int | None:
        """The number of a channel's space, if the channel is there and anybody was ever in it."""
        return await find_space_id(session, CHAT, channel) if channel in self._channels else None

    def channel(self, name: str) -> str:
        """The channel that is called so, the first where nobody says. Raises HTTPUnprocessableEntity."""
        if name and name not in self._channels:
            raise web.HTTPUnprocessableEntity(text="there is no such channel.")
        return name or self._channels[0]

    async def whole(self, request: web.Request, sha256: Sha256, kind: str) -> web.StreamResponse:
        """The file itself, which a browser asks for once. Raises HTTPNotFound."""
        if any(tag.value == sha256 for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=KEPT_FOR)
        response = web.StreamResponse(headers=KEPT_FOR | {"Content-Type": kind})
        response.etag = sha256
        return await self.send(request, sha256, response)

    async def send(
        self, request: web.Request, sha256: Sha256, response: web.StreamResponse
    ) -> web.StreamResponse:
        """The file as this answer, no faster than it is read at the other end. Raises HTTPNotFound."""
        with await self._open(sha256) as content:
            response.content_length = content.size
            with suppress(ConnectionError):  # whoever asked is gone
                await response.prepare(request)
                if request.method != "HEAD":
                    async for piece in content.pieces():
                        await response.write(piece)
                await response.write_eof()
        return response

    async def small(self, sha256: Sha256) -> web.Response:
        """The picture, at most SMALL_SIDE pixels a side. Raises HTTPNotFound."""
        small = self._small.get(sha256)
        if small is None:
            async with self._shrinking:
                with await self._open(sha256) as content:
                    small = await asyncio.to_thread(_smaller, content.file)
            while len(self._small) >= SMALL_KEPT:
                del self._small[next(iter(self._small))]
            self._small[sha256] = small
        return web.Response(body=small, content_type="image/webp", headers=KEPT_FOR)

    async def _open(self, sha256: Sha256) -> Content:
        try:
            return await self.files.open(sha256)
        except OSError as error:
            raise web.HTTPNotFound(text="the file is not there.") from error


def _smaller(file: IO[bytes]) -> bytes:
    """The same picture in few pixels; one that has few keeps every pixel. Raises HTTPNotFound."""
    file.seek(0)
    try:
        with Image.open(file, formats=FORMATS) as picture:
            small = max(picture.size) <= SMALL_SIDE
            picture.thumbnail((SMALL_SIDE, SMALL_SIDE))
            out = io.BytesIO()
            picture.convert("RGB").save(out, "WEBP", lossless=small, quality=85)
    except NO_PICTURE as error:
        raise web.HTTPNotFound(text="this file is no picture.") from error
    return out.getvalue()
