"""What becomes of jobs when the engine process misbehaves, told by an engine that misbehaves on purpose."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bot.engine_client import client as client_module
from bot.engine_client.client import EngineClient
from bot.engine_client.pending_jobs import EngineUnavailable, Lost, Update
from engine.messages import Cancelled, EngineSettings, JobId, Paint, Painted, Progress

Engine = Callable[[str], EngineClient]


@pytest.fixture
async def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Engine]:
    monkeypatch.setattr(client_module, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(client_module, "STOP_GRACE", 1.0)
    made: list[EngineClient] = []

    def make(mode: str) -> EngineClient:
        program = (sys.executable, "-m", "tests.bot.scripted_engine", mode, str(tmp_path / "starts"))
        settings = EngineSettings(model="scripted", deadline_floor_seconds=0.5)
        made.append(EngineClient(settings, program))
        return made[-1]

    yield make
    for each in made:
        await each.stop()


def asks(prompt: str, job: str = "") -> Paint:
    return Paint(job=JobId(job or prompt), prompt=prompt, seed=1)


async def ending(client: EngineClient, prompt: str, job: str = "") -> Update:
    return [update async for update in client.work(asks(prompt, job))][-1]


async def test_an_engine_that_dies_loses_the_job_and_the_next_one_is_painted(engine: Engine) -> None:
    client = engine("fine")
    await client.start()

    lost = await ending(client, "die")

    assert lost == Lost(job=JobId("die"), died="alone", reason="The engine was killed by SIGKILL.")
    assert isinstance(await ending(client, "a fox"), Painted)


async def test_a_job_that_had_not_begun_is_lost_but_was_not_running(engine: Engine) -> None:
    client = engine("fine")
    await client.start()

    first, second = await asyncio.gather(ending(client, "die"), ending(client, "a fox"))

    assert isinstance(first, Lost)
    assert first.died == "alone"
    assert isinstance(second, Lost)
    assert second.died == "no"


async def test_a_step_that_never_ends_is_killed_at_its_deadline(engine: Engine) -> None:
    client = engine("fine")
    await client.start()

    lost = await ending(client, "hang")

    assert isinstance(lost, Lost)
    assert lost.died == "alone"
    assert lost.reason == "The engine did not finish a step within 0.5 s and was killed."
    assert isinstance(await ending(client, "a fox"), Painted)


@pytest.mark.parametrize("trouble", ["pickle", "lie"])
async def test_an_engine_that_says_what_is_no_message_is_killed_and_nothing_of_it_is_run(
    engine: Engine, tmp_path: Path, trouble: str
) -> None:
    client = engine("fine")
    await client.start()

    lost = await ending(client, trouble)

    assert isinstance(lost, Lost)
    assert lost.died == "alone"
    assert "sent something that is no message, and was killed" in lost.reason
    assert not (tmp_path / "trap").exists()
    assert isinstance(await ending(client, "a fox"), Painted)


async def test_each_sign_of_life_begins_the_deadline_again(engine: Engine) -> None:
    client = engine("fine")
    await client.start()

    updates = [update async for update in client.work(asks("slow"))]

    assert [type(update) for update in updates] == [Progress] * 8 + [Painted]


async def test_an_idle_engine_may_be_silent(engine: Engine) -> None:
    client = engine("fine")
    await client.start()
    await ending(client, "a fox")
    pid = client.pid

    await asyncio.sleep(0.8)

    assert client.pid == pid


async def test_an_engine_that_refuses_to_start_says_why(engine: Engine) -> None:
    with pytest.raises(EngineUnavailable, match=r"^The model 'nothing' is not there\.$"):
        await engine("refuses").start()


async def test_an_engine_that_keeps_dying_at_its_start_is_given_up(engine: Engine, tmp_path: Path) -> None:
    client = engine("dies at start")

    with pytest.raises(EngineUnavailable, match=r"failed to start 3 times in a row\. The engine ended"):
        await client.start()

    assert len((tmp_path / "starts").read_text().splitlines()) == 3
    with pytest.raises(EngineUnavailable):
        await ending(client, "a fox")


async def test_an_engine_that_never_gets_ready_is_killed_and_given_up(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "LOADING_SECONDS", 0.4)

    with pytest.raises(EngineUnavailable, match=r"did not load its model within 0\.4 s and was killed\.$"):
        await engine("hangs at start").start()


async def test_a_restart_that_fails_is_tried_again(engine: Engine) -> None:
    client = engine("dies at its second start")
    await client.start()
    await ending(client, "die")

    assert isinstance(await ending(client, "a fox"), Painted)


async def test_a_program_that_is_not_there_is_named_as_the_reason() -> None:
    client = EngineClient(EngineSettings(model="demo"), ("/nowhere/python",))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(EngineUnavailable, match="No such file"):
        patch.setattr(client_module, "FIRST_PAUSE", 0.01)
        await client.start()


async def test_a_dead_engine_is_noticed_although_its_children_live(engine: Engine) -> None:
    client = engine("leaves a child")
    await client.start()

    async with asyncio.timeout(3):
        assert isinstance(await ending(client, "die"), Lost)


async def test_a_job_can_be_cancelled_before_the_engine_is_ready(engine: Engine) -> None:
    client = engine("fine")
    starting = asyncio.create_task(client.start())
    await asyncio.sleep(0)
    painting = asyncio.create_task(ending(client, "a fox"))
    await asyncio.sleep(0)

    client.cancel(JobId("a fox"))

    assert await painting == Cancelled(job=JobId("a fox"))
    await starting


async def test_a_running_job_can_be_cancelled(engine: Engine) -> None:
    client = engine("fine")
    await client.start()
    painting = asyncio.create_task(ending(client, "wait"))
    await asyncio.sleep(0.05)

    client.cancel(JobId("wait"))

    assert await painting == Cancelled(job=JobId("wait"))


async def test_leaving_early_cancels_the_job(engine: Engine) -> None:
    client = engine("fine")
    await client.start()
    painting = asyncio.create_task(ending(client, "wait"))
    await asyncio.sleep(0.05)

    painting.cancel()
    await asyncio.wait({painting})

    assert isinstance(await ending(client, "a fox"), Painted)


async def test_the_same_job_is_not_painted_twice_at_once(engine: Engine) -> None:
    client = engine("fine")
    await client.start()
    painting = asyncio.create_task(ending(client, "wait", "7"))
    await asyncio.sleep(0.05)

    with pytest.raises(ValueError, match="job 7 is in the engine already"):
        await ending(client, "a fox", "7")
    painting.cancel()


async def test_stopping_ends_the_process_and_the_jobs(engine: Engine) -> None:
    client = engine("fine")
    await client.start()
    pid = client.pid
    assert pid is not None
    painting = asyncio.create_task(ending(client, "hang"))
    await asyncio.sleep(0.05)

    await client.stop()

    assert isinstance(await painting, Lost)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(EngineUnavailable, match="stopped"):
        await ending(client, "a fox")


async def test_a_stopped_engine_can_be_started_again(engine: Engine) -> None:
    client = engine("fine")
    await client.start()
    await client.stop()

    await client.start()

    assert isinstance(await ending(client, "a fox"), Painted)


async def test_many_jobs_are_told_apart(engine: Engine) -> None:
    client = engine("fine")
    await client.start()

    ends = await asyncio.gather(*(ending(client, "a fox", str(number)) for number in range(20)))

    assert [end.job for end in ends] == [str(number) for number in range(20)]


async def test_the_engine_is_given_what_it_needs_and_no_secret(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = (
        "DISCORD_TOKEN",
        "SLACK_BOT_TOKEN",
        "ATELIER_LOCAL_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "PGPASSWORD",
    )
    wanted = ("HF_HOME", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "https_proxy", "LC_ALL", "TMPDIR")
    for name in (*secrets, *wanted):
        monkeypatch.setenv(name, "1")
    client = engine("fine")
    await client.start()

    given = Path(f"/proc/{client.pid}/environ").read_bytes().split(b"\0")  # noqa: ASYNC240  no disk is asked

    names = {variable.partition(b"=")[0].decode() for variable in given}
    assert names.isdisjoint(secrets)
    assert names >= {*wanted, "PATH"}
