"""The database: migrated when it is opened, one writer that groups commits, any number of readers."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from storage import backup, sqlite
from storage.connection import Connection
from storage.schema import NewerDatabase, OtherDatabase, is_newer, migrate, newest_revision

log = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds to wait for another program's lock. Whoever comes while others wait for it waits twice; five seconds
# are the most that anybody should.
PATIENCE = 2.5
LARGEST_GROUP = 100  # works in one commit: more of them would keep the first waiting
AT_ONCE = 10  # works before the event loop sees to others


class DatabaseError(Exception):
    """One sentence for the operator: why the database cannot be used at all."""


class CannotStore(Exception):
    """One sentence: nothing of this was stored, and why."""


Work = Callable[[AsyncSession], Awaitable[Any]]
Outcome = tuple[Any, Exception | None]  # what it returned, or what it raised


class _NeedsSavepoints(Exception):
    """A work failed in a group after it may have changed rows, so the group runs again with savepoints."""


@dataclass(frozen=True)
class _WaitingWork:
    """A work whose caller waits."""

    work: Work
    done: asyncio.Future[Any]

    def set_outcome(self, result: object, error: Exception | None) -> None:
        if self.done.done():  # whoever waited was cancelled
            return
        if error is None:
            self.done.set_result(result)
        else:
            self.done.set_exception(error)


class Database:
    """Lives in one event loop, from open() to close()."""

    def __init__(self, writing: AsyncEngine, reading: AsyncEngine, lock: sqlite.Lock) -> None:
        self._writing = writing
        self._reading = reading
        self._lock = lock
        self._identity = sqlite.FileIdentity(lock.database)
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._queue: asyncio.Queue[_WaitingWork | None] = asyncio.Queue()
        self._closing = False
        self._waiting = 0  # works whose callers wait
        self._calm = asyncio.Event()
        self._calm.set()
        self._writer = asyncio.create_task(self._write_groups())

    @classmethod
    async def open(cls, url: str, *, patience: float = PATIENCE) -> "Database":
        """Open the database at "sqlite+aiosqlite:///path", made or migrated where that is needed.

        `patience`: seconds to wait when another program has locked it. Raises DatabaseError.
        """
        path = _path(url)
        lock = _lock(path)
        try:
            await _migrate(url, path, patience)
            sqlite.keep_private(path)
        except BaseException:
            lock.release()
            raise
        return cls(sqlite.writer_engine(url, patience), sqlite.reader_engine(url, patience), lock)

    async def write(self, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
        """Do this work in a transaction, and return what it returned once that is committed to the disk.

        Works that wait at the same moment share one transaction and its commit; what one raises is rolled
        back and raised for that one alone. To that end all of them may be rolled back and done a second time:
        a work must have no effects but on its session. It must be quick, and await nothing but its session.
        Raises CannotStore when the disk did not take it.
        """
        if self._lost.done():
            raise CannotStore(self._lost.result())
        if self._closing or self._writer.done():
            raise CannotStore("Nothing was stored. The database is closed.")
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(_WaitingWork(work, done))
        self._waiting += 1
        self._calm.clear()
        try:
            return await done
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._calm.set()

    async def wait_for_writers(self, longest: float) -> None:
        """Wait until nobody waits for a commit, at most so many seconds: whoever does is answered first."""
        with suppress(TimeoutError):
            async with asyncio.timeout(longest):
                await self._calm.wait()

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncSession]:
        """A session that sees one moment of the database and cannot change it; it waits for no writer."""
        async with AsyncSession(self._reading, expire_on_commit=False) as session:
            yield session

    async def wait_until_lost(self) -> str:
        """Wait until somebody removed or replaced the database's file, and say so. Nothing is stored then."""
        return await asyncio.shield(self._lost)

    async def scrub(self) -> bool:
        """Empty the write-ahead log, where deleted rows can still be read. False: a reader is in the way."""
        path = self._writing.url.database
        assert path is not None
        return await asyncio.to_thread(sqlite.truncate_log, path)

    async def remove_old_copies(self, before: float) -> None:
        """Remove copies from before upgrades and restorations that are older than this. Raises OSError."""
        await asyncio.to_thread(backup.remove_old_copies, self._lock.database, before)

    async def close(self) -> None:
        """Write what waits, and release the file."""
        if self._closing:
            return
        self._closing = True
        self._queue.put_nowait(None)
        try:
            await self._writer
        finally:
            await self._writing.dispose()
            await self._reading.dispose()
            self._lock.release()

    async def _write_groups(self) -> None:
        while (first := await self._queue.get()) is not None:
            group = [first]
            while len(group) < LARGEST_GROUP and not self._queue.empty():
                if (following := self._queue.get_nowait()) is None:
                    self._queue.put_nowait(None)  # close() was called: nothing comes after it
                    break
                group.append(following)
            await self._commit([waiting for waiting in group if not waiting.done.done()])

    async def _commit(self, group: list[_WaitingWork]) -> None:
        try:
            outcomes = await self._run_and_commit(group)
        except BaseException as error:
            refusal = _as_cannot_store(error)
            for waiting in group:
                waiting.set_outcome(None, refusal)
            if not isinstance(error, Exception):
                raise
        else:
            for number, (waiting, outcome) in enumerate(zip(group, outcomes, strict=True), start=1):
                waiting.set_outcome(*outcome)
                await _yield_to_others(number)

    async def _run_and_commit(self, group: list[_WaitingWork]) -> list[Outcome]:
        """What each work returned or raised, once it is committed. Raises what kept all from that.

        Savepoints cost as much as the works do, and are hardly ever needed: they are for a second try.
        """
        try:
            outcomes = await self._run_group(group, _run_work)
        except _NeedsSavepoints:
            outcomes = await self._run_group(group, _run_in_savepoint)
        if self._identity.has_changed():
            if not self._lost.done():
                self._lost.set_result(
                    f"Nothing was stored. The file of the database, {self._lock.database}, was removed or "
                    "replaced while the bot ran. Put it back from a copy and start the bot again."
                )
            raise CannotStore(self._lost.result())
        return outcomes

    async def _run_group(
        self,
        group: list[_WaitingWork],
        run: Callable[[AsyncConnection, Connection, Work], Awaitable[Outcome]],
    ) -> list[Outcome]:
        outcomes = []
        async with self._writing.begin() as connection:
            driver = await sqlite.driver(connection)
            for waiting in group:
                outcomes.append(await run(connection, driver, waiting.work))
                await _yield_to_others(len(outcomes))
        return outcomes


async def _yield_to_others(done: int) -> None:
    if done % AT_ONCE == 0:
        await asyncio.sleep(0)


async def _run_work(connection: AsyncConnection, driver: Connection, work: Work) -> Outcome:
    """What the work returned or raised. Raises _NeedsSavepoints when it failed and may have changed rows."""
    session = AsyncSession(connection, join_transaction_mode="rollback_only", expire_on_commit=False)
    changes = driver.total_changes
    try:
        result = await work(session)
        await session.flush()
    except Exception as error:
        if sqlite.reason(error) is not None:
            await session.invalidate()  # the next transaction has a new connection
            raise
        if driver.total_changes != changes or not driver.in_transaction:
            raise _NeedsSavepoints from error
        return None, error
    finally:
        await session.close()
    return result, None


async def _run_in_savepoint(connection: AsyncConnection, driver: Connection, work: Work) -> Outcome:
    """What the work returned or raised. Raises what ended the whole transaction."""
    session = AsyncSession(connection, join_transaction_mode="create_savepoint", expire_on_commit=False)
    try:
        result = await work(session)
        await session.commit()  # of the savepoint
    except Exception as error:
        if sqlite.reason(error) is not None or not driver.in_transaction:
            await session.invalidate()
            raise
        await session.close()
        return None, error
    await session.close()
    return result, None


def _as_cannot_store(error: BaseException) -> Exception:
    if not isinstance(error, Exception):
        return CannotStore("Nothing was stored. The program is stopping.")
    why = sqlite.reason(error)
    if why is None:
        return error
    refusal = CannotStore(f"Nothing was stored. The database cannot be written because {why}.")
    refusal.__cause__ = error
    return refusal


def _path(url: str) -> Path:
    try:
        parts = make_url(url)
    except ArgumentError as error:
        raise DatabaseError("The database's URL cannot be read.") from error
    if parts.drivername != "sqlite+aiosqlite":
        raise DatabaseError(f"The database must be sqlite+aiosqlite, not {parts.drivername}.")
    if not parts.database or parts.database == ":memory:":
        raise DatabaseError("The database must be a file. What is only in memory would be forgotten.")
    return Path(parts.database).absolute()


def _lock(path: Path) -> sqlite.Lock:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = sqlite.Lock(path)
        try:
            sqlite.make_private(path)
        except OSError:
            lock.release()
            raise
        return lock
    except BlockingIOError as error:
        raise DatabaseError(f"The database {path} is in use by another bot.") from error
    except OSError as error:
        raise DatabaseError(f"The database {path} cannot be opened ({error.strerror}).") from error


async def _migrate(url: str, path: Path, patience: float) -> None:
    await asyncio.to_thread(_copy_before_upgrade, path)
    engine = sqlite.migration_engine(url, patience)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(migrate)
    except NewerDatabase as error:
        raise DatabaseError(
            f"The database {path} was made by a newer version of Atelier. Use that one."
        ) from error
    except OtherDatabase as error:
        raise DatabaseError(f"The database {path} belongs to another program. Name another file.") from error
    except Exception as error:
        why = sqlite.reason(error)
        if why is None:
            raise
        raise DatabaseError(f"The database {path} cannot be used because {why}.") from error
    finally:
        await engine.dispose()


def _copy_before_upgrade(path: Path) -> None:
    """Keep a copy of a database that an upgrade is about to change, so that it can be taken back.

    Raises DatabaseError where there is no room for it: then nothing is upgraded.
    """
    revision = backup.revision_of(path)
    if revision is None or is_newer(revision) or revision == newest_revision():
        return
    copy = path.with_name(f"{path.name}{backup.BEFORE}upgrade-{newest_revision()}")
    try:
        backup.copy_database(path, copy)
    except (backup.BackupError, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise DatabaseError(f"The database {path} could not be copied before its upgrade ({why}).") from error
    log.info("The database was copied to %s before its upgrade", copy)
