"""The gateway: sessions that hear events, may resume without missing any, and have their troubles."""

import asyncio
import json
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from tests.fakes.discord.accounts import Json, User
from tests.fakes.discord.world import Guild

DISPATCH, HEARTBEAT, IDENTIFY, RESUME = 0, 1, 2, 6
RECONNECT, INVALID_SESSION, HELLO, HEARTBEAT_ACK = 7, 9, 10, 11
WRONG_TOKEN, WRONG_INTENTS = 4004, 4014
GUILDS, GUILD_MESSAGES, GUILD_REACTIONS = 1 << 0, 1 << 9, 1 << 10
DIRECT_MESSAGES, DIRECT_REACTIONS = 1 << 12, 1 << 13
PRIVILEGED = 1 << 1 | 1 << 8 | 1 << 15
OVER = (WSCloseCode.OK, WSCloseCode.GOING_AWAY)  # a client that says goodbye so will not resume


@dataclass(kw_only=True, eq=False)
class Session:
    """What one shard was told, so that it can be told again."""

    shard: tuple[int, int]
    intents: int
    socket: web.WebSocketResponse | None
    transport: asyncio.Transport | None = None
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    events: list[Json] = field(default_factory=list)

    async def tell(self, name: str, data: Json) -> None:
        """An event; it waits for the resume when nobody is connected."""
        event = {"op": DISPATCH, "t": name, "s": len(self.events) + 1, "d": data}
        self.events.append(event)
        await self.send(event)

    async def send(self, event: Json) -> None:
        if self.socket is not None and not self.socket.closed:
            try:
                await self.socket.send_str(json.dumps(event))
            except ConnectionResetError:
                self.socket = None

    def wants(self, name: str, guild: int | None) -> bool:
        """Whether its intents and its shard are told of such an event."""
        needed = 0
        if name.startswith("MESSAGE_REACTION"):
            needed = GUILD_REACTIONS if guild else DIRECT_REACTIONS
        elif name.startswith("MESSAGE"):
            needed = GUILD_MESSAGES if guild else DIRECT_MESSAGES
        elif name.startswith(("GUILD", "CHANNEL", "THREAD")):
            needed = GUILDS
        return self.intents & needed == needed and self.holds(guild)

    def holds(self, guild: int | None) -> bool:
        number, count = self.shard
        return ((guild or 0) >> 22) % count == number


class Gateway:
    """All sessions of the bot. `identified` and `resumed` count what the clients did."""

    def __init__(self, me: User, token: str, guilds: Callable[[], Iterable[Guild]]) -> None:
        self._me = me
        self._token = token
        self._guilds = guilds
        self.url = ""
        self.sessions: list[Session] = []
        self.identified = 0
        self.resumed = 0
        self.heartbeats = 0
        self.intents = 0
        self.turns_away = 0  # the code with which nobody is let in, if any
        self.shards = 1

    # what tests do to it

    async def close(self, code: int = 4000) -> None:
        """Close every socket with this code; the sessions may be resumed."""
        for session in list(self.sessions):
            socket, session.socket = session.socket, None
            if socket is not None:
                await socket.close(code=code)

    async def hang_up(self, code: int) -> None:
        """Close every socket for good: with this code nobody is let in until `turns_away` is 0 again."""
        self.turns_away = code
        await self.close(code)
        self.sessions.clear()

    async def cut(self) -> None:
        """The sockets break without a word."""
        for session in self.sessions:
            session.socket = None
            if session.transport is not None:
                session.transport.abort()

    async def reconnect(self) -> None:
        """Op 7: the clients are asked to come back and resume."""
        for session in self.sessions:
            await session.send({"op": RECONNECT, "d": None})

    async def invalid_session(self, resumable: bool = False) -> None:
        """Op 9: the clients must identify again, or may resume."""
        gone = list(self.sessions)
        if not resumable:
            self.sessions.clear()
        for session in gone:
            await session.send({"op": INVALID_SESSION, "d": resumable})

    async def ready_again(self) -> None:
        """A second READY on the same socket, with the guilds after it."""
        for session in self.sessions:
            await self._ready(session)

    @property
    def connected(self) -> bool:
        """Whether every session has its socket, and there is one."""
        alive = [session.socket is not None and not session.socket.closed for session in self.sessions]
        return bool(alive) and all(alive)

    async def dispatch(self, name: str, data: Json, guild: int | None = None) -> int:
        """Tell an event to the sessions that want it; returns how many that were."""
        wanting = [session for session in self.sessions if session.wants(name, guild)]
        for session in wanting:
            await session.tell(name, data)
        return len(wanting)

    # what clients do

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One socket, from HELLO to its end."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(json.dumps({"op": HELLO, "d": {"heartbeat_interval": 41_250}}))
        session: Session | None = None
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                continue
            session = await self._handle_payload(socket, session, json.loads(message.data))
            if session is not None and session.socket is socket:
                session.transport = request.transport
        if session is not None and session.socket is socket:  # closed by the client, not by a test
            session.socket = None
            if socket.close_code in OVER and session in self.sessions:
                self.sessions.remove(session)
        return socket

    async def _handle_payload(
        self, socket: web.WebSocketResponse, session: Session | None, payload: Any
    ) -> Session | None:
        if payload["op"] == HEARTBEAT:
            self.heartbeats += 1
            await socket.send_str(json.dumps({"op": HEARTBEAT_ACK, "d": None}))
        elif payload["op"] == IDENTIFY:
            return await self._identify(socket, payload["d"])
        elif payload["op"] == RESUME:
            return await self._resume(socket, payload["d"])
        return session

    async def _identify(self, socket: web.WebSocketResponse, payload: Json) -> Session | None:
        self.identified += 1
        if self.turns_away:
            await socket.close(code=self.turns_away)
            return None
        if payload["token"] != self._token:
            await socket.close(code=WRONG_TOKEN, message=b"Authentication failed.")
            return None
        if payload["intents"] & PRIVILEGED:
            await socket.close(code=WRONG_INTENTS, message=b"Disallowed intents.")
            return None
        shard = payload.get("shard", (0, 1))
        session = Session(shard=(shard[0], shard[1]), intents=payload["intents"], socket=socket)
        self.intents = payload["intents"]
        self.sessions.append(session)
        await self._ready(session)
        return session

    async def _resume(self, socket: web.WebSocketResponse, payload: Json) -> Session | None:
        session = next((other for other in self.sessions if other.id == payload["session_id"]), None)
        if session is None or payload["token"] != self._token:
            await socket.send_str(json.dumps({"op": INVALID_SESSION, "d": False}))
            return None
        session.socket = socket
        for event in session.events[payload["seq"] or 0 :]:
            await session.send(event)
        await session.tell("RESUMED", {})
        self.resumed += 1
        return session

    async def _ready(self, session: Session) -> None:
        guilds = [guild for guild in self._guilds() if guild.bot and session.holds(guild.id)]
        ready = {
            "v": 10,
            "user": self._me.json(),
            "guilds": [{"id": str(guild.id), "unavailable": True} for guild in guilds],
            "session_id": session.id,
            "resume_gateway_url": self.url,
            "shard": list(session.shard),
            "application": {"id": str(self._me.id), "flags": 0},
        }
        await session.tell("READY", ready)
        for guild in guilds:
            if session.wants("GUILD_CREATE", guild.id):
                await session.tell("GUILD_CREATE", guild.json())

    async def stop(self) -> None:
        """Every socket closes and no session is left."""
        closing = [session.socket.close(code=1001) for session in self.sessions if session.socket is not None]
        self.sessions.clear()
        await asyncio.gather(*closing, return_exceptions=True)
