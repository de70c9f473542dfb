"""Stored files that no row knows any more, removed."""

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

AT_ONCE = 1000  # files in one question of a sweep: other writes go between
DAY = 86_400.0  # seconds: how long a picture waits for the training that it was sent for
DRAFT_DAYS = 7  # how long a training waits for its person to start it

log = structlog.get_logger(__name__)


class GarbageCollector:
    """Takes files away that nothing needs, but never one that is just being put for a row to come."""

    def __init__(self, database: Database, files: Files) -> None:
        self._database = database
        self._files = files
        self._removing = asyncio.Lock()
        self._pauses = 0
        self._unpaused = asyncio.Event()
        self._unpaused.set()

    @asynccontextmanager
    async def pause(self) -> AsyncGenerator[None]:
        """What is put in here, and told to a row in here, is there when this ends: removals wait.

        What is there already is not put again, and would else be taken away before its new row is written.
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
        """Remove those of the files that nothing needs; one that cannot be removed only costs space.

        Asked again at the last moment and among the writes: the same picture may just have been made anew.
        """
        while hashes:
            await self._unpaused.wait()
            async with self._removing:
                if not self._pauses:
                    await self._remove(hashes)
                    return

    async def sweep(self) -> None:
        """Remove what has lain in the store for a day and nothing needs, and drafts that nobody starts.

        Raises CannotStore, OSError.
        """
        now = time.time()
        before = now - DAY
        drafts = partial(jobs.delete_old_drafts, before=now - DRAFT_DAYS * DAY, now=now)
        await self.remove(await self._database.write(drafts))
        await self.remove(await self._database.write(partial(uploads.delete_old, before=before)))
        old = await self._files.old(before)
        for first in range(0, len(old), AT_ONCE):
            await self.remove(old[first : first + AT_ONCE])

    async def _remove(self, hashes: Collection[Sha256]) -> None:
        try:
            for sha256 in await self._database.write(partial(pictures.find_unneeded, hashes=list(hashes))):
                await self._files.remove(sha256)
        except (CannotStore, OSError) as error:
            log.warning("files that nobody needs could not be removed", reason=str(error))
