"""Pictures over HTTP: originals, thumbnails, recipes, files for one person, and everybody's own gallery."""

import hashlib
import hmac
import re
import secrets
from urllib.parse import quote

from aiohttp import web

from bot.chats.web.auth import person_of, same_secret
from bot.chats.web.file_responses import FileResponses
from bot.chats.web.json_views import picture_json
from bot.chats.web.websocket import CHAT
from commands.recipe_text import command_text, fields, single_picture
from engine.messages import JobId, Paint, Sha256
from storage.people import find_person
from storage.pictures import gallery, of_job
from storage.views import view

PAGE = 60  # pictures at a time


class Gallery:
    """What the store holds, for those who may see it: pictures are looked up in their own channel only."""

    def __init__(self, responses: FileResponses) -> None:
        self._responses = responses
        self._secret = secrets.token_bytes(32)

    def routes(self) -> list[web.RouteDef]:
        """Where all of it is found."""
        place = "{channel}/{job:[0-9a-z]+}/{place:[1-4]}"
        return [
            web.get(f"/pictures/{place}.png", self._send_picture),
            web.get(f"/thumbs/{place}.webp", self._send_thumbnail),
            web.get(f"/recipes/{place}.json", self._send_recipe),
            web.get("/gifts/{sha256:[0-9a-f]{64}}/{name}", self._send_private_file),
            web.get("/gallery", self._list),
        ]

    def private_url(self, person: str, name: str, sha256: Sha256) -> str:
        """An address that works for this person alone, until the bot is started again."""
        return f"/gifts/{sha256}/{quote(name, safe='')}?for={self._signature(person, name, sha256)}"

    async def _send_picture(self, request: web.Request) -> web.StreamResponse:
        return await self._responses.original(request, await self._find(request), "image/png")

    async def _send_thumbnail(self, request: web.Request) -> web.StreamResponse:
        return await self._responses.thumbnail(await self._find(request))

    async def _send_recipe(self, request: web.Request) -> web.StreamResponse:
        """What this picture alone was made by, whatever was painted beside it."""
        channel, job = request.match_info["channel"], JobId(request.match_info["job"])
        place = int(request.match_info["place"])
        async with self._responses.database.reading() as session:
            space = await self._responses.space(session, channel)
            row = await view(session, space, job) if space else None
        pictures = {picture.place: picture for picture in row.pictures} if row else {}
        if row is None or place not in pictures or not isinstance(row.request, Paint):
            raise web.HTTPNotFound(text="There is no such recipe.")
        own = single_picture(row.request, place)
        return web.json_response({"rows": fields(own, pictures[place].seed), "command": command_text(own)})

    async def _send_private_file(self, request: web.Request) -> web.StreamResponse:
        sha256, name = Sha256(request.match_info["sha256"]), request.match_info["name"]
        person = person_of(request) or ""
        if not same_secret(request.query.get("for", ""), self._signature(person, name, sha256)):
            raise web.HTTPNotFound(text="There is no such file.")
        safe = re.sub(r"[^A-Za-z0-9._-]", "_", name)
        kind = "image/png" if safe.endswith(".png") else "application/octet-stream"
        response = web.StreamResponse(
            headers={"Content-Type": kind, "Content-Disposition": f'attachment; filename="{safe}"'}
        )
        return await self._responses.send(request, sha256, response)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        """GET /gallery?starred=1&before=12: pictures of mine, or those that I keep, newest first."""
        before = request.query.get("before", "")
        if before and not (before.isascii() and before.isdigit() and len(before) < 16):
            raise web.HTTPBadRequest(text="before must be the number of a picture.")
        async with self._responses.database.reading() as session:
            me = await find_person(session, CHAT, person_of(request) or "")
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
                "hidden": row.hidden,
                **picture_json(row.space, row.job, row.place),
            }
            for row in rows[:PAGE]
        ]
        return web.json_response({"pictures": pictures, "more": len(rows) > PAGE})

    async def _find(self, request: web.Request) -> Sha256:
        channel, job = request.match_info["channel"], JobId(request.match_info["job"])
        async with self._responses.database.reading() as session:
            space = await self._responses.space(session, channel)
            picture = await of_job(session, space, job, int(request.match_info["place"])) if space else None
        if picture is None:
            raise web.HTTPNotFound(text="There is no such picture.")
        return Sha256(picture.sha256)

    def _signature(self, person: str, name: str, sha256: Sha256) -> str:
        content = f"{person}\n{sha256}\n{name}".encode(errors="surrogatepass")
        return hmac.new(self._secret, content, hashlib.sha256).hexdigest()
