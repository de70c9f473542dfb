"""Whether the disk has room for files; while it has none, no job is begun that would end in one."""

import asyncio
import errno
import secrets

import structlog

from bot.pacing.backoff import Backoff
from storage.files import Files

log = structlog.get_logger(__name__)

# What passes without anybody's job being to blame: an operator makes room, or somebody else lets go.
PASSING = {
    errno.ENOSPC: "the disk of the store is full",
    errno.EDQUOT: "the disk of the store is full",
    errno.EROFS: "the disk of the store is read-only",
    errno.EMFILE: "too many files are open",
    errno.ENFILE: "too many files are open",
}
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0  # seconds between two tries to put a file, doubled
TRIED = 16 * 2**20  # bytes of the file that is tried: no picture has more


class Room:
    """One store's. `reason` says why it takes nothing, "" when it does."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._there = asyncio.Event()
        self._there.set()
        self._missing = asyncio.Event()
        self.reason = ""

    def lacks(self, error: OSError) -> bool:
        """Whether this is why a file could not be put, and will pass; then wait until it has."""
        reason = PASSING.get(error.errno or 0)
        if reason is None:
            return False
        self.miss(reason)
        return True

    def miss(self, reason: str) -> None:
        """The store takes nothing for now, somebody found."""
        if not self.reason:
            log.error("the queue waits for the store", reason=reason)
        self.reason = reason
        self._there.clear()
        self._missing.set()

    async def wait(self) -> None:
        """Wait until the store takes files."""
        await self._there.wait()

    async def watch(self) -> None:
        """Try again for ever, as long as there is no room."""
        while True:
            await self._missing.wait()
            backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
            while self.reason:
                await asyncio.sleep(backoff.next())
                if await self._tried():
                    log.info("the store takes files again")
                    self.reason = ""
            self._missing.clear()
            self._there.set()

    async def _tried(self) -> bool:
        """A file like no other is put and removed again."""
        try:
            content = await asyncio.to_thread(secrets.token_bytes, TRIED)
            await self._files.remove(await self._files.put(content))
        except OSError as error:
            return error.errno not in PASSING
        return True
