"""`python -m bot` as its operator sees it: it answers at once, stops in order, and says why not."""

import asyncio
import json
import os
import signal
import socket
import sqlite3
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession, CookieJar

PROMPT = "a vermilion capybara"


class Service:
    """A running bot, and what it said so far."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.address = ""
        self.logged: list[str] = []
        self._reading = asyncio.create_task(self._read())

    async def ready(self) -> None:
        assert self.process.stdout is not None
        line = (await self.process.stdout.readline()).decode()
        assert "Atelier is at " in line, "\n".join(self.logged)
        self.address = line.split()[3]

    async def end(self, number: int | None = None) -> int:
        if number is not None:
            self.process.send_signal(number)
        status = await self.process.wait()
        await self._reading
        return status

    async def _read(self) -> None:
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            self.logged.append(line.decode())


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Settings of a bot whose engine is the quick one; tests append to them."""
    path = tmp_path / "config.toml"
    path.write_text(
        f'[storage]\ndatabase = "{tmp_path}/atelier.db"\n[local]\nport = 0\n[engine]\nmodel = "quick"\n'
        f'files = "{tmp_path}/files"\n'
    )
    return path


@asynccontextmanager
async def serving(config: Path, seconds: float = 0.01, *words: str) -> AsyncIterator[Service]:
    program = words or ("tests.bot.quick_bot", str(config.parent / "notes"), str(seconds))
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
async def visitor(address: str) -> AsyncIterator[Callable[..., object]]:
    """Somebody with the page open: sends a message, and waits for the reply to it."""
    # Cookies of an address without a name are unsafe to a careful client; here it is this machine.
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
        await session.get(f"{address}/commands.json")
        async with session.ws_connect(f"{address}/live", origin=address) as socket:
            number = 0

            async def ask(**message: object) -> dict[str, object]:
                nonlocal number
                number += 1
                await socket.send_json({"n": number, **message})
                async for answer in socket:
                    told: dict[str, object] = json.loads(answer.data)
                    if told.get("n") == number:
                        return told
                raise AssertionError("the bot hung up")

            yield ask


def change(config: Path, old: str, new: str) -> None:
    config.write_text(config.read_text().replace(old, new))


async def get(address: str, path: str) -> tuple[int, str]:
    async with ClientSession() as session, session.get(f"{address}{path}") as response:
        return response.status, await response.text()


def rows(config: Path, question: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(config.parent / "atelier.db") as connection:
        return connection.execute(question).fetchall()


async def until(wanted: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not wanted():  # noqa: ASYNC110  what is waited for is in another process
            await asyncio.sleep(0.02)


async def test_the_bot_answers_while_its_engine_still_loads(config: Path) -> None:
    started = time.monotonic()
    async with serving(config) as service:
        await service.ready()
        async with visitor(service.address) as ask:
            await ask(open="general")
            reply = await ask(say=f"/imagine {PROMPT}")
        seconds = time.monotonic() - started

        assert reply["reply"]["ok"]  # type: ignore[index]
        assert seconds < 10  # 2 on a machine that does nothing else: see bench/chat.py


async def test_health_and_metrics_tell_how_the_engine_is(config: Path) -> None:
    async with serving(config) as service:
        await service.ready()
        async with visitor(service.address) as ask:
            await ask(open="general")
            await ask(say="/imagine a fox --steps 3")
        await until(lambda: rows(config, "SELECT state FROM jobs") == [("succeeded",)])
        status, health = await get(service.address, "/healthz")
        _, metrics = await get(service.address, "/metrics")

        pid = json.loads(health)["engine"]["pid"]
        os.kill(pid, signal.SIGSTOP)
        async with visitor(service.address) as ask:
            await ask(open="general")
            await ask(say="/imagine a fox --steps 3")
        os.kill(pid, signal.SIGCONT)

    assert status == 200
    assert json.loads(health)["engine"]["state"] == "ready"
    for name in (
        "atelier_queued_jobs 0.0",
        'atelier_jobs_ended_total{state="succeeded"} 1.0',
        "atelier_engine_ready_total 1.0",
        "atelier_wait_seconds_count 1.0",
        "atelier_step_seconds_count",
        "atelier_batch_jobs_count",
        "atelier_loop_lag_seconds_count",
    ):
        assert name in metrics


async def test_wrong_engine_settings_keep_the_chat_up_and_are_told_everywhere(config: Path) -> None:
    change(config, '"quick"', '"nothing"')
    async with serving(config) as service:
        await service.ready()
        async with visitor(service.address) as ask:
            opened = await ask(open="general")
            await ask(say="/imagine a fox")
            await until(lambda: any("no engine" in line for line in service.logged))
            await asyncio.sleep(0.5)
            opened = await ask(open="general")
        status, health = await get(service.address, "/healthz")

    assert status == 503
    reason = "the model 'nothing' is not there."
    assert json.loads(health)["engine"] | {"pid": None} == {
        "state": "dead",
        "pid": None,
        "starts": 1,
        "silent_seconds": None,
        "reason": reason,
    }
    assert f"waiting for the engine: {reason}" in opened["cards"][0]["line"]  # type: ignore[index]
    assert any(reason in line for line in service.logged)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_busy_bot_stops_in_order_and_paints_after_the_next_start(config: Path, number: int) -> None:
    async with serving(config, 0.5) as service:
        await service.ready()
        async with visitor(service.address) as ask:
            await ask(open="general")
            await ask(say="/imagine a fox --steps 100")
        await until(lambda: rows(config, "SELECT state FROM jobs") == [("running",)])
        service.process.send_signal(number)
        await until(lambda: any("stopping" in line for line in service.logged))
        started = time.monotonic()
        status = await service.end(number)  # a second signal ends the grace

    assert status == 0
    assert time.monotonic() - started < 15
    assert rows(config, "SELECT state, deaths, suspect FROM jobs") == [("queued", 0, 0)]

    async with serving(config) as service:
        await service.ready()
        await until(lambda: rows(config, "SELECT state FROM jobs") == [("succeeded",)])
        assert await service.end(number) == 0


async def test_a_busy_bot_is_gone_within_thirty_seconds_of_one_signal(config: Path) -> None:
    async with serving(config, 1.5) as service:
        await service.ready()
        async with visitor(service.address) as ask:
            await ask(open="general")
            await ask(say="/imagine a fox --steps 100")
        await until(lambda: rows(config, "SELECT state FROM jobs") == [("running",)])
        started = time.monotonic()

        assert await service.end(signal.SIGTERM) == 0
        assert time.monotonic() - started < 30
    assert rows(config, "SELECT state, deaths, suspect FROM jobs") == [("queued", 0, 0)]


async def test_the_log_has_no_words_of_people(config: Path) -> None:
    async with serving(config) as service:
        await service.ready()
        async with visitor(service.address) as ask:
            await ask(open="general")
            await ask(say=f"/imagine {PROMPT} --steps 3")
            await ask(say=f"/imagine {PROMPT} refuse --steps 3")
            await ask(say=f"/imagine {PROMPT} fault --steps 3")
            await ask(say=f"/imagine {PROMPT} --stepz 3")
            await ask(say=f"/{PROMPT}")
            await until(lambda: ("running",) not in rows(config, "SELECT state FROM jobs"))
            with sqlite3.connect(config.parent / "atelier.db") as connection:
                connection.execute("UPDATE people SET settings = '3'")  # no dict: nobody expects that
            broken = await ask(say=f"/imagine {PROMPT}")
        await service.end(signal.SIGTERM)

    log = "".join(service.logged)
    assert broken["reply"]["text"].startswith("sorry, something went wrong")  # type: ignore[index]
    assert "Traceback" in log
    assert "answered" in log
    assert not any(word in log for word in PROMPT.split() if len(word) > 1)


async def said_no(config: Path, *words: str) -> str:
    """A start that fails: its one line."""
    async with serving(config, 0.01, *words) as service:
        status = await service.end()

    assert status == 1
    assert len(service.logged) == 1, "".join(service.logged)
    return service.logged[0]


async def test_a_port_in_use_is_told_in_one_sentence(config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        change(config, "port = 0", f"port = {port}")

        assert f"port {port} on 127.0.0.1 is in use" in await said_no(config)


async def test_a_database_of_a_newer_version_is_told_in_one_sentence(config: Path) -> None:
    async with serving(config) as service:
        await service.ready()
        await service.end(signal.SIGTERM)
    with sqlite3.connect(config.parent / "atelier.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")

    assert "was made by a newer version of Atelier" in await said_no(config)


async def test_a_database_that_another_bot_uses_is_told_in_one_sentence(config: Path) -> None:
    async with serving(config) as service:
        await service.ready()

        assert "is in use by another bot" in await said_no(config)


async def test_no_chat_at_all_is_told_in_one_sentence(config: Path) -> None:
    change(config, "port = 0", "enabled = false")

    assert "no chat is enabled" in await said_no(config)


async def test_wrong_settings_are_told_in_one_sentence(config: Path) -> None:
    change(config, "[local]", "[queue]\nper_person = 0\n[local]")

    async with serving(config) as service:
        assert await service.end() == 2
    assert service.logged == ["config.toml: in [queue] per_person is 0, but it must be from 1 to 1000.\n"]
