"""Pictures over HTTP: whole, small, as a present to one person, and everybody's own gallery."""

import asyncio
import hashlib
import hmac
import io
import re
import secrets
from urllib.parse import quote

from aiohttp import web
from PIL import Image
from sqlalchemy.ext.asyncio import AsyncSession

from bot.local.doors import person_of
from bot.local.wire import CHAT
from bot.local.written import picture_json
from bot.uploads import LARGEST_FILE, Uploads
from commands.write import alone, fields, written
from engine.messages import InvalidRequest, JobId, Sha256
from storage.database import Database
from storage.files import Files
from storage.people import known, space_id
from storage.pictures import gallery, of_job
from storage.views import view

SMALL_SIDE = 512  # pixels
SMALL_KEPT = 256  # of them, in memory
PAGE = 60  # pictures at a time
KEPT_FOR = {"Cache-Control": "private, max-age=3600"}
HASH = re.compile(r"[0-9a-f]{64}")


class Gallery:
    """What the store holds, for those who may see it: pictures are looked up in their own channel only."""

    def __init__(self, database: Database, files: Files, channels: tuple[str, ...]) -> None:
        self._database = database
        self._files = files
        self._channels = channels
        self._uploads = Uploads()
        self._secret = secrets.token_bytes(32)
        self._small: dict[str, bytes] = {}

    def routes(self) -> list[web.RouteDef]:
        """Where all of it is found."""
        place = "{channel}/{job:[0-9a-z]+}/{place:[1-4]}"
        return [
            web.get(f"/pictures/{place}.png", self._whole),
            web.get(f"/thumbs/{place}.webp", self._thumb),
            web.get(f"/recipes/{place}.json", self._recipe),
            web.get("/gifts/{sha256:[0-9a-f]{64}}/{name}", self._given),
            web.get("/gallery", self._mine),
            web.post("/uploads", self._upload),
        ]

    def gift(self, person: str, name: str, sha256: Sha256) -> str:
        """An address that works for this person alone, until the bot is started again."""
        return f"/gifts/{sha256}/{quote(name, safe='')}?for={self._signed(person, name, sha256)}"

    async def _whole(self, request: web.Request) -> web.StreamResponse:
        sha256 = await self._find(request)
        return await self._answer(request, sha256, "image/png")

    async def _thumb(self, request: web.Request) -> web.StreamResponse:
        sha256 = await self._find(request)
        if sha256 not in self._small:
            content = await self._read(sha256)
            while len(self._small) >= SMALL_KEPT:
                del self._small[next(iter(self._small))]
            self._small[sha256] = await asyncio.to_thread(_smaller, content)
        return web.Response(body=self._small[sha256], content_type="image/webp", headers=KEPT_FOR)

    async def _recipe(self, request: web.Request) -> web.StreamResponse:
        """What this picture alone was made by, whatever was painted beside it."""
        channel, job = request.match_info["channel"], JobId(request.match_info["job"])
        place = int(request.match_info["place"])
        async with self._database.reading() as session:
            space = await self._space(session, channel)
            seen = await view(session, space, job) if space else None
        picture = next((one for one in seen.pictures if one.place == place), None) if seen else None
        if seen is None or picture is None or seen.request is None:
            raise web.HTTPNotFound(text="there is no such recipe.")
        own = alone(seen.request, place)
        return web.json_response({"rows": fields(own, picture.seed), "command": written(own)})

    async def _given(self, request: web.Request) -> web.StreamResponse:
        sha256, name = Sha256(request.match_info["sha256"]), request.match_info["name"]
        person = person_of(request) or ""
        if not hmac.compare_digest(self._signed(person, name, sha256), request.query.get("for", "")):
            raise web.HTTPNotFound(text="there is no such file.")
        safe = re.sub(r"[^A-Za-z0-9._-]", "_", name)
        response = web.Response(body=await self._read(sha256), content_type="application/octet-stream")
        if safe.endswith(".png"):
            response.content_type = "image/png"
        response.headers["Content-Disposition"] = f'attachment; filename="{safe}"'
        return response

    async def _mine(self, request: web.Request) -> web.StreamResponse:
        """GET /gallery?starred=1&before=12: pictures of mine, or those that I keep, newest first."""
        before = request.query.get("before", "")
        if before and not (before.isascii() and before.isdigit() and len(before) < 16):
            raise web.HTTPBadRequest(text="before is the number of a picture.")
        async with self._database.reading() as session:
            me = await known(session, CHAT, person_of(request) or "")
            if me is None:
                return web.json_response({"pictures": [], "more": False})
            starred = request.query.get("starred") == "1"
            rows = await gallery(
                session, me.id, None, starred=starred, before=int(before) if before else None, limit=PAGE + 1
            )
        pictures = [
            {
                "id": row.id,
                "channel": row.space,
                "job": row.job,
                "place": row.place,
                "seed": str(row.seed),
                "width": row.width,
                "height": row.height,
                "title": row.prompt,
                "starred": row.starred,
                **picture_json(row.space, row.job, row.place),
            }
            for row in rows[:PAGE]
        ]
        return web.json_response({"pictures": pictures, "more": len(rows) > PAGE})

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        """POST /uploads: a picture as the body; the answer says where the one made from it lies."""
        person = person_of(request)
        if person is None:
            raise web.HTTPForbidden(text="open the page first.")
        try:
            content = await request.read()
            upload = await self._uploads.check(content)
            sha256 = await self._files.put(upload.content)
        except web.HTTPRequestEntityTooLarge:
            raise web.HTTPRequestEntityTooLarge(
                max_size=LARGEST_FILE,
                actual_size=LARGEST_FILE,
                text="the picture is larger than 20 MB: send a smaller one.",
            ) from None
        except InvalidRequest as error:
            raise web.HTTPUnprocessableEntity(text=str(error)) from error
        except OSError as error:
            raise web.HTTPInsufficientStorage(text="the picture could not be kept.") from error
        told = {"sha256": sha256, "kind": upload.kind, "width": upload.width, "height": upload.height}
        return web.json_response(told)

    async def _find(self, request: web.Request) -> Sha256:
        channel, job = request.match_info["channel"], JobId(request.match_info["job"])
        async with self._database.reading() as session:
            space = await self._space(session, channel)
            found = await of_job(session, space, job, int(request.match_info["place"])) if space else None
        if found is None:
            raise web.HTTPNotFound(text="there is no such picture.")
        return Sha256(found.sha256)

    async def _space(self, session: AsyncSession, channel: str) -> int | None:
        return await space_id(session, CHAT, channel) if channel in self._channels else None

    async def _answer(self, request: web.Request, sha256: Sha256, kind: str) -> web.StreamResponse:
        response = web.Response(body=await self._read(sha256), content_type=kind, headers=KEPT_FOR)
        response.etag = sha256
        return response

    async def _read(self, sha256: Sha256) -> bytes:
        try:
            return await self._files.get(sha256)
        except OSError as error:
            raise web.HTTPNotFound(text="the picture's file is not there.") from error

    def _signed(self, person: str, name: str, sha256: Sha256) -> str:
        return hmac.new(self._secret, f"{person}\n{sha256}\n{name}".encode(), hashlib.sha256).hexdigest()


def _smaller(content: bytes) -> bytes:
    """The same picture, at most 512 pixels a side; small ones keep every pixel."""
    with Image.open(io.BytesIO(content), formats=("PNG",)) as picture:
        small = max(picture.size) <= SMALL_SIDE
        picture.thumbnail((SMALL_SIDE, SMALL_SIDE))
        out = io.BytesIO()
        picture.convert("RGB").save(out, "WEBP", lossless=small, quality=85)
    return out.getvalue()
