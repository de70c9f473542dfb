"""Stored files as HTTP responses: the original, or a thumbnail."""

import asyncio
import io
from contextlib import suppress
from typing import IO

from aiohttp import web
from cachetools import FIFOCache
from PIL import Image
from sqlalchemy.ext.asyncio import AsyncSession

from bot.chats.web.websocket import CHAT
from engine.messages import Sha256
from storage.database import Database
from storage.files import Content, Files
from storage.people import find_space_id

THUMBNAIL_SIDE = 512  # pixels
MOST_THUMBNAILS = 256  # in memory
CACHED = {"Cache-Control": "private, max-age=3600"}
FORMATS = ("PNG", "JPEG")
JPEG_START = b"\xff\xd8\xff"
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
AT_ONCE = 4  # thumbnails that are made


class FileResponses:
    """Reads files of the store for the page's routes."""

    def __init__(self, database: Database, files: Files, channels: tuple[str, ...]) -> None:
        self.database = database
        self.files = files
        self._channels = channels
        self._thumbnails: FIFOCache[str, bytes] = FIFOCache(MOST_THUMBNAILS)
        self._making = asyncio.Semaphore(AT_ONCE)

    async def space(self, session: AsyncSession, channel: str) -> int | None:
        """The number of a channel's space, if the channel is there and anybody was ever in it."""
        return await find_space_id(session, CHAT, channel) if channel in self._channels else None

    def channel(self, name: str) -> str:
        """The channel that is called so, the first where nobody says. Raises HTTPUnprocessableEntity."""
        if name and name not in self._channels:
            raise web.HTTPUnprocessableEntity(text="There is no such channel.")
        return name or self._channels[0]

    async def original(self, request: web.Request, sha256: Sha256, kind: str) -> web.StreamResponse:
        """The file itself, which a browser asks for once. Raises HTTPNotFound."""
        if any(tag.value == sha256 for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=CACHED)
        response = web.StreamResponse(headers=CACHED | {"Content-Type": kind})
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

    async def thumbnail(self, sha256: Sha256) -> web.Response:
        """The picture, at most THUMBNAIL_SIDE pixels a side. Raises HTTPNotFound."""
        thumbnail = self._thumbnails.get(sha256)
        if thumbnail is None:
            async with self._making:
                with await self._open(sha256) as content:
                    thumbnail = await asyncio.to_thread(_make_thumbnail, content.file)
            self._thumbnails[sha256] = thumbnail
        return web.Response(body=thumbnail, content_type="image/webp", headers=CACHED)

    async def picture_kind(self, sha256: Sha256) -> str:
        """The media type of a picture that was made anew as it came. Raises HTTPNotFound."""
        with await self._open(sha256) as content:
            start = await asyncio.to_thread(content.file.read, len(JPEG_START))
        return "image/jpeg" if start == JPEG_START else "image/png"

    async def _open(self, sha256: Sha256) -> Content:
        try:
            return await self.files.open(sha256)
        except OSError as error:
            raise web.HTTPNotFound(text="The file is not there.") from error


def _make_thumbnail(file: IO[bytes]) -> bytes:
    """The same picture in few pixels; one that has few keeps every pixel. Raises HTTPNotFound."""
    file.seek(0)
    try:
        with Image.open(file, formats=FORMATS) as picture:
            small = max(picture.size) <= THUMBNAIL_SIDE
            picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
            out = io.BytesIO()
            picture.convert("RGB").save(out, "WEBP", lossless=small, quality=85)
    except UNREADABLE as error:
        raise web.HTTPNotFound(text="This file is not a picture.") from error
    return out.getvalue()
