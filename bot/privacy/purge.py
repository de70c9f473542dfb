"""Removes what is left of people and spaces after they were deleted: files, then rows of cards."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Collection
from contextlib import suppress

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from bot.garbage_collection import DAY, GarbageCollector
from bot.pacing.backoff import Backoff
from engine.messages import JobId
from storage import purge
from storage.database import CannotStore, Database

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 60.0  # seconds between two tries while something is left, doubled

log = structlog.get_logger(__name__)


class Purge:
    """Works through what the tables list, also after a restart.

    `busy`: jobs that the engine or a chat is still at.
    """

    def __init__(
        self, database: Database, garbage: GarbageCollector, busy: Callable[[], Collection[JobId]]
    ) -> None:
        self._database = database
        self._garbage = garbage
        self._busy = busy
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look again: somebody was deleted."""
        self._woken.set()

    async def run(self) -> None:
        """Remove what can go, for ever."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            self._woken.clear()
            try:
                done = await self._remove()
            except (CannotStore, OSError) as error:
                log.error("Deleted data could not be removed", reason=str(error))
                done = False
            with suppress(TimeoutError):
                async with asyncio.timeout(DAY if done else backoff.next()):
                    await self._woken.wait()
            if done or self._woken.is_set():
                backoff.reset()

    async def _remove(self) -> bool:
        """Remove what can go; whether nothing is left."""
        async with self._database.reading() as session:
            files = await purge.files_to_go(session)
        if files:
            await self._garbage.remove(files)
            await self._database.write(lambda session: purge.mark_removed(session, files))

        async def work(session: AsyncSession) -> bool:
            await purge.delete_old_usage(session, time.time())
            return await purge.delete_unheld_rows(session, self._busy())

        return await self._database.write(work) and await self._scrub()

    async def _scrub(self) -> bool:
        try:
            return await self._database.scrub()
        except sqlite3.Error as error:
            log.warning("The write-ahead log could not be emptied", reason=str(error))
            return True
