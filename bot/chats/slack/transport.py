"""Transports from Slack: two sockets, so that one is there while the other is renewed, or HTTP."""

import asyncio
import errno
import re

import structlog
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.signature import SignatureVerifier
from slack_sdk.socket_mode.aiohttp import SocketModeClient

from bot.chats.interface import ChatUnavailable
from bot.chats.slack.errors import TROUBLES, error_of, unavailable
from bot.config import SLACK_APP_TOKEN, SlackSettings
from bot.http.bodies import read_text
from bot.http.connections import BOUNDS, Connections, trust
from bot.pacing.backoff import Backoff

SOCKETS = 2
PATH = "/slack/events"
PING = 5.0  # seconds between two pings; a socket that misses four is replaced
LOOK, LONGEST = 0.5, 30.0  # seconds between two looks at a socket, doubled while it cannot be connected
CONNECTING = 15.0  # seconds that connecting may take
LARGEST = 2**20  # bytes of a request; a modal has 250 kB at most
SIGNATURE = re.compile(r"v0=[0-9a-f]{64}", re.ASCII)
MOMENT = re.compile(r"[0-9]{1,12}", re.ASCII)  # seconds since 1970
UNCONNECTED = "Slack's connections are down. The bot is connecting again."
UNSIGNED = "Slack did not sign this."
LAST_WORDS = 2.0  # seconds that requests under way have when it is closed

log = structlog.get_logger(__name__)


class Sockets:
    """Socket Mode. Slack hands each envelope to one of the sockets that are open."""

    def __init__(self, app: AsyncApp, token: str) -> None:
        self._app = app
        self._token = token
        self._handlers: list[AsyncSocketModeHandler] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._lost: set[int] = set()  # the clients that are not connected, by their ids

    async def open(self) -> str:
        """Connect, and say what to tell the operator. Raises ChatUnavailable."""
        for _ in range(SOCKETS):
            handler = AsyncSocketModeHandler(self._app, self._token, ping_interval=PING)
            self._handlers.append(handler)
            try:  # a wrong token is told here: connect() would try for ever
                handler.client.wss_uri = await handler.client.issue_new_wss_url()
            except TROUBLES as error:
                raise unavailable(error, SLACK_APP_TOKEN) from error
            await handler.connect_async()  # type: ignore[no-untyped-call]
        self._tasks = [
            asyncio.create_task(self._keep_connected(handler.client)) for handler in self._handlers
        ]
        return "Socket Mode"

    @property
    def absent(self) -> str:
        """Why nobody is heard: none of the sockets is connected."""
        return UNCONNECTED if self._handlers and len(self._lost) == len(self._handlers) else ""

    async def _keep_connected(self, client: SocketModeClient) -> None:
        """Connect again as soon as the connection is gone: the client itself checks rarely."""
        backoff = Backoff(LOOK, LONGEST)
        while True:
            await asyncio.sleep(backoff.next())
            if await client.is_connected():
                self._lost.discard(id(client))
                backoff.reset()
                continue
            self._lost.add(id(client))
            if client.connect_operation_lock.locked():  # it tries already; an address is good for a while
                client.wss_uri = None
            else:
                try:
                    async with asyncio.timeout(CONNECTING):
                        await client.connect_to_new_endpoint()
                except TROUBLES as error:
                    log.warning("Slack is not connected", reason=error_of(error))

    async def close(self) -> None:
        """Stop listening."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for handler in self._handlers:
            await handler.close_async()  # type: ignore[no-untyped-call]


class HttpRequests:
    """HTTP mode: Slack's requests. None is parsed before its signature is checked."""

    absent = ""

    def __init__(self, app: AsyncApp, secret: str, settings: SlackSettings) -> None:
        self._app = app
        self._verifier = SignatureVerifier(secret)
        self._settings = settings
        self._connections = Connections(BOUNDS)
        self._runner: web.AppRunner | None = None
        self.port = 0  # where it listens

    async def open(self) -> str:
        """Listen, and say what to tell the operator. Raises ChatUnavailable."""
        address, port = self._settings.address, self._settings.port
        application = web.Application()
        application.router.add_post(PATH, self._receive)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            shutdown_timeout=LAST_WORDS,
            auto_decompress=False,
            keepalive_timeout=BOUNDS.patience,
        )
        await self._runner.setup()
        try:
            self.port = await self._connections.listen(self._runner, address, port)
        except OSError as error:
            await self.close()
            reason = "in use" if error.errno == errno.EADDRINUSE else str(error.strerror)
            raise ChatUnavailable(
                f"The bot cannot listen for Slack at {address}, port {port} ({reason})."
            ) from error
        return f"requests to http://{address}:{self.port}{PATH}"

    async def close(self) -> None:
        """Stop listening."""
        self._connections.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        """Handle one request; the body of an unsigned one is not read."""
        signature = request.headers.get("X-Slack-Signature", "")
        moment = request.headers.get("X-Slack-Request-Timestamp", "")
        if not (SIGNATURE.fullmatch(signature) and MOMENT.fullmatch(moment)):
            raise web.HTTPUnauthorized(text=UNSIGNED)
        body = await read_text(request, LARGEST)
        if not self._verifier.is_valid(body, moment, signature):
            raise web.HTTPUnauthorized(text=UNSIGNED)
        trust(request)
        bolt_request = AsyncBoltRequest(body=body, query=request.query_string, headers=dict(request.headers))
        return await to_aiohttp_response(await self._app.async_dispatch(bolt_request))
