"""Stored files as answers over HTTP, whole or small: what all routes that hand some out share."""

import asyncio
import io

from aiohttp import web
from PIL import Image
from sqlalchemy.ext.asyncio import AsyncSession

from bot.local.wire import CHAT
from engine.messages import Sha256
from storage.database import Database
from storage.files import Files
from storage.people import space_id

SMALL_SIDE = 512  # pixels
SMALL_KEPT = 256  # of them, in memory
KEPT_FOR = {"Cache-Control": "private, max-age=3600"}
FORMATS = ("PNG", "JPEG")


class Shelf:
    """The store and the tables, as the page's routes read them."""

    def __init__(self, database: Database, files: Files, channels: tuple[str, ...]) -> None:
        self.database = database
        self.files = files
        self._channels = channels
        self._small: dict[str, bytes] = {}

    async def space(self, session: AsyncSession, channel: str) -> int | None:
        """The number of a channel's space, if the channel is there and anybody was ever in it."""
        return await space_id(session, CHAT, channel) if channel in self._channels else None

    def channel(self, name: str) -> str:
        """The channel that is called so, the first where nobody says. Raises HTTPUnprocessableEntity."""
        if name and name not in self._channels:
            raise web.HTTPUnprocessableEntity(text="there is no such channel.")
        return name or self._channels[0]

    async def whole(self, sha256: Sha256, kind: str) -> web.Response:
        """The file itself. Raises HTTPNotFound."""
        response = web.Response(body=await self.read(sha256), content_type=kind, headers=KEPT_FOR)
        response.etag = sha256
        return response

    async def small(self, sha256: Sha256) -> web.Response:
        """The picture, at most SMALL_SIDE pixels a side. Raises HTTPNotFound."""
        if sha256 not in self._small:
            content = await self.read(sha256)
            while len(self._small) >= SMALL_KEPT:
                del self._small[next(iter(self._small))]
            self._small[sha256] = await asyncio.to_thread(_smaller, content)
        return web.Response(body=self._small[sha256], content_type="image/webp", headers=KEPT_FOR)

    async def read(self, sha256: Sha256) -> bytes:
        """The file's content. Raises HTTPNotFound."""
        try:
            return await self.files.get(sha256)
        except OSError as error:
            raise web.HTTPNotFound(text="the picture's file is not there.") from error


def _smaller(content: bytes) -> bytes:
    """The same picture in few pixels; one that has few keeps every pixel."""
    with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
        small = max(picture.size) <= SMALL_SIDE
        picture.thumbnail((SMALL_SIDE, SMALL_SIDE))
        out = io.BytesIO()
        picture.convert("RGB").save(out, "WEBP", lossless=small, quality=85)
    return out.getvalue()
