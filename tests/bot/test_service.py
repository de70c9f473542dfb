"""`python -m bot` as its operator sees it: it answers at once, stops in order, and says why not."""

import asyncio
import json
import signal
import socket
import sqlite3
import time
from pathlib import Path

import pytest

from tests.bot.running_bot import change, connect, quick_config, rows, serving, until

PROMPT = "a vermilion capybara"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return quick_config(tmp_path)


async def test_the_bot_answers_while_its_engine_still_loads(config: Path) -> None:
    started = time.monotonic()
    async with serving(config) as service:
        await service.ready()
        async with connect(service.address) as ana:
            reply = await ana.says(f"/imagine {PROMPT}")
        seconds = time.monotonic() - started

        assert reply["ok"]
        assert seconds < 10  # 2 on a machine that does nothing else: see bench/chat.py


async def test_health_and_metrics_tell_how_the_engine_is(config: Path) -> None:
    async with serving(config) as service:
        await service.ready()
        async with connect(service.address) as ana:
            await ana.says("/imagine a fox --steps 3")
            await until(lambda: rows(config.parent, "SELECT state FROM jobs") == [("succeeded",)])
            bear = await ana.says("/imagine a bear --steps 100")
            await ana.says(f"/cancel {bear['job']}")
        status, health = await service.get("/healthz")
        _, metrics = await service.get("/metrics")
        async with asyncio.timeout(20):
            while "atelier_queued_jobs 0.0" not in metrics:  # the line is looked at now and then
                await asyncio.sleep(0.05)
                _, metrics = await service.get("/metrics")

    assert status == 200
    assert json.loads(health)["engine"]["state"] == "ready"
    for name in (
        'atelier_jobs_ended_total{state="succeeded"} 1.0',
        'atelier_jobs_ended_total{state="cancelled"} 1.0',
        "atelier_engine_ready_total 1.0",
        "atelier_wait_seconds_count",
        "atelier_step_seconds_count",
        "atelier_batch_jobs_count",
        "atelier_loop_lag_seconds_count",
    ):
        assert name in metrics


async def test_wrong_engine_settings_keep_the_chat_up_and_are_told_everywhere(config: Path) -> None:
    change(config, '"quick"', '"nothing"')
    async with serving(config) as service:
        await service.ready()
        async with connect(service.address) as ana:
            await ana.says("/imagine a fox")
            await until(lambda: any("No engine" in line for line in service.logged))
            await asyncio.sleep(0.5)
            opened = await ana.ask(open="general")
        status, health = await service.get("/healthz")

    assert status == 503
    reason = "The model 'nothing' is not there."
    assert json.loads(health)["engine"] | {"pid": None} == {
        "state": "dead",
        "pid": None,
        "starts": 1,
        "silent_seconds": None,
        "reason": reason,
    }
    assert f"waiting for the engine. {reason}" in opened["cards"][0]["line"]
    assert any(reason in line for line in service.logged)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_busy_bot_stops_in_order_and_paints_after_the_next_start(config: Path, number: int) -> None:
    async with serving(config, 0.5) as service:
        await service.ready()
        async with connect(service.address) as ana:
            await ana.says("/imagine a fox --steps 100")
        await until(lambda: rows(config.parent, "SELECT state FROM jobs") == [("running",)])
        service.process.send_signal(number)
        await until(lambda: any("Stopping" in line for line in service.logged))
        started = time.monotonic()
        status = await service.end(number)  # a second signal ends the grace

    assert status == 0
    assert time.monotonic() - started < 15
    assert rows(config.parent, "SELECT state, deaths, suspect FROM jobs") == [("queued", 0, 0)]

    async with serving(config) as service:
        await service.ready()
        await until(lambda: rows(config.parent, "SELECT state FROM jobs") == [("succeeded",)])
        assert await service.end(number) == 0


async def test_a_busy_bot_is_gone_within_thirty_seconds_of_one_signal(config: Path) -> None:
    async with serving(config, 1.5) as service:
        await service.ready()
        async with connect(service.address) as ana:
            await ana.says("/imagine a fox --steps 100")
        await until(lambda: rows(config.parent, "SELECT state FROM jobs") == [("running",)])
        started = time.monotonic()

        assert await service.end(signal.SIGTERM) == 0
        assert time.monotonic() - started < 30
    assert rows(config.parent, "SELECT state, deaths, suspect FROM jobs") == [("queued", 0, 0)]


async def test_the_log_has_no_words_of_people(config: Path) -> None:
    async with serving(config) as service:
        await service.ready()
        async with connect(service.address) as ana:
            await ana.says(f"/imagine {PROMPT} --steps 3")
            await ana.says(f"/imagine {PROMPT} refuse --steps 3")
            await ana.says(f"/imagine {PROMPT} fault --steps 3")
            await ana.says(f"/imagine {PROMPT} --stepz 3")
            await ana.says(f"/{PROMPT}")
            await until(lambda: ("running",) not in rows(config.parent, "SELECT state FROM jobs"))
            with sqlite3.connect(config.parent / "atelier.db") as connection:
                connection.execute("UPDATE people SET settings = '3'")  # no dict: nobody expects that
            broken = await ana.says(f"/imagine {PROMPT}")
        await service.end(signal.SIGTERM)

    log = "".join(service.logged)
    assert broken["text"].startswith("Something went wrong")
    assert "Traceback" in log
    assert "Answered" in log
    assert "vermilion" not in log
    assert "capybara" not in log


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

        assert f"Port {port} on 127.0.0.1 is in use" in await said_no(config)


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

    assert "No chat is enabled" in await said_no(config)


async def test_wrong_settings_are_told_in_one_sentence(config: Path) -> None:
    change(config, "[local]", "[queue]\nper_person = 0\n[local]")

    async with serving(config) as service:
        assert await service.end() == 2
    assert service.logged == ["config.toml: [queue] per_person must be from 1 to 1000, not 0.\n"]
