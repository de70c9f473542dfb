"""The way through two real processes: jobs are painted, cancelled, and lost with an engine that is killed."""

import asyncio
import io
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from uuid import uuid4

import pytest
import pytest_asyncio
from PIL import Image

from bot.engine_client.client import EngineClient
from bot.engine_client.pending_jobs import EngineUnavailable, Lost, Update
from engine.messages import (
    AdapterUse,
    Cancelled,
    EngineSettings,
    Failed,
    JobId,
    Paint,
    Painted,
    Progress,
    Sha256,
    Size,
)
from tests.bot.quick_engine import QUICK_ENGINE

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(settings: EngineSettings) -> AsyncIterator[EngineClient]:
    """One engine for all of them: each test leaves it able to paint."""
    client = EngineClient(settings)
    await client.start()
    yield client
    await client.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def quick_engine(
    settings: EngineSettings, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[EngineClient]:
    """One that starts at once, for what is the client's alone: to find out that an engine is stuck."""
    notes = tmp_path_factory.mktemp("quick") / "notes"
    client = EngineClient(
        replace(settings, model="quick", deadline_floor_seconds=1.0), (*QUICK_ENGINE, str(notes), "0.02")
    )
    await client.start()
    yield client
    await client.stop()


def a_picture(steps: int = 4) -> Paint:
    job = JobId(uuid4().hex)
    return Paint(job=job, prompt="a red circle", seed=1, steps=steps, size=Size(width=64, height=64))


def a_long_job() -> Paint:
    return replace(a_picture(steps=100), size=Size(width=128, height=128), count=4)


async def ending(engine: EngineClient, request: Paint) -> Update:
    return [update async for update in engine.work(request)][-1]


async def ending_after_first_progress(engine: EngineClient, request: Paint, then: int | None) -> Update:
    """Once the job is under way, send the engine a signal, or cancel the job when there is none."""
    signalled = False
    async with aclosing(engine.work(request)) as updates:
        async for update in updates:
            if isinstance(update, Progress) and not signalled:
                signalled = True
                if then is None:
                    engine.cancel(request.job)
                else:
                    assert engine.pid is not None
                    os.kill(engine.pid, then)
    return update


async def test_a_job_reports_progress_and_ends_with_its_pictures(engine: EngineClient) -> None:
    request = replace(a_picture(steps=30), count=2, size=Size(width=128, height=64))

    *progress, painted = [update async for update in engine.work(request)]

    assert progress
    assert all(isinstance(update, Progress) and 0 <= update.step <= update.steps for update in progress)
    assert isinstance(painted, Painted)
    assert [picture.seed for picture in painted.pictures] == [1, 2]
    assert [Image.open(io.BytesIO(picture.png)).size for picture in painted.pictures] == [(128, 64)] * 2


async def test_many_jobs_are_painted_at_once(engine: EngineClient) -> None:
    requests = [a_picture(steps) for steps in (2, 5, 3, 4, 1)]

    ends = await asyncio.gather(*(ending(engine, request) for request in requests))

    assert all(isinstance(end, Painted) for end in ends)
    assert [end.job for end in ends] == [request.job for request in requests]


async def test_a_job_is_cancelled_midway(engine: EngineClient) -> None:
    request = a_long_job()

    assert await ending_after_first_progress(engine, request, then=None) == Cancelled(job=request.job)
    assert isinstance(await ending(engine, a_picture()), Painted)


async def test_an_error_in_one_job_fails_that_job_and_the_others_are_painted(engine: EngineClient) -> None:
    missing = AdapterUse(name="ink", sha256=Sha256("0" * 64))

    failed, painted = await asyncio.gather(
        ending(engine, replace(a_picture(), adapters=(missing,))), ending(engine, a_picture())
    )

    assert isinstance(failed, Failed)
    assert "ink" in failed.reason
    assert isinstance(painted, Painted)


async def test_an_engine_killed_midway_loses_the_job_and_the_next_one_is_painted(
    engine: EngineClient,
) -> None:
    request = a_long_job()

    lost = await ending_after_first_progress(engine, request, then=signal.SIGKILL)

    assert lost == Lost(job=request.job, died="alone", reason="The engine was killed by SIGKILL.")
    assert isinstance(await ending(engine, a_picture()), Painted)


async def test_an_engine_that_is_stuck_is_killed_and_the_next_job_is_painted(
    quick_engine: EngineClient,
) -> None:
    request = a_long_job()

    lost = await ending_after_first_progress(quick_engine, request, then=signal.SIGSTOP)

    assert isinstance(lost, Lost)
    assert lost.died == "alone"
    assert "did not finish a step" in lost.reason
    assert isinstance(await ending(quick_engine, a_picture()), Painted)


async def test_an_idle_engine_that_is_stuck_is_found_out_by_the_next_job(quick_engine: EngineClient) -> None:
    await ending(quick_engine, a_picture())
    assert quick_engine.pid is not None
    os.kill(quick_engine.pid, signal.SIGSTOP)

    lost = await ending(quick_engine, a_picture())

    assert isinstance(lost, Lost)
    assert lost.died == "no"
    assert isinstance(await ending(quick_engine, a_picture()), Painted)


async def test_the_bot_has_no_torch_while_its_engine_paints() -> None:
    watched = "import bot.__main__, sys; print(sorted({'torch', 'diffusers', 'numpy'} & set(sys.modules)))"

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", watched), stdout=asyncio.subprocess.PIPE
    )

    assert (await process.communicate())[0] == b"[]\n"


async def test_a_model_that_is_not_there_is_told_in_one_sentence(settings: EngineSettings) -> None:
    client = EngineClient(replace(settings, model="/nowhere/sdxl.safetensors"))

    with pytest.raises(EngineUnavailable, match=r"/nowhere/sdxl\.safetensors") as refusal:
        await client.start()

    assert "\n" not in str(refusal.value)
