"""The LoRAs that somebody may use in a channel, as the page lists them."""

from aiohttp import web

from bot.cards.training_card import smooth
from bot.chats.web.auth import person_of
from bot.chats.web.file_responses import FileResponses
from bot.chats.web.json_views import folder_lora_json, lora_json, points, sheets_json
from bot.chats.web.websocket import CHAT
from commands.lora_cards import lora_cards
from commands.recipe_text import lora_fields
from commands.syntax.lora_syntax import Library
from storage import adapters, comparisons
from storage.adapters import LoraView
from storage.people import find_person
from storage.votes import add_likes

MOST = 200  # LoRAs at once


class LoraList:
    """What was trained here, and what lies in the operator's folder."""

    def __init__(self, responses: FileResponses, folder: Library) -> None:
        self._responses = responses
        self._folder = folder

    def routes(self) -> list[web.RouteDef]:
        """Where they are listed, and where one of them is looked at."""
        lora = "{channel}/{name:[a-z0-9_-]+}"
        return [
            web.get("/loras.json", self._list),
            web.get(f"/loras/{lora}.json", self._send_details),
            web.get(f"/loras/{lora}.webp", self._send_thumbnail),
            web.get(f"/loras/{lora}/sheet.png", self._send_sheet),
        ]

    async def _list(self, request: web.Request) -> web.StreamResponse:
        """GET /loras.json?channel=general&like=ink: those with such a word, the newest first."""
        channel, like = request.query.get("channel", ""), request.query.get("like", "").strip().lower()
        trained, me = await self._usable(request, channel)
        names = {lora.name for lora in trained}
        loras = [
            *(
                lora_json(channel, lora, card, mine=lora.person_id == me)
                for lora, card in zip(trained, lora_cards(trained), strict=True)
            ),
            *(folder_lora_json(name) for name in sorted(await self._folder.names()) if name not in names),
        ]
        matches = [
            lora
            for lora in loras
            if any(like in str(lora[key]).lower() for key in ("name", "phrase", "preset", "person"))
        ]
        return web.json_response(sorted(matches, key=lambda lora: not lora["name"].startswith(like))[:MOST])

    async def _send_details(self, request: web.Request) -> web.StreamResponse:
        """How one of them was made: its recipe in rows, and its curve."""
        lora, channel = await self._find(request), request.match_info["channel"]
        async with self._responses.database.reading() as session:
            space = await self._responses.space(session, channel)
            compared = await comparisons.of_lora(session, space or 0, lora.sha256)
        losses = [(int(step), float(value)) for step, value in lora.info.get("losses", ())]
        curve = {
            "steps": lora.info.get("steps", 0),
            "losses": points(losses),
            "smoothed": points(tuple(smooth(losses))),
            "validation": points(lora.info.get("validation", ())),
            "best": lora.info.get("best"),
        }
        return web.json_response(
            {
                "rows": lora_fields(lora),
                "curve": curve if losses else None,
                "sheets": sheets_json(channel, lora, compared),
            }
        )

    async def _send_thumbnail(self, request: web.Request) -> web.StreamResponse:
        thumbnail = (await self._find(request)).thumbnail
        if thumbnail is None:
            raise web.HTTPNotFound(text="There is no picture of this LoRA.")
        return await self._responses.thumbnail(thumbnail)

    async def _send_sheet(self, request: web.Request) -> web.StreamResponse:
        """What a merge paints, beside the mix that it replaces."""
        sheet = (await self._find(request)).sheet
        if sheet is None:
            raise web.HTTPNotFound(text="There is no such picture of this LoRA.")
        return await self._responses.original(request, sheet, "image/png")

    async def _find(self, request: web.Request) -> LoraView:
        channel, name = request.match_info["channel"], request.match_info["name"]
        async with self._responses.database.reading() as session:
            me = await find_person(session, CHAT, person_of(request) or "")
            space = await self._responses.space(session, channel)
            lora = await adapters.find_usable(session, space or 0, me.id if me else 0, name)
        if lora is None:
            raise web.HTTPNotFound(text="There is no such LoRA.")
        return lora

    async def _usable(self, request: web.Request, channel: str) -> tuple[list[LoraView], int | None]:
        """What was trained and whoever asks may use, and the number of who asks, if they were ever here."""
        async with self._responses.database.reading() as session:
            me = await find_person(session, CHAT, person_of(request) or "")
            space = await self._responses.space(session, channel)
            loras = await adapters.list_usable(session, space or 0, me.id if me else 0, info="none")
            return await add_likes(session, space or 0, loras), me.id if me else None
