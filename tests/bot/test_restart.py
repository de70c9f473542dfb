"""Programs end in the middle: nothing answered is lost, nothing is shown twice, nobody is charged for it."""

import asyncio
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from bot.config import QueueSettings
from bot.engine_client import client
from bot.jobs import queue
from storage import jobs
from tests.bot.fake_chat import SLEEPER, Chat, FakeChat, OpenChat, a_config, quick
from tests.bot.running_bot import rows


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(queue, "RETRY_SECONDS", 0.5)


def kill(chat: Chat) -> None:
    assert chat.bot.engine.pid is not None
    os.kill(chat.bot.engine.pid, signal.SIGKILL)


async def test_what_waited_and_what_ran_is_painted_after_a_restart(
    open_chat: OpenChat, tmp_path: Path
) -> None:
    fake = FakeChat()
    chat = await open_chat(seconds=0.05, fake=fake)
    jobs = [(await chat.says(f"person {n}", "/imagine a fox --steps 30")).job for n in range(6)]
    await chat.runs(jobs[0])
    await chat.close()
    assert {state for (state,) in rows(tmp_path, "SELECT state FROM jobs")} == {"queued"}

    chat = await open_chat(fake=fake)

    assert [(await chat.ends(job)).state for job in jobs] == ["succeeded"] * 6
    assert len(fake.posts) == 6
    assert rows(tmp_path, "SELECT sum(deaths), sum(suspect) FROM jobs") == [(0, 0)]


async def test_stopping_lets_what_runs_end_within_the_grace(open_chat: OpenChat) -> None:
    chat = await open_chat(seconds=0.02)
    running = (await chat.says("ana", "/imagine a fox --steps 20")).job
    await chat.runs(running)

    await chat.close(grace=5)

    card = chat.card(running)
    assert card is not None
    assert card.state == "succeeded"


async def test_a_bot_that_is_stopping_files_nothing_and_says_so(open_chat: OpenChat, tmp_path: Path) -> None:
    chat = await open_chat(seconds=0.05)
    running = (await chat.says("ana", "/imagine a fox --steps 10")).job
    await chat.runs(running)
    stopping = asyncio.create_task(chat.close(grace=5))
    await asyncio.sleep(0)

    reply = await chat.says("bo", "/imagine a red fox")

    assert not reply.ok
    assert "restarting" in reply.text
    await stopping
    assert rows(tmp_path, "SELECT count(*) FROM jobs") == [(1,)]


async def test_old_buttons_work_after_a_restart(open_chat: OpenChat) -> None:
    fake = FakeChat()
    chat = await open_chat(fake=fake)
    first = (await chat.says("ana", "/imagine a red fox --steps 2")).job
    await chat.ends(first)
    await chat.close()
    chat = await open_chat(fake=fake)

    again = await chat.presses("ana", "again", first)

    assert (await chat.ends(again.job)).title == "a red fox"


async def test_an_engine_killed_midway_costs_nobody_their_job(open_chat: OpenChat, tmp_path: Path) -> None:
    chat = await open_chat(seconds=0.05)
    jobs = [(await chat.says(f"person {n}", "/imagine a fox --steps 10")).job for n in range(3)]
    for job in jobs:
        await chat.runs(job)

    kill(chat)

    assert [(await chat.ends(job)).state for job in jobs] == ["succeeded"] * 3
    assert len(chat.fake.posts) == 3
    assert len(chat.notes_of("start")) == 2
    assert rows(tmp_path, "SELECT DISTINCT deaths, suspect FROM jobs") == [(0, 1)]


async def test_a_killer_is_failed_after_three_deaths_and_its_neighbours_are_painted(
    open_chat: OpenChat, tmp_path: Path
) -> None:
    chat = await open_chat(seconds=0.05)
    good = [(await chat.says(f"person {n}", "/imagine a fox --steps 20")).job for n in range(2)]
    for job in good:
        await chat.runs(job)
    killer = (await chat.says("bo", "/imagine die --steps 20")).job

    card = await chat.ends(killer)

    assert card.state == "failed"
    assert card.line.startswith("The engine died 3 times while it worked on this.")
    assert [(await chat.ends(job)).state for job in good] == ["succeeded"] * 2
    assert chat.notes_of("take").count(str(killer)) == 3
    assert rows(tmp_path, "SELECT DISTINCT deaths FROM jobs WHERE state = 'succeeded'") == [(0,)]
    charged = rows(tmp_path, "SELECT charged FROM jobs WHERE state = 'succeeded'")
    assert charged == [(pytest.approx(1.0, rel=0.01),)] * 2  # 20 steps of 0.05 s, once


async def test_a_killer_that_is_alone_from_the_start_is_failed_after_three_deaths_too(
    open_chat: OpenChat,
) -> None:
    chat = await open_chat()
    killer = (await chat.says("bo", "/imagine die --steps 20")).job

    assert (await chat.ends(killer)).state == "failed"
    assert len(chat.notes_of("take")) == 3


async def test_a_job_that_hangs_the_engine_is_failed_in_the_end(open_chat: OpenChat, tmp_path: Path) -> None:
    config = a_config(tmp_path)
    chat = await open_chat(config=replace(config, engine=replace(config.engine, deadline_floor_seconds=1.0)))
    hanging = (await chat.says("bo", "/imagine hang --steps 20")).job
    await chat.runs(hanging)

    await chat.sees(lambda: chat.bot.health()[1]["engine"]["state"] == "hung")
    card = await chat.ends(hanging)

    assert "did not finish a step" in card.line
    assert (await chat.ends((await chat.says("bo", "/imagine a fox --steps 2")).job)).state == "succeeded"


async def test_an_engine_that_cannot_start_is_told_on_the_cards_and_tried_again(
    open_chat: OpenChat, tmp_path: Path
) -> None:
    config = a_config(tmp_path)
    chat = await open_chat(config=replace(config, engine=replace(config.engine, model="nothing")))
    waiting = (await chat.says("ana", "/imagine a fox --steps 2")).job

    card = await chat.shows(waiting, lambda card: "waiting for the engine. " in card.line)

    assert card.line == "1st in line, waiting for the engine. The model 'nothing' is not there."
    well, health = chat.bot.health()
    assert not well
    assert health["engine"]["state"] == "dead"
    assert health["engine"]["reason"] == "The model 'nothing' is not there."
    await chat.sees(lambda: len(chat.notes_of("start")) >= 3)
    await chat.close()

    chat = await open_chat(fake=chat.fake)
    assert (await chat.ends(waiting)).state == "succeeded"


async def test_an_engine_that_is_given_up_while_it_paints_loses_no_job(
    open_chat: OpenChat, tmp_path: Path
) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.bot import quick_engine\n"
        f"broken = Path({str(tmp_path / 'broken')!r})\n"
        "sys.exit(3) if broken.exists() else quick_engine.main()"
    )
    program = (quick(tmp_path)[0], "-c", script, str(tmp_path / "notes"), "0.05")
    chat = await open_chat(program=program)
    job = (await chat.says("ana", "/imagine a fox --steps 10")).job
    await chat.runs(job)
    (tmp_path / "broken").touch()
    kill(chat)

    await chat.shows(
        job, lambda card: "waiting for the engine. The engine failed to start 3 times" in card.line
    )
    (tmp_path / "broken").unlink()

    assert (await chat.ends(job)).state == "succeeded"


async def test_the_clock_set_back_an_hour_stops_nothing(
    open_chat: OpenChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = await open_chat()
    await chat.ends((await chat.says("ana", "/imagine a fox --steps 2")).job)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 3600)

    card = await chat.ends((await chat.says("ana", "/imagine a red fox --steps 2")).job)

    assert card.state == "succeeded"


async def test_a_running_row_that_nobody_paints_is_queued_again_when_its_lease_is_out(
    open_chat: OpenChat, tmp_path: Path
) -> None:
    chat = await open_chat(config=a_config(tmp_path, queue=QueueSettings(lease_seconds=1.0)), program=SLEEPER)
    job = (await chat.says("ana", "/imagine a fox --steps 2")).job

    async def forget(session: AsyncSession) -> None:
        row = await jobs.next_queued(session)
        assert row is not None
        await jobs.start(session, row.number, expected=1.0, lease_until=time.time() - 1, now=time.time())

    await chat.bot.database.write(forget)

    await chat.shows(job, lambda card: card.state == "queued")
