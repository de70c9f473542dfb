"""How SQLite is opened and locked, and what its error codes mean."""

import fcntl
import os
import sqlite3
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from storage.connection import Connection, connect

READERS = 4
CACHE = (
    32 * 2**10
)  # KiB of pages that a connection keeps at most; SQLite's own 2 MiB are few jobs of one person

# By SQLite's primary result codes: after these nothing more can be written in the same transaction.
REASONS = {
    sqlite3.SQLITE_FULL: "its disk is full",
    sqlite3.SQLITE_READONLY: "it is read-only",
    sqlite3.SQLITE_BUSY: "another program keeps it locked",
    sqlite3.SQLITE_LOCKED: "another program keeps it locked",
    sqlite3.SQLITE_CANTOPEN: "its file or folder cannot be opened",
    sqlite3.SQLITE_PERM: "its file must not be opened",
    sqlite3.SQLITE_IOERR: "its disk reports an error",
    sqlite3.SQLITE_CORRUPT: "its file is damaged",
    sqlite3.SQLITE_NOTADB: "its file is not a database",
    sqlite3.SQLITE_NOMEM: "memory ran out",
    sqlite3.SQLITE_INTERRUPT: "it was interrupted",
}


def reason(error: BaseException | None) -> str | None:
    """Why the database could not be used; None when the error and its causes are of another kind."""
    if error is None:
        return None
    sentence = REASONS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
    return sentence or reason(error.__cause__) or reason(error.__context__)


async def driver(connection: AsyncConnection) -> Connection:
    """The connection below SQLAlchemy's. `in_transaction` says whether what was written can still be
    committed, for some errors end the whole transaction; `total_changes` counts the rows that were changed.
    """
    driver_connection = (await connection.get_raw_connection()).driver_connection
    assert isinstance(driver_connection, Connection)
    return driver_connection


def writer_engine(url: str, patience: float) -> AsyncEngine:
    """An engine of one connection whose transactions take the write lock at once.

    What is deleted is overwritten in the file, too: people were promised that it is gone.
    """
    engine = _engine(url, patience, "PRAGMA secure_delete = ON", at_once=True, pool_size=1, max_overflow=0)
    _begin_with(engine, "BEGIN IMMEDIATE")
    return engine


def migration_engine(url: str, patience: float) -> AsyncEngine:
    """The same without foreign keys, so that a migration can rebuild tables."""
    engine = _engine(url, patience, "PRAGMA foreign_keys = OFF", pool_size=1, max_overflow=0)
    _begin_with(engine, "BEGIN IMMEDIATE")
    return engine


def reader_engine(url: str, patience: float) -> AsyncEngine:
    """An engine of read-only connections, each transaction of which sees one moment."""
    engine = _engine(url, patience, "PRAGMA query_only = ON", pool_size=READERS, max_overflow=0)
    _begin_with(engine, "BEGIN")
    return engine


def _engine(url: str, patience: float, *more: str, at_once: bool = False, **pool: Any) -> AsyncEngine:
    # isolation_level None: the driver begins no transactions by itself, _begin_with does.
    connect_args = {
        "async_creator_fn": partial(connect, at_once=at_once),
        "isolation_level": None,
        "timeout": patience,
    }
    engine = create_async_engine(url, connect_args=connect_args, hide_parameters=True, **pool)

    @event.listens_for(engine.sync_engine, "connect")
    def set_pragmas(connection: Any, _: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for pragma in (
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = FULL",
            "PRAGMA foreign_keys = ON",
            f"PRAGMA cache_size = -{CACHE}",
            *more,
        ):
            cursor.execute(pragma)
        cursor.close()

    return engine


def _begin_with(engine: AsyncEngine, statement: str) -> None:
    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql(statement)


def truncate_log(path: str) -> bool:
    """Move the write-ahead log into the database and empty it. False: others were reading."""
    with closing(sqlite3.connect(path, timeout=1.0)) as connection:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


def make_private(database: Path) -> None:
    """Make the file, if it is missing, readable by this user alone; SQLite's log gets the same mode.

    Raises OSError when it cannot be made.
    """
    with suppress(FileExistsError):
        os.close(os.open(database, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def keep_private(database: Path) -> None:
    """Take others' access from files that an earlier version made; files of other users stay."""
    for ending in ("", "-wal", "-shm", ".lock"):
        file = database.with_name(f"{database.name}{ending}")
        with suppress(FileNotFoundError, PermissionError):
            file.chmod(file.stat().st_mode & 0o700)


class FileIdentity:
    """The database's file on disk, since a removed file can still be written to, for nothing."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._log = database.with_name(f"{database.name}-wal")
        self._first = _identity(database)

    def has_changed(self) -> bool:
        """Whether the file is another one now or gone, or its log, with the newest rows, is gone."""
        return _identity(self._database) != self._first or _identity(self._log) is None


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


class Lock:
    """A lock file beside the database, held while a bot uses it and released by the system when it dies."""

    def __init__(self, database: Path) -> None:
        """Raises BlockingIOError when another program holds it, OSError when the file cannot be made."""
        self.database = database
        self._number = os.open(database.with_name(f"{database.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._number)
            raise

    def release(self) -> None:
        """Let others use the database."""
        os.close(self._number)
