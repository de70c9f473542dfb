"""The local chat: a page in the browser, served to this machine, or to others who know the token."""

import errno
import json
from collections.abc import Callable
from functools import partial
from typing import Any

from aiohttp import WSCloseCode, web
from sqlalchemy.ext.asyncio import AsyncSession

from bot.cards.card import Card
from bot.chats.interface import Caller
from bot.chats.web import page_files
from bot.chats.web.auth import KNOWN, Doors, greet, person_of
from bot.chats.web.cookie_secret import kept_secret
from bot.chats.web.file_responses import Shelf
from bot.chats.web.gallery import Gallery
from bot.chats.web.json_views import text as written
from bot.chats.web.lora_list import Loras
from bot.chats.web.memory_budget import Budget
from bot.chats.web.training_sheets import Sheets
from bot.chats.web.uploads import Sending
from bot.chats.web.websocket import CHAT, Wire, shown
from bot.config import LOCAL_TOKEN, ConfigError, LocalSettings, check_token
from bot.dispatch.dispatcher import Dispatcher
from bot.http.connections import BOUNDS, Bounds, Connections
from bot.uploads.image_check import LARGEST_FILE
from bot.uploads.intake import Intake
from commands.actions import ACTIONS
from commands.forms import definition
from commands.permissions import Refused
from commands.registry import COMMANDS
from commands.settings import with_defaults
from commands.syntax.lora_syntax import Library
from engine.messages import InvalidRequest, JobId, Sha256
from storage import space_settings
from storage.database import Database
from storage.files import Files
from storage.people import find_person, upsert_person

MOST_UNREAD = 256 * 2**20  # bytes that all pages together have yet to read
LAST_WORDS = 2.0  # seconds that answers under way have when the chat is closed


class LocalChatError(Exception):
    """One sentence for the operator: why the page cannot be served."""


class LocalChat:
    """A front end whose messages are the cards themselves: a page that was away reads them again."""

    name = CHAT
    every = 0.1
    absent = ""

    def __init__(
        self,
        *,
        settings: LocalSettings,
        token: str | None,
        database: Database,
        dispatch: Dispatcher,
        files: Files,
        library: Library,
        intake: Intake,
        health: Callable[[], tuple[bool, dict[str, Any]]],
        metrics: Callable[[], bytes],
        bounds: Bounds = BOUNDS,
    ) -> None:
        if not token and not settings.is_loopback:
            raise LocalChatError(f"{settings.address} can be reached by others: set {LOCAL_TOKEN}.")
        try:
            check_token(token or None)
        except ConfigError as error:
            raise LocalChatError(str(error)) from error
        self.dispatch = dispatch
        self.channels = tuple(settings.channels)
        self._settings = settings
        self._bounds, self._connections = bounds, Connections(bounds)
        secret = kept_secret(files.home) if token else b""
        self._doors = Doors(token or None, secret, patience=bounds.patience)
        self._database = database
        self._health, self._metrics = health, metrics
        shelf = Shelf(database, files, self.channels)
        self._gallery = Gallery(shelf)
        self._others = (
            Sheets(shelf),
            Loras(shelf, library),
            Sending(shelf, intake, self.name_of, patience=bounds.patience),
        )
        self._wires: set[Wire] = set()
        self._unread = Budget(MOST_UNREAD)
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        """Serve from now on; the address to open. Raises LocalChatError."""
        patience = self._bounds.patience
        self._runner = web.AppRunner(
            self._app(),
            access_log=None,
            shutdown_timeout=LAST_WORDS,
            auto_decompress=False,
            keepalive_timeout=patience,
        )
        await self._runner.setup()
        address, port = self._settings.address, self._settings.port
        try:
            port = await self._connections.listen(self._runner, address, port)
        except OSError as error:
            await self._runner.cleanup()
            raise LocalChatError(_refused(address, port, error)) from error
        host = f"[{address}]" if ":" in address else address
        return f"http://{host}:{port}"

    async def stop(self) -> None:
        """Hang up on all pages, which try again by themselves, and close the port."""
        self._connections.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def show(self, channel: str, message: str | None, card: Card) -> str:
        """Tell every page that has this channel open; the others that there is something new."""
        told = shown(channel, card) if self._wires else ""
        for wire in tuple(self._wires):
            if wire.channel == channel:
                wire.see(f"card:{card.job}", told)
            elif message is None:
                wire.see(f"news:{channel}", written({"news": channel, "number": card.number}))
        return card.job

    async def remove(self, channel: str, message: str) -> None:
        """Tell every page that has this channel open; a card that was only brought back stays."""
        somebody = Caller(
            chat=CHAT, space=channel, space_name=channel, channel=channel, person="", person_name=""
        )
        if await self.dispatch.card(somebody, JobId(message)) is not None:
            return
        for wire in tuple(self._wires):
            if wire.channel == channel:
                wire.gone(f"card:{message}", written({"gone": message}))

    async def tell(self, channel: str, card: Card, text: str) -> None:
        """Tell every page of the card's owner."""
        for wire in tuple(self._wires):
            if wire.person == card.person_key:
                wire.see(f"told:{card.job}", written({"error": text}))

    async def name_of(self, key: str) -> str:
        """What this person is called; a guest until they say otherwise."""
        async with self._database.reading() as session:
            somebody = await find_person(session, CHAT, key)
        return somebody.name if somebody else f"guest-{key[:4]}"

    async def rename(self, key: str, name: str) -> None:
        """Call this person so from now on, on everybody's pages. Raises InvalidRequest."""
        if await self.dispatch.passes_for_admin(CHAT, key, name):
            raise InvalidRequest("this name looks like an admin's: take another one.")

        async def work(session: AsyncSession) -> None:
            if await space_settings.is_blocked_anywhere(session, CHAT, key):
                raise Refused("an admin has blocked you here: your name stays as it is.", "blocked")
            await upsert_person(session, CHAT, key, name)

        await self._database.write(work)
        told = written({"named": {"key": key, "name": name}})
        for wire in tuple(self._wires):
            if wire.person == key:
                wire.name = name
            wire.see(f"named:{key}", told)

    def gift(self, key: str, name: str, sha256: Sha256) -> str:
        """The address of a file that is for this person alone."""
        return self._gallery.gift(key, name, sha256)

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=LARGEST_FILE)
        self._doors.guard(app)
        app.router.add_routes(
            [
                *page_files.routes(),
                web.get("/commands.json", self._definitions),
                web.get("/live", self._live),
                web.get("/healthz", self._healthz),
                web.get("/metrics", self._show_metrics),
                *self._gallery.routes(),
                *(route for others in self._others for route in others.routes()),
            ]
        )
        app.on_shutdown.append(self._hang_up)
        return app

    async def _live(self, request: web.Request) -> web.StreamResponse:
        key = person_of(request)
        if key is None:
            raise web.HTTPForbidden(text="open the page first.")
        wire = Wire(self, key, await self.name_of(key), self._unread)
        self._wires.add(wire)
        try:
            return await wire.serve(request)
        finally:
            self._wires.discard(wire)
            wire.outbox.close()

    async def _definitions(self, request: web.Request) -> web.StreamResponse:
        """What the page completes and makes its forms from; a new browser becomes somebody here."""
        async with self._database.reading() as session:
            somebody = await find_person(session, CHAT, person_of(request) or "")
        own = somebody.settings if somebody else {}
        admin = somebody is not None and self.dispatch.names_as_admin(CHAT, somebody.key, somebody.name)
        shown = [one for one in COMMANDS.values() if admin or not one.admin]
        told = {
            "commands": [definition(one, with_defaults(own, one, {})) for one in shown],
            "actions": [{"name": a.name, "emoji": a.emoji, "help": a.help} for a in ACTIONS],
        }
        response = web.json_response(told)
        greet(request, response)
        return response

    async def _healthz(self, request: web.Request) -> web.StreamResponse:
        """GET /healthz: strangers learn whether all is well, and no more."""
        well, told = self._health()
        if not request[KNOWN]:
            told = {"well": well}
        return web.json_response(told, status=200 if well else 503, dumps=partial(json.dumps, default=str))

    async def _show_metrics(self, _: web.Request) -> web.StreamResponse:
        return web.Response(body=self._metrics(), headers={"Content-Type": "text/plain; version=0.0.4"})

    async def _hang_up(self, _: web.Application) -> None:
        for wire in tuple(self._wires):
            await wire.close(WSCloseCode.GOING_AWAY, "the bot is stopping.")


def _refused(address: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {address} is in use: set another [local] port, or stop what listens there."
    return f"the local chat cannot listen on {address}, port {port}: {error.strerror}."
