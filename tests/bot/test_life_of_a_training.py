"""The whole way of a training: the bot, the real engine with the model that ships, eight small pictures."""

import io
import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from PIL import Image

from bot.cards.card import Card
from bot.engine_client.client import PROGRAM
from engine.messages import EngineSettings, JobId, Sha256
from storage import uploads
from tests.bot.fake_chat import Chat, FakeChat, a_config
from tests.bot.training_cases import PATIENCE, a_picture, drafts, learns, starts, wait_for_report

pytestmark = pytest.mark.asyncio(loop_scope="module")

EIGHT = {f"{number}.png": a_picture(number) for number in range(8)}
SHORT = {"steps": "4", "every": "4", "rank": "4", "prior": "none", "resolution": "64", "subject": ""}
LONG = SHORT | {"steps": "4000"}  # it runs until something happens to it


class RealBot:
    """One bot with a real engine for all tests; `reopen` starts both again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        engine = EngineSettings(model="demo", files=str(folder / "files"))
        self._config = replace(a_config(folder), engine=engine)
        self._fake = FakeChat()

    async def open(self) -> Chat:
        self.chat = await Chat.open(self.folder, self._config, PROGRAM, self._fake)
        return self.chat

    async def reopen(self) -> Chat:
        await self.chat.close(grace=10)
        return await self.open()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def real_bot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RealBot]:
    real_bot = RealBot(tmp_path_factory.mktemp("bot"))
    await real_bot.open()
    yield real_bot
    await real_bot.chat.close()


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def stop_trainings(real_bot: RealBot) -> AsyncIterator[None]:
    """Whatever becomes of a test, the next one finds no training in its way."""
    yield
    chat = real_bot.chat
    for card in list(chat.fake.cards.values()):
        if card.kind == "train" and card.state in ("queued", "running"):
            await chat.presses(card.person, "stop", card.job)
    await chat.sees(lambda: not chat.bot.queue.running, PATIENCE)


async def wait_for_end(chat: Chat, job: JobId | None) -> Card:
    return await chat.ends(job, PATIENCE)


async def until(chat: Chat, job: JobId, wanted: Callable[[Card], bool]) -> Card:
    return await chat.shows(job, wanted, PATIENCE)


async def test_eight_pictures_become_a_lora_while_others_paint(real_bot: RealBot) -> None:
    chat = real_bot.chat
    draft = await drafts(chat, "ana", "maria", EIGHT, **SHORT)
    report = await wait_for_report(chat, draft.job)
    assert report.state == "draft"
    assert report.line.startswith("8 pictures, 4 steps, about ")
    assert report.sheet is not None
    assert Image.open(io.BytesIO(await chat.bot.files.get(report.sheet))).format == "JPEG"
    assert all(note.used for note in report.notes)

    await chat.presses("ana", "start", draft.job)
    beside = await chat.says("bo", "/imagine a red circle --steps 4 --size 64x64")

    assert (await wait_for_end(chat, beside.job)).state == "succeeded"
    card = await wait_for_end(chat, draft.job)
    assert card.state == "succeeded", card.line
    assert card.curve is not None
    assert steps_of(card) == [1, 2, 3, 4]
    assert [step for step, _ in card.curve.validation] == [0, 4]
    assert card.untrained
    assert all(checkpoint.samples == len(card.prompts) > 0 for checkpoint in card.checkpoints)
    assert [checkpoint.step for checkpoint in card.checkpoints if checkpoint.chosen] == [card.curve.best]

    picture = await chat.says("ana", f"{card.line_to_copy} --steps 4 --size 64x64")

    assert picture.ok, picture.text
    assert (await wait_for_end(chat, picture.job)).state == "succeeded"


async def test_stop_and_keep_ends_with_a_lora(real_bot: RealBot) -> None:
    chat = real_bot.chat
    job = await starts(chat, "ana", "early", EIGHT, **LONG | {"trigger": "zwx"})
    await until(chat, job, lambda card: card.state == "running" and bool(card.done))

    await chat.presses("ana", "finish", job)

    card = await wait_for_end(chat, job)
    assert card.state == "succeeded", card.line
    assert card.line_to_copy.endswith("--lora early")


async def test_a_second_training_waits_and_begins_when_the_first_is_given_up(real_bot: RealBot) -> None:
    chat = real_bot.chat
    first = await starts(chat, "ana", "first", EIGHT, **LONG | {"trigger": "fwx"})
    second = await starts(chat, "bo", "second", EIGHT, **SHORT | {"trigger": "swx"})
    await until(chat, second, lambda card: card.line.startswith("1st in line"))

    await chat.presses("ana", "stop", first)

    assert (await wait_for_end(chat, second)).state == "succeeded"
    cancelled = chat.card(first)
    assert cancelled is not None
    assert cancelled.state == "cancelled"


async def test_a_deletion_during_the_run_removes_all_of_it(real_bot: RealBot) -> None:
    chat = real_bot.chat
    before = files_in_store(chat)
    job = await starts(
        chat, "cy", "gone", {"a.png": a_picture(8), "b.png": a_picture(9)}, **LONG | {"trigger": "gwx"}
    )
    await learns(chat, job)
    await chat.bot.database.write(lambda session: uploads.delete_old(session, 4e9))  # as after a day
    assert files_in_store(chat) - before

    await chat.presses("cy", "delete", job)

    await chat.sees(lambda: chat.card(job) is None and not chat.bot.queue.running, PATIENCE)
    assert files_in_store(chat) - before == set()


async def test_a_training_goes_on_when_its_engine_is_killed(real_bot: RealBot) -> None:
    chat = real_bot.chat
    job = await starts(chat, "ana", "tough", EIGHT, **LONG | {"trigger": "twx"})
    saved = await learns(chat, job)
    assert chat.bot.engine.pid is not None

    os.kill(chat.bot.engine.pid, signal.SIGKILL)

    await until(chat, job, lambda card: card.state == "queued")
    going_on = await until(chat, job, lambda card: card.state == "running" and card.done is not None)
    assert going_on.checkpoints[: len(saved.checkpoints)] == saved.checkpoints
    await until(chat, job, lambda card: len(card.checkpoints) > len(saved.checkpoints))
    await chat.presses("ana", "finish", job)
    card = await wait_for_end(chat, job)
    assert card.state == "succeeded", card.line
    assert steps_of(card) == list(range(1, len(steps_of(card)) + 1))


async def test_a_training_and_a_draft_outlive_the_bot(real_bot: RealBot) -> None:
    chat = real_bot.chat
    draft = (await drafts(chat, "bo", "later", EIGHT, **SHORT | {"trigger": "lwx"})).job
    await wait_for_report(chat, draft)
    job = await starts(chat, "ana", "long", EIGHT, **LONG | {"trigger": "owx"})
    saved = await learns(chat, job)

    chat = await real_bot.reopen()

    await until(chat, job, lambda card: len(card.checkpoints) > len(saved.checkpoints))
    await chat.presses("ana", "finish", job)
    card = await wait_for_end(chat, job)
    assert card.state == "succeeded", card.line
    assert steps_of(card) == list(range(1, len(steps_of(card)) + 1))
    assert (await chat.presses("bo", "start", draft)).ok
    await until(chat, JobId(str(draft)), lambda card: card.state == "running")
    await chat.presses("bo", "delete", draft)


def steps_of(card: Card) -> list[int]:
    assert card.curve is not None
    return [step for step, _ in card.curve.losses]


def files_in_store(chat: Chat) -> set[Sha256]:
    return {Sha256(path.name) for path in chat.bot.files.folder.glob("??/*")}
