"""Pictures that people send to learn from: one or a zip of them goes in, what is kept is told."""

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncSession

from bot.leftovers import Leftovers
from bot.local.doors import person_of
from bot.local.shelf import Shelf
from bot.local.wire import CHAT
from bot.packed import LARGEST_ZIP, ZIP, Taken, taken
from bot.uploads import LARGEST_FILE, Upload, Uploads
from engine.messages import InvalidRequest, Sha256
from storage import uploads
from storage.database import CannotStore
from storage.people import known, person


class Sending:
    """Takes pictures in, and shows them to who sent them."""

    def __init__(self, shelf: Shelf, leftovers: Leftovers, name_of: Callable[[str], Awaitable[str]]) -> None:
        self._shelf = shelf
        self._leftovers = leftovers
        self._name_of = name_of
        self._uploads = Uploads()

    def routes(self) -> list[web.RouteDef]:
        """Where pictures are sent, and where they are seen again."""
        return [
            web.post("/uploads", self._take),
            web.get("/uploads/{sha256:[0-9a-f]{64}}.webp", self._show),
        ]

    async def _take(self, request: web.Request) -> web.StreamResponse:
        """POST /uploads?name=fox.png: a picture, or a zip of some, as the body; what became of each."""
        key = person_of(request)
        if key is None:
            raise web.HTTPForbidden(text="open the page first.")
        content = await _body(request)
        told: dict[str, list[dict[str, Any]]] = {"pictures": [], "refused": []}
        try:
            async with self._leftovers.keeping():
                async for one in taken(self._uploads, request.query.get("name", ""), content):
                    if one.upload is None:
                        told["refused"].append({"name": one.name, "reason": one.reason})
                    else:
                        sha256 = await self._shelf.files.put(one.upload.content)
                        told["pictures"].append(_told(one, one.upload, sha256))
                await self._noted(key, [one["sha256"] for one in told["pictures"]])
        except InvalidRequest as error:
            raise web.HTTPUnprocessableEntity(text=str(error)) from error
        except (OSError, CannotStore) as error:
            raise web.HTTPInsufficientStorage(text="the picture could not be kept.") from error
        return web.json_response(told)

    async def _show(self, request: web.Request) -> web.StreamResponse:
        """GET /uploads/HASH.webp: a picture that whoever asks sent, small."""
        sha256 = Sha256(request.match_info["sha256"])
        async with self._shelf.database.reading() as session:
            me = await known(session, CHAT, person_of(request) or "")
            if me is None or sha256 not in await uploads.own(session, me.id, [sha256]):
                raise web.HTTPNotFound(text="there is no such picture.")
        return await self._shelf.small(sha256)

    async def _noted(self, key: str, hashes: Sequence[Sha256]) -> None:
        """Write down whose pictures these are: nobody else may train with them by their hashes."""
        name = await self._name_of(key)
        await self._shelf.database.write(partial(_note, key=key, name=name, hashes=hashes))


def _told(one: Taken, upload: Upload, sha256: Sha256) -> dict[str, Any]:
    return {
        "sha256": sha256,
        "kind": upload.kind,
        "width": upload.width,
        "height": upload.height,
        "name": one.name,
        "caption": one.caption,
    }


async def _note(session: AsyncSession, *, key: str, name: str, hashes: Sequence[Sha256]) -> None:
    me = await person(session, CHAT, key, name)
    for sha256 in hashes:
        await uploads.note(session, me.id, sha256, time.time())


async def _body(request: web.Request) -> bytes:
    """The whole body, unless it is larger than a picture or a zip may be: then the rest is not read."""
    content = bytearray()
    async for chunk in request.content.iter_any():
        content += chunk
        most, what = (LARGEST_ZIP, "zip") if content.startswith(ZIP) else (LARGEST_FILE, "picture")
        if len(content) > most:
            raise web.HTTPRequestEntityTooLarge(
                max_size=most,
                actual_size=len(content),
                text=f"the {what} is larger than {most // 2**20} MB: send a smaller one.",
            )
    return bytes(content)
