"""Slack's two sides on loopback, with the teams and people in it, and what the app has asked."""

import asyncio
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from tests.fakes.faults import Call, Faults
from tests.fakes.slack import payloads
from tests.fakes.slack.platform import Platform
from tests.fakes.slack.server import Server
from tests.fakes.slack.sockets import Envelope, Socket, Sockets
from tests.fakes.slack.world import Channel, File, Message, Team, User, World


class Loopback:
    """The whole of it, and who is there. An app is told `api_url`, the tokens and the `signing_secret`."""

    def __init__(self) -> None:
        self.platform = Platform()
        self.delivery = Sockets(self.platform)
        self.server = Server(self.platform, self.delivery)

    async def __aenter__(self) -> Self:
        await self.server.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.delivery.close()
        await self.server.stop()

    @property
    def base_url(self) -> str:
        """Where it is, with a slash at its end; the Web API is below api/."""
        return self.platform.base_url

    @property
    def api_url(self) -> str:
        """What AsyncWebClient(base_url=...) wants."""
        return f"{self.platform.base_url}api/"

    @property
    def bot_token(self) -> str:
        return self.platform.bot_token

    @property
    def app_token(self) -> str:
        return self.platform.app_token

    @property
    def signing_secret(self) -> str:
        return self.platform.signing_secret

    @property
    def world(self) -> World:
        return self.platform.world

    @property
    def record(self) -> list[Call]:
        """All calls that reached it."""
        return self.server.record

    @property
    def problems(self) -> list[str]:
        """What was asked of it otherwise than Slack documents it."""
        return self.server.problems

    @property
    def faults(self) -> Faults:
        return self.server.faults

    @property
    def sockets(self) -> list[Socket]:
        """Those that are open now."""
        return list(self.delivery.open)

    @property
    def envelopes(self) -> list[Envelope]:
        return self.delivery.envelopes

    def calls(self, method: str) -> list[Call]:
        """The calls of one method: calls("chat.update")."""
        return [call for call in self.record if call.path == f"/api/{method}"]

    def team(self, name: str, *, enterprise: str | None = None) -> Team:
        """A workspace; the first is the one in which the app is installed."""
        return self.world.add_team(name, enterprise)

    def install_for_enterprise(self) -> None:
        """The app belongs to the whole Enterprise Grid: interactions then name no team but the person's."""
        self.platform.grid = True

    def direct(self, user: User) -> Channel:
        """The person's conversation with the bot."""
        return self.world.direct(user)

    def upload(self, user: User, name: str, content: bytes) -> File:
        """A file that somebody has chosen in a modal or put into a message."""
        file = File(self.world.id("F"), name, content, user.id, user.team, complete=True)
        self.world.files[file.id] = file
        return file

    def say(
        self,
        user: User,
        channel: Channel,
        text: str,
        *,
        files: Sequence[File] = (),
        thread: Message | None = None,
    ) -> Message:
        """A message of a person's."""
        message = Message(channel, self.world.ts(), user.id, payloads.escape(text), files=list(files))
        message.thread_ts = thread.ts if thread is not None else None
        for file in files:
            file.shares.append(message)
        return channel.post(message)

    async def until(self, wanted: Callable[[], Any], seconds: float = 10.0) -> Any:
        """Wait until it is so; what it then is."""
        deadline = time.monotonic() + seconds
        while not (result := wanted()):
            assert time.monotonic() < deadline, f"it never came to that: {self._lately()}"
            await asyncio.sleep(0.01)
        return result

    def _lately(self) -> str:
        return ", ".join(f"{call.path} {call.status} {call.fault}" for call in self.record[-8:])
