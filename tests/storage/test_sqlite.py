"""SQLite on good days and bad ones: what was acknowledged is on disk, and each refusal is one sentence."""

import asyncio
import os
import re
import resource
import sqlite3
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession

from storage import jobs, people, schema
from storage.database import CannotStore, Database, DatabaseError
from storage.tables import Table
from tests.storage.harness import StorageHarness

NOBODY = 65534
PARTS = re.compile(r"\n|,(?![^(]*\))")  # of what makes a table: its commas, but not those within brackets


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "atelier.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    database = await Database.open(at(path), patience=0.2)
    yield database
    await database.close()


def at(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


async def refusal(path: Path) -> str:
    with pytest.raises(DatabaseError) as error:
        await Database.open(at(path), patience=0.2)
    return str(error.value)


async def ana(session: AsyncSession) -> int:
    return (await people.upsert_person(session, "local", "ana", "Ana")).id


def rows(path: Path, question: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(question).fetchall()


def test_the_migrations_make_the_tables_that_the_code_knows(tmp_path: Path) -> None:
    made, expected = (
        create_engine(f"sqlite:///{tmp_path}/made.db"),
        create_engine(f"sqlite:///{tmp_path}/known.db"),
    )
    with made.begin() as connection:
        schema.migrate(connection)
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Table.metadata) == []
    Table.metadata.create_all(expected)
    made.dispose()
    expected.dispose()

    # Alembic does not compare the conditions of indexes, nor what happens on deletion. In a table that was
    # changed names are in quotes, and a new column is on the line of the one before.
    written = "SELECT name, sql FROM sqlite_master WHERE sql NOT NULL AND name != 'alembic_version'"
    made_as, known_as = (
        {
            name: sorted(part.strip() for part in PARTS.split(sql.replace('"', "")) if part.strip())
            for name, sql in rows(tmp_path / file, written)
        }
        for file in ("made.db", "known.db")
    )
    assert made_as == known_as


async def test_a_commit_is_on_disk_and_readers_wait_for_no_writer(database: Database) -> None:
    async def pragma(name: str, session: AsyncSession) -> object:
        return await session.scalar(text(f"PRAGMA {name}"))

    told = {
        name: await database.write(lambda session, name=name: pragma(name, session))  # type: ignore[misc]
        for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    }

    assert told == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 200}


async def test_works_at_the_same_moment_share_a_few_commits(harness: StorageHarness, path: Path) -> None:
    await harness.file()
    before = commits(path)

    await asyncio.gather(*(harness.file() for _ in range(100)))

    assert 1 <= commits(path) - before <= 3


def commits(path: Path) -> int:
    """How many transactions the write-ahead log holds: their last frame tells the database's size."""
    log = path.with_name(f"{path.name}-wal").read_bytes()
    page = int.from_bytes(log[8:12], "big")
    frames = range(32, len(log), 24 + page)
    salt = log[16:24]
    return sum(log[at + 8 : at + 16] == salt and log[at + 4 : at + 8] != bytes(4) for at in frames)


async def test_what_was_acknowledged_survives_kill_9(path: Path) -> None:
    """Twenty people file for ever; the ids that they are told come through a pipe and are all there after."""
    program = f"""
import asyncio, sys
from pathlib import Path
from storage.database import Database
from tests.storage.harness import StorageHarness

async def main():
    harness = StorageHarness(await Database.open({at(path)!r}))
    async def person(name):
        while True:
            print(await harness.file(name), flush=True)
    await asyncio.gather(*(person(f"p{{number}}") for number in range(20)))

asyncio.run(main())
"""
    acknowledged: list[str] = []
    for _ in range(3):
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=PIPE)
        assert process.stdout is not None
        acknowledged += [(await process.stdout.readline()).decode().strip() for _ in range(60)]
        process.kill()
        rest = (await process.communicate())[0].decode()
        acknowledged += rest[: rest.rfind("\n") + 1].split()

    database = await Database.open(at(path))
    await database.close()

    assert set(acknowledged) <= {id for (id,) in rows(path, "SELECT id FROM jobs")}
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    assert rows(path, "SELECT sum(queued) FROM people") == rows(path, "SELECT count(*) FROM jobs")


async def test_one_bot_uses_a_database_at_a_time(database: Database, path: Path) -> None:
    assert await refusal(path) == f"The database {path} is in use by another bot."

    await database.close()

    await (await Database.open(at(path))).close()


async def test_a_database_of_a_newer_version_is_left_alone(path: Path) -> None:
    await (await Database.open(at(path))).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")

    assert await refusal(path) == f"The database {path} was made by a newer version of Atelier. Use that one."


async def test_a_database_of_another_program_is_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE songs (name TEXT)")

    assert await refusal(path) == f"The database {path} belongs to another program. Name another file."
    assert rows(path, "SELECT name FROM sqlite_master") == [("songs",)]


@pytest.fixture
def shopping_list(path: Path) -> Path:
    path.write_text("milk, flour and sugar\n" * 100)
    return path


async def test_a_file_that_is_no_database_is_left_alone(shopping_list: Path) -> None:
    sentence = await refusal(shopping_list)

    assert sentence == f"The database {shopping_list} cannot be used because its file is not a database."
    with shopping_list.open() as file:
        assert file.read() == "milk, flour and sugar\n" * 100


async def test_a_migration_that_was_cut_off_is_begun_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("alembic.op.create_index", cut_off)
        await Database.open(at(path))
    assert rows(path, "SELECT name FROM sqlite_master") == []

    database = await Database.open(at(path))
    assert await database.write(ana) == 1
    await database.close()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("sqlite+aiosqlite://", "The database must be a file. What is only in memory would be forgotten."),
        ("sqlite:///a.db", "The database must be sqlite+aiosqlite, not sqlite."),
        ("not a url", "The database's URL cannot be read."),
    ],
)
async def test_another_kind_of_database_is_refused(url: str, sentence: str) -> None:
    with pytest.raises(DatabaseError) as error:
        await Database.open(url)

    assert str(error.value) == sentence


async def test_a_place_where_no_folder_can_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    path = tmp_path / "data/atelier.db"

    assert await refusal(path) == f"The database {path} cannot be opened (File exists)."


async def test_a_folder_that_cannot_be_written_is_refused() -> None:
    with somewhere_public() as folder, nobody():
        path = folder / "atelier.db"
        assert await refusal(path) == f"The database {path} cannot be opened (Permission denied)."


async def test_a_database_that_cannot_be_written_is_refused() -> None:
    with somewhere_public() as folder:
        path = folder / "atelier.db"
        await (await Database.open(at(path))).close()
        path.with_name("atelier.db.lock").chmod(0o666)
        path.chmod(0o444)
        with nobody():
            assert await refusal(path) == f"The database {path} cannot be used because it is read-only."


@contextmanager
def somewhere_public() -> Iterator[Path]:
    """A folder that everybody may read, not only who made it."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o555)
        yield Path(name)


@contextmanager
def nobody() -> Iterator[None]:
    """Root may write everywhere; without its rights a file's mode counts."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    yield
    if root:
        os.seteuid(0)


async def test_a_full_disk_is_one_sentence_and_is_forgotten_when_there_is_room(database: Database) -> None:
    await database.write(ana)
    pages = await database.write(lambda session: session.scalar(text("PRAGMA page_count")))
    await database.write(lambda session: session.execute(text(f"PRAGMA max_page_count = {pages}")))

    async def much(session: AsyncSession) -> None:
        await people.upsert_space(session, "local", "general", "x" * 100_000)

    outcomes = await asyncio.gather(database.write(much), database.write(bo), return_exceptions=True)

    for outcome in outcomes:
        assert isinstance(outcome, CannotStore)
        assert str(outcome) == "Nothing was stored. The database cannot be written because its disk is full."
    async with database.reading() as session:
        assert list(await session.scalars(text("SELECT key FROM people"))) == ["ana"]
    await database.write(much)  # on a new connection, whose disk has room


async def bo(session: AsyncSession) -> int:
    return (await people.upsert_person(session, "local", "bo", "Bo")).id


async def test_a_disk_that_takes_no_more_at_the_commit_is_one_sentence_for_all(
    harness: StorageHarness, path: Path
) -> None:
    before = await harness.file()
    size = path.with_name("atelier.db-wal").stat().st_size

    with files_no_larger_than(size):
        outcomes = await asyncio.gather(*(harness.file() for _ in range(10)), return_exceptions=True)

    for outcome in outcomes:
        assert isinstance(outcome, CannotStore)
        assert str(outcome).startswith("Nothing was stored. The database cannot be written because its disk ")
    assert await harness.read(jobs.count_queued) == 1
    again = await harness.file()
    assert [job for job, _ in await harness.read(jobs.positions)] == [before, again]


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """No file of this process can grow beyond this, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_database_that_turns_read_only_is_one_sentence(database: Database) -> None:
    await database.write(lambda session: session.execute(text("PRAGMA query_only = ON")))

    with pytest.raises(CannotStore) as error:
        await database.write(ana)

    assert str(error.value) == "Nothing was stored. The database cannot be written because it is read-only."


async def test_a_lock_that_another_program_keeps_is_one_sentence(database: Database, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(CannotStore) as error:
            await database.write(ana)
        async with database.reading() as session:
            assert list(await session.scalars(text("SELECT key FROM people"))) == []

    assert (
        str(error.value)
        == "Nothing was stored. The database cannot be written because another program keeps it locked."
    )
    assert await database.write(ana) == 1


async def test_a_database_that_another_program_keeps_locked_is_refused(path: Path) -> None:
    await (await Database.open(at(path))).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        assert (
            await refusal(path)
            == f"The database {path} cannot be used because another program keeps it locked."
        )


async def test_a_short_lock_is_waited_for(database: Database, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(database.write(ana))
        await asyncio.sleep(0.05)
        other.execute("COMMIT")

        assert await waiting == 1


async def test_all_files_are_their_users_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "atelier.db"
    await (await Database.open(at(path))).close()
    path.chmod(0o644)  # as an earlier version made it
    database = await Database.open(at(path))
    try:
        await database.write(ana)

        modes = {file.name: oct(file.stat().st_mode & 0o777) for file in path.parent.iterdir()}
    finally:
        await database.close()

    assert modes == {
        "atelier.db": "0o600",
        "atelier.db-shm": "0o600",
        "atelier.db-wal": "0o600",
        "atelier.db.lock": "0o600",
    }
    assert oct(path.parent.stat().st_mode & 0o777) == "0o700"


@pytest.mark.parametrize("loss", ["removed", "replaced", "its log removed"])
async def test_a_database_whose_file_is_gone_acknowledges_nothing_more(
    database: Database, path: Path, loss: str
) -> None:
    await database.write(ana)
    lose(path, loss)

    for _ in range(2):
        with pytest.raises(CannotStore, match="was removed or replaced while the bot ran"):
            await database.write(bo)
    async with asyncio.timeout(5):
        assert "Put it back from a copy" in await database.wait_until_lost()


def lose(path: Path, how: str) -> None:
    if how == "its log removed":
        path.with_name("atelier.db-wal").unlink()
        return
    path.rename(path.with_name("away.db"))
    if how == "replaced":
        path.write_bytes(path.with_name("away.db").read_bytes())


async def test_whoever_comes_while_others_wait_for_a_lock_is_answered_within_five_seconds(path: Path) -> None:
    database = await Database.open(at(path))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(database.write(ana))
        await asyncio.sleep(0.1)
        began = asyncio.get_running_loop().time()

        with pytest.raises(CannotStore):
            await database.write(bo)

        assert asyncio.get_running_loop().time() - began < 7  # it was up to ten
        with pytest.raises(CannotStore):
            await waiting
        other.execute("ROLLBACK")
    await database.close()


async def test_prompts_are_in_no_error(harness: StorageHarness) -> None:
    async def wrong(session: AsyncSession) -> None:
        await session.execute(text("INSERT INTO spaces (key) VALUES (:prompt)"), {"prompt": "my secret"})

    with pytest.raises(Exception, match="NOT NULL") as error:
        await harness.database.write(wrong)

    assert "my secret" not in str(error.value)
