"""Socket Mode: envelopes go to an app over its sockets in turn, and its acknowledgements come back."""

import asyncio
import json
import time
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

from tests.fakes.slack.block_text import JSON
from tests.fakes.slack.platform import Platform
from tests.fakes.slack.signatures import post_signed

MOST = 10  # sockets of one app
RETRIES = 3


@dataclass(eq=False)
class Envelope:
    """Something that happened, on its way to the app: slash_commands, interactive or events_api."""

    id: str
    kind: str
    payload: JSON
    at: float = field(default_factory=time.monotonic)
    sent: list["Socket | None"] = field(default_factory=list)  # over which sockets; None is HTTP
    acks: list[float] = field(default_factory=list)  # seconds after it was first sent
    answer: JSON | None = None
    failed: str = ""
    done: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(eq=False)
class Socket:
    """A websocket of the app; one that is `leaving` gets nothing any more."""

    id: int
    ws: web.WebSocketResponse
    request: web.Request
    leaving: bool = False
    sent: int = 0


class Sockets:
    """The open sockets, in turn; `url` is where requests go instead in HTTP mode."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._turn = 0
        self._waiting: dict[str, Envelope] = {}
        self._later: set[asyncio.Task[None]] = set()
        self.open: list[Socket] = []
        self.opened = 0  # ever
        self.envelopes: list[Envelope] = []
        self.url: str | None = None
        self.patience = 3.0  # how long an app may take to acknowledge
        self.lose_acks = 0  # so many acknowledgements get lost on the way

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One socket, from hello to its end."""
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        if len(self.open) >= MOST:
            await ws.send_json({"type": "disconnect", "reason": "too_many_websockets"})
        self.opened += 1
        socket = Socket(self.opened, ws, request)
        self.open.append(socket)
        try:
            await ws.send_json(self._hello())
            async for message in ws:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._handle_ack(json.loads(message.data))
        finally:
            self._lose(socket)
        return ws

    def _hello(self) -> JSON:
        return {
            "type": "hello",
            "num_connections": len(self.open),
            "debug_info": {"host": "loopback", "approximate_connection_time": 18060},
            "connection_info": {"app_id": self._platform.app_id},
        }

    def _lose(self, socket: Socket) -> None:
        if socket in self.open:
            self.open.remove(socket)

    def _handle_ack(self, given: JSON) -> None:
        envelope = self._waiting.get(str(given.get("envelope_id")))
        if envelope is None:
            return
        if self.lose_acks > 0:
            self.lose_acks -= 1
            return
        self._handle_answer(envelope, given.get("payload"))

    def _handle_answer(self, envelope: Envelope, answer: JSON | None) -> None:
        envelope.acks.append(time.monotonic() - envelope.at)
        if envelope.answer is None:
            envelope.answer = answer
        envelope.done.set()

    async def deliver(self, kind: str, payload: JSON) -> Envelope:
        """Send something to the app, and wait until it has acknowledged or the time is over."""
        envelope = Envelope(self._platform.world.id("envelope-"), kind, payload)
        await self._first(envelope)
        if not envelope.acks:
            envelope.failed = envelope.failed or "operation_timeout"
            if kind == "events_api":
                self._soon(envelope)
        return envelope

    async def deliver_again(self, payload_of: Envelope, reason: str) -> Envelope:
        """Something that the app had already, in an envelope of its own."""
        envelope = Envelope(self._platform.world.id("envelope-"), payload_of.kind, payload_of.payload)
        await self._first(envelope, 1, reason)
        return envelope

    async def _first(self, envelope: Envelope, attempt: int = 0, reason: str = "") -> None:
        self.envelopes.append(envelope)
        self._waiting[envelope.id] = envelope
        await self.send(envelope, attempt, reason)
        await self._patiently(envelope)

    async def send(self, envelope: Envelope, attempt: int = 0, reason: str = "") -> None:
        """Over the next socket, or by HTTP. Nothing of it is lost if nobody listens: it has `failed` then."""
        retry: JSON = {"retry_attempt": attempt, "retry_reason": reason} if attempt else {}
        if self.url is not None:
            self._post(self.url, envelope, retry)
            return
        open_now = [socket for socket in self.open if not socket.leaving and not socket.ws.closed]
        if not open_now:
            envelope.failed = "dispatch_failed"
            envelope.done.set()
            return
        self._turn += 1
        socket = open_now[self._turn % len(open_now)]
        socket.sent += 1
        envelope.sent.append(socket)
        wrapped = {
            "type": envelope.kind,
            "envelope_id": envelope.id,
            "payload": envelope.payload,
            "accepts_response_payload": envelope.kind != "events_api",
            **retry,
        }
        try:
            await socket.ws.send_json(wrapped)
        except ConnectionError:
            self._lose(socket)

    async def _patiently(self, envelope: Envelope) -> None:
        try:
            await asyncio.wait_for(envelope.done.wait(), self.patience)
        except TimeoutError:
            return

    def _soon(self, envelope: Envelope) -> None:
        task = asyncio.create_task(self._again(envelope))
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _again(self, envelope: Envelope) -> None:
        """Only events are sent again."""
        for attempt in range(1, RETRIES + 1):
            envelope.done.clear()
            await self.send(envelope, attempt, "timeout")
            await self._patiently(envelope)
            if envelope.acks:
                return
            await asyncio.sleep(0.1)

    def _post(self, url: str, envelope: Envelope, retry: JSON) -> None:
        envelope.sent.append(None)
        task = asyncio.create_task(self._post_and_wait(url, envelope, retry))
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _post_and_wait(self, url: str, envelope: Envelope, retry: JSON) -> None:
        secret = self._platform.signing_secret
        status, answer = await post_signed(url, secret, envelope.kind, envelope.payload, retry)
        if status != 200:
            envelope.failed = f"http_{status}" if status else "dispatch_failed"
            envelope.done.set()
        elif self.lose_acks > 0:
            self.lose_acks -= 1
        else:
            self._handle_answer(envelope, answer)

    async def refresh(self, socket: Socket) -> None:
        """Say that this socket will be closed soon, as Slack does every few hours."""
        socket.leaving = True
        await socket.ws.send_json(
            {"type": "disconnect", "reason": "refresh_requested", "debug_info": {"host": "loopback"}}
        )

    async def reset(self, socket: Socket) -> None:
        """Cut it off without a word."""
        self._lose(socket)
        if socket.request.transport is not None:
            socket.request.transport.abort()

    async def close(self) -> None:
        for task in list(self._later):
            task.cancel()
        await asyncio.gather(*self._later, return_exceptions=True)
        for socket in list(self.open):
            await socket.ws.close()
