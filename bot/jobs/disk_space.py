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
PROBE_BYTES = 16 * 2**20  # bytes of the file that is tried: no picture has more


class DiskSpace:
    """One store's. `reason` says why it takes nothing, "" when it does."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._has_space = asyncio.Event()
        self._has_space.set()
        self._is_full = asyncio.Event()
        self.reason = ""

    def note_error(self, error: OSError) -> bool:
        """Whether this is why a file could not be put, and will pass; then wait until it has."""
        reason = PASSING.get(error.errno or 0)
        if reason is None:
            return False
        self.mark_full(reason)
        return True

    def mark_full(self, reason: str) -> None:
        """The store takes nothing for now, somebody found."""
        if not self.reason:
            log.error("the queue waits for the store", reason=reason)
        self.reason = reason
        self._has_space.clear()
        self._is_full.set()

    async def wait(self) -> None:
        """Wait until the store takes files."""
        await self._has_space.wait()

    async def watch(self) -> None:
        """Try again for ever, as long as there is no room."""
        while True:
            await self._is_full.wait()
            backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
            while self.reason:
                await asyncio.sleep(backoff.next())
                if await self._try_to_write():
                    log.info("the store takes files again")
                    self.reason = ""
            self._is_full.clear()
            self._has_space.set()

    async def _try_to_write(self) -> bool:
        """A file like no other is put and removed again."""
        try:
            content = await asyncio.to_thread(secrets.token_bytes, PROBE_BYTES)
            await self._files.remove(await self._files.put(content))
        except OSError as error:
            return error.errno not in PASSING
        return True
