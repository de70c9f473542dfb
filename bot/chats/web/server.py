"""The web chat: a page in the browser, served to this machine, or to others who have the token."""

import errno
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from aiohttp import WSCloseCode, web
from sqlalchemy.ext.asyncio import AsyncSession

from bot.cards.card import Card
from bot.chats.interface import Caller
from bot.chats.web import page_files
from bot.chats.web.auth import ADMITTED, AccessGuard, person_of, set_person_cookie
from bot.chats.web.cookie_secret import load_secret
from bot.chats.web.file_responses import FileResponses
from bot.chats.web.gallery import Gallery
from bot.chats.web.json_views import encode
from bot.chats.web.lora_list import LoraList
from bot.chats.web.memory_budget import Budget
from bot.chats.web.open_pages import OpenPages
from bot.chats.web.training_sheets import TrainingSheets
from bot.chats.web.uploads import Uploads
from bot.chats.web.websocket import CHAT, PageConnection, card_message
from bot.config import LOCAL_TOKEN, ConfigError, LocalSettings, check_token
from bot.dispatch.dispatcher import Dispatcher
from bot.http.connections import BOUNDS, Bounds, Connections
from bot.uploads.image_check import LARGEST_FILE
from bot.uploads.intake import Intake
from commands.actions import ACTIONS
from commands.forms import definition
from commands.permissions import NotAllowed
from commands.registry import COMMANDS
from commands.settings import with_defaults
from commands.syntax.lora_syntax import Library
from engine.messages import InvalidRequest, JobId, Sha256
from storage import space_settings
from storage.database import Database
from storage.files import Files
from storage.people import find_person, upsert_person

MOST_UNREAD = 256 * 2**20  # bytes that all pages together have yet to read
SHUTDOWN_SECONDS = 2.0  # that answers under way have when the chat is closed


class WebChatError(Exception):
    """One sentence for the operator: why the page cannot be served."""


class WebChat:
    """A chat whose messages are the cards themselves: a page that was away reads them again."""

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
            raise WebChatError(f"{settings.address} can be reached by others. Set {LOCAL_TOKEN}.")
        try:
            check_token(token or None)
        except ConfigError as error:
            raise WebChatError(str(error)) from error
        self.dispatch = dispatch
        self.channels = tuple(settings.channels)
        self._settings = settings
        self._bounds, self._connections = bounds, Connections(bounds)
        secret = load_secret(files.home) if token else b""
        self._guard = AccessGuard(token or None, secret, patience=bounds.patience)
        self._database = database
        self._usual_definitions: dict[bool, str] = {}  # by whether they are an admin's
        self._health, self._metrics = health, metrics
        responses = FileResponses(database, files, self.channels)
        self._gallery = Gallery(responses)
        self._routed = (
            TrainingSheets(responses),
            LoraList(responses, library),
            Uploads(responses, intake, self.name_of, patience=bounds.patience),
        )
        self.pages = OpenPages[PageConnection]()
        self._unread = Budget(MOST_UNREAD)
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        """Serve from now on; the address to open. Raises WebChatError."""
        patience = self._bounds.patience
        self._runner = web.AppRunner(
            self._make_app(),
            access_log=None,
            shutdown_timeout=SHUTDOWN_SECONDS,
            auto_decompress=False,
            keepalive_timeout=patience,
        )
        await self._runner.setup()
        address, port = self._settings.address, self._settings.port
        try:
            port = await self._connections.listen(self._runner, address, port)
        except OSError as error:
            await self._runner.cleanup()
            raise WebChatError(_listen_error(address, port, error)) from error
        host = f"[{address}]" if ":" in address else address
        return f"http://{host}:{port}"

    async def stop(self) -> None:
        """Hang up on all pages, which try again by themselves, and close the port."""
        self._connections.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def show(self, channel: str, message: str | None, card: Card) -> str:
        """Tell every page that has this channel open; the others that there is something new."""
        if self.pages.of_channel(channel):
            self.pages.broadcast(channel, f"card:{card.job}", card_message(channel, card))
        if message is None:
            news = encode({"news": channel, "number": card.number})
            self.pages.announce(channel, card.number, news)
        return card.job

    async def remove(self, channel: str, message: str) -> None:
        """Tell every page that has this channel open; a card that was only brought back stays."""
        nobody = Caller(
            chat=CHAT, space=channel, space_name=channel, channel=channel, person="", person_name=""
        )
        if await self.dispatch.find_card(nobody, JobId(message)) is not None:
            return
        self.pages.flush(channel)
        gone = encode({"gone": message})
        for page in self.pages.of_channel(channel):
            page.send_removal(f"card:{message}", gone)

    async def tell(self, channel: str, card: Card, text: str) -> None:
        """Tell every page of the card's owner."""
        for page in self.pages.all:
            if page.person == card.person_key:
                page.send_news(f"told:{card.job}", encode({"error": text}))

    async def name_of(self, key: str) -> str:
        """What this person is called; a guest until they say otherwise."""
        async with self._database.reading() as session:
            person = await find_person(session, CHAT, key)
        return person.name if person else f"guest-{key[:4]}"

    async def rename(self, key: str, name: str) -> None:
        """Call this person so from now on, on everybody's pages. Raises InvalidRequest."""
        if await self.dispatch.passes_for_admin(CHAT, key, name):
            raise InvalidRequest("This name looks like an admin's. Choose another one.")

        async def save(session: AsyncSession) -> None:
            if await space_settings.is_blocked_anywhere(session, CHAT, key):
                raise NotAllowed("An admin has blocked you here. Your name stays as it is.", "blocked")
            await upsert_person(session, CHAT, key, name)

        await self._database.write(save)
        news = encode({"named": {"key": key, "name": name}})
        for page in self.pages.all:
            if page.person == key:
                page.name = name
            page.send_news(f"named:{key}", news)

    def private_url(self, key: str, name: str, sha256: Sha256) -> str:
        """The address of a file that is for this person alone."""
        return self._gallery.private_url(key, name, sha256)

    def _make_app(self) -> web.Application:
        app = web.Application(client_max_size=LARGEST_FILE)
        self._guard.protect(app)
        app.router.add_routes(
            [
                *page_files.routes(),
                web.get("/commands.json", self._send_definitions),
                web.get("/live", self._serve_page),
                web.get("/healthz", self._send_health),
                web.get("/metrics", self._send_metrics),
                *self._gallery.routes(),
                *(route for part in self._routed for route in part.routes()),
            ]
        )
        app.on_shutdown.append(self._close_pages)
        return app

    async def _serve_page(self, request: web.Request) -> web.StreamResponse:
        key = person_of(request)
        if key is None:
            raise web.HTTPForbidden(text="Open the page first.")
        page = PageConnection(self, key, await self.name_of(key), self._unread)
        self.pages.add(page)
        try:
            return await page.serve(request)
        finally:
            self.pages.discard(page)
            page.outbox.close()

    async def _send_definitions(self, request: web.Request) -> web.StreamResponse:
        """What the page completes and makes its forms from; a new browser becomes somebody here."""
        async with self._database.reading() as session:
            person = await find_person(session, CHAT, person_of(request) or "")
        own = person.settings if person else {}
        admin = person is not None and self.dispatch.names_as_admin(CHAT, person.key, person.name)
        response = web.json_response(
            text=_definitions(own, admin=admin) if own else self._definitions_without_defaults(admin)
        )
        set_person_cookie(request, response)
        return response

    def _definitions_without_defaults(self, admin: bool) -> str:
        """What most people's pages get, since few have defaults of their own: made once for each bot."""
        if admin not in self._usual_definitions:
            self._usual_definitions[admin] = _definitions({}, admin=admin)
        return self._usual_definitions[admin]

    async def _send_health(self, request: web.Request) -> web.StreamResponse:
        """GET /healthz: strangers learn whether all is well, and no more."""
        well, body = self._health()
        if not request[ADMITTED]:
            body = {"well": well}
        return web.json_response(body, status=200 if well else 503, dumps=partial(json.dumps, default=str))

    async def _send_metrics(self, _: web.Request) -> web.StreamResponse:
        return web.Response(body=self._metrics(), headers={"Content-Type": "text/plain; version=0.0.4"})

    async def _close_pages(self, _: web.Application) -> None:
        for page in self.pages.all:
            await page.close(WSCloseCode.GOING_AWAY, "The bot is stopping.")


def _definitions(own: Mapping[str, Any], *, admin: bool) -> str:
    """The commands and buttons as JSON; `own` are somebody's defaults."""
    commands = [command for command in COMMANDS.values() if admin or not command.admin]
    body = {
        "commands": [definition(command, with_defaults(own, command, {})) for command in commands],
        "actions": [{"name": a.name, "emoji": a.emoji, "help": a.help} for a in ACTIONS],
    }
    return json.dumps(body)


def _listen_error(address: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {address} is in use. Set another [local] port, or stop what listens there."
    return f"The web chat cannot listen on {address}, port {port}: {error.strerror}."
