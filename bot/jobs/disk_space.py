"""Whether the disk takes files; while it does not, no job starts."""

import asyncio
import errno
import secrets

import structlog

from bot.pacing.backoff import Backoff
from storage.files import Files

log = structlog.get_logger(__name__)

# Temporary errors that no job causes: an operator makes room, or another program closes its files.
TEMPORARY = {
    errno.ENOSPC: "The bot's disk is full.",
    errno.EDQUOT: "The bot's disk is full.",
    errno.EROFS: "The bot's disk is read-only.",
    errno.EMFILE: "Too many files are open.",
    errno.ENFILE: "Too many files are open.",
}
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0  # seconds between two tries to write a file, doubled
PROBE_BYTES = 16 * 2**20  # no picture is larger


class DiskSpace:
    """The disk of one file store. `reason` is a sentence that says why it takes nothing, or ""."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._has_space = asyncio.Event()
        self._has_space.set()
        self._is_full = asyncio.Event()
        self.reason = ""

    def note_error(self, error: OSError) -> bool:
        """Whether this error is temporary; then the disk counts as full until a file can be written."""
        reason = TEMPORARY.get(error.errno or 0)
        if reason is None:
            return False
        self.mark_full(reason)
        return True

    def mark_full(self, reason: str) -> None:
        """Count the disk as full, for this reason, until a file can be written."""
        if not self.reason:
            log.error("Queue waits for the disk", reason=reason)
        self.reason = reason
        self._has_space.clear()
        self._is_full.set()

    async def wait(self) -> None:
        """Wait until the disk takes files."""
        await self._has_space.wait()

    async def watch(self) -> None:
        """While the disk counts as full, try it again and again."""
        while True:
            await self._is_full.wait()
            backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
            while self.reason:
                await asyncio.sleep(backoff.next())
                if await self._try_to_write():
                    log.info("Disk takes files again")
                    self.reason = ""
            self._is_full.clear()
            self._has_space.set()

    async def _try_to_write(self) -> bool:
        """Write a file of random bytes and remove it; whether the disk takes files."""
        try:
            content = await asyncio.to_thread(secrets.token_bytes, PROBE_BYTES)
            await self._files.remove(await self._files.put(content))
        except OSError as error:
            return error.errno not in TEMPORARY
        return True
