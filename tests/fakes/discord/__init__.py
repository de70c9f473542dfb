"""A Discord on this machine for the real discord.py: people act, the bot answers, all is on record."""

import asyncio
import re
import time
from collections.abc import Callable
from typing import Any, Self

import discord
import yarl
from aiohttp import web

from tests.fakes.discord.accounts import Json, Member, Role, User
from tests.fakes.discord.application import Application
from tests.fakes.discord.filters import Filters
from tests.fakes.discord.gateway import Gateway
from tests.fakes.discord.limits import Limits
from tests.fakes.discord.message import Message
from tests.fakes.discord.message_posts import Posting
from tests.fakes.discord.people import People
from tests.fakes.discord.rest import Rest
from tests.fakes.discord.results import Heard, Modal
from tests.fakes.discord.server import API, Server
from tests.fakes.discord.state import State
from tests.fakes.discord.uploads import Attached, Uploads
from tests.fakes.discord.webhooks import Webhooks
from tests.fakes.discord.world import Channel, Guild
from tests.fakes.faults import Call, Fault, Faults

__all__ = [
    "Attached",
    "Call",
    "Channel",
    "FakeDiscord",
    "Fault",
    "Guild",
    "Heard",
    "Member",
    "Message",
    "Modal",
    "Role",
    "User",
]


class FakeDiscord(People):
    """Discord with one bot, whose token is `token`. As a context it starts and points the library here.

    `gateway` has its troubles, `faults` and `limits` those of REST, `filters` what it keeps out, `record`
    every call, `commands` what was synced, `patience` the seconds that a first answer may take.
    """

    token = "a-token-of-the-fake"

    def __init__(self) -> None:
        self.me = User(name="atelier", bot=True)
        self.guilds: dict[int, Guild] = {}
        self.gateway = Gateway(self.me, self.token, lambda: self.guilds.values())
        self._state = State(me=self.me, owner=User(name="owner"), gateway=self.gateway, guilds=self.guilds)
        self._uploads = Uploads()
        self.filters = Filters()
        posting = Posting(self.me, self._uploads, self.filters)
        self._webhooks = Webhooks(self._state, posting)
        own = Application(self._state)
        routes = [*own.routes(), *Rest(self._state, posting).routes(), *self._webhooks.routes()]
        others = [web.get("/gw/", self.gateway.serve), web.get("/cdn/{id}/{name}", self._uploads.serve)]
        self._server = Server(self.token, routes, others)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._real = (discord.http.Route.BASE, discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY)
        super().__init__(self._state, self._uploads, self._webhooks)

    async def __aenter__(self) -> Self:
        await self._server.start()
        self._uploads.base = f"http://127.0.0.1:{self._server.port}"
        self.gateway.url = f"ws://127.0.0.1:{self._server.port}/gw/"
        self.point_library_here()
        return self

    async def __aexit__(self, *_: object) -> None:
        discord.http.Route.BASE, discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = self._real
        await self.gateway.stop()
        await self._server.stop()

    def point_library_here(self) -> None:
        """From now on discord.py of this process knows no other Discord; leaving the context undoes it."""
        discord.http.Route.BASE = self.base
        discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(self.gateway.url)

    @property
    def base(self) -> str:
        """The address of the REST API."""
        return f"http://127.0.0.1:{self._server.port}{API}"

    @property
    def record(self) -> list[Call]:
        return self._server.record

    @property
    def faults(self) -> Faults:
        return self._server.faults

    @property
    def limits(self) -> Limits:
        return self._server.limits

    @property
    def commands(self) -> list[Json]:
        return self._state.commands

    @property
    def patience(self) -> float:
        return self._webhooks.patience

    @patience.setter
    def patience(self, seconds: float) -> None:
        self._webhooks.patience = seconds

    def guild(self, name: str, *, bot: bool = True) -> Guild:
        """A new guild; without the bot, people there use it by their own install."""
        guild = Guild(name=name, announce=self._announce, me=self.me, bot=bot)
        self.guilds[guild.id] = guild
        self._announce("GUILD_CREATE", guild.json(), guild.id)
        return guild

    def user(self, name: str) -> User:
        """A new person."""
        user = User(name=name)
        self._state.users[user.id] = user
        return user

    def direct(self, person: User) -> Channel:
        """What this person and the bot write to each other."""
        return self._state.direct(person)

    def close_direct(self, person: User) -> None:
        """This person takes no direct messages any more."""
        person.closed = True

    def expire(self, heard: Heard) -> None:
        """The interaction's token is dead from now on, as after fifteen minutes."""
        heard.expired = True

    def calls(self, method: str, route: str) -> list[Call]:
        """The recorded calls of a route, a pattern for its whole path."""
        return [call for call in self.record if call.method == method and re.fullmatch(route, call.path)]

    async def until(self, wanted: Callable[[], object], seconds: float = 10.0) -> None:
        """Wait until it is so."""
        deadline = time.monotonic() + seconds
        while not wanted():
            assert time.monotonic() < deadline, "it never came to that"
            await asyncio.sleep(0.01)

    def _announce(self, event: str, data: Json, guild: int | None) -> None:
        has_bot = guild in self.guilds and self.guilds[guild].bot if guild is not None else True
        if has_bot and self.gateway.sessions:
            task = asyncio.get_running_loop().create_task(self.gateway.dispatch(event, data, guild))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
