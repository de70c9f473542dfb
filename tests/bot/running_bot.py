"""The bot as a process of its own, and somebody who has its page open."""

import asyncio
import json
import sqlite3
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse, CookieJar, WSMsgType


class Service:
    """A running bot, and what it said so far."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.address = ""
        self.logged: list[str] = []
        self._reading = asyncio.create_task(self._read())

    async def ready(self) -> None:
        """Wait until it says its address."""
        assert self.process.stdout is not None
        line = (await self.process.stdout.readline()).decode()
        assert "Atelier is at " in line, "".join(self.logged)
        self.address = line.split()[3]

    async def end(self, number: int | None = None) -> int:
        """Send it this signal, if any, and wait for its end; the exit status."""
        if number is not None:
            self.process.send_signal(number)
        status = await self.process.wait()
        await self._reading
        return status

    async def health(self) -> dict[str, Any]:
        return dict(json.loads((await self.get("/healthz"))[1]))

    async def get(self, path: str) -> tuple[int, str]:
        async with ClientSession() as session, session.get(f"{self.address}{path}") as response:
            return response.status, await response.text()

    async def _read(self) -> None:
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            self.logged.append(line.decode())


class SocketClient:
    """Somebody with the channel open: what they ask is answered, and they see the cards change."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._reading = asyncio.create_task(self._read())
        self.seen: list[tuple[str, str]] = []  # jobs and their states, as the cards came

    @property
    def alone(self) -> bool:
        """Whether the bot has gone away."""
        return self._reading.done()

    async def ask(self, **message: object) -> dict[str, Any]:
        """Send a message, and wait for the answer to it. Raises ConnectionError when the bot goes away."""
        if self.alone:
            raise ConnectionError("the bot is gone")
        number = len(self._answers) + 1
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"n": number, **message})
        answered: dict[str, Any] = await answer
        return answered

    async def says(self, text: str) -> dict[str, Any]:
        """The reply to a command."""
        return dict((await self.ask(say=text))["reply"])

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type is WSMsgType.TEXT:
                for update in json.loads(message.data):
                    self._hear(update)
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ConnectionError("the bot is gone"))

    def _hear(self, told: dict[str, Any]) -> None:
        if "card" in told:
            self.seen.append((told["card"]["job"], told["card"]["state"]))
        elif told.get("n") in self._answers:
            self._answers[told["n"]].set_result(told)


@asynccontextmanager
async def serving(config: Path, seconds: float = 0.01, *program: str) -> AsyncIterator[Service]:
    """A bot with these settings; its engine is the quick one unless another program is named."""
    program = program or ("tests.bot.quick_bot", str(config.parent / "notes"), str(seconds))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *program, "--config", str(config)), stdout=PIPE, stderr=PIPE
    )
    service = Service(process)
    try:
        yield service
    finally:
        if process.returncode is None:
            process.kill()
        await service.end()


@asynccontextmanager
async def connect(address: str) -> AsyncIterator[SocketClient]:
    # Cookies of an address without a name are unsafe to a careful client; here it is this machine.
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
        await session.get(f"{address}/commands.json")
        async with session.ws_connect(f"{address}/live", origin=address) as socket:
            client = SocketClient(socket)
            await client.ask(open="general")
            yield client


def quick_config(folder: Path) -> Path:
    """Settings of a bot whose engine is the quick one."""
    path = folder / "config.toml"
    path.write_text(
        f'[storage]\ndatabase = "{folder}/atelier.db"\n[local]\nport = 0\n'
        f'[engine]\nmodel = "quick"\nfiles = "{folder}/files"\n'
    )
    return path


def change(config: Path, old: str, new: str) -> None:
    config.write_text(config.read_text().replace(old, new))


def rows(folder: Path, question: str) -> list[tuple[Any, ...]]:
    """What another program sees in the database file."""
    with sqlite3.connect(folder / "atelier.db") as connection:
        return connection.execute(question).fetchall()


async def until(wanted: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not wanted():  # noqa: ASYNC110  what is waited for is in another process
            await asyncio.sleep(0.02)
