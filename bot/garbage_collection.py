"""Removes stored files that no row refers to any more."""

import asyncio
import time
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from functools import partial

import structlog

from engine.messages import Sha256
from storage import jobs, pictures, uploads
from storage.database import CannotStore, Database
from storage.files import Files

AT_ONCE = 1000  # files in one write of a sweep: other writes go between
DAY = 86_400.0  # seconds that an uploaded picture waits for the training that it was sent for
DRAFT_DAYS = 7  # that a draft waits for its person to start it

log = structlog.get_logger(__name__)


class GarbageCollector:
    """Removes files that nothing needs, but never one that is just being stored for a row to come."""

    def __init__(self, database: Database, files: Files) -> None:
        self._database = database
        self._files = files
        self._removing = asyncio.Lock()
        self._pauses = 0
        self._unpaused = asyncio.Event()
        self._unpaused.set()

    @asynccontextmanager
    async def pause(self) -> AsyncGenerator[None]:
        """Removals wait while this is open, so that a file stored in here is there for its row.

        A file that is there already is not stored again, and might be removed before its new row is written.
        """
        async with self._removing:
            self._pauses += 1
            self._unpaused.clear()
        try:
            yield
        finally:
            self._pauses -= 1
            if not self._pauses:
                self._unpaused.set()

    async def remove(self, hashes: Collection[Sha256]) -> None:
        """Remove those files that nothing needs. One that cannot be removed only costs space.

        What is needed is asked again within the write: the same picture may just have been made again.
        """
        while hashes:
            await self._unpaused.wait()
            async with self._removing:
                if not self._pauses:
                    await self._remove(hashes)
                    return

    async def sweep(self) -> None:
        """Remove files that were stored a day ago and nothing needs, and drafts that nobody starts.

        Raises CannotStore, OSError.
        """
        now = time.time()
        before = now - DAY
        drafts = partial(jobs.delete_old_drafts, before=now - DRAFT_DAYS * DAY, now=now)
        await self.remove(await self._database.write(drafts))
        await self.remove(await self._database.write(partial(uploads.delete_old, before=before)))
        old = await self._files.list_older_than(before)
        for first in range(0, len(old), AT_ONCE):
            await self.remove(old[first : first + AT_ONCE])
        await self._files.sweep_shards()

    async def _remove(self, hashes: Collection[Sha256]) -> None:
        try:
            unneeded = await self._database.write(partial(pictures.find_unneeded, hashes=list(hashes)))
            for sha256 in unneeded:
                await self._files.remove(sha256)
            await self._files.remove_shards(unneeded)
        except (CannotStore, OSError) as error:
            log.warning("Unneeded files could not be removed", reason=str(error))
