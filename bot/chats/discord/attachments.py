"""Downloads of attached files: read at once, before Discord forgets them, within the allowed size."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from functools import partial

import aiohttp
import discord
from cachetools import FIFOCache

from bot.chats.discord.modal_submit import AttachedFile
from bot.chats.interface import Caller
from bot.uploads.file_fields import FormFiles, IncomingFile, take_files
from bot.uploads.intake import Intake
from commands.registry import AnyCommand
from engine.messages import InvalidRequest, JobId

PATIENCE = aiohttp.ClientTimeout(total=60.0)  # for one file
CHUNK = 2**16  # bytes
GONE = "Discord no longer has this file. Send it again."
REMEMBERED = 1000  # messages whose files are remembered until a form comes back


class Attachments:
    """Takes in what is attached to commands and forms."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._session: aiohttp.ClientSession | None = None
        self._held: FIFOCache[tuple[str, JobId], tuple[AttachedFile, ...]] = FIFOCache(REMEMBERED)

    def hold(self, caller: Caller, form: JobId, files: Sequence[AttachedFile]) -> None:
        """Remember the files of a message until its form comes back: without the privilege to read messages
        the bot sees them once. A restart forgets them."""
        self._held[caller.person, form] = tuple(files)

    def files_for(self, caller: Caller, form: JobId | None) -> tuple[AttachedFile, ...]:
        """The files remembered for this form of theirs; none if it is another one."""
        return () if form is None else self._held.get((caller.person, form), ())

    async def take(
        self,
        caller: Caller,
        command: AnyCommand,
        files: Mapping[str, Sequence[AttachedFile]],
        earlier: Mapping[str, str],
    ) -> FormFiles:
        """Take in what is attached for a command, by parameter. Raises InvalidOption."""
        opened = {name: [partial(self._open, file) for file in some] for name, some in files.items()}
        return await take_files(self._intake, caller, command, opened, earlier)

    async def read_head(self, file: AttachedFile, size: int) -> bytes:
        """Read the first bytes of a file, at most so many; none if it is gone."""
        content = bytearray()
        with suppress(InvalidRequest):
            async with aclosing(self._chunks(file)) as chunks:
                async for chunk in chunks:
                    content += chunk
                    if len(content) >= size:
                        break
        return bytes(content[:size])

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _open(self, file: AttachedFile) -> IncomingFile:
        return IncomingFile(name=file.name, size=file.size, chunks=self._chunks(file))

    async def _chunks(self, file: AttachedFile) -> AsyncGenerator[bytes]:
        """Read the file in chunks. Raises InvalidRequest when it is gone."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=PATIENCE)
        try:
            async with self._session.get(file.url, allow_redirects=False) as response:
                if response.status != 200:
                    raise InvalidRequest(GONE)
                async for chunk in response.content.iter_chunked(CHUNK):
                    yield chunk
        except InvalidRequest:
            raise
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise InvalidRequest(GONE) from error


def attached_file(attachment: discord.Attachment) -> AttachedFile:
    """A file as discord.py knows it."""
    return AttachedFile(name=attachment.filename, url=attachment.url, size=attachment.size)
