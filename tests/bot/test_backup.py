"""Backups are made while the bot runs, hold what their rows need and no more, and can be put in place."""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from bot.cli import backup
from bot.cli.exit_status import BAD_INPUT, FAILED, FINE
from bot.config import Config
from engine.messages import JobId
from storage.backup import describe, needed_files
from storage.database import Database
from storage.file_copies import stored_names
from storage.schema import newest_revision
from tests.bot.fake_chat import Chat, OpenChat, a_config

LORA = b"an operator's LoRA"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration and the data in data/, where the terminal is."""
    config = a_config(tmp_path / "data")
    (tmp_path / "data" / "adapters").mkdir(parents=True)
    (tmp_path / "data" / "adapters" / "ink.safetensors").write_bytes(LORA)
    (tmp_path / "config.toml").write_text(
        f'[engine]\nfiles = "{config.engine.files}"\n[storage]\ndatabase = "{config.database}"\n'
        '[adapters]\nfolder = "data/adapters"\n'
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def run(*words: str) -> int:
    return await asyncio.to_thread(backup.main, words)


async def paint(chat: Chat, words: str) -> JobId:
    job = (await chat.says("ana", f"/imagine {words}")).job
    assert job is not None
    assert (await chat.ends(job)).state == "succeeded"
    return job


async def test_a_backup_made_meanwhile_is_put_in_place_with_all_its_pictures(
    home: Path, open_chat: OpenChat, capsys: pytest.CaptureFixture[str]
) -> None:
    config = a_config(home / "data")
    chat = await open_chat(config=config)
    kept, gone = await paint(chat, "a fox"), await paint(chat, "a crow")
    assert await run("backup", "copy") == FINE
    before = set(stored_names(home / "copy" / "files"))
    assert (await chat.presses("ana", "delete", gone)).ok
    later = await paint(chat, "an owl")

    assert await run("backup", "copy") == FINE
    names = set(stored_names(home / "copy" / "files"))
    assert names == needed_files(home / "copy" / describe(home / "copy").database)
    assert before - names  # what was deleted does not live on
    assert "2 files (1 new" in capsys.readouterr().out
    assert await run("restore", "copy") == FAILED
    assert "Stop it, then restore." in capsys.readouterr().err
    await paint(chat, "after the backup")
    await chat.close()
    (home / "data" / "adapters" / "ink.safetensors").unlink()
    for sha256 in names:
        (home / "data" / "files" / sha256[:2] / sha256).unlink()
    keys = {path: path.read_bytes() for path in (home / "data" / "provenance").iterdir()}
    shutil.rmtree(home / "data" / "provenance")

    assert await run("restore", "copy") == FINE
    chat = await open_chat(config=config, fake=chat.fake)

    shown = [(await chat.says("ana", f"/show {job}")).ok for job in (kept, later, gone)]
    assert shown == [True, True, False]
    assert set(stored_names(home / "data" / "files")) >= names
    assert (home / "data" / "adapters" / "ink.safetensors").read_bytes() == LORA
    assert {path: path.read_bytes() for path in keys} == keys
    assert len(list((home / "data").glob("*.before-restore-*"))) == 1


def kill_a_backup(home: Path, pause: float) -> None:
    """Kill one so many seconds after it has begun to copy the database."""
    program = subprocess.Popen([sys.executable, "-m", "bot", "backup", "copy"], cwd=home)
    while program.poll() is None and not list((home / "copy").glob("incoming-*")):
        time.sleep(0.002)
    time.sleep(pause)
    program.send_signal(signal.SIGKILL)
    program.wait()


async def test_killed_backups_leave_the_last_one_whole(home: Path, open_chat: OpenChat) -> None:
    chat = await open_chat(config=a_config(home / "data"))
    await paint(chat, "a fox")
    assert await run("backup", "copy") == FINE
    first = describe(home / "copy")
    await paint(chat, "a crow")
    for pause in (0.0, 0.03):
        await asyncio.to_thread(kill_a_backup, home, pause)
        assert describe(home / "copy").files in (first.files, first.files + 1)
    await chat.close()

    assert await run("restore", "copy") == FINE


@pytest.mark.parametrize(
    ("spoil", "words", "sentence"),
    [
        (lambda home: None, ("backup", "data/copy"), "The backup must be outside of the data"),
        (lambda home: (home / "x").write_text(""), ("backup", "x"), "x is a file."),
        (lambda home: (home / "y" / "z").mkdir(parents=True), ("backup", "y"), "y has other files in it."),
        (lambda home: None, ("restore", "nowhere"), "nowhere is not a backup"),
        (
            lambda home: next((home / "copy" / "files").glob("??/*")).write_bytes(b"rotten"),
            ("restore", "copy"),
            "1 of the backup's 1 files are missing or damaged",
        ),
        (
            lambda home: (home / "copy" / "backup.json").write_text('{"format": 2}'),
            ("restore", "copy"),
            "copy is a backup of a newer version",
        ),
        (
            lambda home: next((home / "copy").glob("*.db")).write_bytes(b""),
            ("restore", "copy"),
            "is missing or damaged.",
        ),
        (lambda home: None, ("restore", "config.toml"), "neither a backup nor a copy of Atelier's database"),
    ],
)
async def test_what_cannot_be_done_is_said_in_a_sentence_and_changes_nothing(
    home: Path,
    open_chat: OpenChat,
    capsys: pytest.CaptureFixture[str],
    spoil: object,
    words: tuple[str, ...],
    sentence: str,
) -> None:
    chat = await open_chat(config=a_config(home / "data"))
    job = await paint(chat, "a fox")
    await chat.close()
    assert await run("backup", "copy") == FINE
    copied = (home / "copy" / "files").glob("??/*")
    for path in list(copied):  # a hard link would spoil the store, too
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
    assert callable(spoil)
    spoil(home)

    assert await run(*words) in (FAILED, BAD_INPUT)

    assert sentence in capsys.readouterr().err
    chat = await open_chat(config=a_config(home / "data"), fake=chat.fake)
    assert (await chat.says("ana", f"/show {job}")).ok


async def test_an_upgrade_copies_the_database_first_and_can_be_taken_back(
    home: Path, open_chat: OpenChat
) -> None:
    config: Config = a_config(home / "data")
    chat = await open_chat(config=config)
    job = await paint(chat, "a fox")
    await chat.close()
    [path] = (home / "data").glob("*.db")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")

    with pytest.raises(OperationalError, match="duplicate column"):  # the tables are there already
        await Database.open(config.database)

    [copy] = path.parent.glob("*.before-upgrade-*")
    assert copy.name.endswith(newest_revision())
    assert copy.stat().st_mode & 0o777 == 0o600
    os.truncate(path, 100)
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [newest_revision()])
    assert await run("restore", str(copy)) == FINE
    chat = await open_chat(config=config, fake=chat.fake)
    assert (await chat.says("ana", f"/show {job}")).ok
    await chat.bot.database.remove_old_copies(time.time() + 60)
    assert not list(path.parent.glob("*.before-*"))
