"""The LoRAs that somebody may use in a channel, as the page lists them."""

from aiohttp import web

from bot.cards.training_card import smoothed
from bot.chats.web.auth import person_of
from bot.chats.web.file_responses import Shelf
from bot.chats.web.json_views import lora_json, named_json, points, sheets_json
from bot.chats.web.websocket import CHAT
from commands.lora_cards import lora_cards
from commands.recipe_text import lora_fields
from commands.syntax.lora_syntax import Library
from storage import adapters, comparisons
from storage.adapters import LoraView
from storage.people import find_person
from storage.votes import add_likes

MOST = 200  # LoRAs at once


class Loras:
    """What was trained here, and what lies in the operator's folder."""

    def __init__(self, shelf: Shelf, folder: Library) -> None:
        self._shelf = shelf
        self._folder = folder

    def routes(self) -> list[web.RouteDef]:
        """Where they are listed, and where one of them is looked at."""
        one = "{channel}/{name:[a-z0-9_-]+}"
        return [
            web.get("/loras.json", self._list),
            web.get(f"/loras/{one}.json", self._details),
            web.get(f"/loras/{one}.webp", self._thumb),
            web.get(f"/loras/{one}/sheet.png", self._sheet),
        ]

    async def _list(self, request: web.Request) -> web.StreamResponse:
        """GET /loras.json?channel=general&like=ink: those with such a word, the newest first."""
        channel, like = request.query.get("channel", ""), request.query.get("like", "").strip().lower()
        trained, me = await self._usable(request, channel, likes=True)
        names = {one.name for one in trained}
        told = [
            *(
                lora_json(channel, one, card, mine=one.person_id == me)
                for one, card in zip(trained, lora_cards(trained), strict=True)
            ),
            *(named_json(name) for name in sorted(await self._folder.names()) if name not in names),
        ]
        found = [
            one
            for one in told
            if any(like in str(one[key]).lower() for key in ("name", "phrase", "preset", "person"))
        ]
        return web.json_response(sorted(found, key=lambda one: not one["name"].startswith(like))[:MOST])

    async def _details(self, request: web.Request) -> web.StreamResponse:
        """How one of them was made: its recipe in rows, and its curve."""
        lora, channel = await self._find(request), request.match_info["channel"]
        async with self._shelf.database.reading() as session:
            space = await self._shelf.space(session, channel)
            made = await comparisons.of_lora(session, space or 0, lora.sha256)
        losses = [(int(step), float(value)) for step, value in lora.info.get("losses", ())]
        curve = {
            "steps": lora.info.get("steps", 0),
            "losses": points(losses),
            "smoothed": points(tuple(smoothed(losses))),
            "validation": points(lora.info.get("validation", ())),
            "best": lora.info.get("best"),
        }
        return web.json_response(
            {
                "rows": lora_fields(lora),
                "curve": curve if losses else None,
                "sheets": sheets_json(channel, lora, made),
            }
        )

    async def _thumb(self, request: web.Request) -> web.StreamResponse:
        thumbnail = (await self._find(request)).thumbnail
        if thumbnail is None:
            raise web.HTTPNotFound(text="there is no picture of this LoRA.")
        return await self._shelf.small(thumbnail)

    async def _sheet(self, request: web.Request) -> web.StreamResponse:
        """What a merge paints, beside the mix that it replaces."""
        sheet = (await self._find(request)).sheet
        if sheet is None:
            raise web.HTTPNotFound(text="there is no such picture of this LoRA.")
        return await self._shelf.whole(request, sheet, "image/png")

    async def _find(self, request: web.Request) -> LoraView:
        trained, _ = await self._usable(request, request.match_info["channel"])
        for one in trained:
            if one.name == request.match_info["name"]:
                return one
        raise web.HTTPNotFound(text="there is no such LoRA.")

    async def _usable(
        self, request: web.Request, channel: str, *, likes: bool = False
    ) -> tuple[list[LoraView], int | None]:
        """What was trained and whoever asks may use, and the number of who asks, if they are known."""
        async with self._shelf.database.reading() as session:
            me = await find_person(session, CHAT, person_of(request) or "")
            space = await self._shelf.space(session, channel)
            found = await adapters.list_usable(session, space or 0, me.id if me else 0)
            if likes:
                found = await add_likes(session, space or 0, found)
            return found, me.id if me else None
