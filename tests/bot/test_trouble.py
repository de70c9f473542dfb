"""Errors nobody expected, disks that take nothing, a locked database: told, logged, and nothing is lost."""

import asyncio
import errno
import os
import sqlite3
import tempfile
import time
from pathlib import Path

import pytest

from bot.jobs import disk_space, results
from bot.service import Bot
from engine.messages import FileStore, Sha256
from storage.database import Database
from tests.bot.fake_chat import Chat, FakeChat, OpenChat, a_config, quick
from tests.bot.quick_lora import a_file
from tests.bot.running_bot import rows
from tests.bot.training_cases import PATIENCE, starts


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "FIRST_PAUSE", 0.05)


async def test_an_unexpected_error_is_one_apology_with_a_number_and_a_traceback_under_it(
    open_chat: OpenChat, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chat = await open_chat()
    await chat.says("ana", "/settings --steps 20")
    await asyncio.sleep(0.5)  # what the bot is writing ends first: it cannot while this test waits for it
    with sqlite3.connect(tmp_path / "atelier.db") as connection:
        connection.execute("UPDATE people SET settings = '3'")  # no dict: nobody expects that

    reply = await chat.says("ana", "/imagine a red fox")

    log = capsys.readouterr().out
    assert not reply.ok
    assert reply.text.startswith("Something went wrong. The log has it under ")
    assert reply.text.removesuffix(".").rpartition(" ")[2] in log
    assert "Traceback" in log
    assert rows(tmp_path, "SELECT count(*) FROM jobs") == [(0,)]
    assert (await chat.ends((await chat.says("bo", "/imagine a fox --steps 2")).job)).state == "succeeded"


async def test_a_picture_that_cannot_be_stored_fails_its_job_with_the_reason(
    open_chat: OpenChat, tmp_path: Path
) -> None:
    chat = await open_chat()
    (tmp_path / "files").rmdir() if (tmp_path / "files").exists() else None
    (tmp_path / "files").write_text("a file where the folder should be")

    card = await chat.ends((await chat.says("ana", "/imagine a fox --steps 2")).job)

    assert card.state == "failed"
    assert card.line.startswith("The picture was painted, but could not be stored: ")


class Disk:
    """The store's, which can be full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        really = FileStore.put_bytes

        def put(store: FileStore, content: bytes) -> Sha256:
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            return really(store, content)

        monkeypatch.setattr(FileStore, "put_bytes", put)
        monkeypatch.setattr(disk_space, "LONGEST_PAUSE", 0.2)
        monkeypatch.setattr(disk_space, "PROBE_BYTES", 100)


async def test_a_full_disk_holds_the_queue_and_nobodys_job_is_failed(
    open_chat: OpenChat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    chat = await open_chat()
    disk.full = True
    asked = [(await chat.says("ana", "/imagine a fox --steps 3")).job]
    done = "Done, waiting for the disk. The bot's disk is full."
    await chat.shows(asked[0], lambda card: card.line == done)

    asked += [(await chat.says(f"p{n}", f"/imagine fox {n} --steps 3")).job for n in range(5)]

    for job in asked[1:]:
        await chat.shows(job, lambda card: "in line, waiting for the disk. The bot's disk" in card.line)
    assert len(chat.notes_of("painted")) == 1
    assert chat.bot.health()[0] is False
    assert chat.bot.health()[1]["store"] == {"reason": "The bot's disk is full."}
    disk.full = False

    assert [(await chat.ends(job)).state for job in asked] == ["succeeded"] * 6
    assert len(chat.notes_of("painted")) == 6
    assert chat.bot.health()[0] is True
    assert len({path.name for path in (tmp_path / "files").glob("??/*")}) == 6


async def test_a_bot_that_stops_with_a_full_disk_paints_what_waited_after_its_restart(
    open_chat: OpenChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    chat = await open_chat()
    disk.full = True
    job = (await chat.says("ana", "/imagine a fox --steps 3")).job
    await chat.shows(job, lambda card: card.line.startswith("Done, waiting for the disk"))
    await chat.close(grace=0.1)
    disk.full = False

    chat = await open_chat(fake=chat.fake)

    assert (await chat.ends(job)).state == "succeeded"


async def test_a_training_whose_engine_finds_the_disk_full_goes_on_from_what_it_saved(
    open_chat: OpenChat,
) -> None:
    chat = await open_chat()
    job = await starts(chat, "ana", "crowded", steps="20")  # whose engine has no room for its second state

    card = await chat.ends(job, PATIENCE)

    assert card.state == "succeeded"
    assert card.curve is not None
    assert [step for step, _ in card.curve.losses] == list(range(1, 21))
    assert chat.notes_of("learn") == [job, job]
    assert rows(chat.folder, "SELECT deaths, suspect FROM jobs") == [(0, 0)]


async def test_what_a_killed_bot_left_half_written_is_gone_after_the_next_start(
    open_chat: OpenChat, tmp_path: Path
) -> None:
    packing = tmp_path / "files" / "incoming-packing"
    packing.mkdir(parents=True)
    (packing / "atelier.zip").write_bytes(b"somebody's pictures")
    (tmp_path / "files" / "incoming-upload").write_bytes(b"a picture")
    for left in (packing, tmp_path / "files" / "incoming-upload"):
        os.utime(left, (time.time() - 5,) * 2)

    chat = await open_chat()

    await chat.sees(lambda: list((tmp_path / "files").glob("incoming-*")) == [])


async def test_an_export_is_packed_on_the_disk_of_the_store(
    open_chat: OpenChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    chat = await open_chat()
    await chat.ends((await chat.says("ana", "/imagine a fox --steps 2")).job)

    reply = await chat.says("ana", "/privacy export")

    assert reply.ok, reply.text
    assert [name for name, _ in reply.files] == ["atelier.zip"]


async def test_what_is_stored_is_its_users_alone(open_chat: OpenChat, tmp_path: Path) -> None:
    chat = await open_chat()
    await chat.ends((await chat.says("ana", "/imagine a fox --steps 2")).job)

    for path in (tmp_path / "files").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    assert (tmp_path / "files").stat().st_mode & 0o077 == 0


async def test_a_locked_database_acknowledges_nothing_and_loses_nothing(tmp_path: Path) -> None:
    config = a_config(tmp_path)
    bot = Bot(config, await Database.open(config.database, patience=0.1), quick(tmp_path, 0.02))
    chat = Chat(bot, FakeChat(), tmp_path)
    bot.add(chat.fake)
    await bot.start()
    job = (await chat.says("ana", "/imagine a fox --steps 20")).job
    await chat.runs(job)
    other = sqlite3.connect(tmp_path / "atelier.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    refused = await chat.says("bo", "/imagine a red fox")
    await chat.sees(lambda: chat.notes_of("painted") == [job])
    await asyncio.sleep(0.3)
    meanwhile = chat.card(job)
    other.execute("ROLLBACK")
    other.close()

    assert not refused.ok
    assert refused.text.startswith("Nothing was stored. ")
    assert meanwhile is not None
    assert meanwhile.state == "running"
    assert (await chat.ends(job)).state == "succeeded"
    assert rows(tmp_path, "SELECT count(*) FROM jobs") == [(1,)]
    await chat.close()


async def test_a_request_that_this_version_cannot_read_is_failed_and_blocks_nobody(
    open_chat: OpenChat, tmp_path: Path
) -> None:
    chat = await open_chat()
    await chat.close()
    chat = await open_chat(config=a_config(tmp_path), program=quick(tmp_path))
    await chat.bot.queue.stop(0)  # nobody paints while the row is spoiled
    job = (await chat.says("ana", "/imagine a fox --steps 2")).job
    await asyncio.sleep(0.5)  # what the bot is writing ends first: it cannot while this test waits for it
    with sqlite3.connect(tmp_path / "atelier.db") as connection:
        connection.execute("UPDATE jobs SET request = json_set(request, '$.steps', 9999)")
    await chat.close()

    chat = await open_chat(fake=chat.fake)
    card = await chat.ends(job)

    assert card.state == "failed"
    assert "cannot read the request" in card.line
    assert (await chat.ends((await chat.says("bo", "/imagine a fox --steps 2")).job)).state == "succeeded"


@pytest.mark.parametrize("moments", range(4))
async def test_a_queue_that_has_just_been_woken_stops_like_any_other(
    open_chat: OpenChat, moments: int
) -> None:
    chat = await open_chat(seconds=1)
    for _ in range(10):  # more than the engine takes at once
        await chat.says("ana", "/imagine a red fox")
    await asyncio.sleep(0.6)  # the line waits for something to happen, or for a second
    chat.bot.queue.wake()
    for _ in range(moments):
        await asyncio.sleep(0)

    async with asyncio.timeout(10):
        await chat.bot.queue.stop(0)


async def test_the_same_picture_painted_twice_at_once_is_stored_once_and_both_cards_have_it(
    open_chat: OpenChat,
) -> None:
    chat = await open_chat()

    first, other = [
        await chat.ends((await chat.says(who, "/imagine a fox --steps 4 --seed 7")).job)
        for who in ("ana", "bo")
    ]

    assert first.pictures[0].sha256 == other.pictures[0].sha256


async def test_loras_are_found_although_the_transaction_cannot_wait_for_them(
    open_chat: OpenChat, tmp_path: Path
) -> None:
    (tmp_path / "adapters").mkdir()
    (tmp_path / "adapters" / "ink.safetensors").write_bytes(a_file("ink"))
    (tmp_path / "adapters" / "maria.safetensors").write_bytes(a_file("maria"))
    chat = await open_chat()

    reply = await chat.says("ana", "/imagine a fox <lora:maria:0.5> --lora ink:0.8 --steps 2")
    unknown = await chat.says("ana", "/imagine a fox --lora inc")

    assert (await chat.ends(reply.job)).state == "succeeded"
    assert rows(tmp_path, "SELECT name FROM adapters ORDER BY name") == [("ink",), ("maria",)]
    assert unknown.text == "There is no LoRA 'inc'. Did you mean ink?"
